"""Pictures of samples and what a model makes of them."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.viz.canvas import INK, SMALL, TEXT, short_name
from isthmus.viz.mosaic import (
    Box,
    Mosaic,
    resize,
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
TITLE_WIDTH = 190  # for the titles of rows, at the left
NAMES_HEIGHT = 34  # for the names of columns, at the top
CAPTION_LINE = 20  # for each line below a picture
MAX_WRITTEN = 3  # numbers of a code up to which they are written into its cells


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
    inputs = [] if noisy is None else [("noisy", noisy)]
    above = [("original", originals), *inputs]
    below = [("reconstruction", reconstructions)]
    rows, columns = _code_shape(codes.shape[1])
    code_size = size_of_cells(rows, columns, SIDE)
    sizes = [size_within(values[0], SIDE) for _, values in above + below]
    pitch = max(SIDE, code_size[0], *(width for width, _ in sizes)) + GAP
    height = NAMES_HEIGHT + sum(tall + GAP for _, tall in [*sizes, code_size])
    mosaic = Mosaic(TITLE_WIDTH + pitch * len(originals), height)
    for column, name in enumerate(names):
        middle = TITLE_WIDTH + (column + 0.5) * pitch - GAP / 2
        mosaic.write(middle, NAMES_HEIGHT - 8, short_name(name), SMALL)
    top = NAMES_HEIGHT
    for title, values in above:
        top = _draw_row(mosaic, top, pitch, title, values)
    top = _draw_codes(mosaic, top, pitch, codes, code_size)
    _draw_row(mosaic, top, pitch, *below[0])
    return mosaic.to_figure()


def rows_of_samples(
    rows: Sequence[tuple[str, NDArray[Any]]],
    captions: Sequence[Sequence[str]] = (),
) -> "Figure":
    """Draw rows of samples, each with a title on the left.

    Parameters
    ----------
    rows : sequence of (title, (N, H, W, C) uint8 or (N, L, C) float32)
        Of any lengths.
    captions : sequence of sequences of str
        Below the samples of each row.
    """
    sizes = [size_within(values[0], SIDE) for _, values in rows]
    lines = max((text.count("\n") + 1 for row in captions for text in row), default=0)
    below = GAP + lines * CAPTION_LINE
    pitch = max(SIDE, *(width for width, _ in sizes)) + GAP
    width = TITLE_WIDTH + pitch * max(len(values) for _, values in rows)
    mosaic = Mosaic(width, GAP + sum(tall + below for _, tall in sizes))
    top = GAP
    for number, (title, values) in enumerate(rows):
        bottom = _draw_row(mosaic, top, pitch, short_name(title, 14), values)
        for column, text in enumerate(captions[number] if captions else ()):
            middle = TITLE_WIDTH + (column + 0.5) * pitch - GAP / 2
            mosaic.write(middle, bottom - GAP + 5, text, SMALL, va="top")
        top = bottom - GAP + below
    return mosaic.to_figure()


def _draw_row(mosaic: Mosaic, top: int, pitch: int, title: str, values: NDArray[Any]) -> int:
    """Draw samples next to each other; return the top of the next row."""
    width, height = size_within(values[0], SIDE)
    for column, sample in enumerate(values):
        mosaic.place(sample, _cell(column, top, pitch, width, height))
    _write_title(mosaic, top + height / 2, title)
    return top + height + GAP


def _draw_codes(
    mosaic: Mosaic, top: int, pitch: int, codes: NDArray[np.float32], size: tuple[int, int]
) -> int:
    """Draw codes (N, D) as cells; return the top of the next row."""
    scale = float(np.abs(codes).max()) or 1.0
    for column, code in enumerate(codes):
        box = _cell(column, top, pitch, *size)
        cells = to_colors(to_grid(code, _code_shape(len(code))[1]), -scale, scale, "RdBu_r")
        mosaic.paste(resize(cells, box.width, box.height), box.left, box.top)
        mosaic.frame(box)
        if len(code) <= MAX_WRITTEN:
            _write_numbers(mosaic, box, code, scale)
    _write_title(mosaic, top + size[1] / 2, f"code of {codes.shape[1]:,}")
    return top + size[1] + GAP


def _cell(column: int, top: int, pitch: int, width: int, height: int) -> Box:
    """Return where the picture of a column is, in the middle of its room."""
    return Box(TITLE_WIDTH + column * pitch + (pitch - GAP - width) // 2, top, width, height)


def _write_title(mosaic: Mosaic, middle: float, title: str) -> None:
    mosaic.write(TITLE_WIDTH - 12, middle, title, TEXT, ha="right", va="center")


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
    if size <= 3:
        return 1, size
    columns = math.ceil(math.sqrt(size))
    divisors = [count for count in range(columns, 3 * columns) if size % count == 0]
    columns = divisors[0] if divisors else columns
    return math.ceil(size / columns), columns
