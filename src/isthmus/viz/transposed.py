"""A picture of a transposed convolution, number by number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isthmus.viz.canvas import DISTINCT, HEADING, LABEL, TEXT
from isthmus.viz.mosaic import Box, Mosaic, Pixels, bytes_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Matrix = NDArray[np.float64]

# Pixels, of which a figure has 150 to an inch.
CELL = 54  # of a number
SIGN_WIDTH = 90  # between two matrices
TITLE_HEIGHT, GAP, MARGIN = 40, 45, 10
PALE_OPACITY = 1 / 3  # opacity of a color behind numbers


@dataclass(frozen=True, eq=False)
class Panel:
    """A matrix below its title; zeros of a sparse one are left blank."""

    title: str
    matrix: Matrix
    colors: Sequence[str] = ()
    is_sparse: bool = False


def transposed(values: Matrix, kernel: Matrix, contributions: Matrix) -> "Figure":
    """Draw an image, the kernel, the result, and what each number of the image adds to it.

    Parameters
    ----------
    values : (H, W) float64
    kernel : (K, L) float64
    contributions : (H · W, H', W') float64
        What each number adds, row by row; see `isthmus.models.transposed.contributions`.
    """
    colors = [DISTINCT[number % len(DISTINCT)] for number in range(values.size)]
    result = contributions.sum(0)
    above = [Panel("input", values, colors), Panel("kernel", kernel), Panel("result", result)]
    below = [
        Panel(f"{value:g} × kernel", added, [color] * result.size, is_sparse=True)
        for value, added, color in zip(values.flat, contributions, colors, strict=True)
    ]
    height = _height(above) + GAP + _height(below)
    mosaic = Mosaic(max(_width(above), _width(below)) + 2 * MARGIN, height + 2 * MARGIN)
    _draw_row(mosaic, MARGIN, above, ["∗", "="])
    _draw_row(mosaic, MARGIN + _height(above) + GAP, below, ["+"] * (len(below) - 1))
    return mosaic.to_figure()


def _width(row: Sequence[Panel]) -> int:
    """Return the width of matrices with the signs between them."""
    columns: int = sum(panel.matrix.shape[1] for panel in row)
    return CELL * columns + SIGN_WIDTH * (len(row) - 1)


def _height(row: Sequence[Panel]) -> int:
    return TITLE_HEIGHT + CELL * max(len(panel.matrix) for panel in row)


def _draw_row(mosaic: Mosaic, top: int, row: Sequence[Panel], signs: Sequence[str]) -> None:
    """Draw matrices next to each other with signs between them."""
    left = MARGIN
    middle = top + TITLE_HEIGHT + CELL * len(row[0].matrix) / 2
    for panel, sign in zip(row, [*signs, ""], strict=True):
        width = CELL * panel.matrix.shape[1]
        mosaic.write(left + width / 2, top + TITLE_HEIGHT - 8, panel.title, TEXT)
        _draw_matrix(mosaic, left, top + TITLE_HEIGHT, panel)
        mosaic.write(left + width + SIGN_WIDTH / 2, middle, sign, HEADING, va="center")
        left += width + SIGN_WIDTH


def _draw_matrix(mosaic: Mosaic, left: int, top: int, panel: Panel) -> None:
    """Draw the numbers of a matrix in colored cells with lines between them."""
    for index, value in enumerate(panel.matrix.flat):
        row, column = divmod(index, panel.matrix.shape[1])
        box = Box(left + column * CELL, top + row * CELL, CELL, CELL)
        if value or not panel.is_sparse:  # zeros around a product are padding, not results
            if panel.colors:
                cell = np.broadcast_to(_pale(panel.colors[index]), (CELL, CELL, 3))
                mosaic.paste(cell, box.left, box.top)
            x, y = box.left + CELL / 2, box.top + CELL / 2
            mosaic.write(x, y, f"{value:g}", LABEL, va="center")
        mosaic.frame(box)


def _pale(color: str) -> Pixels:
    """Return the bytes (3,) of a color blended with white."""
    return np.rint(255 - PALE_OPACITY * (255 - np.array(bytes_of(color)))).astype(np.uint8)
