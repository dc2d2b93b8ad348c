"""Images that are cut into areas, so that one large image can be trained on and tested on."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product

import numpy as np

from isthmus.data.images import Images, Ragged
from isthmus.data.items import Items
from isthmus.data.reading import Reading
from isthmus.errors import OptionError

AREA = 256  # pixels along a side, by default
MIN_AREA = 8  # the smallest patch


def cut_into_areas(images: Images, side: int) -> Images:
    """Cut images into areas that do not overlap.

    Parameters
    ----------
    images : Images
    side : int
        In pixels. An image has as many areas along a side as fit, and what is left over makes them
        larger; one that is smaller stays whole.

    Returns
    -------
    Images
        Named by the row and the column where an area begins, as in scan.tif[0,256].

    Raises
    ------
    OptionError
        If the side is below 8.

    Examples
    --------
    >>> cut_into_areas(Images.of([np.zeros((40, 16), np.uint8)]), 16)
    Images(2 images of 20 × 16, gray)
    """
    if side < MIN_AREA:
        raise OptionError(f"areas must be {MIN_AREA} pixels or more along a side, not {side}.")
    grids = [list(_grid(images.values[row].shape, side)) for row in range(len(images))]
    rows = np.repeat(np.arange(len(images)), list(map(len, grids)))
    names = [
        f"{name}[{down.start},{across.start}]"
        for name, grid in zip(images.names, grids, strict=True)
        for down, across in grid
    ]
    reading = replace(images.origin.reading or Reading(), areas=side)
    items = images.items.take(rows)
    return replace(
        images,
        values=_cut(images.values, grids),
        items=Items(names, items.labels, items.class_names),
        splits=None if images.splits is None else images.splits[rows],
        origin=replace(images.origin, reading=reading),
        clean=None if images.clean is None else _cut(images.clean, grids),
    )


def _grid(shape: tuple[int, ...], side: int) -> Iterator[tuple[slice, slice]]:
    height, width, _ = shape
    return product(_divide(height, side), _divide(width, side))


def _divide(length: int, side: int) -> Iterator[slice]:
    """Divide a side into as many parts as fit, of the same length but for a pixel."""
    count = max(1, length // side)
    ends = [length * part // count for part in range(count + 1)]
    return (slice(start, end) for start, end in pairwise(ends))


def _cut(values: Ragged, grids: list[list[tuple[slice, slice]]]) -> Ragged:
    return Ragged.of([values[row][area] for row, grid in enumerate(grids) for area in grid])
