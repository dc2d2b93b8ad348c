"""Pictures of samples in rows."""

import numpy as np

from isthmus.viz.grids import rows_of_samples


def test_titles_of_rows_are_not_cut_off() -> None:
    values = np.zeros((3, 8, 8, 1), np.uint8)
    figure = rows_of_samples([("Adrien_Brody/Adrien_Brody_0001.jpg", values), ("original", values)])
    figure.draw_without_rendering()
    for axes in (figure.axes[0], figure.axes[3]):
        assert axes.get_ylabel()
        assert axes.yaxis.label.get_window_extent().x0 >= 0
