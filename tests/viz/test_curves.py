"""Pictures of training: losses, and accuracy where there is one."""

from typing import Any

import pytest
from matplotlib.axes import Axes

from isthmus.viz.curves import accuracy_curves, curves, validation_curves

LOSSES = ((0.7, 0.6), (0.5, 0.45), (0.4, 0.5))
PLAIN = [
    {"epoch": epoch, "loss": loss, "validation_loss": validation}
    for epoch, (loss, validation) in enumerate(LOSSES, 1)
]


def scored(**values: list[float]) -> list[dict[str, Any]]:
    """Add figures to the lines of a history."""
    return [
        {**line, **{f"validation_{name}": own[i] for name, own in values.items()}}
        for i, line in enumerate(PLAIN)
    ]


def drawn(axes: Axes) -> dict[str, list[float]]:
    """Return what is drawn by its name in the legend."""
    legend = axes.get_legend()
    assert legend is not None
    named = [text.get_text() for text in legend.get_texts()]
    lines = {str(line.get_label()): [float(y) for y in line.get_ydata()] for line in axes.lines}  # type: ignore[union-attr, arg-type]
    assert list(lines) == named
    return lines


def test_an_autoencoder_has_one_panel_with_its_least_loss() -> None:
    (axes,) = curves(PLAIN, "bce").axes
    assert axes.get_ylabel() == "binary cross-entropy"
    assert drawn(axes) == {
        "training": [0.7, 0.5, 0.4],
        "validation": [0.6, 0.45, 0.5],
        "best: 0.4500": [0.45],
    }


def test_a_classifier_has_a_panel_of_accuracy_and_its_best() -> None:
    left, right = curves(scored(accuracy=[0.5, 0.7, 0.8]), "cross-entropy").axes
    assert (left.get_ylabel(), right.get_ylabel()) == ("cross-entropy", "accuracy")
    assert drawn(right) == {"validation": [0.5, 0.7, 0.8], "best: 80.0%": [0.8]}
    assert drawn(left)["at the best accuracy: 0.5000"] == [0.5]
    assert left.lines[-1].get_xdata() == right.lines[-1].get_xdata() == [3]


def test_of_equal_accuracies_the_one_of_least_loss_is_best() -> None:
    _, right = curves(scored(accuracy=[0.8, 0.8, 0.8]), "cross-entropy").axes
    assert right.lines[-1].get_xdata() == [2]


def test_a_segmenter_has_a_panel_of_mean_iou() -> None:
    history = scored(accuracy=[0.8, 0.7, 0.6], iou=[0.2, 0.3, 0.4])
    figure = curves(history, "cross-entropy")
    assert figure.axes[1].get_ylabel() == "mean IoU"
    assert "best: 40.0%" in drawn(figure.axes[1])


def test_shares_are_written_as_percentages() -> None:
    figure = curves(scored(accuracy=[0.5, 0.7, 0.8]), "cross-entropy")
    figure.draw_without_rendering()
    ticks = [text.get_text() for text in figure.axes[1].get_yticklabels()]
    assert "60%" in ticks
    assert all(tick.endswith("%") for tick in ticks)


def test_runs_are_compared_by_loss_and_by_accuracy() -> None:
    runs = {"with": scored(accuracy=[0.5, 0.7, 0.8]), "without": scored(accuracy=[0.4, 0.5, 0.6])}
    (losses,) = validation_curves(runs).axes
    (shares,) = accuracy_curves(runs).axes
    assert drawn(losses) == {"with": [0.6, 0.45, 0.5], "without": [0.6, 0.45, 0.5]}
    assert drawn(shares) == {"with": [0.5, 0.7, 0.8], "without": [0.4, 0.5, 0.6]}
    assert (losses.get_ylabel(), shares.get_ylabel()) == ("validation loss", "validation accuracy")
    assert len({line.get_color() for line in shares.lines}) == 2


def test_accuracy_is_not_compared_with_iou_or_with_nothing() -> None:
    some = scored(accuracy=[0.5, 0.7, 0.8])
    for other in (PLAIN, scored(iou=[0.1, 0.2, 0.3])):
        with pytest.raises(ValueError, match="validation_accuracy"):
            accuracy_curves({"one": some, "other": other})
