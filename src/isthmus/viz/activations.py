"""Pictures of the output of each layer of a model for a sample."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.viz.canvas import DISTINCT, INK, QUIET, SMALL, TINY, short_name
from isthmus.viz.mosaic import (
    SIGNAL_ASPECT,
    Box,
    Mosaic,
    Pixels,
    size_of_cells,
    size_within,
    to_colors,
    to_grid,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_CHANNELS = 16  # of a layer that are drawn

# Pixels, of which a figure has 150 to an inch.
CHANNEL_SIDE = 93  # of a channel, or of the nearest whole multiple of its own size
SAMPLE_SIDE = 2 * CHANNEL_SIDE
GAP, MARGIN = 6, 15
WIDTH = MAX_CHANNELS * (CHANNEL_SIDE + GAP)
TITLE_HEIGHT, INDEX_HEIGHT = 32, 16  # above a layer, and below its channels
MAX_CELL, MIN_CELL_HEIGHT = 37, 4  # of one number of a dense layer
MIN_SIDE = 6  # of a channel that is very wide or very tall

# Numbers in a row of a dense layer: 64, in layers of more than 128 twice as many, and more where
# there would be more than 8 rows, up to one for each pixel.
MIN_COLUMNS, MAX_ROWS = 64, 8
# The least value, as a share of the greatest, from which a channel is drawn as signed. GELU and
# SiLU go a little below zero (to -0.17 and -0.28); their channels are gray like those of ReLU.
MIN_SIGNED_SHARE = 0.25

Layer = tuple[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Strip:
    """A row of pictures (H, W, 3) uint8 or signals (L, C) float32, all drawn in one size."""

    title: str
    pictures: Sequence[NDArray[Any]]
    width: int
    height: int
    indices: Sequence[int] = ()

    @property
    def outer_height(self) -> int:
        """The height with the title above and the indices below."""
        return TITLE_HEIGHT + self.height + (INDEX_HEIGHT if self.indices else 0)


def layers(
    name: str, sample: NDArray[Any], maps: Sequence[Layer], reconstruction: NDArray[Any] | None
) -> "Figure":
    """Draw a sample, the output of each layer, and the reconstruction if there is one.

    Of a layer of many channels, the 16 that vary most are drawn, each on a scale of its own: gray
    from its least to its greatest value, or blue below zero and red above where it has both. A
    dense layer is a strip of cells, all on one scale.

    Parameters
    ----------
    name : str
        Of the sample.
    sample, reconstruction : (H, W, C) uint8 or (L, C) float32
    maps : sequence of (title, (C, H, W), (C, L) or (D,) float32)
        The output of each layer, in their order.
    """
    strips = [_sample_strip(short_name(name, 60), sample)]
    strips += [_dense_strip(*one) if one[1].ndim == 1 else _channels_strip(*one) for one in maps]
    if reconstruction is not None:
        strips.append(_sample_strip("reconstruction", reconstruction))
    widest = max(len(one.pictures) * (one.width + GAP) for one in strips)
    height = sum(one.outer_height for one in strips) + MARGIN
    mosaic = Mosaic(max(WIDTH, widest) + 2 * MARGIN, height)
    top = 0
    for one in strips:
        _draw(mosaic, top, one)
        top += one.outer_height
    return mosaic.to_figure()


def _sample_strip(title: str, sample: NDArray[Any]) -> Strip:
    return Strip(title, [sample], *size_within(sample, SAMPLE_SIDE))


def _dense_strip(title: str, values: NDArray[np.float32]) -> Strip:
    """Color the numbers of a dense layer (D,) in rows of cells."""
    cells = to_grid(values, _columns(len(values)))
    rows, columns = cells.shape
    scale = float(np.abs(values).max()) or 1.0
    side = min(WIDTH // columns, MAX_CELL)
    picture = to_colors(cells, -scale, scale, "RdBu_r")
    return Strip(title, [picture], columns * side, rows * max(side, MIN_CELL_HEIGHT))


def _channels_strip(title: str, values: NDArray[np.float32]) -> Strip:
    """Color the channels (C, H, W) that vary most, or take them as curves (C, L)."""
    chosen = _most_varied(values)
    if len(chosen) < len(values):
        title += f" · the {len(chosen)} that vary most"
    if values.ndim == 2:
        signals = [values[channel, :, None] for channel in chosen]
        return Strip(title, signals, CHANNEL_SIDE, round(CHANNEL_SIDE * SIGNAL_ASPECT), chosen)
    width, height = size_of_cells(values.shape[1:], CHANNEL_SIDE)
    pictures = [_color_channel(values[channel]) for channel in chosen]
    return Strip(title, pictures, max(width, MIN_SIDE), max(height, MIN_SIDE), chosen)


def _color_channel(channel: NDArray[np.float32]) -> Pixels:
    """Return a channel (H, W) in grays, or in blue and red around zero, (H, W, 3)."""
    low, high = float(channel.min()), float(channel.max())
    if -low > MIN_SIGNED_SHARE * abs(high):
        scale = max(-low, high)
        return to_colors(channel, -scale, scale, "RdBu_r")
    return to_colors(channel, low, high, "gray")


def _most_varied(values: NDArray[np.float32]) -> list[int]:
    """Return the channels of largest variance, in their own order."""
    variances = values.reshape(len(values), -1).var(1, dtype=np.float64)
    return sorted(np.argsort(-variances, kind="stable")[:MAX_CHANNELS].tolist())


def _columns(size: int) -> int:
    """Return in how many columns the numbers of a dense layer are drawn.

    Examples
    --------
    >>> _columns(2), _columns(32), _columns(128), _columns(4096), _columns(90_000)
    (2, 32, 64, 512, 1584)
    """
    columns = max(min(size, MIN_COLUMNS), min(math.ceil(size / 2), 2 * MIN_COLUMNS))
    return min(max(columns, math.ceil(size / MAX_ROWS)), WIDTH)


def _draw(mosaic: Mosaic, top: int, strip: Strip) -> None:
    """Draw a strip below its title, with the index of each channel below it."""
    mosaic.write(MARGIN, top + TITLE_HEIGHT - 6, strip.title, SMALL, ha="left")
    top += TITLE_HEIGHT
    pitch = max(strip.width, CHANNEL_SIDE if strip.indices else 0) + GAP
    for column, picture in enumerate(strip.pictures):
        box = Box(MARGIN + column * pitch, top, strip.width, strip.height)
        mosaic.place(picture, box, colors=(INK,) if strip.indices else DISTINCT)
        mosaic.frame(box)
    for column, index in enumerate(strip.indices):
        middle = MARGIN + column * pitch + strip.width / 2
        mosaic.write(middle, top + strip.height + 4, str(index), TINY, QUIET, va="top")
