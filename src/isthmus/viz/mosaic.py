"""Many pictures in one: an array of pixels with curves and text over it."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.viz.canvas import BORDER, DISTINCT, DPI, INK, blank_figure, text_style
from isthmus.viz.fonts import drawable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pixels = NDArray[np.uint8]

SIGNAL_ASPECT = 0.75  # height by width of a signal as it is drawn
MAX_STRETCH = 2  # of the longer side of a very wide or tall picture, compared with a square one
MAX_UNREDUCED = 4 / 3  # of the side asked for, up to which a picture keeps its own size


class Box(NamedTuple):
    """A rectangle in pixels; (0, 0) is the top left corner of the mosaic."""

    left: int
    top: int
    width: int
    height: int


class Mosaic:
    """A white canvas of pixels on which samples, frames, curves and text are put.

    One Matplotlib axes takes about 15 ms to make and draw. The pictures of a report had 165 of
    them, which was 86% of its time. A mosaic has one axes, and one array below it. The array has
    the resolution of the PNG file (`DPI`), so that every pixel of a sample becomes a square of
    whole pixels of the file.

    Parameters
    ----------
    width, height : int
        In pixels, `DPI` to an inch.
    """

    def __init__(self, width: int, height: int) -> None:
        self._pixels = np.full((height, width, 3), 255, np.uint8)
        self._curves: list[NDArray[np.float64]] = []
        self._colors: list[str] = []
        self._figure = blank_figure(width / DPI, height / DPI)
        self._axes = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()
        self._axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)

    def place(
        self,
        sample: NDArray[Any],
        box: Box,
        limits: tuple[float, float] | None = None,
        colors: Sequence[str] = DISTINCT,
    ) -> None:
        """Draw an image (H, W, C) uint8, resized to the box, or a signal; see `plot`."""
        if sample.ndim == 2:
            self.plot(sample, box, limits, colors)
        else:
            self.paste(resize(to_rgb(sample), box.width, box.height), box.left, box.top)

    def paste(self, pixels: Pixels, left: int, top: int) -> None:
        """Put pixels (H, W, 3) on the canvas, as they are."""
        height, width = pixels.shape[:2]
        self._pixels[top : top + height, left : left + width] = pixels

    def frame(self, box: Box, color: str = BORDER) -> None:
        """Draw a line of one pixel around a box."""
        left, top = box.left - 1, box.top - 1
        right, bottom = box.left + box.width, box.top + box.height
        rgb = bytes_of(color)
        self._pixels[[top, bottom], left : right + 1] = rgb
        self._pixels[top : bottom + 1, [left, right]] = rgb

    def plot(
        self,
        signal: NDArray[Any],
        box: Box,
        limits: tuple[float, float] | None = None,
        colors: Sequence[str] = DISTINCT,
    ) -> None:
        """Draw a signal (L, C) in a frame, one curve for each channel.

        `limits` are the values at the bottom and the top; by default those of the signal with a
        margin.
        """
        self.frame(box)
        low, high = limits or value_range([signal])
        x = np.linspace(box.left + 2, box.left + box.width - 2, len(signal))  # clear of the frame
        y = box.top + box.height * (high - signal.astype(np.float64)) / (high - low)
        for channel in range(signal.shape[1]):
            self._curves.append(np.stack([x, y[:, channel]], axis=1))
            self._colors.append(colors[channel % len(colors)])

    def write(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        color: str = INK,
        ha: str = "center",
        va: str = "bottom",
    ) -> None:
        """Write text at a place in pixels, with its alignments."""
        if text:
            shown = drawable(text)  # which may look for fonts, for the style
            style = text_style(size, color)
            self._axes.text(x, y, shown, horizontalalignment=ha, verticalalignment=va, **style)

    def to_figure(self) -> "Figure":
        """Return the canvas as a figure."""
        from matplotlib.collections import LineCollection

        from isthmus.viz.artist import PixelCanvas

        self._axes.add_artist(PixelCanvas(self._pixels))
        self._axes.add_collection(
            LineCollection(self._curves, colors=self._colors, linewidths=0.9, capstyle="round"),
            autolim=False,
        )
        return self._figure


def size_within(sample: NDArray[Any], side: int) -> tuple[int, int]:
    """Return the width and height, in pixels, at which a sample is drawn.

    An image gets about the area of a square of `side` pixels: enlarged by a whole factor, so that
    its pixels stay squares, or reduced if it is much larger.

    Parameters
    ----------
    sample : (H, W, C) or (L, C)
        Only its shape is used.
    side : int

    Examples
    --------
    >>> size_within(np.zeros((28, 28, 1), np.uint8), 160)
    (168, 168)
    >>> size_within(np.zeros((1000, 2000, 3), np.uint8), 160)
    (226, 113)
    """
    if sample.ndim == 2:
        return side, round(side * SIGNAL_ASPECT)
    ratio = max(sample.shape[:2]) / min(sample.shape[:2])
    return size_of_cells(sample.shape[:2], round(side * min(math.sqrt(ratio), MAX_STRETCH)))


def size_of_cells(shape: Sequence[int], side: int) -> tuple[int, int]:
    """Return the width and height at which rows and columns of cells are drawn.

    The longer side is the multiple of the number of its cells that is nearest to `side`; more
    than 4/3 of `side` cells are reduced to `side`.
    """
    rows, columns = shape
    longest = max(rows, columns)
    if longest > MAX_UNREDUCED * side:
        return max(1, round(columns * side / longest)), max(1, round(rows * side / longest))
    factor = max(1, round(side / longest))
    return columns * factor, rows * factor


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """Enlarge a picture (H, W, 3) by whole factors, or average what falls on one pixel."""
    from PIL import Image

    rows, columns = pixels.shape[:2]
    if height % rows == 0 and width % columns == 0:
        return pixels.repeat(height // rows, 0).repeat(width // columns, 1)
    # The box filter averages whole pixels; smoother ones blur small pictures and ring at edges.
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.resize((width, height), Image.Resampling.BOX))


def to_rgb(image: NDArray[Any]) -> Pixels:
    """Return an image (H, W, C) in color, (H, W, 3): of 1 or 2 channels the first, else three."""
    gray = image.shape[2] in (1, 2)
    return np.repeat(image[..., :1], 3, axis=2) if gray else image[..., :3]


def to_colors(values: NDArray[Any], low: float, high: float, colormap: str) -> Pixels:
    """Return values (H, W) as the colors (H, W, 3) of a Matplotlib colormap; NaN is white."""
    with np.errstate(invalid="ignore"):  # a model that has diverged has infinite values
        scaled = (values.astype(np.float64) - low) * (256 / ((high - low) or 1.0))
    index = np.clip(np.nan_to_num(scaled), 0, 255).astype(np.uint8)
    return np.where(np.isnan(values)[..., None], np.uint8(255), _table(colormap)[index])


def to_grid(values: NDArray[np.float32], columns: int) -> NDArray[np.float32]:
    """Return numbers (N,) in rows of so many columns; the last row is filled up with NaN."""
    cells = np.full(math.ceil(len(values) / columns) * columns, np.nan, np.float32)
    cells[: len(values)] = values
    return cells.reshape(-1, columns)


def value_range(signals: "Sequence[NDArray[Any]] | NDArray[Any]") -> tuple[float, float]:
    """Return the least and greatest value of signals, with a margin of 6% on either side."""
    low = min(float(signal.min()) for signal in signals)
    high = max(float(signal.max()) for signal in signals)
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin


def bytes_of(color: str) -> tuple[int, ...]:
    """Return the three bytes of a color such as "#3f90da"."""
    return tuple(bytes.fromhex(color[1:]))


@lru_cache(maxsize=8)
def _table(colormap: str) -> Pixels:
    """Return the 256 colors (256, 3) of a colormap."""
    from matplotlib import colormaps

    return np.asarray(colormaps[colormap](np.arange(256), bytes=True), np.uint8)[:, :3]
