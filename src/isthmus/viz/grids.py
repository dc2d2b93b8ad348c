"""Pictures of samples in rows and columns, such as reconstructions below originals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.viz.canvas import INK, SMALL, TEXT, short_name, shorten, text_width
from isthmus.viz.mosaic import (
    Box,
    Mosaic,
    size_of_cells,
    size_within,
    to_colors,
    to_grid,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Pixels, of which a figure has 150 to an inch.
SIDE = 160  # of a picture, or of the nearest whole multiple of its own size
GAP = 8  # between pictures
TITLE_GAP = 12  # between the title of a row and its first picture
NAMES_HEIGHT = 34  # for the names of columns, at the top
CAPTION_LINE = 20  # for each line below a picture
MAX_TITLE = 20  # letters of a line of a row's title
MAX_WRITTEN = 3  # numbers of a code up to which they are written into its cells

Row = NDArray[Any] | Sequence[NDArray[Any]]  # samples of one shape, or images of differing sizes


def reconstruction_grid(
    originals: NDArray[Any],
    codes: NDArray[np.float32],
    reconstructions: NDArray[Any],
    names: Sequence[str] = (),
    noisy: NDArray[Any] | None = None,
) -> "Figure":
    """Draw samples in columns; in rows the original, the code and the reconstruction.

    The noisy input of a denoiser is below the original.

    Parameters
    ----------
    originals, reconstructions, noisy : (N, H, W, C) uint8 or (N, L, C) float32
    codes : (N, D) float32
        Drawn as a small picture on one color scale for all columns, blue below zero and red
        above.
    names : sequence of str
        Above the columns.
    """
    samples = [("original", originals)]
    samples += [] if noisy is None else [("noisy", noisy)]
    samples += [("reconstruction", reconstructions)]
    code_title = f"code of {codes.shape[1]:,}"
    code_size = size_of_cells(_code_shape(codes.shape[1]), SIDE)
    sizes = [code_size, *(size_within(values[0], SIDE) for _, values in samples)]
    columns = _lay_out([code_title, *(title for title, _ in samples)], sizes)
    height = NAMES_HEIGHT + sum(tall + GAP for _, tall in sizes)
    mosaic = Mosaic(columns.left + columns.pitch * len(originals), height)
    for number, name in enumerate(names):
        mosaic.write(columns.middle(number), NAMES_HEIGHT - 8, short_name(name), SMALL)
    top = NAMES_HEIGHT
    for title, values in samples[:-1]:
        top = _draw_row(mosaic, top, columns, title, values)
    top = _draw_codes(mosaic, top, columns, code_title, codes)
    _draw_row(mosaic, top, columns, *samples[-1])
    return mosaic.to_figure()


def rows_of_samples(
    rows: Sequence[tuple[str, Row]],
    captions: Sequence[Sequence[str]] = (),
) -> "Figure":
    """Draw rows of samples, each with a title on the left.

    Parameters
    ----------
    rows : sequence of (title, (N, H, W, C) uint8 or (N, L, C) float32)
        Of any lengths; a title may have several lines. Images may also be a list of (H, W, C).
    captions : sequence of sequences of str
        Below the samples of each row.
    """
    titles = [_shorten_lines(title) for title, _ in rows]
    sizes = [_largest(values) for _, values in rows]
    columns = _lay_out(titles, sizes)
    lines = max((text.count("\n") + 1 for row in captions for text in row), default=0)
    below = GAP + lines * CAPTION_LINE
    width = columns.left + columns.pitch * max(len(values) for _, values in rows)
    mosaic = Mosaic(width, GAP + sum(tall + below for _, tall in sizes))
    top = GAP
    for number, (title, (_, values)) in enumerate(zip(titles, rows, strict=True)):
        bottom = _draw_row(mosaic, top, columns, title, values)
        for column, text in enumerate(captions[number] if captions else ()):
            mosaic.write(columns.middle(column), bottom - GAP + 5, text, SMALL, va="top")
        top = bottom - GAP + below
    return mosaic.to_figure()


@dataclass(frozen=True)
class Columns:
    """Where columns are, in pixels: the left edge of the first, and the distance of two."""

    left: int
    pitch: int

    def middle(self, column: int) -> float:
        """Return the middle of a column."""
        return self.left + column * self.pitch + (self.pitch - GAP) / 2

    def box(self, column: int, top: int, width: int, height: int) -> Box:
        """Return a box in the middle of a column."""
        left = self.left + column * self.pitch + (self.pitch - GAP - width) // 2
        return Box(left, top, width, height)


def _shorten_lines(title: str) -> str:
    return "\n".join(shorten(line, MAX_TITLE) for line in title.split("\n"))


def _lay_out(titles: Sequence[str], sizes: Sequence[tuple[int, int]]) -> Columns:
    """Place the columns right of the titles of rows, as wide as the widest picture."""
    left = GAP + (TITLE_GAP + text_width(titles, TEXT) if any(titles) else 0)
    return Columns(left, max(SIDE, *(width for width, _ in sizes)) + GAP)


def _largest(values: Row) -> tuple[int, int]:
    """Return the width and the height in which each sample of a row is drawn."""
    widths, heights = zip(*(size_within(sample, SIDE) for sample in values), strict=True)
    return max(widths), max(heights)


def _draw_row(mosaic: Mosaic, top: int, columns: Columns, title: str, values: Row) -> int:
    """Draw samples next to each other; return the top of the next row."""
    _, height = _largest(values)
    for column, sample in enumerate(values):
        wide, tall = size_within(sample, SIDE)
        mosaic.place(sample, columns.box(column, top + (height - tall) // 2, wide, tall))
    _write_title(mosaic, columns, top + height / 2, title)
    return top + height + GAP


def _draw_codes(
    mosaic: Mosaic, top: int, columns: Columns, title: str, codes: NDArray[np.float32]
) -> int:
    """Draw codes (N, D) as cells; return the top of the next row."""
    shape = _code_shape(codes.shape[1])
    width, height = size_of_cells(shape, SIDE)
    scale = float(np.abs(codes).max()) or 1.0
    for column, code in enumerate(codes):
        box = columns.box(column, top, width, height)
        cells = to_colors(to_grid(code, shape[1]), -scale, scale, "RdBu_r")
        mosaic.place(cells, box)
        mosaic.frame(box)
        if len(code) <= MAX_WRITTEN:
            _write_numbers(mosaic, box, code, scale)
    _write_title(mosaic, columns, top + height / 2, title)
    return top + height + GAP


def _write_title(mosaic: Mosaic, columns: Columns, middle: float, title: str) -> None:
    """Write the title of a row at the left of its first picture."""
    mosaic.write(columns.left - TITLE_GAP, middle, title, TEXT, ha="right", va="center")


def _write_numbers(mosaic: Mosaic, box: Box, code: NDArray[np.float32], scale: float) -> None:
    """Write the numbers of a code into its cells."""
    for number, value in enumerate(code):
        x = box.left + (number + 0.5) * box.width / len(code)
        color = "white" if abs(value) > 0.6 * scale else INK  # the ends of the scale are dark
        y = box.top + box.height / 2
        mosaic.write(x, y, f"{value:.1f}", SMALL, color, va="center")


def _code_shape(size: int) -> tuple[int, int]:
    """Return rows and columns of a compact picture of `size` cells, wider than tall.

    Examples
    --------
    >>> _code_shape(32), _code_shape(2), _code_shape(128)
    ((4, 8), (1, 2), (8, 16))
    """
    if size <= MAX_WRITTEN:
        return 1, size
    columns = math.ceil(math.sqrt(size))
    divisors = [count for count in range(columns, 3 * columns) if size % count == 0]
    columns = divisors[0] if divisors else columns
    return math.ceil(size / columns), columns
