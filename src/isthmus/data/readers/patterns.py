"""The data set `patterns`: generated pictures, so that styles can be tried without paintings.

Each is a function from a side in pixels and a generator of random numbers to colors (S, S, 3) from
0 to 1. They differ in color, in the size of their parts, and in whether these are lines, areas or
dots.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from isthmus.data.manifest import Manifest, evenly_spaced
from isthmus.data.reading import Reading

SIDE = 256
SEED = 0

Field = NDArray[np.float64]  # (S, S) numbers, or (S, S, 3) colors from 0 to 1
Palette = Sequence[tuple[float, float, float]]


def mosaic(side: int, rng: np.random.Generator) -> Field:
    """Cells of colored glass, with lead between them."""
    from scipy.spatial import cKDTree

    count = side * side // 300
    centers = rng.random((count, 2)) * side
    distances, nearest = cKDTree(centers).query(np.moveaxis(_places(side), 0, -1), k=2)
    glass = np.array(
        [(0.85, 0.1, 0.1), (0.95, 0.75, 0.1), (0.1, 0.35, 0.75), (0.1, 0.6, 0.4),
         (0.95, 0.95, 0.85), (0.5, 0.15, 0.5)]
    )  # fmt: skip
    colors = glass[rng.integers(len(glass), size=count)] * rng.uniform(0.85, 1, (count, 1))
    light = np.clip((distances[..., 1] - distances[..., 0]) / 2.5, 0, 1)[..., None]
    picture: Field = colors[nearest[..., 0]] * light + 0.05 * (1 - light)
    return picture


def waves(side: int, rng: np.random.Generator) -> Field:
    """Blue lines that flow from left to right."""
    height = _places(side)[0] / side
    bend = 0.06 * _smooth(side, side / 14, rng) + 0.01 * _smooth(side, side / 40, rng)
    crest = 0.5 + 0.5 * np.sin(2 * np.pi * 16 * (height + bend))
    sea = ((0.03, 0.1, 0.3), (0.1, 0.4, 0.7), (0.85, 0.95, 0.95), (0.98, 0.85, 0.5))
    return _colors(sea, crest**1.5)


def strokes(side: int, rng: np.random.Generator) -> Field:
    """Strokes of a brush in blue and yellow, which turn with their place."""
    angles = 1.2 * _smooth(side, side / 8, rng)
    night = ((0.08, 0.12, 0.35), (0.15, 0.35, 0.65), (0.9, 0.75, 0.2), (0.95, 0.9, 0.6))
    base = _colors(night, 0.5 + 0.25 * _smooth(side, side / 12, rng))
    picture = Image.fromarray(_to_bytes(base))
    draw = ImageDraw.Draw(picture)
    for y, x in rng.integers(side, size=(side * side // 25, 2)):
        color = base[y, x] + rng.normal(0, 0.12) + rng.normal(0, 0.03, 3)
        half = rng.uniform(6, 14) * np.array([np.cos(angles[y, x]), np.sin(angles[y, x])])
        ends = np.concatenate([np.array([x, y]) - half, np.array([x, y]) + half]).tolist()
        draw.line(ends, tuple(_to_bytes(color).tolist()), int(rng.integers(2, 5)))
    return np.asarray(picture) / 255


def dots(side: int, rng: np.random.Generator) -> Field:
    """Red and blue dots of a printed page, large where it is dark."""
    step = max(6, side // 32)
    y, x = _places(side)
    across, along = (x + y) / np.sqrt(2) % step, (x - y) / np.sqrt(2) % step
    distance = np.hypot(across - step / 2, along - step / 2)
    radius = step * (0.3 + 0.09 * _smooth(side, side / 10, rng))
    is_red = _smooth(side, side / 12, rng)[..., None] > 0
    ink = np.where(is_red, (0.9, 0.1, 0.2), (0.05, 0.2, 0.6))
    amount = np.clip(radius - distance + 0.5, 0, 1)[..., None]
    picture: Field = ink * amount + np.array((0.98, 0.94, 0.82)) * (1 - amount)
    return picture


def marble(side: int, rng: np.random.Generator) -> Field:
    """White stone with dark green veins."""
    height = sum(_smooth(side, side / part, rng) * 10 / part for part in (8, 16, 32, 64))
    stone = ((0.02, 0.15, 0.12), (0.1, 0.45, 0.35), (0.8, 0.9, 0.8), (0.98, 0.98, 0.95))
    return _colors(stone, np.abs(np.sin(1.5 * height)))


def hatching(side: int, rng: np.random.Generator) -> Field:
    """Dark lines of a pen on paper: in one direction where it is bright, in three where dark."""
    y, x = _places(side)
    tone = _smooth(side, side / 9, rng)
    ink = np.zeros((side, side), bool)
    for angle, least in ((0.7, -0.8), (-0.7, 0.1), (0.05, 0.9)):
        across = x * np.cos(angle) + y * np.sin(angle) + _smooth(side, 8, rng)
        ink |= (np.abs(across % 6 - 3) < 0.9) & (tone > least)
    picture: Field = _blur(np.where(ink, 0.1, 1.0), 0.6)[..., None] * np.array((0.97, 0.93, 0.83))
    return picture


def triangles(side: int, rng: np.random.Generator) -> Field:
    """Triangles of paper in the colors of an evening."""
    from scipy.spatial import Delaunay

    # Also outside of the picture, which triangles would not cover else.
    corners = Delaunay(side * rng.uniform(-0.5, 1.5, (4 * side * side // 500, 2)))
    evening = ((0.15, 0.05, 0.3), (0.75, 0.15, 0.35), (0.98, 0.55, 0.25), (1.0, 0.9, 0.6))
    base = _colors(evening, 0.5 + 0.3 * _smooth(side, side / 10, rng))
    y, x = corners.points[corners.simplices].mean(1).clip(0, side - 1).astype(int).T
    colors = base[y, x] * rng.uniform(0.8, 1.1, (len(x), 1))
    picture: Field = colors[corners.find_simplex(np.moveaxis(_places(side), 0, -1))]
    return picture


PATTERNS: dict[str, Callable[[int, np.random.Generator], Field]] = {
    pattern.__name__: pattern
    for pattern in (mosaic, waves, strokes, dots, marble, hatching, triangles)
}


def read_patterns(path: Path, limit: int | None, reading: Reading | None = None) -> Manifest:
    """Generate the patterns, each named as in `PATTERNS`.

    Parameters
    ----------
    path : Path
        Not used.
    limit : int, optional
        At most as many, evenly spaced among all.
    reading : Reading, optional
        Not used.

    Returns
    -------
    Manifest
        Images (N, 256, 256, 3) uint8.
    """
    names = list(PATTERNS)
    rows = evenly_spaced(len(names), limit)
    values = np.stack([make_pattern(names[row]) for row in rows])
    return Manifest([names[row] for row in rows], values)


def make_pattern(name: str, side: int = SIDE, seed: int = SEED) -> NDArray[np.uint8]:
    """Return a pattern (S, S, 3) uint8.

    Parameters
    ----------
    name : str
        A key of `PATTERNS`.
    side : int
        In pixels, 32 or more.
    seed : int
    """
    rng = np.random.default_rng([seed, list(PATTERNS).index(name)])
    return _to_bytes(PATTERNS[name](side, rng))


def _places(side: int) -> NDArray[np.int64]:
    """Return the row and the column of each pixel, (2, S, S)."""
    return np.indices((side, side))


def _smooth(side: int, size: float, rng: np.random.Generator) -> Field:
    """Return a smooth random field of mean 0 and deviation 1, whose hills are about so large."""
    field = _blur(rng.standard_normal((side, side)), size)
    smooth: Field = field / field.std()
    return smooth


def _blur(field: Field, size: float) -> Field:
    from scipy.ndimage import gaussian_filter

    blurred: Field = gaussian_filter(field, size, mode="wrap")
    return blurred


def _colors(palette: Palette, places: Field) -> Field:
    """Return the colors (S, S, 3) at places (S, S) from 0 to 1 along a palette."""
    steps = np.linspace(0, 1, len(palette))
    return np.stack([np.interp(places, steps, band) for band in zip(*palette, strict=True)], -1)


def _to_bytes(colors: Field) -> NDArray[np.uint8]:
    return np.round(255 * np.clip(colors, 0, 1)).astype(np.uint8)
