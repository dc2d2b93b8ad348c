"""Large images in overlapping tiles, so that memory does not grow with the image.

A convolutional network computes a pixel from those around it, as far as its margin. A tile that is
computed with so many pixels around it, and begins where the network's own grid does, gives the
numbers that the whole image would give: there are no seams.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

Area = tuple[slice, slice]  # rows and columns


class Tile(NamedTuple):
    """A part of an image.

    Parameters
    ----------
    read : Area
        Of the image, with the margin.
    write : Area
        Of the image, without it.
    keep : Area
        Of what is computed for `read`: the part that belongs to `write`.
    """

    read: Area
    write: Area
    keep: Area


def split_into_tiles(
    sides: tuple[int, int], pixels: int, margin: int = 0, step: int = 1
) -> list[Tile]:
    """Divide an image into tiles, row by row.

    Parameters
    ----------
    sides : (int, int)
        Height and width of the image.
    pixels : int
        About how many a tile may have with its margin; an image of fewer is one tile.
    margin : int
        How far the pixels lie apart of which one depends on the other.
    step : int
        All tiles begin at multiples of it, as the network makes one of so many pixels.

    Examples
    --------
    >>> for tile in split_into_tiles((1, 30), 20, margin=2, step=4):
    ...     print(tile.read[1], tile.write[1], tile.keep[1])
    slice(0, 16, None) slice(0, 12, None) slice(0, 12, None)
    slice(8, 28, None) slice(12, 24, None) slice(4, 16, None)
    slice(20, 30, None) slice(24, 30, None) slice(4, 10, None)
    """
    height, width = sides
    if height * width <= pixels:
        return _cross([(0, height)], [(0, width)], sides, 0)
    side = math.isqrt(pixels)
    margin = -(-margin // step) * step
    # A long and narrow image is divided along its length alone.
    high, wide = (max(side, pixels // max(1, min(other, side))) for other in (width, height))
    rows = _divide(height, high - 2 * margin, margin, step)
    columns = _divide(width, wide - 2 * margin, margin, step)
    return _cross(rows, columns, sides, margin)


def _divide(length: int, wanted: int, margin: int, step: int) -> list[tuple[int, int]]:
    """Divide a side into parts of about the same length, (start, end)."""
    if length <= wanted + 2 * margin:
        return [(0, length)]
    # Not shorter than the margin: most of what is computed would be thrown away.
    count = math.ceil(length / max(wanted, margin, step))
    part = math.ceil(length / count / step) * step
    return list(pairwise([*range(0, length, part), length]))


def _cross(
    rows: Sequence[tuple[int, int]],
    columns: Sequence[tuple[int, int]],
    sides: tuple[int, int],
    margin: int,
) -> list[Tile]:
    parts = [
        [_surround(part, side, margin) for part in line]
        for line, side in zip((rows, columns), sides, strict=True)
    ]
    return [
        Tile(*((down[i], across[i]) for i in range(3))) for down in parts[0] for across in parts[1]
    ]


def _surround(part: tuple[int, int], side: int, margin: int) -> tuple[slice, slice, slice]:
    """Return what is read, written and kept along one axis."""
    start, end = part
    first, last = max(0, start - margin), min(side, end + margin)
    return slice(first, last), slice(start, end), slice(start - first, end - first)
