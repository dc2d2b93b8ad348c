"""The numbers of an image of any type, and the scale of a denoiser: black is 0 and white is 1."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.pictures.pixels import propose_stretch, value_range
from isthmus.errors import SourceError

Range = tuple[float, float]

# Of the types whose scale is known; others are fractions.
RANGES: dict[Any, Range] = {
    np.dtype(np.uint8): (0.0, 255.0),
    np.dtype(np.uint16): (0.0, 65535.0),
}
# What noise makes of fractions: four times a standard deviation of 0.25 beyond black and white.
LOWEST, HIGHEST = -1.0, 2.0


def find_range(image: NDArray[Any], given: Range | None = None) -> Range:
    """Return which numbers of an image are black and white: those given, or those of its type.

    Raises
    ------
    SourceError
        If it holds NaN or infinity, or numbers whose scale is not known.
    """
    known = RANGES.get(image.dtype.newbyteorder("="))  # in any order of bytes, as from FITS
    if known is not None:
        return given or known
    low, high = value_range(image, "the image")
    if given is not None:
        return given
    if image.dtype.kind == "f" and low >= LOWEST and high <= HIGHEST:
        return 0.0, 1.0
    black, white = propose_stretch(low, high).split(":")
    raise SourceError(
        f"the image holds {image.dtype} values from {low:g} to {high:g}; give uint8, uint16 or "
        "fractions from 0 to 1, or say which numbers are black and white by value_range, such as "
        f"({black}, {white})."
    )


def to_unit(values: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """Return numbers (H, W, C) as an input x (C, H, W) in which `low` is 0 and `high` is 1."""
    x = np.ascontiguousarray(np.moveaxis(values, -1, 0), np.float32)
    if low:
        x = x - np.float32(low)
    return np.asarray(x / np.float32(high - low), np.float32)


def from_unit(
    x: NDArray[np.float32], low: float, high: float, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Undo `to_unit`; what is darker than black or lighter than white becomes black or white."""
    values = np.moveaxis(x, 0, -1).clip(0, 1) * np.float32(high - low) + np.float32(low)
    return np.asarray(np.round(values) if dtype.kind in "iu" else values, dtype)
