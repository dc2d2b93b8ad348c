"""What the numbers in a picture file mean, and how they become eight bits."""

import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isthmus.data.pictures.exif import keep_orientation_only
from isthmus.data.pictures.opening import open_picture
from isthmus.data.pictures.pixels import (
    ALPHA_MODES,
    GRAY_MODES,
    Stretch,
    composite,
    floats_to_bytes,
    integers_to_bytes,
    scale_to_bytes,
    stretch_values,
    suits,
    value_range,
)
from isthmus.data.pictures.strips import to_array
from isthmus.data.pictures.tiff import (
    BITS_PER_SAMPLE,
    PHOTOMETRIC,
    SAMPLE_FORMAT,
    SIGNED,
    UNSIGNED,
    WHITE_IS_ZERO,
    count_samples,
)
from isthmus.errors import SourceError
from isthmus.text import count_of

if TYPE_CHECKING:
    from isthmus.data.preprocess import Preprocessing

WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
MODE_KINDS = {
    "1": "1-bit",
    "L": "8-bit gray",
    "LA": "8-bit gray with alpha",
    "P": "palette",
    "PA": "palette with alpha",
    "RGB": "8-bit RGB",
    "RGBA": "8-bit RGB with alpha",
    "RGBX": "8-bit RGB",
    "CMYK": "8-bit CMYK",
    "YCbCr": "8-bit YCbCr",
    "LAB": "8-bit Lab",
    "I": "16-bit gray",  # of every format but TIFF
    "F": "32-bit float gray",
}
# How Pillow is told the byte order of 16-bit samples, of which it keeps the upper byte, and what
# makes it take the lower one instead.
OTHER_BYTE = {
    ";16L": ";16B",
    ";16B": ";16L",
    ";16N": ";16B" if sys.byteorder == "little" else ";16L",
}

WIDE_PPM = "PPM"  # in place of an order: of more than eight bits


class Scale(NamedTuple):
    """How the numbers in a file are meant.

    Parameters
    ----------
    kind : str
        Bits and channels, for people.
    white : int, optional
        The largest number of the scale; None for fractions and for integers that declare none.
    is_inverted : bool
        Whether 0 is white.
    raw_mode : str
        In which order Pillow finds the numbers, such as RGB;16B.
    """

    kind: str
    white: int | None = None
    is_inverted: bool = False
    raw_mode: str = ""

    @property
    def is_gray(self) -> bool:
        """Whether a picture that Pillow opens in color is gray."""
        return "gray" in self.kind


def bits_of(kind: str) -> int:
    """Return the bits of a kind of file, as `Scale` names it.

    Examples
    --------
    >>> bits_of("16-bit gray"), bits_of("palette")
    (16, 8)
    """
    found = re.match(r"(\d+)-bit", kind)
    return int(found[1]) if found else 8


def describe_scale(picture: Image.Image) -> Scale:
    """Say how the numbers of an opened picture are meant, from its mode and its tags."""
    kind = MODE_KINDS.get(picture.mode, picture.mode)
    if picture.format == "TIFF":
        return _describe_tiff(picture, kind)
    if picture.mode in WIDE_MODES:
        return Scale("32-bit float gray") if picture.mode == "F" else Scale("16-bit gray", 65535)
    raw_mode = _raw_mode(picture)
    if ";16" in raw_mode:
        if raw_mode.startswith("LA"):  # which has no mode of its own
            kind = MODE_KINDS["LA"]
        return Scale(kind.replace("8-bit", "16-bit"), 65535, raw_mode=raw_mode)
    if picture.format == "PPM" and picture.mode == "RGB" and _is_wide_ppm(picture):
        white = picture.tile[0].args[1]  # type: ignore[attr-defined]
        return Scale("16-bit RGB", white, raw_mode=WIDE_PPM)
    if "transparency" in picture.info and "alpha" not in kind:
        kind += " with transparency"
    return Scale(kind, 255)


def _describe_tiff(picture: Any, kind: str) -> Scale:
    tags = picture.tag_v2
    bits, number = tags.get(BITS_PER_SAMPLE, (1,))[0], tags.get(SAMPLE_FORMAT, (1,))[0]
    extra = count_samples(tags) - len(picture.getbands())
    if extra > 0 and picture.mode in ("L", "RGB"):
        kind += f" and {extra} more"
    if picture.mode == "L" and bits == 8 and number == SIGNED:
        return Scale("8-bit integer gray")
    if picture.mode not in WIDE_MODES:
        raw_mode = _raw_mode(picture)
        is_wide = ";16" in raw_mode
        kind = kind.replace("8-bit", f"{bits}-bit")
        return Scale(kind, 65535 if is_wide else 255, raw_mode=raw_mode)
    if picture.mode == "F":
        return Scale(f"{bits}-bit float gray")
    if number == UNSIGNED and bits <= 16:
        return Scale(
            f"{bits}-bit gray", 2**bits - 1, is_inverted=tags.get(PHOTOMETRIC) == WHITE_IS_ZERO
        )
    return Scale(f"{bits}-bit integer gray")


def _raw_mode(picture: Any) -> str:
    """Return in which order Pillow finds the samples of an opened picture, such as RGB;16B."""
    arguments = picture.tile[0].args if getattr(picture, "tile", None) else ""
    return str(arguments if isinstance(arguments, str) else next(iter(arguments or ("",))))


def load_wide_values(picture: Image.Image, scale: Scale, content: bytes) -> NDArray[Any] | None:
    """Return (H, W, C) numbers as the file has them, unless they are pixels of eight bits."""
    if picture.mode == "L" and scale.white is None:
        return to_array(picture).view(np.int8)[..., None]
    if picture.mode in WIDE_MODES:
        values = to_array(picture)
        if picture.format == "TIFF" and picture.mode == "I" and _is_unsigned(picture):
            values = values.view(np.uint32)  # Pillow has no mode for them
        return values[..., None]
    if scale.raw_mode == WIDE_PPM:
        return _load_wide_ppm(picture, content)
    if picture.mode in ("RGB", "RGBA") and ";16" in scale.raw_mode:
        return _load_both_bytes(picture, scale.raw_mode, content)
    return None


def _is_unsigned(picture: Any) -> bool:
    tags = picture.tag_v2
    return bool(
        tags.get(SAMPLE_FORMAT, (1,))[0] == UNSIGNED and tags.get(BITS_PER_SAMPLE, (1,))[0] == 32
    )


def _load_both_bytes(picture: Any, raw_mode: str, content: bytes) -> NDArray[np.uint16]:
    """Return all bits of 16-bit colors, of which Pillow keeps the upper byte: it is asked twice."""
    page = picture.tell()
    if raw_mode == "LA;16B":
        return _load_gray_and_alpha(content, picture.tell())
    upper: NDArray[np.uint16] = to_array(picture).astype(np.uint16)
    order = raw_mode[raw_mode.index(";16") :]
    with open_picture(content) as other:
        other.seek(page)
        if other.format == "TIFF":
            keep_orientation_only(other)
        tiles: Any = other.tile  # type: ignore[attr-defined]
        arguments = tiles[0].args
        swapped = raw_mode.replace(order, OTHER_BYTE.get(order, order))
        arguments = swapped if isinstance(arguments, str) else (swapped, *arguments[1:])
        other.tile = [tile._replace(args=arguments) for tile in tiles]  # type: ignore[attr-defined]
        try:
            # Colors with premultiplied alpha are divided by it, which is not done byte by byte.
            lower = None if "a" in raw_mode else to_array(other)
        except ValueError:  # no such order for this mode
            lower = None
    upper *= np.uint16(257 if lower is None else 256)
    if lower is not None:
        upper |= lower
    return upper


def _load_gray_and_alpha(content: bytes, page: int) -> NDArray[np.uint16]:
    """Return (H, W, 4) of a PNG of gray and alpha: its four bytes are read as those of a color."""
    with open_picture(content) as other:
        other.seek(page)
        tiles: Any = other.tile  # type: ignore[attr-defined]
        other.tile = [tile._replace(args="RGBA") for tile in tiles]  # type: ignore[attr-defined]
        gray_alpha = to_array(other).view(">u2").astype(np.uint16)
    return gray_alpha[..., [0, 0, 0, 1]]


def _is_wide_ppm(picture: Any) -> bool:
    return bool(picture.tile[0].codec_name == "ppm" and picture.tile[0].args[1] > 255)


def _load_wide_ppm(picture: Any, content: bytes) -> NDArray[np.uint16]:
    """Return all bits of a binary PPM in colors, of which Pillow keeps eight."""
    count = picture.width * picture.height * 3
    values = np.frombuffer(content, ">u2", count, picture.tile[0].offset)
    return values.astype(np.uint16).reshape(picture.height, picture.width, 3)


def fit_values(
    values: NDArray[Any], scale: Scale, preprocessing: "Preprocessing"
) -> tuple[NDArray[np.uint8], Stretch]:
    """Bring (H, W, C) numbers to (H, W, 1) or (H, W, 3) pixels; also return their range.

    Alpha and bands that are not chosen do not count in the range.
    """
    alpha = None
    if preprocessing.bands is not None:
        values = choose_bands(values, preprocessing.bands)
    elif values.shape[-1] == 4:
        values, alpha = values[..., :3], scale_to_bytes(values[..., 3:], scale.white or 65535)
    limits = value_range(values, "it")
    if preprocessing.stretch is not None and suits(preprocessing.stretch, values):
        pixels = stretch_values(values, preprocessing.stretch)
    elif scale.white is not None:
        pixels = scale_to_bytes(values, scale.white)
    elif values.dtype.kind in "iu":
        pixels = integers_to_bytes(values)
    else:
        pixels = floats_to_bytes(values)
    if scale.is_inverted:
        pixels = 255 - pixels
    if alpha is None:
        return pixels, limits
    colored = to_array(
        Image.fromarray(np.concatenate([pixels, alpha], axis=-1)),
        lambda part: composite(part, preprocessing.background, scale.is_gray),
    )
    return colored.reshape(*pixels.shape[:2], -1), limits


def apply_choices(
    pixels: NDArray[np.uint8], preprocessing: "Preprocessing"
) -> tuple[NDArray[np.uint8], Stretch | None]:
    """Choose bands of and stretch what has eight bits already; return the range it had before."""
    if preprocessing.bands is not None:
        pixels = choose_bands(pixels, preprocessing.bands)
    if preprocessing.stretch is None:
        return pixels, None
    limits = value_range(pixels, "it")
    if suits(preprocessing.stretch, pixels):
        pixels = stretch_values(pixels, preprocessing.stretch)
    return pixels, limits


def to_eight_bits(picture: Image.Image, background: str) -> NDArray[np.uint8]:
    """Return a decoded picture of eight bits as (H, W, 1) or (H, W, 3) uint8."""
    # Palettes, and gray or RGB without alpha, may name one color that is transparent.
    is_transparent = picture.mode in ALPHA_MODES or "transparency" in picture.info
    is_gray = picture.mode in GRAY_MODES

    def convert(part: Image.Image) -> Image.Image:
        if is_transparent:
            if part.mode != "RGBA":  # else it would be a copy
                part = part.convert("RGBA")
            part = composite(part, background, is_gray)
        target = "L" if part.mode in GRAY_MODES else "RGB"
        return part if part.mode == target else part.convert(target)

    pixels = to_array(picture, convert)
    return pixels.reshape(*pixels.shape[:2], -1)


def choose_bands(values: NDArray[Any], bands: tuple[int, ...]) -> NDArray[Any]:
    """Return some bands of (..., C), counted from 0.

    Raises
    ------
    SourceError
        If there are not so many; without a full stop, and "it" for the picture.
    """
    count = values.shape[-1]
    if max(bands) >= count:
        raise SourceError(
            f"it has {count_of(count, 'band')}, and --channels asks for number {max(bands) + 1}"
        )
    return np.ascontiguousarray(values[..., list(bands)])
