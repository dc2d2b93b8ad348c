"""Pictures whose numbers stay as their files have them: all bits, and transparency apart."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isthmus.data.pictures.pixels import (
    ALPHA_MODES,
    GRAY_MODES,
    TOLERANCE,
    Stretch,
    propose_stretch,
    suits,
    value_range,
)
from isthmus.data.pictures.strips import to_array
from isthmus.errors import SourceError

if TYPE_CHECKING:
    from isthmus.data.pictures.scales import Scale

BYTES: Stretch = (0.0, 255.0)
WORDS: Stretch = (0.0, 65535.0)
FRACTIONS: Stretch = (0.0, 1.0)


class Whole(NamedTuple):
    """The numbers of a page.

    Parameters
    ----------
    values : (H, W, C) array
        Of the type of the file; 0 is black.
    alpha : (H, W) array, optional
        Of the same type.
    black_white : (float, float)
        The numbers that are black and white.
    """

    values: NDArray[Any]
    alpha: NDArray[Any] | None
    black_white: Stretch


def keep_eight_bits(picture: Image.Image, stretch: Stretch | None) -> Whole:
    """Return a decoded picture of eight bits, gray or in color, and its alpha apart."""
    has_alpha = picture.mode in ALPHA_MODES
    is_transparent = has_alpha or "transparency" in picture.info
    is_gray = picture.mode in GRAY_MODES

    def convert(part: Image.Image) -> Image.Image:
        target = "RGBA" if is_transparent else "L" if is_gray else "RGB"
        return part if part.mode == target else part.convert(target)

    array = to_array(picture, convert)
    array = array.reshape(*array.shape[:2], -1)
    if not is_transparent:
        return Whole(array, None, find_black_white(array, stretch))
    values = np.ascontiguousarray(array[..., : 1 if is_gray else 3])
    alpha = array[..., 3]
    is_used = has_alpha or alpha.min() < 255  # else it is a color that no pixel has
    return Whole(values, alpha if is_used else None, find_black_white(values, stretch))


def keep_numbers(
    values: NDArray[Any], scale: "Scale", has_alpha: bool, stretch: Stretch | None
) -> Whole:
    """Return (H, W, C) numbers of more than eight bits, and the last of them apart if it is alpha.

    Raises
    ------
    SourceError
        If it cannot be told which numbers are black and white.
    """
    alpha = values[..., -1] if has_alpha else None
    values = np.ascontiguousarray(values[..., :-1]) if has_alpha else values
    black_white = find_black_white(values, stretch, scale.white)
    if scale.is_inverted and scale.white is not None:
        values = np.asarray(scale.white - values, values.dtype)
    return Whole(values, alpha, black_white)


def find_black_white(
    values: NDArray[Any], stretch: Stretch | None, white: int | None = None
) -> Stretch:
    """Return which numbers are black and white: those of a stretch, of the type, or of the file.

    Raises
    ------
    SourceError
    """
    if stretch is not None and suits(stretch, values):
        return stretch
    if values.dtype == np.uint8:
        return BYTES
    low, high = value_range(values, "it")
    if white is not None:
        return (0.0, float(white))
    if values.dtype.kind == "f" and low >= -TOLERANCE and high <= 1 + TOLERANCE:
        return FRACTIONS
    if values.dtype.kind in "iu" and low >= 0 and high <= WORDS[1]:
        return BYTES if high <= BYTES[1] else WORDS  # of a type that is wider than its scale
    kind = "floats" if values.dtype.kind == "f" else "integers"
    raise SourceError(
        f"it holds {kind} from {low:g} to {high:g} instead of fractions from 0 to 1 or "
        "whole numbers from 0 to 65,535; train a model on such files with --stretch "
        f"{propose_stretch(low, high)}"
    )
