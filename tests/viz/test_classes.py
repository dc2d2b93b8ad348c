"""Pictures of classes: every count in its cell, every name whole, every sample below its title."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import looking
from isthmus.metrics import reliability as compare
from isthmus.viz.canvas import to_pixels
from isthmus.viz.classes import confusion, labeled_samples, reliability
from looking import find, frames, noise, words

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


@pytest.mark.parametrize("shape", [(8, 8, 1), (60, 40, 3)])
def test_samples_are_row_by_row_below_their_titles(shape: tuple[int, int, int]) -> None:
    samples = noise(5, *shape)
    titles = ["lieutenant-col… 100%\nis cat", *"abcd"]
    figure = labeled_samples(list(samples), titles, columns=3)
    picture = to_pixels(figure)
    boxes = [find(picture, sample) for sample in samples]
    assert boxes[0].top == boxes[2].top < boxes[0].bottom < boxes[3].top
    assert boxes[0].left == boxes[3].left < boxes[0].right < boxes[1].left
    places = dict(looking.texts(figure))
    for box, title in zip(boxes, titles, strict=True):
        assert 0 < box.top - places[title].bottom < 12
        assert places[title].middle[0] == pytest.approx(box.middle[0], abs=1.5)
    assert places["c"].top > boxes[0].bottom
    looking.assert_nothing_is_cut_off(figure)


def test_no_samples_are_a_sentence() -> None:
    figure = labeled_samples([], [], empty="No mistakes among 3 samples.")
    assert words(figure) == ["No mistakes among 3 samples."]
    looking.assert_nothing_is_cut_off(figure)


def test_signals_are_samples_too() -> None:
    waves = np.sin(np.linspace(0, 6, 50, dtype=np.float32))[None, :, None].repeat(2, 0)
    figure = labeled_samples(list(waves), ["cat 90%\nis dog"] * 2)
    assert len(frames(to_pixels(figure))) == 2
    looking.assert_nothing_is_cut_off(figure)
