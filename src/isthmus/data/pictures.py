"""Pictures: what comes out of their files, whoever decodes them.

simplejpeg decodes plain JPEGs in half the time that Pillow needs with the same libjpeg-turbo;
tifffile reads the TIFFs that have more bands than Pillow has names for; Pillow reads all others.
"""

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from isthmus.data.exif import (
    FIRST_TURNED,
    UPRIGHT,
    jpeg_orientation,
    keep_orientation_only,
    picture_orientation,
    turn,
)
from isthmus.data.pixels import (
    ALPHA_MODES,
    GRAY_MODES,
    Stretch,
    as_pixels,
    composite,
    integers_to_bytes,
    scale_to_bytes,
    stretch_values,
    value_range,
)
from isthmus.data.tiff import Bands, count_samples, is_tiff, read_bands
from isthmus.errors import IsthmusError, SourceError
from isthmus.runtime import ignored_warnings

if TYPE_CHECKING:
    from isthmus.data.preprocess import Preprocessing

MAX_PIXELS = 2**27  # 11,585 × 11,585: in color, 1 GB while it is decoded
MAX_SIDE = 2**16  # of a JPEG, and more than any picture is; of a damaged header, anything
JPEG_COLORS = {"Gray": "GRAY", "YCbCr": "RGB"}  # of simplejpeg's header: of what it can return
JPEG_KINDS = {"GRAY": "8-bit gray", "RGB": "8-bit RGB"}
# Words in the warnings of libjpeg that mean wrong pixels; others, such as "extraneous bytes before
# marker", mean nothing to the picture.
JPEG_DAMAGE = ("Huffman", "premature end of data", "instead of RST", "Corrupt JPEG data: bad")
# Only these: Pillow knows others that start programs (EPS), whatever the file is called.
FORMATS = (
    *("BMP", "GIF", "JPEG", "MPO", "PNG", "PPM", "TIFF", "WEBP"),
    *("AVIF", "JPEG2000", "TGA", "ICO", "DIB"),
)
PHOTO_FORMATS = ("JPEG", "MPO")  # an MPO is a JPEG with others behind it, for 3D or a thumbnail
WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
PROGRESSIVE = b"\xff\xc2"  # the marker before the header of such a JPEG
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
    """

    kind: str
    white: int | None = None
    is_inverted: bool = False


class Picture(NamedTuple):
    """A decoded picture.

    Parameters
    ----------
    pixels : (h, w, C) uint8
        Upright; C is 1 for gray and 3 for any other.
    height, width : int
        Of the whole picture, upright.
    scale : int
        By which its sides were divided when it was decoded.
    kind : str
        Bits and channels of its file, for people.
    values : (low, high), optional
        The smallest and largest value of a file whose scale is finer than eight bits.
    pages : int
        Pages or frames in the file.
    is_turned : bool
        Whether EXIF turned it.
    """

    pixels: NDArray[np.uint8]
    height: int
    width: int
    scale: int
    kind: str
    values: Stretch | None = None
    pages: int = 1
    is_turned: bool = False


def decode_picture(
    file: bytes | str, preprocessing: "Preprocessing", may_reduce: bool = False, page: int = 0
) -> Picture:
    """Decode a picture, given as the content or the path of its file.

    Parameters
    ----------
    file : bytes or str
    preprocessing : Preprocessing
        Says the background, what is stretched, which bands are used, and how far a JPEG can be
        reduced.
    may_reduce : bool
        Whether a JPEG may be decoded at a reduced scale.
    page : int
        Which page or frame.

    Raises
    ------
    SourceError
        With the reason, if the file is broken or no picture.
    """
    try:
        content = read_content(file)
        if content.startswith(b"\xff\xd8"):
            picture = _decode_plain_jpeg(content, preprocessing, may_reduce)
            if picture is not None:
                return picture
        return _decode_with_pillow(content, preprocessing, may_reduce, page)
    except Exception as error:  # decoders of damaged files raise anything, down to a KeyError
        raise explain(error) from error


def explain(error: Exception) -> IsthmusError:
    """Turn an error of a decoder into one of ours."""
    if isinstance(error, IsthmusError):
        return error
    if isinstance(error, UnidentifiedImageError):
        return SourceError("not an image that Pillow can read")
    if isinstance(error, Image.DecompressionBombError):
        return SourceError(f"it has more than {MAX_PIXELS:,} pixels")
    if isinstance(error, MemoryError):
        return SourceError("it does not fit into memory")
    return SourceError(str(error) or type(error).__name__)


def read_content(file: bytes | str) -> bytes:
    """Return the content of a file."""
    if isinstance(file, bytes):
        return file
    with open(file, "rb", buffering=0) as opened:  # noqa: PTH123 - a Path takes twice as long
        return opened.read()


@contextmanager
def open_picture(content: bytes) -> Iterator[Image.Image]:
    """Open a picture with Pillow, whose warnings tell a user nothing that an error would not."""
    formats = prepare_decoders()
    with ignored_warnings, Image.open(io.BytesIO(content), formats=formats) as picture:
        reject_too_large(*picture.size)
        yield picture


def reject_too_large(width: int, height: int) -> None:
    """Refuse a picture that would take more than a gigabyte while it is decoded."""
    if max(width, height) > MAX_SIDE:
        raise SourceError(
            f"it is {width:,} pixels wide and {height:,} high; a side has {MAX_SIDE:,} at most"
        )
    if width * height > MAX_PIXELS:
        raise SourceError(f"it has {width:,} × {height:,} pixels, more than {MAX_PIXELS:,}")


def _reject_large_jpeg(content: bytes, width: int, height: int, scale: int) -> None:
    """Refuse a JPEG that is too large although it is decoded at a reduced scale.

    A progressive one is kept whole in memory until its last scan has come.
    """
    if width * height > MAX_PIXELS and PROGRESSIVE in content:
        scale = 1
    reject_too_large(width // min(scale, 2), height // min(scale, 2))


@cache
def prepare_decoders() -> tuple[str, ...]:
    """Return the formats that Pillow shall read, as far as it can.

    Messages of libraries are kept from stderr; errors still arrive as errors.

    libtiff prints by a function that can be exchanged, in the copy that Pillow brings. It is found
    through the module that is linked with it; where it is linked statically (Windows), it cannot
    be found and stays as it is.
    """
    for library in ("PIL", "tifffile"):
        logging.getLogger(library).addHandler(logging.NullHandler())
    with suppress(AttributeError, ImportError, OSError):
        import ctypes

        from PIL import _imaging

        libtiff = ctypes.CDLL(_imaging.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            setter = getattr(libtiff, name)
            setter.restype, setter.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
            setter(None)
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _decode_plain_jpeg(
    content: bytes, preprocessing: "Preprocessing", may_reduce: bool
) -> Picture | None:
    """Decode a JPEG that is gray or in the usual color space; None for any other.

    CMYK and YCCK are left to Pillow, which knows that Adobe's programs store them inverted.
    """
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None  # Pillow reports what is wrong
    colors = JPEG_COLORS.get(space)
    if colors is None:
        return None
    scale = preprocessing.reduction(width, height) if may_reduce else 1
    _reject_large_jpeg(content, width, height, scale)
    # simplejpeg takes the smallest scale that keeps these sides; libjpeg rounds up.
    sides = {"min_height": -(-height // scale), "min_width": -(-width // scale)}
    try:
        pixels = simplejpeg.decode_jpeg(content, colors, **sides if scale > 1 else {})
    except ValueError as error:
        if any(word in str(error) for word in JPEG_DAMAGE):
            raise
        return None  # also of pictures with bytes too many, which Pillow reads as everybody does
    orientation = jpeg_orientation(content)
    if orientation != UPRIGHT:
        pixels = turn(pixels, orientation)
        if orientation >= FIRST_TURNED:
            height, width = width, height
    pixels = _apply_choices(pixels, preprocessing)
    is_turned = orientation != UPRIGHT
    return Picture(pixels, height, width, scale, JPEG_KINDS[colors], is_turned=is_turned)


def _decode_with_pillow(
    content: bytes, preprocessing: "Preprocessing", may_reduce: bool, page: int
) -> Picture:
    try:
        with open_picture(content) as picture:
            if page:
                picture.seek(page)
            if picture.format == "TIFF" and _needs_all_bands(picture, preprocessing):
                return _decode_bands(content, preprocessing, page, count_pages(picture))
            return _decode_opened(picture, content, preprocessing, may_reduce)
    except UnidentifiedImageError:
        if not is_tiff(content):
            raise
    return _decode_bands(content, preprocessing, page)


def _decode_opened(
    picture: Image.Image, content: bytes, preprocessing: "Preprocessing", may_reduce: bool
) -> Picture:
    """Decode a picture that Pillow has opened."""
    width, height = picture.size
    if may_reduce and picture.format in PHOTO_FORMATS:
        scale = preprocessing.reduction(width, height)
        # Pillow may choose another scale, so that it is read from the result.
        picture.draft(None, (-(-width // scale), -(-height // scale)))
    scale = round(width / picture.width)  # rounded: the last pixel may stand for fewer
    orientation = picture_orientation(picture)
    if picture.format == "TIFF":
        keep_orientation_only(picture)
    scale_of_file = _describe(picture)
    values = _load_wide_values(picture, content)
    limits = None if values is None else value_range(values, "it")
    if values is None:
        pixels = _apply_choices(_to_eight_bits(picture, preprocessing.background), preprocessing)
    else:
        pixels = _fit_values(values, scale_of_file, preprocessing)
    # Of a TIFF that Pillow has turned when it loaded it, it has dropped the orientation.
    pixels = turn(pixels, picture_orientation(picture))
    if scale == 1:
        height, width = pixels.shape[:2]
    elif orientation >= FIRST_TURNED:
        height, width = width, height
    is_turned = orientation != UPRIGHT
    pages = count_pages(picture)
    return Picture(pixels, height, width, scale, scale_of_file.kind, limits, pages, is_turned)


def count_pages(picture: Image.Image) -> int:
    """Return how many pages or frames an opened picture has; 1 if it cannot be told."""
    if picture.format in PHOTO_FORMATS:
        return 1
    try:
        return int(getattr(picture, "n_frames", 1))
    except Exception:  # the first page is there, whatever a damaged list of the others raises
        return 1


def _apply_choices(pixels: NDArray[np.uint8], preprocessing: "Preprocessing") -> NDArray[np.uint8]:
    """Choose bands of and stretch what has eight bits already."""
    if preprocessing.bands is not None:
        pixels = _choose_bands(pixels, preprocessing.bands)
    if preprocessing.stretch is not None:
        pixels = stretch_values(pixels, preprocessing.stretch)
    return pixels


def _choose_bands(values: NDArray[Any], bands: tuple[int, ...]) -> NDArray[Any]:
    count = values.shape[-1]
    if max(bands) >= count:
        noun = "band" if count == 1 else "bands"
        raise SourceError(f"it has {count} {noun}, and --channels asks for number {max(bands) + 1}")
    return np.ascontiguousarray(values[..., list(bands)])


def _describe(picture: Image.Image) -> Scale:
    """Say how the numbers of an opened picture are meant, from its mode and its tags."""
    kind = MODE_KINDS.get(picture.mode, picture.mode)
    if picture.format == "TIFF":
        return _describe_tiff(picture, kind)
    if picture.mode in WIDE_MODES:
        return Scale("32-bit float gray") if picture.mode == "F" else Scale("16-bit gray", 65535)
    if ";16" in _raw_mode(picture):
        return Scale(kind.replace("8-bit", "16-bit"), 65535)
    if "transparency" in picture.info and "alpha" not in kind:
        kind += " with transparency"
    return Scale(kind, 255)


def _describe_tiff(picture: Any, kind: str) -> Scale:
    tags = picture.tag_v2
    bits, number = tags.get(258, (1,))[0], tags.get(339, (1,))[0]
    extra = count_samples(tags) - len(picture.getbands())
    if extra > 0 and picture.mode == "RGB":
        kind += f" and {extra} more"
    if picture.mode not in WIDE_MODES:
        is_wide = ";16" in _raw_mode(picture)
        return Scale(kind.replace("8-bit", f"{bits}-bit"), 65535 if is_wide else 255)
    if picture.mode == "F":
        return Scale(f"{bits}-bit float gray")
    if number == 1 and bits <= 16:
        return Scale(f"{bits}-bit gray", 2**bits - 1, is_inverted=tags.get(262) == 0)
    return Scale(f"{bits}-bit integer gray")


def _raw_mode(picture: Any) -> str:
    """Return in which order Pillow finds the samples of an opened picture, such as RGB;16B."""
    arguments = picture.tile[0].args if getattr(picture, "tile", None) else ""
    return str(arguments if isinstance(arguments, str) else next(iter(arguments or ("",))))


def _load_wide_values(picture: Image.Image, content: bytes) -> NDArray[Any] | None:
    """Return (H, W, C) numbers of more than eight bits as the file has them; None for others."""
    if picture.mode in WIDE_MODES:
        values = np.asarray(picture)
        if picture.format == "TIFF" and picture.mode == "I" and _is_unsigned(picture):
            values = values.view(np.uint32)  # Pillow has no mode for them
        return values[..., None]
    if picture.mode in ("RGB", "RGBA") and ";16" in _raw_mode(picture):
        return _load_both_bytes(picture, content)
    return None


def _is_unsigned(picture: Any) -> bool:
    tags = picture.tag_v2
    return bool(tags.get(339, (1,))[0] == 1 and tags.get(258, (1,))[0] == 32)


def _load_both_bytes(picture: Any, content: bytes) -> NDArray[np.uint16] | None:
    """Return all bits of 16-bit colors, of which Pillow keeps the upper byte: it is asked twice."""
    raw_mode, page = _raw_mode(picture), picture.tell()
    order = raw_mode[raw_mode.index(";16") :]
    with open_picture(content) as other:
        other.seek(page)
        tile = other.tile[0]  # type: ignore[attr-defined]
        arguments = tile.args if isinstance(tile.args, str) else tile.args[0]
        swapped = arguments.replace(order, OTHER_BYTE.get(order, order))
        arguments = swapped if isinstance(tile.args, str) else (swapped, *tile.args[1:])
        other.tile = [one._replace(args=arguments) for one in other.tile]  # type: ignore[attr-defined]
        if order not in OTHER_BYTE or "a" in raw_mode:  # premultiplied alpha: colors are divided
            return None
        try:
            lower = np.asarray(other)
        except ValueError:  # no such order for this mode
            return None
    upper: NDArray[np.uint16] = np.asarray(picture).astype(np.uint16)
    return np.asarray((upper << np.uint16(8)) | lower, np.uint16)


def _fit_values(
    values: NDArray[Any], scale: Scale, preprocessing: "Preprocessing"
) -> NDArray[np.uint8]:
    """Bring (H, W, C) numbers of more than eight bits to (H, W, 1) or (H, W, 3) pixels."""
    alpha = None
    if preprocessing.bands is not None:
        values = _choose_bands(values, preprocessing.bands)
    elif values.shape[-1] == 4:
        values, alpha = values[..., :3], scale_to_bytes(values[..., 3:], scale.white or 65535)
    if preprocessing.stretch is not None:
        pixels = stretch_values(values, preprocessing.stretch)
    elif scale.white is not None:
        pixels = scale_to_bytes(values, scale.white)
    elif values.dtype.kind in "iu":
        pixels = integers_to_bytes(values)
    else:
        pixels = as_pixels(values, "it")
    if scale.is_inverted:
        pixels = 255 - pixels
    if alpha is None:
        return pixels
    picture = Image.fromarray(np.concatenate([pixels, alpha], axis=-1), "RGBA")
    return np.asarray(composite(picture, preprocessing.background, gray=False))


def _to_eight_bits(picture: Image.Image, background: str) -> NDArray[np.uint8]:
    """Return a decoded picture of eight bits as (H, W, 1) or (H, W, 3) uint8."""
    # Palettes, and gray or RGB without alpha, may name one color that is transparent.
    if picture.mode in ALPHA_MODES or "transparency" in picture.info:
        picture = composite(picture.convert("RGBA"), background, gray=picture.mode in GRAY_MODES)
    target = "L" if picture.mode in GRAY_MODES else "RGB"
    pixels = np.asarray(picture.convert(target))
    return pixels.reshape(*pixels.shape[:2], -1)


def _needs_all_bands(picture: Any, preprocessing: "Preprocessing") -> bool:
    """Return whether a TIFF has bands that Pillow would drop, and somebody has to choose."""
    count = count_samples(picture.tag_v2)
    if preprocessing.bands is not None:
        return count > len(picture.getbands())
    return count > 4


def _decode_bands(
    content: bytes, preprocessing: "Preprocessing", page: int, pages: int | None = None
) -> Picture:
    """Decode a TIFF that Pillow has no mode for."""
    bands: Bands = read_bands(content, page, MAX_PIXELS)
    values, count = bands.values, bands.values.shape[-1]
    if preprocessing.bands is None and count not in (1, 3):
        raise SourceError(
            f"it has {count} bands; choose one or three of them by --channels, such as 3,2,1"
        )
    limits = value_range(values, "it")
    white = {"u1": 255, "u2": 65535}.get(values.dtype.str[1:])
    pixels = _fit_values(values, Scale(bands.kind, white, bands.is_inverted), preprocessing)
    pixels = turn(pixels, bands.orientation)
    height, width = pixels.shape[:2]
    is_turned = bands.orientation != UPRIGHT
    return Picture(pixels, height, width, 1, bands.kind, limits, pages or bands.pages, is_turned)
