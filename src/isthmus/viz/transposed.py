"""A transposed convolution worked out on a small example, number by number."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isthmus.viz.canvas import DISTINCT, INK, blank_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

Matrix = NDArray[np.float64]
Row = Sequence[tuple[str, Matrix]]
CELL, GAP, SIGN = 0.36, 0.3, 0.3  # inches: a number, the space between, and what joins them
TITLE, MARGIN = 0.26, 0.06
PALE = "55"  # opacity of a color behind numbers, in hexadecimal digits


def stamps(values: Matrix, kernel: Matrix, stride: int = 1) -> list[Matrix]:
    """Return what each number of a picture adds to its transposed convolution.

    Each puts the kernel, times itself, `stride` further than its neighbor; the sum is what
    layers of that name compute without padding (Dumoulin and Visin, arXiv:1603.07285).

    Parameters
    ----------
    values : (H, W)
    kernel : (K, L)
    stride : int

    Returns
    -------
    list of (H', W')
        With H' = (H - 1) stride + K and W' likewise; one for each number, row by row.

    Examples
    --------
    >>> sum(stamps(np.array([[1.0, 2.0]]), np.array([[1.0, 1.0, 1.0]]), 2)).tolist()
    [[1.0, 1.0, 3.0, 2.0, 2.0]]
    """
    height, width = kernel.shape
    whole = [
        (side - 1) * stride + own for side, own in zip(values.shape, kernel.shape, strict=True)
    ]
    made = []
    for (row, column), value in np.ndenumerate(values):
        stamp = np.zeros(whole)
        top, left = row * stride, column * stride
        stamp[top : top + height, left : left + width] = value * kernel
        made.append(stamp)
    return made


def transposed(values: Matrix, kernel: Matrix, stride: int = 1) -> "Figure":
    """Draw a picture, the kernel, what each number adds, and the sum; see `stamps`."""
    added = stamps(values, kernel, stride)
    colors = [DISTINCT[number % len(DISTINCT)] + PALE for number in range(len(added))]
    result: Matrix = np.sum(added, axis=0)
    above = [("input", values), ("kernel", kernel), ("result", result)]
    titles = [f"{value:g} × kernel" for value in values.flat]
    below = list(zip(titles, added, strict=True))
    width = max(_breadth(above), _breadth(below)) + 2 * MARGIN
    tall, low = _height(above), _height(below)
    figure = blank_figure(width, tall + GAP + low + 2 * MARGIN)
    _draw_row(figure, MARGIN, above, ["∗", "="], [colors, [], []])
    own = [[color] * result.size for color in colors]
    _draw_row(figure, MARGIN + tall + GAP, below, ["+"] * (len(added) - 1), own)
    return figure


def _breadth(row: Row) -> float:
    """Return the inches that matrices take in width, with the signs between."""
    columns = sum(len(matrix[0]) for _, matrix in row)
    return CELL * columns + (len(row) - 1) * (GAP + SIGN)


def _height(row: Row) -> float:
    return TITLE + CELL * max(len(matrix) for _, matrix in row)


def _draw_row(
    figure: "Figure",
    top: float,
    row: Row,
    signs: Sequence[str],
    colors: Sequence[Sequence[str]],
) -> None:
    """Draw matrices next to each other with signs between, `top` inches below the edge."""
    width, height = figure.get_size_inches()
    left = MARGIN
    middle = height - top - TITLE - CELL * row[0][1].shape[0] / 2
    for number, ((title, matrix), own) in enumerate(zip(row, colors, strict=True)):
        rows, columns = matrix.shape
        bottom = height - top - TITLE - CELL * rows
        place = (left / width, bottom / height, CELL * columns / width, CELL * rows / height)
        _draw_matrix(figure.add_axes(place), title, matrix, own)
        left += CELL * columns
        if number < len(signs):
            at = ((left + (GAP + SIGN) / 2) / width, middle / height)
            figure.text(*at, signs[number], ha="center", va="center", fontsize=13, color=INK)
        left += GAP + SIGN


def _draw_matrix(axes: "Axes", title: str, matrix: Matrix, colors: Sequence[str]) -> None:
    """Draw numbers in cells; of what one number adds, zeros stay blank."""
    rows, columns = matrix.shape
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    axes.set_xticks(range(columns + 1), [])
    axes.set_yticks(range(rows + 1), [])
    axes.tick_params(length=0)
    axes.grid(color="#c8ced6", linewidth=0.8)
    axes.spines[:].set_color("#c8ced6")
    axes.set_title(title, fontsize=8.5, color=INK, pad=4)
    sparse = "×" in title
    for index, value in enumerate(matrix.flat):
        row, column = divmod(index, columns)
        if sparse and not value:
            continue
        if colors:
            axes.add_patch(_cell(column, row, colors[index]))
        axes.text(
            column + 0.5, row + 0.5, f"{value:g}", ha="center", va="center", fontsize=9, color=INK
        )


def _cell(left: int, top: int, color: str) -> "Rectangle":
    from matplotlib.patches import Rectangle

    return Rectangle((left, top), 1, 1, facecolor=color, edgecolor="none")
