"""Pictures of classes: every count in its cell, every name whole, the surest mistakes first."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from isthmus import load
from isthmus.metrics import reliability as compare
from isthmus.viz.classes import confusion, labelled_samples, mistakes, reliability

NAMES = ("cat", "dog", "horse")
MATRIX = np.array([[12_345, 5, 0], [1, 3, 0], [0, 0, 0]])


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def assert_nothing_is_cut_off(figure: Figure) -> None:
    figure.draw_without_rendering()
    width, height = figure.get_size_inches() * figure.dpi
    for axes in figure.axes:
        labels = (*axes.get_xticklabels(), *axes.get_yticklabels(), axes.title)
        for text in (*labels, *axes.texts, axes.xaxis.label, axes.yaxis.label):
            if text.get_text():
                box = text.get_window_extent()
                assert box.x0 >= 0, text
                assert box.y0 >= 0, text
                assert box.x1 <= width, text
                assert box.y1 <= height, text


def test_a_confusion_has_counts_shares_and_recalls() -> None:
    (axes,) = confusion(MATRIX, NAMES, "test").axes
    np.testing.assert_allclose(
        np.asarray(axes.images[0].get_array()),
        np.array([[12_345 / 12_350, 5 / 12_350, 0], [0.25, 0.75, 0], [0, 0, 0]]),
    )
    assert axes.images[0].get_clim() == (0, 1)
    recalls, counts = texts(axes)[:4], texts(axes)[4:]
    assert recalls == ["100%", "75%", "–", "recall"]
    assert counts == ["12k", "5", "0", "1", "3", "0", "0", "0", "0"]
    assert [text.get_text() for text in axes.get_yticklabels()] == list(NAMES)
    assert [text.get_text() for text in axes.get_xticklabels()] == list(NAMES)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_counts_are_told_from_their_cells() -> None:
    (axes,) = confusion(MATRIX, NAMES).axes
    inks = {text.get_text(): sum(to_rgb(text.get_color())) for text in axes.texts[4:]}
    assert inks["12k"] == inks["3"] == 3  # white on dark
    assert inks["5"] < inks["0"] < 3


@pytest.mark.parametrize("classes", [2, 10, 20, 21, 100, 130])
def test_a_confusion_of_many_classes_can_be_read(classes: int) -> None:
    labels = np.arange(classes)
    names = [f"folder/ship of the line {i}" if i % 2 else "cat" for i in labels]
    figure = confusion(np.diag(labels + 1), names, "of the test part")
    assert_nothing_is_cut_off(figure)
    (axes,) = figure.axes
    counted = classes**2 if classes <= 20 else 0
    named = classes if classes <= 100 else classes // 2
    assert len(axes.texts) == named + 1 + counted
    rows = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert len(rows) == named
    assert all(above.y0 > below.y1 - 1 for above, below in pairwise(rows))
    assert min(float(label.get_fontsize()) for label in axes.get_yticklabels()) > 4.5  # points
    assert figure.get_size_inches().max() < 12


def heights(axes: Axes, container: int) -> list[float]:
    return [patch.get_height() for patch in axes.containers[container]]


def test_a_reliability_diagram_has_accuracies_gaps_counts_and_the_error() -> None:
    sure = torch.tensor([0.95, 0.95, 0.75, 0.55])
    bins = compare(torch.stack([sure, 1 - sure], 1), torch.tensor([0, 1, 0, 0]), bins=5)
    figure = reliability(bins, "cats and dogs")
    upper, lower = figure.axes
    assert heights(upper, 0) == pytest.approx([0, 0, 1, 1, 0.5])
    assert heights(upper, 1) == pytest.approx([0, 0, -0.45, -0.25, 0.45])
    assert [bar.get_y() for bar in upper.containers[1]] == pytest.approx([0, 0, 1, 1, 0.5])
    assert heights(lower, 0) == pytest.approx([0, 0, 0.25, 0.25, 0.5])
    assert [bar.get_x() for bar in lower.containers[0]] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert texts(upper) == ["ECE 40.0%"]
    assert_nothing_is_cut_off(figure)


def shown(figure: Figure) -> list[NDArray[np.uint8]]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes]


def test_mistakes_are_the_surest_first() -> None:
    samples = load("digits", limit=5).values
    probabilities = np.array(
        [[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.3, 0.7], [0.02, 0.98]], np.float32
    )
    labels = np.array([0, 1, 1, 0, 1])
    figure = mistakes(samples, probabilities, labels, ("cat", "dog"))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["cat 80%\nis dog", "dog 70%\nis cat", "cat 60%\nis dog"]
    for picture, index in zip(shown(figure), (2, 3, 1), strict=True):
        np.testing.assert_array_equal(picture, samples[index, ..., 0])
    assert len(mistakes(samples, probabilities, labels, ("cat", "dog"), count=2).axes) == 2


def test_no_mistakes_are_said_to_be_none() -> None:
    samples = load("digits", limit=3).values
    figure = mistakes(samples, np.eye(3, dtype=np.float32), np.arange(3), NAMES)
    assert [text.get_text() for text in figure.texts] == ["No mistakes among 3 samples."]


def test_samples_stand_row_by_row_below_their_titles() -> None:
    samples = load("digits", limit=5).values
    titles = ["lieutenant-col… 100%\nis cat", *"abcd"]
    figure = labelled_samples(list(samples), titles, columns=3)
    assert [axes.get_title() for axes in figure.axes] == titles
    for picture, sample in zip(shown(figure), samples, strict=True):
        np.testing.assert_array_equal(picture, sample[..., 0])
    places = [axes.get_position() for axes in figure.axes]
    assert places[0].y0 == places[2].y0 > places[3].y1
    assert places[0].x0 == places[3].x0 < places[1].x0
    assert_nothing_is_cut_off(figure)
    first = figure.axes[3].title.get_window_extent()
    assert first.y1 < figure.axes[0].get_window_extent().y0


def test_signals_are_samples_too() -> None:
    waves = np.sin(np.linspace(0, 6, 50, dtype=np.float32))[None, :, None].repeat(2, 0)
    figure = mistakes(waves, np.array([[0.9, 0.1]] * 2, np.float32), np.array([1, 1]), NAMES)
    assert all(len(axes.lines) == 1 for axes in figure.axes)
    assert_nothing_is_cut_off(figure)
