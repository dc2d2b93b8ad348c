"""Pictures of how training went."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isthmus.viz.canvas import DISTINCT, blank_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, VALIDATION = "#0072b2", "#d55e00"  # told apart by color-blind readers (Okabe and Ito)
LOSSES = {"bce": "binary cross-entropy", "mse": "mean squared error"}
# Segmenters have both, and are chosen by the first.
QUALITIES = {"validation_iou": "mean IoU", "validation_accuracy": "accuracy"}
STYLES = ("-", "--", ":")

History = Sequence[dict[str, Any]]


def curves(history: History, loss: str) -> "Figure":
    """Draw the losses of training and validation by epoch, and the best epoch.

    Where the lines carry the mean IoU or the accuracy of the validation part, it stands beside,
    and the best epoch is that of the highest.

    Parameters
    ----------
    history : sequence of dict
        The lines of a history.
    loss : str
        Name of the loss.
    """
    quality = _quality(history)
    figure = blank_figure(10.4 if quality else 7.2, 3.4)
    axes = figure.add_subplot(1, 2 if quality else 1, 1)
    for key, title, color in (
        ("loss", "training", TRAIN),
        ("validation_loss", "validation", VALIDATION),
    ):
        _draw(axes, history, key, color=color, label=title)
    best = min(history, key=lambda line: (-line.get(quality, 0), line["validation_loss"]))
    which = f"at the best {QUALITIES[quality]}" if quality else "best"
    _ring(axes, best, "validation_loss", f"{which}: {best['validation_loss']:.4f}")
    _scale(axes, [line[key] for line in history for key in ("loss", "validation_loss")])
    _finish(figure, axes, LOSSES.get(loss, loss))
    if quality:
        _add_quality(figure, history, quality, best)
    return figure


def validation_curves(histories: Mapping[str, History]) -> "Figure":
    """Draw the validation losses of several runs by epoch.

    Parameters
    ----------
    histories : mapping
        From a run's name to the lines of its history.
    """
    figure, axes = _side_by_side(histories, "validation_loss")
    _scale(axes, [line["validation_loss"] for history in histories.values() for line in history])
    _finish(figure, axes, "validation loss")
    return figure


def accuracy_curves(histories: Mapping[str, History]) -> "Figure":
    """Draw the validation accuracies of several classifiers by epoch, or IoU of segmenters.

    Parameters
    ----------
    histories : mapping
        From a run's name to the lines of its history, which carry the same of `QUALITIES`.

    Raises
    ------
    ValueError
        If no one of `QUALITIES` is in all histories.
    """
    key = _shared_quality(histories)
    figure, axes = _side_by_side(histories, key)
    _percent(axes)
    _finish(figure, axes, f"validation {QUALITIES[key]}")
    return figure


def _quality(history: History) -> str:
    """Return which of `QUALITIES` the lines carry, or an empty string."""
    return next((key for key in QUALITIES if any(key in line for line in history)), "")


def _shared_quality(histories: Mapping[str, History]) -> str:
    found = {_quality(history) for history in histories.values()}
    if len(found) != 1 or "" in found:
        raise ValueError(f"the histories do not all carry one of {', '.join(QUALITIES)}.")
    return found.pop()


def _side_by_side(histories: Mapping[str, History], key: str) -> tuple["Figure", "Axes"]:
    """Draw one figure of several histories, each in a color and style of its own."""
    figure = blank_figure(7.2, 3.4)
    axes = figure.add_subplot()
    for number, (name, history) in enumerate(histories.items()):
        color = DISTINCT[number % len(DISTINCT)]
        style = STYLES[number // len(DISTINCT) % len(STYLES)]
        _draw(axes, history, key, color=color, linestyle=style, label=name)
    return figure, axes


def _add_quality(figure: "Figure", history: History, key: str, best: dict[str, Any]) -> None:
    """Draw accuracy or IoU in a second panel, and the best epoch."""
    axes = figure.add_subplot(1, 2, 2)
    _draw(axes, history, key, color=VALIDATION, label="validation")
    _ring(axes, best, key, f"best: {best[key]:.1%}")
    _percent(axes)
    _finish(figure, axes, QUALITIES[key])


def _draw(axes: "Axes", history: History, key: str, **style: Any) -> None:
    """Draw one figure by epoch; few epochs as points too."""
    axes.plot(
        [line["epoch"] for line in history],
        [line.get(key, math.nan) for line in history],
        marker="o" if len(history) < 15 else "",
        markersize=3.5,
        **style,
    )


def _ring(axes: "Axes", line: dict[str, Any], key: str, title: str) -> None:
    """Mark an epoch."""
    axes.plot(
        line["epoch"],
        line[key],
        "o",
        color=VALIDATION,
        markersize=8,
        markerfacecolor="none",
        label=title,
    )


def _scale(axes: "Axes", losses: Sequence[float]) -> None:
    if max(losses) > 4 * min(losses) > 0:
        axes.set_yscale("log")


def _percent(axes: "Axes") -> None:
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")


def _finish(figure: "Figure", axes: "Axes", title: str) -> None:
    """Name the axes, and draw what all curves share."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(title)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.set_layout_engine("tight")
