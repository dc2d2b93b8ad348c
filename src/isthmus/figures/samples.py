"""Pictures of samples and what a model makes of them."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.figures.drawing import INK, blank, draw_sample, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def reconstruction_grid(
    originals: NDArray[Any],
    codes: NDArray[np.float32],
    reconstructions: NDArray[Any],
    names: Sequence[str] = (),
) -> "Figure":
    """Draw samples in columns; in rows the original, the code and the reconstruction.

    Parameters
    ----------
    originals, reconstructions : (N, H, W, C) uint8 or (N, L, C) float32
    codes : (N, D) float32
        Drawn as a small picture on one colour scale for all columns, blue below zero and red
        above.
    names : sequence of str
        Above the columns.
    """
    columns = len(originals)
    picture = 1.0 if originals.ndim == 3 else originals.shape[1] / originals.shape[2]
    rows, code_columns = _code_shape(codes.shape[1])
    heights = [picture, min(1.0, rows / code_columns), picture]
    left, top = 1.25, 0.3  # inches for the titles of rows and columns
    width, height = left + 1.05 * columns, top + 1.12 * sum(heights)
    figure = blank(width, height)
    grid = figure.add_gridspec(
        3,
        columns,
        height_ratios=heights,
        left=left / width,
        right=0.995,
        bottom=0.02,
        top=1 - top / height,
        wspace=0.06,
        hspace=0.08,
    )
    scale = float(np.abs(codes).max()) or 1.0
    titles = ("original", f"code of {codes.shape[1]:,}", "reconstruction")
    for row, content in enumerate((originals, codes, reconstructions)):
        for column in range(columns):
            axes = figure.add_subplot(grid[row, column])
            if row == 1:
                _draw_code(axes, content[column], (rows, code_columns), scale)
            else:
                draw_sample(axes, content[column])
            if row == 0 and names:
                axes.set_title(short(names[column]), fontsize=7, color=INK, pad=3)
            if column == 0:
                axes.set_ylabel(
                    titles[row],
                    rotation=0,
                    ha="right",
                    va="center",
                    labelpad=8,
                    fontsize=9,
                    color=INK,
                )
    return figure


def _draw_code(
    axes: "Axes", code: NDArray[np.float32], shape: tuple[int, int], scale: float
) -> None:
    cells = np.full(math.prod(shape), np.nan, np.float32)
    cells[: len(code)] = code
    axes.imshow(
        cells.reshape(shape), cmap="RdBu_r", vmin=-scale, vmax=scale, interpolation="nearest"
    )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("#c8ced6")
    if len(code) <= 3:
        for column, value in enumerate(code):
            dark = abs(value) > 0.6 * scale
            axes.text(
                column,
                0,
                f"{value:.1f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if dark else INK,
            )


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
