"""What each layer of a model sees of a sample."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.viz.canvas import INK, blank_figure, draw_sample, short_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHANNELS = 16  # of a layer that are drawn
CELL = 0.62  # inches of a channel in width, and at most in height
CELLS = 64  # numbers of a dense layer in a row; of one above 128, twice as many
ROWS = 8  # of a dense layer at most
FLATTEST = 0.25  # height by width that a channel is given at least
TITLE, FOOT, MARGIN = 0.2, 0.12, 0.1  # inches
SIGNED = 0.25  # share of the largest value that the least is below zero where zero is white
QUIET = "#5b6673"

Layer = tuple[str, NDArray[np.float32]]


def layers(
    name: str, sample: NDArray[Any], maps: Sequence[Layer], reconstruction: NDArray[Any] | None
) -> "Figure":
    """Draw a sample, what each layer makes of it, and what comes back (if so), row by row.

    Of a layer of many channels, the 16 that vary most are drawn, each on a scale of its own: gray
    from its least to its greatest value, or blue below zero and red above where it has both. A
    dense layer is a strip of cells, all on one scale.

    Parameters
    ----------
    name : str
        Of the sample.
    sample, reconstruction : (H, W, C) uint8 or (L, C) float32
    maps : sequence of (title, (C, H, W), (C, L) or (D,) float32)
        What leaves each layer, in their order.
    """
    rows = [_height(values) for _, values in maps]
    ends = 2 * CELL
    width = CHANNELS * CELL + 2 * MARGIN
    pictures = 1 if reconstruction is None else 2
    height = sum(rows) + pictures * ends + (len(maps) + pictures) * TITLE + MARGIN
    figure = blank_figure(width, height)
    top = height - TITLE
    _draw_end(figure, top, short_name(name, 60), sample)
    top -= ends + TITLE
    for (title, values), row in zip(maps, rows, strict=True):
        _draw_layer(figure, top, title, values)
        top -= row + TITLE
    if reconstruction is not None:
        _draw_end(figure, top, "reconstruction", reconstruction)
    return figure


def _height(values: NDArray[np.float32]) -> float:
    """Return the inches that a layer takes."""
    if values.ndim == 1:
        columns = _columns(len(values))
        return math.ceil(len(values) / columns) * _cell(columns) + 0.06
    return CELL * _aspect(values.shape[1:]) + FOOT


def _aspect(sides: Sequence[int]) -> float:
    """Return height by width of a channel as it is drawn."""
    return 0.75 if len(sides) == 1 else min(max(sides[0] / sides[1], FLATTEST), 1.0)


def _columns(size: int) -> int:
    """Return in how many columns the numbers of a dense layer are drawn.

    Examples
    --------
    >>> _columns(2), _columns(32), _columns(128), _columns(4096)
    (2, 32, 64, 512)
    """
    return max(min(size, CELLS), min(math.ceil(size / 2), 2 * CELLS), math.ceil(size / ROWS))


def _cell(columns: int) -> float:
    """Return the side of a cell in inches."""
    return min(CHANNELS * CELL / columns, 0.25)


def _draw_end(figure: "Figure", top: float, title: str, sample: NDArray[Any]) -> None:
    """Draw the sample or its reconstruction below its title."""
    tall = 2 * CELL
    wide = 3 * tall if sample.ndim == 2 else tall * sample.shape[1] / sample.shape[0]
    wide = min(wide, CHANNELS * CELL)
    axes = _axes(figure, (MARGIN, top - tall, wide, tall - 0.08), title)
    draw_sample(axes, sample)
    axes.set_anchor("NW")


def _draw_layer(figure: "Figure", top: float, title: str, values: NDArray[np.float32]) -> None:
    if values.ndim == 1:
        columns = _columns(len(values))
        tall = math.ceil(len(values) / columns) * _cell(columns)
        axes = _axes(figure, (MARGIN, top - tall, columns * _cell(columns), tall), title)
        _draw_cells(axes, values, columns)
        return
    chosen = _varied(values)
    if len(chosen) < len(values):
        title += f" · the {len(chosen)} that vary most"
    tall = CELL * _aspect(values.shape[1:])
    for column, channel in enumerate(chosen):
        place = (MARGIN + column * CELL, top - tall, CELL - 0.04, tall - 0.04)
        axes = _axes(figure, place, "" if column else title)
        _draw_channel(axes, values[channel])
        axes.set_xlabel(str(channel), fontsize=5, color=QUIET, labelpad=1)


def _varied(values: NDArray[np.float32]) -> list[int]:
    """Return the channels of largest variance, in their own order."""
    variances = values.reshape(len(values), -1).var(1, dtype=np.float64)
    return sorted(np.argsort(-variances, kind="stable")[:CHANNELS].tolist())


def _axes(figure: "Figure", inches: tuple[float, float, float, float], title: str) -> "Axes":
    """Add axes without ticks at (left, bottom, width, height), with a title at their left."""
    width, height = figure.get_size_inches()
    left, bottom, wide, tall = inches
    axes = figure.add_axes((left / width, bottom / height, wide / width, tall / height))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("#c8ced6")
    axes.set_title(title, fontsize=7, color=INK, pad=3, loc="left")
    return axes


def _draw_channel(axes: "Axes", channel: NDArray[np.float32]) -> None:
    """Draw one channel (H, W) as a picture or (L,) as a curve."""
    if channel.ndim == 1:
        axes.plot(channel, linewidth=0.8, color=INK)
        axes.margins(x=0, y=0.1)
        return
    low, high = float(channel.min()), float(channel.max())
    signed = -low > SIGNED * abs(high)
    scale = max(-low, high)
    axes.imshow(
        channel,
        cmap="RdBu_r" if signed else "gray",
        vmin=-scale if signed else low,
        vmax=scale if signed else high,
        interpolation="nearest",
    )
    axes.set_anchor("NW")


def _draw_cells(axes: "Axes", values: NDArray[np.float32], columns: int) -> None:
    """Draw a dense layer as rows of cells, blue below zero and red above."""
    cells = np.full(math.ceil(len(values) / columns) * columns, np.nan, np.float32)
    cells[: len(values)] = values
    scale = float(np.abs(values).max()) or 1.0
    axes.imshow(
        cells.reshape(-1, columns),
        cmap="RdBu_r",
        vmin=-scale,
        vmax=scale,
        interpolation="nearest",
        aspect="auto",
    )
