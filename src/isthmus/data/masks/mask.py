"""`Mask`: the pixels of a mask and what its file holds for them, numbers or colors.

Whether 255 is a class, and which class a color stands for, only all masks of a source tell; see
`isthmus.data.masks.table`. Here a mask is one number a pixel, and a table of what these mean.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isthmus.data.pictures.exif import (
    jpeg_orientation,
    keep_orientation_only,
    picture_orientation,
    turn,
)
from isthmus.data.pictures.opening import open_picture, read_content
from isthmus.data.pictures.strips import map_strips, split, to_array
from isthmus.errors import SourceError

LOSSY_FORMATS = (
    "JPEG",
    "MPO",
    "WEBP",
    "JPEG2000",
    "AVIF",
    "HEIF",
)  # they change values, and a mask's values are classes
MAX_VALUES = 256  # in the masks of a source; a pixel has 8 bits
VOID_16_BIT = 65535  # white of 16 bits, as 255 is of 8
OPAQUE = 255
GRAY, EQUAL, BIT, PALETTE, COLOR = "gray", "equal", "bit", "palette", "color"


class MaskError(SourceError):
    """A readable picture that cannot be a mask; the message continues its name."""


class MaskValue(NamedTuple):
    """What a file holds for the pixels of one class.

    Parameters
    ----------
    kind : str
        "gray", "equal" (gray stored as color or with alpha), "bit", "palette" or "color".
    number : int
        Gray value or index, 0 to 255; -1 for a color.
    color : int
        What a viewer shows, as 0xRRGGBB.
    """

    kind: str
    number: int
    color: int

    def __str__(self) -> str:
        return f"#{self.color:06x}" if self.number < 0 else str(self.number)


class Mask(NamedTuple):
    """A decoded mask.

    Parameters
    ----------
    pixels : (H, W) uint8
        Where each pixel's value stands in a table of 256, of which `places` are in use.
    places : (k,) int64
        The numbers that occur in `pixels`.
    values : tuple of k MaskValue
    counts : (k,) int64
        How many pixels have each value.
    """

    pixels: NDArray[np.uint8]
    places: NDArray[np.int64]
    values: tuple[MaskValue, ...]
    counts: NDArray[np.int64]

    def translate(self, legend: bytes) -> "Mask":
        """Replace gray values and indices by the classes that they stand for.

        Raises
        ------
        MaskError
            If the mask holds colors.
        """
        if any(value.number < 0 for value in self.values):
            raise MaskError("holds colors; save a PNG of gray values or palette indices")
        return read_gray(np.frombuffer(legend, np.uint8)[self.pixels])


def read_mask(picture: Image.Image) -> Mask:
    """Read a mask, upright, from a picture that Pillow has opened; of several pages the first.

    Raises
    ------
    MaskError
        If it is a picture that does not hold a class for each pixel.
    """
    if picture.format in LOSSY_FORMATS:
        raise MaskError(
            f"is a {picture.format}, which does not keep values; save masks as PNG files from the "
            "start"
        )
    read = MODES.get(picture.mode)
    if read is None:
        raise MaskError(
            f"is of mode {picture.mode}; save a PNG of palette indices (P), of 8-bit gray values "
            "(L) or of colors (RGB), one for each class"
        )
    if picture.format == "TIFF":
        keep_orientation_only(picture)
    mask = read(picture)
    return mask._replace(pixels=turn(mask.pixels, picture_orientation(picture)))


def turn_like(mask: Mask, picture: bytes | str) -> Mask:
    """Turn a mask that was drawn on its picture as that is stored, which EXIF turns."""
    content = read_content(picture)
    with open_picture(content) as opened:
        orientation = picture_orientation(opened)
    if content.startswith(b"\xff\xd8"):
        orientation = jpeg_orientation(content)
    return mask._replace(pixels=turn(mask.pixels, orientation))


def read_gray(pixels: NDArray[np.uint8], kind: str = GRAY) -> Mask:
    """Take gray values (H, W) as they are."""
    return _tabulate(pixels, lambda value: MaskValue(kind, value, value * 0x010101))


def pack_color(red: int, green: int, blue: int) -> int:
    """Return a color as 0xRRGGBB."""
    return red << 16 | green << 8 | blue


def is_gray(color: int) -> bool:
    """Return whether red, green and blue of 0xRRGGBB are equal."""
    return color == (color & 255) * 0x010101


def _tabulate(pixels: NDArray[np.uint8], describe: Callable[[int], MaskValue]) -> Mask:
    """Return the mask of pixels (H, W) whose values are described by a function."""
    # In parts, as it takes eight bytes for each pixel.
    counts = np.zeros(256, np.int64)
    for part in split(pixels):
        counts += np.bincount(part.ravel(), minlength=256)
    places = np.flatnonzero(counts)
    return Mask(pixels, places, tuple(map(describe, places.tolist())), counts[places])


def _read_gray(picture: Image.Image) -> Mask:
    return read_gray(to_array(picture).copy())


def _read_bits(picture: Image.Image) -> Mask:
    pixels = to_array(picture).astype(np.uint8)
    return _tabulate(pixels, lambda value: MaskValue(BIT, value, value * 0xFFFFFF))


def _read_palette(picture: Image.Image) -> Mask:
    channels = [*(picture.getpalette("RGB") or ()), *bytes(3 * 256)]  # it may have fewer colors

    def describe(index: int) -> MaskValue:
        return MaskValue(PALETTE, index, pack_color(*channels[3 * index : 3 * index + 3]))

    mask = _tabulate(to_array(picture).copy(), describe)
    if picture.format == "GIF" and all(is_gray(value.color) for value in mask.values):
        # It has no gray: whoever writes it numbers the gray values that occur in each file.
        return read_gray(np.array(channels[: 3 * 256 : 3], np.uint8)[mask.pixels], EQUAL)
    return mask


def _read_numbers(picture: Image.Image) -> Mask:
    """Read numbers of more than 8 bits, as long as they are those of classes."""
    return read_gray(map_strips(_to_classes, to_array(picture)))


def _to_classes(numbers: NDArray[Any]) -> NDArray[np.uint8]:
    numbers = np.where(numbers == VOID_16_BIT, 255, numbers)
    wrong = ~((numbers >= 0) & (numbers <= 255))  # also true of NaN
    if not wrong.any():
        wrong = numbers != np.floor(numbers)
    if wrong.any():
        raise MaskError(
            f"holds the value {numbers[wrong][0]:g}; the values of masks are class numbers, whole "
            "and at most 255"
        )
    return np.asarray(numbers.astype(np.uint8))


def _read_with_alpha(picture: Image.Image) -> Mask:
    """Read a picture whose alpha channel says nothing."""
    if picture.getchannel("A").getextrema() != (OPAQUE, OPAQUE):
        raise MaskError("is transparent in parts, which is no class; save it without transparency")
    if picture.mode == "LA":
        return read_gray(to_array(picture.getchannel("L")).copy(), EQUAL)
    return _read_colors(picture.convert("RGB"))


def _read_colors(picture: Image.Image) -> Mask:
    """Read colors; those of equal red, green and blue are gray values."""
    found = picture.getcolors(MAX_VALUES)
    if found is None:
        raise MaskError(
            f"holds more than {MAX_VALUES} colors, and a mask has one for each class; save it "
            "without antialiasing and without loss, or give --layout folders if it is no mask"
        )
    colors = {pack_color(*color[:3]): count for count, color in found if isinstance(color, tuple)}
    if all(map(is_gray, colors)):
        return read_gray(to_array(picture.getchannel("R")).copy(), EQUAL)
    palette = np.array(sorted(colors), np.uint32)

    def find(channels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        red, green, blue = (channels[..., i].astype(np.uint32) for i in range(3))
        places = np.searchsorted(palette, red << 16 | green << 8 | blue)
        return places.astype(np.uint8)

    pixels = to_array(picture)
    return Mask(
        np.concatenate([find(part) for part in split(pixels)]),
        np.arange(len(palette)),
        tuple(MaskValue(COLOR, -1, color) for color in palette.tolist()),
        np.array([colors[color] for color in palette.tolist()]),
    )


MODES: dict[str, Callable[[Image.Image], Mask]] = {
    "1": _read_bits,
    "L": _read_gray,
    "P": _read_palette,
    "RGB": _read_colors,
    "RGBA": _read_with_alpha,
    "LA": _read_with_alpha,
    **dict.fromkeys(("I", "F", "I;16", "I;16B", "I;16L", "I;16N"), _read_numbers),
}
