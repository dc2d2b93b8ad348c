"""Pictures of training: losses, and accuracy or IoU, by epoch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isthmus.viz.canvas import (
    DISTINCT,
    INK,
    LABEL,
    TEXT,
    TRAINING,
    VALIDATION,
    add_legend,
    blank_figure,
    shorten,
    text_style,
)
from isthmus.viz.fonts import drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOSSES = {"bce": "binary cross-entropy", "mse": "mean squared error"}
# Segmenters have both; their best epoch is that of the highest mean IoU.
QUALITIES = {"validation_iou": "mean IoU", "validation_accuracy": "accuracy"}


@dataclass(frozen=True)
class Terms:
    """What is drawn next to a loss: titles by key, and titles of both axes.

    Mostly the terms of a loss that has several. Without a title of its own, the loss has that of
    its name.
    """

    titles: Mapping[str, str]
    axis: str
    loss: str


TERMS = (
    Terms(
        {"validation_reconstruction": "reconstruction", "validation_kl": "KL divergence"},
        "terms on validation samples, nats",
        "reconstruction + β · KL, nats a sample",
    ),
    Terms(
        {
            "validation_content": "content",
            "validation_style": "style",
            "validation_rebuild": "squared error of the autoencoder alone",
        },
        "terms on validation samples, without weights",
        "content + style + squared error, weighted",
    ),
    Terms({"validation_psnr": "validation"}, "PSNR, dB", ""),
)
LINE_STYLES = ("-", "--", ":")  # with the ten colors, 30 runs are told apart
PANEL_WIDTH, QUALITY_PANEL_WIDTH, HEIGHT = 7.2, 5.2, 3.4  # inches
LEFT, RIGHT, BOTTOM, TOP = 0.8, 0.2, 0.55, 0.15  # inches around the axes of a panel

History = Sequence[dict[str, Any]]


def curves(history: History, loss: str) -> "Figure":
    """Draw the losses of training and validation by epoch, and the best epoch.

    If the lines have the mean IoU or the accuracy on the validation split, it is drawn in a second
    panel, and the best epoch is that of its highest value. The terms of a loss that has several,
    as of a variational autoencoder or a style bank, and the PSNR of a denoiser have one too.

    Parameters
    ----------
    history : sequence of dict
        The lines of a history.
    loss : str
        Name of the loss.
    """
    quality = _quality(history)
    terms = next((one for one in TERMS if one.titles.keys() <= history[-1].keys()), None)
    panel = QUALITY_PANEL_WIDTH if quality or terms else PANEL_WIDTH
    figure = blank_figure(panel * (2 if quality or terms else 1), HEIGHT)
    axes = _add_panel(figure, 0, panel)
    for key, title, color in (
        ("loss", "training", TRAINING),
        ("validation_loss", "validation", VALIDATION),
    ):
        _draw(axes, history, key, color=color, label=title)
    # The rule by which training keeps weights; among equal scores the lower loss.
    best = min(history, key=lambda line: (-line.get(quality, 0), line["validation_loss"]))
    which = f"at the best {QUALITIES[quality]}" if quality else "best"
    _mark_epoch(axes, best, "validation_loss", f"{which}: {best['validation_loss']:.4f}")
    _scale(axes, [line[key] for line in history for key in ("loss", "validation_loss")])
    _finish(axes, (terms.loss if terms else "") or LOSSES.get(loss, loss))
    if quality:
        _add_quality(figure, history, quality, best)
    if terms:
        _add_terms(figure, history, terms)
    return figure


def validation_curves(histories: Mapping[str, History]) -> "Figure":
    """Draw the validation losses of several runs by epoch.

    Parameters
    ----------
    histories : mapping
        From a run's name to the lines of its history.
    """
    figure, axes = _compare(histories, "validation_loss")
    _scale(axes, [line["validation_loss"] for history in histories.values() for line in history])
    _finish(axes, "validation loss")
    return figure


def accuracy_curves(histories: Mapping[str, History]) -> "Figure":
    """Draw the validation accuracies of several classifiers by epoch, or IoU of segmenters.

    Parameters
    ----------
    histories : mapping
        From a run's name to the lines of its history, all with the same of `QUALITIES`.

    Raises
    ------
    ValueError
        If none of `QUALITIES` is in all histories.
    """
    key = _shared_quality(histories)
    figure, axes = _compare(histories, key)
    _percent(axes)
    _finish(axes, f"validation {QUALITIES[key]}")
    return figure


def _quality(history: History) -> str:
    """Return which of `QUALITIES` the lines have, or an empty string."""
    return next((key for key in QUALITIES if any(key in line for line in history)), "")


def _shared_quality(histories: Mapping[str, History]) -> str:
    found = {_quality(history) for history in histories.values()}
    if len(found) != 1 or "" in found:
        raise ValueError(f"the histories do not all carry one of {', '.join(QUALITIES)}.")
    return found.pop()


def _compare(histories: Mapping[str, History], key: str) -> tuple["Figure", "Axes"]:
    """Draw one value of several histories, each in a color and style of its own."""
    figure = blank_figure(PANEL_WIDTH, HEIGHT)
    axes = _add_panel(figure, 0, PANEL_WIDTH)
    for number, (name, history) in enumerate(histories.items()):
        color = DISTINCT[number % len(DISTINCT)]
        style = LINE_STYLES[number // len(DISTINCT) % len(LINE_STYLES)]
        _draw(axes, history, key, color=color, linestyle=style, label=name)
    return figure, axes


def _add_quality(figure: "Figure", history: History, key: str, best: dict[str, Any]) -> None:
    """Draw accuracy or IoU in a second panel, and the best epoch."""
    axes = _add_panel(figure, 1, QUALITY_PANEL_WIDTH)
    _draw(axes, history, key, color=VALIDATION, label="validation")
    _mark_epoch(axes, best, key, f"best: {best[key]:.1%}")
    _percent(axes)
    _finish(axes, QUALITIES[key])


def _add_terms(figure: "Figure", history: History, terms: Terms) -> None:
    """Draw the terms of the validation loss in a second panel."""
    axes = _add_panel(figure, 1, QUALITY_PANEL_WIDTH)
    for (key, title), color in zip(terms.titles.items(), DISTINCT, strict=False):
        _draw(axes, history, key, color=color, label=title)
    _scale(axes, [line[key] for line in history for key in terms.titles])
    _finish(axes, terms.axis)


def _add_panel(figure: "Figure", number: int, width: float) -> "Axes":
    """Add axes to a figure of panels of so many inches, counted from the left."""
    # Fixed margins: the tight layout would draw all text twice to measure it.
    total, height = figure.get_size_inches()
    left = (number * width + LEFT) / total
    place = (width - LEFT - RIGHT) / total, (height - BOTTOM - TOP) / height
    return figure.add_axes((left, BOTTOM / height, *place))


def _draw(axes: "Axes", history: History, key: str, **style: Any) -> None:
    """Draw one value by epoch; few epochs as points too."""
    axes.plot(
        [line["epoch"] for line in history],
        [line.get(key, math.nan) for line in history],
        marker="o" if len(history) < 15 else "",  # the line of a single epoch has no length
        markersize=3.5,
        **style,
    )


def _mark_epoch(axes: "Axes", line: dict[str, Any], key: str, title: str) -> None:
    """Draw a ring around the value of an epoch."""
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
    """Use a logarithmic scale for losses that span more than a factor of four."""
    from matplotlib.ticker import LogLocator, NullFormatter

    if max(losses) > 4 * min(losses) > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        # Plain numbers: the default labels are formulas, and their parser is slow and shared by
        # all threads.
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())


def _percent(axes: "Axes") -> None:
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")


def _finish(axes: "Axes", title: str) -> None:
    """Name the axes, and draw what all curves share."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch", **text_style(LABEL))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(drawable(title), **text_style(LABEL))
    axes.tick_params(labelsize=TEXT, labelcolor=INK, which="both")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    names = [shorten(str(line.get_label()), 40) for line in axes.lines]
    add_legend(axes, axes.lines, names, fontsize=LABEL)
