"""Pictures of what a classifier takes for what, and of how sure it is."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus.viz.canvas import DISTINCT, INK, blank_figure, draw_sample, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

QUIET = "#5b6673"
COUNTED = 20  # classes up to which the cells of a confusion matrix have numbers
NAMED = 100  # names along a side of a confusion matrix at most
CELL = 0.44  # inches
LEAST, MOST = 1.8, 9.0  # inches of all cells
PICTURE = 1.2  # inches of a sample in width
EDGE: dict[str, Any] = {"edgecolor": "white", "linewidth": 0.8}


class Bins(Protocol):
    """Predictions in bins of equal width by confidence; see `isthmus.scores.Reliability`."""

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

    Up to 20 classes, the cells have their counts; of more than 100, every second is named, or
    third, and so on. The colors follow the square roots of the shares, so that rare mistakes
    are seen.

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
    shares = matrix / np.maximum(totals, 1)[:, None]
    side = min(max(classes * CELL, LEAST), MOST)
    step = math.ceil(classes / NAMED)
    points = min(8.0, 72 * 0.85 * side / classes * step)
    figure, axes = _room(side, max(len(shorten(name)) for name in class_names) * points / 120)
    scale = PowerNorm(0.5, 0, 1)
    axes.imshow(shares, cmap="Blues", norm=scale, interpolation="nearest", aspect="auto")
    axes.set_title(title, fontsize=11, color=INK, pad=18)
    _name_classes(axes, class_names, step, points)
    _add_recall(axes, np.where(totals, shares.diagonal(), np.nan), step, points)
    if classes <= COUNTED:
        _write_counts(axes, matrix, shares)
    return figure


def reliability(bins: Bins, title: str = "") -> "Figure":
    """Draw how often predictions are right beside how sure they are, and how many are how sure.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, figure 1. The expected
    calibration error stands in the picture.

    Parameters
    ----------
    bins : Bins
    title : str
    """
    figure = blank_figure(4.4, 5.0)
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (3, 1)})
    upper.set_title(title, fontsize=11, color=INK)
    _draw_gaps(upper, bins)
    count = np.asarray(bins.count)
    middles, width = _columns(len(count))
    lower.bar(middles, count / max(1, count.sum()), width, color=DISTINCT[8], **EDGE)
    lower.set_ylabel("samples")
    lower.set_xlabel("confidence")
    lower.set_xlim(0, 1)
    for axis in (upper.yaxis, lower.yaxis, lower.xaxis):
        axis.set_major_formatter("{x:.0%}")
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    figure.set_layout_engine("tight")
    return figure


def mistakes(
    samples: NDArray[Any],
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    count: int = 24,
) -> "Figure":
    """Draw the samples of which a wrong class was most surely predicted, the surest first.

    Parameters
    ----------
    samples : (N, H, W, C) uint8 or (N, L, C) float32
        In memory or memory-mapped; only those that are drawn are read.
    probabilities : (N, K) float32
    labels : (N,) int64
    class_names : sequence of K str
    count : int
        Mistakes that are drawn at most.
    """
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    wrong = np.flatnonzero(predicted != labels)
    chosen = wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
    if not len(chosen):
        return _nothing(f"No mistakes among {len(labels):,} samples.")
    names = [shorten(name, 14) for name in class_names]
    titles = [f"{names[predicted[i]]} {confidence[i]:.0%}\nis {names[labels[i]]}" for i in chosen]
    return labelled_samples([samples[i] for i in chosen], titles)


def labelled_samples(
    samples: Sequence[NDArray[Any]], titles: Sequence[str], columns: int = 8
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
    """
    columns = min(columns, len(samples))
    rows = math.ceil(len(samples) / columns)
    head = 0.06 + 0.14 * max(title.count("\n") + 1 for title in titles)  # inches
    tall = PICTURE * _aspect(samples[0])
    width, height = columns * PICTURE, rows * (head + tall)
    figure = blank_figure(width, height)
    for i, (sample, title) in enumerate(zip(samples, titles, strict=True)):
        row, column = divmod(i, columns)
        bottom = height - (row + 1) * (head + tall)
        place = (column * PICTURE + 0.04, bottom + 0.04, PICTURE - 0.08, tall - 0.08)
        axes = figure.add_axes(_shares(place, width, height))
        draw_sample(axes, sample)
        axes.set_title(title, fontsize=7.5, color=INK, pad=3)
    return figure


def _room(side: float, names: float) -> tuple["Figure", "Axes"]:
    """Return square axes of `side` inches with room for names of `names` inches around them."""
    left = bottom = names + 0.36
    width, height = left + side + 0.6, bottom + side + 0.55
    figure = blank_figure(width, height)
    return figure, figure.add_axes(_shares((left, bottom, side, side), width, height))


def _draw_gaps(axes: "Axes", bins: Bins) -> None:
    """Draw the accuracy of each bin, and what it differs from the confidence by."""
    accuracy = np.nan_to_num(np.asarray(bins.accuracy))
    gap = np.nan_to_num(np.asarray(bins.confidence)) - accuracy
    middles, width = _columns(len(gap))
    axes.bar(middles, accuracy, width, color=DISTINCT[0], label="accuracy", **EDGE)
    paint: dict[str, Any] = {"color": DISTINCT[2], "alpha": 0.35, **EDGE}
    axes.bar(middles, gap, width, accuracy, label="gap to confidence", **paint)
    axes.plot((0, 1), (0, 1), "--", color=QUIET, linewidth=1)
    axes.set_ylabel("accuracy")
    axes.set_ylim(0, 1)
    axes.text(0.04, 0.76, f"ECE {bins.error:.1%}", fontsize=10, color=INK, weight="bold")
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)


def _columns(bins: int) -> tuple[NDArray[np.float64], float]:
    """Return the middles of bins that divide [0, 1], and their width."""
    return (np.arange(bins) + 0.5) / bins, 1 / bins


def _shares(
    inches: tuple[float, float, float, float], width: float, height: float
) -> tuple[float, float, float, float]:
    """Turn (left, bottom, width, height) in inches into shares of a figure."""
    left, bottom, wide, tall = inches
    return left / width, bottom / height, wide / width, tall / height


def _name_classes(axes: "Axes", class_names: Sequence[str], step: int, points: float) -> None:
    """Name every so many rows and columns."""
    places, names = range(0, len(class_names), step), [shorten(n) for n in class_names[::step]]
    axes.set_xticks(places, names, rotation=90, fontsize=points, color=INK)
    axes.set_yticks(places, names, fontsize=points, color=INK)
    axes.tick_params(length=0, pad=2)
    axes.set_xlabel("predicted", fontsize=9, color=QUIET)
    axes.set_ylabel("true", fontsize=9, color=QUIET)
    axes.spines[:].set_color("#c8ced6")


def _add_recall(axes: "Axes", recall: NDArray[np.float64], step: int, points: float) -> None:
    """Write the share of each row that is right at its end."""
    for row in range(0, len(recall), step):
        text = "–" if math.isnan(recall[row]) else f"{recall[row]:.0%}"
        place = ("axes fraction", "data")
        axes.annotate(text, (1, row), (4, 0), place, "offset points", va="center", fontsize=points)
    axes.annotate("recall", (1, 1), (4, 4), "axes fraction", "offset points", fontsize=8)


def _write_counts(axes: "Axes", matrix: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    for (row, column), number in np.ndenumerate(matrix):
        color = "white" if shares[row, column] > 0.3 else INK if number else "#c8ced6"
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


def _aspect(sample: NDArray[Any]) -> float:
    """Return height by width of a sample as it is drawn."""
    return 0.75 if sample.ndim == 2 else sample.shape[0] / sample.shape[1]


def _nothing(text: str) -> "Figure":
    figure = blank_figure(4.0, 0.6)
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=9, color=INK)
    return figure
