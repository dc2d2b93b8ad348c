"""Pictures of how training went."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isthmus.figures.drawing import DISTINCT, blank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, VALIDATION = "#0072b2", "#d55e00"  # told apart by colour-blind readers (Okabe and Ito)


def curves(history: Sequence[dict[str, Any]], loss: str) -> "Figure":
    """Draw the losses of training and validation by epoch, and the best epoch."""
    figure = blank(7.2, 3.4)
    axes = figure.add_subplot()
    epochs = [line["epoch"] for line in history]
    marker = "o" if len(history) < 15 else ""
    for key, title, colour in (
        ("loss", "training", TRAIN),
        ("validation_loss", "validation", VALIDATION),
    ):
        values = [line[key] for line in history]
        axes.plot(epochs, values, color=colour, label=title, marker=marker, markersize=3.5)
    best = min(history, key=lambda line: line["validation_loss"])
    axes.plot(
        best["epoch"],
        best["validation_loss"],
        "o",
        color=VALIDATION,
        markersize=8,
        markerfacecolor="none",
        label=f"best: {best['validation_loss']:.4f}",
    )
    values = [line[key] for line in history for key in ("loss", "validation_loss")]
    if max(values) > 4 * min(values) > 0:
        axes.set_yscale("log")
    _finish(figure, axes, loss)
    return figure


def validation_curves(histories: Mapping[str, Sequence[dict[str, Any]]]) -> "Figure":
    """Draw the validation losses of several runs by epoch.

    Parameters
    ----------
    histories : mapping
        From a run's name to the lines of its history.
    """
    figure = blank(7.2, 3.4)
    axes = figure.add_subplot()
    for number, (name, history) in enumerate(histories.items()):
        axes.plot(
            [line["epoch"] for line in history],
            [line["validation_loss"] for line in history],
            color=DISTINCT[number % len(DISTINCT)],
            linestyle=("-", "--", ":")[number // len(DISTINCT) % 3],
            label=name,
            marker="o" if len(history) < 15 else "",
            markersize=3.5,
        )
    values = [line["validation_loss"] for history in histories.values() for line in history]
    if max(values) > 4 * min(values) > 0:
        axes.set_yscale("log")
    _finish(figure, axes, "validation loss")
    return figure


def _finish(figure: "Figure", axes: "Axes", loss: str) -> None:
    """Name the axes, and draw what all curves share."""
    axes.set_xlabel("epoch")
    axes.set_ylabel({"bce": "binary cross-entropy", "mse": "mean squared error"}.get(loss, loss))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.set_layout_engine("tight")
