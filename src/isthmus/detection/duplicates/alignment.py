"""Alignment: which part of one picture another shows.

A picture b shows the part of a picture a that a scale and a shift of each axis say:

    b(x, y) ≈ gain · a(sx · x + tx, sy · y + ty) + offset,    x, y in [-1, 1]

All six numbers are fitted by least squares, step by step (Gauss and Newton; B. D. Lucas and
T. Kanade: An Iterative Image Registration Technique, IJCAI 1981), first on small thumbnails, where
a picture may be far from its place, then on larger ones. Because axes are scaled and never turned,
resampling is a product of three matrices.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.float32]
MAX_STEP = 0.08  # of shift and scale; the width of a picture is 2
SCALES = (0.6, 1.7)  # of sides: a picture shows at least about this part of the other
MAX_SHIFT = 0.6
MIN_GAIN = 0.3  # by which steps are divided; below, they would be wild
RIDGE = 1e-3  # keeps the equations of a picture without structure solvable


class Warped(NamedTuple):
    """Pictures resampled at the places of others.

    Parameters
    ----------
    pixels : (P, S, S) float32
    across, down : (P, S, S) float32
        Derivatives by place.
    inside : (P, S, S) float32
        1 where the place is within the picture, else 0.
    """

    pixels: Pictures
    across: Pictures
    down: Pictures
    inside: Pictures


def align(a: Pictures, b: Pictures, places: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    """Improve where b lies in a.

    Parameters
    ----------
    a, b : (P, S, S) float32
        Brightness, of P pairs.
    places : (P, 4) float32
        Where to begin: sx, sy, tx and ty.
    steps : int

    Returns
    -------
    (P, 4) float32
    """
    for _ in range(steps):
        step = _step(warp(a, places), b)
        places = places + np.clip(step, -MAX_STEP, MAX_STEP)
        places[:, :2] = np.clip(places[:, :2], *SCALES)
        places[:, 2:] = np.clip(places[:, 2:], -MAX_SHIFT, MAX_SHIFT)
    return places


def warp(a: Pictures, places: NDArray[np.float32]) -> Warped:
    """Resample pictures a (P, S, S) linearly where others lie in them."""
    side = a.shape[-1]
    across = places[:, :1] * centers(side) + places[:, 2:3]
    down = places[:, 1:2] * centers(side) + places[:, 3:4]
    (columns, d_columns), (rows, d_rows) = _weights(across, side), _weights(down, side)
    half = rows @ a
    limit = 1 - 1 / side + 1e-4  # the centers of the outermost pixels
    inside = (np.abs(down) <= limit)[:, :, None] & (np.abs(across) <= limit)[:, None, :]
    columns, d_columns = columns.swapaxes(1, 2), d_columns.swapaxes(1, 2)
    parts = half @ columns, half @ d_columns, d_rows @ a @ columns, inside
    return Warped(*(np.asarray(part, np.float32) for part in parts))


def centers(side: int) -> NDArray[np.float32]:
    """Return the centers (side,) of pixels on an axis from -1 to 1."""
    return ((np.arange(side, dtype=np.float32) + np.float32(0.5)) * 2 / side - 1).astype(np.float32)


def average(pictures: Pictures, side: int) -> Pictures:
    """Average whole pixels of pictures (P, S, S) to (P, side, side)."""
    pool = _pool(pictures.shape[-1], side)
    return np.asarray(pool @ pictures @ pool.T, np.float32)


@lru_cache(maxsize=8)
def _pool(side: int, smaller: int) -> NDArray[np.float32]:
    """Return the matrix (smaller, side) that averages whole pixels: ten times as fast as `mean`."""
    times = side // smaller
    return np.kron(np.eye(smaller), np.full((1, times), 1 / times)).astype(np.float32)


def _weights(
    places: NDArray[np.float32], side: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the share (P, S, side) of each pixel at places (P, S), and its derivative."""
    pixels = (places + 1) * (side / 2) - 0.5
    # From half a pixel before to half a pixel behind: at a center itself the slope is not defined.
    slopes = _shares(pixels + 0.5, side) - _shares(pixels - 0.5, side)
    return _shares(pixels, side), slopes * np.float32(side / 2)


def _shares(pixels: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return the share (P, S, side) that linear interpolation gives each pixel."""
    shares = np.clip(pixels, 0, side - 1)[..., None] - np.arange(side, dtype=np.float32)
    np.abs(shares, out=shares)
    np.subtract(1, shares, out=shares)
    return np.maximum(shares, 0, out=shares)


def _step(warped: Warped, b: Pictures) -> NDArray[np.float32]:
    """Return the change of places (P, 4) that least squares ask for, with gain and offset."""
    count, side = len(b), b.shape[-1]
    at = centers(side)
    across, down = warped.across, warped.down
    parts = np.empty((count, 6, side, side), np.float32)
    ones = np.ones(1, np.float32)
    columns = (across * at, down * at[:, None], across, down, warped.pixels, ones)
    for number, column in enumerate(columns):
        parts[:, number] = column
    design = parts.reshape(count, 6, -1)
    weighted = design * warped.inside.reshape(count, 1, -1)
    normal = (weighted @ design.swapaxes(1, 2)).astype(np.float64)
    wanted = (weighted @ b.reshape(count, -1, 1)).astype(np.float64)
    diagonal = np.einsum("pii->pi", normal)
    diagonal += RIDGE * diagonal + 1e-6
    fitted = np.linalg.solve(normal, wanted)[..., 0]
    gain = np.maximum(fitted[:, 4:5], MIN_GAIN)
    return np.asarray(fitted[:, :4] / gain, np.float32)
