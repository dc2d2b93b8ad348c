"""Pictures of samples and what a model makes of them."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.viz.canvas import INK, blank_figure, draw_sample, short_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def reconstruction_grid(
    originals: NDArray[Any],
    codes: NDArray[np.float32],
    reconstructions: NDArray[Any],
    names: Sequence[str] = (),
    noisy: NDArray[Any] | None = None,
) -> "Figure":
    """Draw samples in columns; in rows the original, the code and the reconstruction.

    Of a denoiser, the noisy input stands below the original.

    Parameters
    ----------
    originals, reconstructions, noisy : (N, H, W, C) uint8 or (N, L, C) float32
    codes : (N, D) float32
        Drawn as a small picture on one color scale for all columns, blue below zero and red
        above.
    names : sequence of str
        Above the columns.
    """
    columns = len(originals)
    picture = 1.0 if originals.ndim == 3 else originals.shape[1] / originals.shape[2]
    rows, code_columns = _code_shape(codes.shape[1])
    contents = {"original": originals}
    if noisy is not None:
        contents["noisy"] = noisy
    contents |= {f"code of {codes.shape[1]:,}": codes, "reconstruction": reconstructions}
    heights = [min(1.0, rows / code_columns) if c is codes else picture for c in contents.values()]
    left, top = 1.25, 0.3  # inches for the titles of rows and columns
    width, height = left + 1.05 * columns, top + 1.12 * sum(heights)
    figure = blank_figure(width, height)
    grid = figure.add_gridspec(
        len(contents),
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
    for row, (title, content) in enumerate(contents.items()):
        for column in range(columns):
            axes = figure.add_subplot(grid[row, column])
            if content is codes:
                _draw_code(axes, content[column], (rows, code_columns), scale)
            else:
                draw_sample(axes, content[column])
            if row == 0 and names:
                axes.set_title(short_name(names[column]), fontsize=7, color=INK, pad=3)
            if column == 0:
                _title_row(axes, title)
    return figure


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
    columns = max(len(values) for _, values in rows)
    first = rows[0][1]
    picture = 1.0 if first.ndim == 3 else first.shape[1] / first.shape[2]
    left, room = 1.25, 0.3 if captions else 0.06  # inches for titles and captions
    width, height = left + 1.05 * columns, len(rows) * (1.05 * picture + room) + 0.05
    figure = blank_figure(width, height)
    grid = figure.add_gridspec(
        len(rows),
        columns,
        left=left / width,
        right=0.995,
        bottom=room / height,
        top=1 - 0.05 / height,
        wspace=0.06,
        hspace=(room + 0.02) / picture,
    )
    for row, (title, values) in enumerate(rows):
        for column, sample in enumerate(values):
            axes = figure.add_subplot(grid[row, column])
            draw_sample(axes, sample)
            if captions:
                axes.set_xlabel(captions[row][column], fontsize=6.5, color=INK, labelpad=2)
            if column == 0:
                _title_row(axes, short_name(title, 14))
    return figure


def _title_row(axes: "Axes", title: str) -> None:
    axes.set_ylabel(title, rotation=0, ha="right", va="center", labelpad=6, fontsize=8.5, color=INK)


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
