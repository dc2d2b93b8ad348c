"""Large pictures and arrays in parts, so that what is needed meanwhile is small."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

STRIP_VALUES = 2**22  # numbers of a part


def to_array(
    picture: Image.Image, convert: Callable[[Image.Image], Image.Image] | None = None
) -> NDArray[Any]:
    """Return a picture (H, W) or (H, W, C), converted first.

    NumPy alone would hold it three times, and each step of a conversion once more.
    """
    convert = convert or _keep
    if picture.width * picture.height <= STRIP_VALUES:
        return np.asarray(convert(picture))
    return _join(picture.height, (np.asarray(convert(strip)) for strip in _crop_strips(picture)))


def map_strips(
    function: Callable[[NDArray[Any]], NDArray[np.uint8]], values: NDArray[Any]
) -> NDArray[np.uint8]:
    """Return what a function makes of each number of an array, of the same shape."""
    if values.size <= STRIP_VALUES:
        return function(values)
    return _join(len(values), map(function, split(values)))


def split(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield an array in parts along its first axis."""
    rows = max(1, STRIP_VALUES * len(values) // values.size) if values.size else 1
    for start in range(0, len(values), rows):
        yield values[start : start + rows]


def _crop_strips(picture: Image.Image) -> Iterator[Image.Image]:
    picture.load()
    rows = max(1, STRIP_VALUES // picture.width)
    for top in range(0, picture.height, rows):
        yield picture.crop((0, top, picture.width, min(top + rows, picture.height)))


def _join(length: int, parts: Iterator[NDArray[Any]]) -> NDArray[Any]:
    first = next(parts)
    whole = np.empty((length, *first.shape[1:]), first.dtype)
    start = 0
    part: NDArray[Any] | None = first
    while part is not None:
        whole[start : start + len(part)] = part
        start += len(part)
        part = next(parts, None)
    return whole


def _keep(picture: Image.Image) -> Image.Image:
    return picture
