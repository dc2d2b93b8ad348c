"""Pictures of the predictions of a classifier, and of their confidence."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus.viz.canvas import (
    BORDER,
    DISTINCT,
    DPI,
    HEADING,
    INK,
    LABEL,
    QUIET,
    SMALL,
    TEXT,
    add_legend,
    blank_figure,
    shorten,
    text_style,
    text_width,
)
from isthmus.viz.fonts import drawable
from isthmus.viz.mosaic import Box, Mosaic, size_within

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_COUNTED = 20  # classes up to which the cells of a confusion matrix have numbers
MAX_NAMED = 100  # names along a side of a confusion matrix
CELL = 0.44  # inches of a cell of a confusion matrix
MIN_MATRIX, MAX_MATRIX = 1.8, 9.0  # inches of all cells
BARS: dict[str, Any] = {"edgecolor": "white", "linewidth": 0.8}

# Pixels of a sample, above it and of a line of its title; a figure has 150 to an inch.
SIDE, GAP, TITLE_LINE = 180, 9, 21


class ReliabilityBins(Protocol):
    """Predictions in bins of equal width by confidence; see `isthmus.metrics.Reliability`."""

    @property
    def confidence(self) -> ArrayLike:
        """Mean confidence of each bin, in [0, 1]; NaN where it is empty."""

    @property
    def accuracy(self) -> ArrayLike:
        """Share of each bin that is right; NaN where it is empty."""

    @property
    def count(self) -> ArrayLike:
        """Predictions in each bin."""

    @property
    def error(self) -> float:
        """The expected calibration error, in [0, 1]."""


def confusion(matrix: NDArray[np.int64], class_names: Sequence[str], title: str = "") -> "Figure":
    """Draw a confusion matrix, each row colored by its shares, with the recall at its right.

    Up to 20 classes, the cells have their counts. Of more than 100 classes, every second is
    named, or every third, and so on. The colors follow the square roots of the shares, so that
    rare mistakes are seen.

    Parameters
    ----------
    matrix : (K, K) int64
        Rows are true classes, columns predicted ones.
    class_names : sequence of K str
    title : str
    """
    from matplotlib.colors import PowerNorm

    classes = len(class_names)
    totals = matrix.sum(1)
    shares = matrix / np.maximum(totals, 1)[:, None]  # a class without samples has an empty row
    side = min(max(classes * CELL, MIN_MATRIX), MAX_MATRIX)
    step = math.ceil(classes / MAX_NAMED)
    points = min(TEXT, 72 * 0.85 * side / classes * step)  # 85% of a row, at 72 points an inch
    names = [shorten(name) for name in class_names]
    figure, axes = _matrix_axes(side, text_width(names, points) / DPI)
    scale = PowerNorm(0.5, 0, 1)
    axes.imshow(shares, cmap="Blues", norm=scale, interpolation="nearest", aspect="auto")
    axes.set_title(drawable(title), pad=18, **text_style(HEADING))
    _name_classes(axes, names, step, points)
    _add_recall(axes, np.where(totals, shares.diagonal(), np.nan), step, points)
    if classes <= MAX_COUNTED:
        _write_counts(axes, matrix, shares)
    return figure


def reliability(bins: ReliabilityBins, title: str = "") -> "Figure":
    """Draw accuracy by confidence, and below it how many predictions have which confidence.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, figure 1. The expected
    calibration error is written into the picture.

    Parameters
    ----------
    bins : ReliabilityBins
    title : str
    """
    figure = blank_figure(4.4, 5.0)
    # Fixed places: the tight layout would draw all text twice to measure it.
    upper = figure.add_axes((0.17, 0.34, 0.79, 0.54))
    lower = figure.add_axes((0.17, 0.1, 0.79, 0.18), sharex=upper)
    upper.set_title(drawable(title), pad=20, **text_style(HEADING))
    _draw_gaps(upper, bins)
    count = np.asarray(bins.count)
    middles, width = _bars(len(count))
    lower.bar(middles, count / max(1, count.sum()), width, color=DISTINCT[8], **BARS)
    lower.set_ylabel("samples", **text_style(LABEL))
    lower.set_xlabel("confidence", **text_style(LABEL))
    lower.set_xlim(0, 1)
    for axis in (upper.yaxis, lower.yaxis, lower.xaxis):
        axis.set_major_formatter("{x:.0%}")
    upper.tick_params(labelbottom=False)
    for axes in (upper, lower):
        axes.tick_params(labelsize=TEXT)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def labeled_samples(
    samples: Sequence[NDArray[Any]],
    titles: Sequence[str],
    columns: int = 8,
    empty: str = "There are no samples.",
) -> "Figure":
    """Draw samples row by row, each below its title.

    Parameters
    ----------
    samples : sequence of (H, W, C) uint8 or (L, C) float32
        All of one shape.
    titles : sequence of str
        Of one line or more.
    columns : int
        Samples in a row at most.
    empty : str
        What is written instead if there are no samples.
    """
    if not len(samples):
        return _write_note(empty)
    columns = min(columns, len(samples))
    rows = math.ceil(len(samples) / columns)
    head = GAP + TITLE_LINE * max(title.count("\n") + 1 for title in titles)
    width, height = size_within(samples[0], SIDE)
    pitch = max(width + GAP, SIDE)
    mosaic = Mosaic(columns * pitch, rows * (head + height) + GAP)
    for i, (sample, title) in enumerate(zip(samples, titles, strict=True)):
        row, column = divmod(i, columns)
        left, top = column * pitch + (pitch - width) // 2, row * (head + height) + head
        mosaic.place(sample, Box(left, top, width, height))
        mosaic.write(left + width / 2, top - 7, title, SMALL)
    return mosaic.to_figure()


def _matrix_axes(side: float, names: float) -> tuple["Figure", "Axes"]:
    """Return square axes of `side` inches with room for names of `names` inches around them."""
    left = bottom = names + 0.36
    width, height = left + side + 0.6, bottom + side + 0.55
    figure = blank_figure(width, height)
    place = (left / width, bottom / height, side / width, side / height)
    return figure, figure.add_axes(place)


def _draw_gaps(axes: "Axes", bins: ReliabilityBins) -> None:
    """Draw the accuracy of each bin, and its difference from the confidence."""
    from matplotlib.patches import Patch

    accuracy = np.nan_to_num(np.asarray(bins.accuracy))
    # Negative where predictions are correct more often than they are confident: the bar hangs.
    gap = np.nan_to_num(np.asarray(bins.confidence)) - accuracy
    middles, width = _bars(len(gap))
    right = axes.bar(middles, accuracy, width, color=DISTINCT[0], **BARS)
    # Hatched, so that it has the color of the legend over the blue bars too.
    paint: dict[str, Any] = {"facecolor": "none", "edgecolor": DISTINCT[2], "hatch": "////"}
    outlines = np.where(gap, 0.8, 0)  # none around the gap of an empty bin
    axes.bar(middles, gap, width, accuracy, linewidth=outlines, **paint)
    axes.plot((0, 1), (0, 1), "--", color=QUIET, linewidth=1)
    axes.set_ylabel("accuracy", **text_style(LABEL))
    axes.set_ylim(0, 1)
    axes.text(0.04, 0.76, f"ECE {bins.error:.1%}", fontsize=10, color=INK, weight="bold")
    names = ("accuracy", "gap to confidence")
    layout: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2}
    add_legend(axes, (right[0], Patch(linewidth=0.8, **paint)), names, fontsize=TEXT, **layout)


def _bars(bins: int) -> tuple[NDArray[np.float64], float]:
    """Return the middles of bins that divide [0, 1], and their width."""
    return (np.arange(bins) + 0.5) / bins, 1 / bins


def _name_classes(axes: "Axes", names: Sequence[str], step: int, points: float) -> None:
    """Name every so many rows and columns."""
    shown, places = [drawable(name) for name in names[::step]], range(0, len(names), step)
    axes.set_xticks(places, shown, rotation=90, **text_style(points))
    axes.set_yticks(places, shown, **text_style(points))
    axes.tick_params(length=0, pad=2)
    axes.set_xlabel("predicted", **text_style(LABEL, QUIET))
    axes.set_ylabel("true", **text_style(LABEL, QUIET))
    axes.spines[:].set_color(BORDER)


def _add_recall(axes: "Axes", recall: NDArray[np.float64], step: int, points: float) -> None:
    """Write the share of each row that is right at its end."""
    for row in range(0, len(recall), step):
        text = "–" if math.isnan(recall[row]) else f"{recall[row]:.0%}"
        place = ("axes fraction", "data")
        axes.annotate(text, (1, row), (4, 0), place, "offset points", va="center", fontsize=points)
    axes.annotate("recall", (1, 1), (4, 4), "axes fraction", "offset points", fontsize=TEXT)


def _write_counts(axes: "Axes", matrix: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    for (row, column), number in np.ndenumerate(matrix):
        color = "white" if shares[row, column] > 0.3 else INK if number else BORDER
        text = _compact(int(number))
        axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color=color)


def _compact(number: int) -> str:
    """Return a count in at most five characters or so.

    Examples
    --------
    >>> _compact(9_999), _compact(12_345), _compact(1_234_567)
    ('9,999', '12k', '1.2M')
    """
    if number < 10_000:
        return f"{number:,}"
    return f"{number / 1e3:.0f}k" if number < 999_500 else f"{number / 1e6:,.1f}M"


def _write_note(text: str) -> "Figure":
    """Return a small picture of one sentence."""
    mosaic = Mosaic(600, 90)
    mosaic.write(300, 45, text, LABEL, va="center")
    return mosaic.to_figure()
