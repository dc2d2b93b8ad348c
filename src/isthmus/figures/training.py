"""Pictures of how training went."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from isthmus.figures.drawing import blank

if TYPE_CHECKING:
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
    axes.set_xlabel("epoch")
    axes.set_ylabel({"bce": "binary cross-entropy", "mse": "mean squared error"}.get(loss, loss))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.set_layout_engine("tight")
    return figure
