"""How a picture lies in its file: the orientation that EXIF names, and how to turn by it."""

import re
import struct
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isthmus.data.pictures.jpeg import APP1, list_segments

ORIENTATION = 0x0112  # the tag, in EXIF and in TIFF
UPRIGHT = 1
FIRST_TURNED = 5  # from here on height and width are exchanged
# The axes that are reversed, after height and width are exchanged where that is needed.
FLIPS: dict[int, tuple[slice, slice]] = {
    2: (slice(None), slice(None, None, -1)),
    3: (slice(None, None, -1), slice(None, None, -1)),
    4: (slice(None, None, -1), slice(None)),
    5: (slice(None), slice(None)),
    6: (slice(None), slice(None, None, -1)),
    7: (slice(None, None, -1), slice(None, None, -1)),
    8: (slice(None, None, -1), slice(None)),
}
EXIF_HEADER = b"Exif\0"  # and another byte, usually 0
EXIF_START = re.compile(EXIF_HEADER)  # found faster than by `in`


def turn(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return pixels (H, W) or (H, W, C) upright, given the orientation in which they are stored."""
    if orientation not in FLIPS:
        return pixels
    if orientation >= FIRST_TURNED:
        pixels = pixels.swapaxes(0, 1)
    return np.ascontiguousarray(pixels[FLIPS[orientation]])


def jpeg_orientation(content: bytes) -> int:
    """Return the orientation that a JPEG's EXIF names, wherever it stands before the picture.

    An ICC profile or a block of Photoshop's may stand before it, of any length.
    """
    if (
        EXIF_START.search(content) is None
    ):  # the usual case, and faster than to walk through segments
        return UPRIGHT
    for marker, start, end in list_segments(content):
        if marker == APP1 and content.startswith(EXIF_HEADER, start):
            return _orientation_of_exif(content[start + 6 : end])
    return UPRIGHT


def picture_orientation(picture: Image.Image) -> int:
    """Return the orientation that Pillow finds for a picture; `UPRIGHT` if its EXIF is broken."""
    try:
        orientation = picture.getexif().get(ORIENTATION, UPRIGHT)
    except Exception:  # whatever a parser of foreign bytes raises: EXIF never prevents reading
        return UPRIGHT
    return orientation if orientation in FLIPS else UPRIGHT


def keep_orientation_only(picture: Image.Image) -> None:
    """Drop all other EXIF of an opened TIFF.

    Pillow turns a TIFF itself when it loads it and then writes its EXIF again, which fails for
    some values that it can read: signed fractions with a denominator of 0, or NaN.
    """
    with suppress(Exception):  # as above
        exif = picture.getexif()
        for tag in [tag for tag in exif if tag != ORIENTATION]:
            del exif[tag]


def _orientation_of_exif(exif: bytes) -> int:
    """Read the one number wanted; Pillow would parse everything, broken values included."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return UPRIGHT
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for i in range(count):
            tag, kind = struct.unpack_from(order + "HH", exif, start + 2 + 12 * i)
            if tag == ORIENTATION:
                number = "I" if kind == 4 else "H"  # a short, or by mistake a long
                (orientation,) = struct.unpack_from(order + number, exif, start + 10 + 12 * i)
                return orientation if orientation in FLIPS else UPRIGHT
    except struct.error:  # cut short
        pass
    return UPRIGHT
