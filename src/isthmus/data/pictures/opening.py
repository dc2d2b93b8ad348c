"""Files of pictures, opened by Pillow: in silence, of known kinds, and not too large."""

import io
import logging
import os
import re
import stat
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from typing import Any

from PIL import Image, UnidentifiedImageError

from isthmus.data.pictures.bounds import MAX_WEIGHT, reject_too_large, weigh
from isthmus.data.pictures.tiff import is_tiff, reject_large_tiles
from isthmus.errors import IsthmusError, SourceError, first_sentence
from isthmus.limits import limit_of, reject_beyond
from isthmus.runtime import ignored_warnings, total_memory
from isthmus.text import format_bytes

# Only these: Pillow knows others that start programs (EPS), whatever the file is called.
FORMATS = (
    *("BMP", "GIF", "JPEG", "MPO", "PNG", "PPM", "TIFF", "WEBP"),
    *("AVIF", "DIB", "ICO", "JPEG2000", "PCX", "TGA"),
)
MIN_CHECKED = 2**28  # bytes; a smaller file is never too large
JPEG_START = b"\xff\xd8"
DEPTH = re.compile(rb"\xff[\xc0-\xc3\xc9-\xcb]..(.)", re.DOTALL)  # bits of a sample of a JPEG
# Of a PPM. Pillow reads it letter by letter, which takes minutes for a comment of 100 MB.
MAX_PPM_HEADER = 2**16  # bytes
PPM_COMMENT = re.compile(rb"#[^\r\n]*")
# What the content of HEIC and HEIF begins with, after its length; AVIF has the same structure.
HEIF_STARTS = tuple(b"ftyp" + name for name in (b"heic", b"heix", b"hevc", b"heim", b"mif1"))


def read_content(file: bytes | str) -> bytes:
    """Return the content of a file.

    Raises
    ------
    SourceError
        If it would fill the memory: a sparse file claims any size and holds nothing.
    """
    if isinstance(file, bytes):
        return file
    with open(file, "rb", buffering=0) as opened:  # noqa: PTH123 - a Path takes twice as long
        _measure(opened)
        return opened.read()


def measure_content(file: bytes | str) -> int:
    """Return how many bytes `read_content` would return, or raise what it would."""
    if isinstance(file, bytes):
        return len(file)
    with open(file, "rb", buffering=0) as opened:  # noqa: PTH123
        return _measure(opened)


def _measure(opened: io.FileIO) -> int:
    status = os.fstat(opened.fileno())
    if status.st_size > MIN_CHECKED:
        _reject_large_file(status)
    return status.st_size


def _reject_large_file(status: os.stat_result) -> None:
    said = f"it has {format_bytes(status.st_size)}"
    blocks = getattr(status, "st_blocks", None)  # none on Windows
    if blocks is not None and stat.S_ISREG(status.st_mode) and blocks * 512 < status.st_size // 2:
        reject_beyond("ISTHMUS_MAX_FILE", status.st_size, f"{said}, most of which are holes")
    else:
        reject_over_memory(status.st_size)


def reject_over_memory(size: int) -> None:
    """Refuse a file of so many bytes, if it would take most of the memory.

    Raises
    ------
    SourceError
    """
    if size > total_memory() // 2:
        said = f"it has {format_bytes(size)}, over half of the memory"
        reject_beyond("ISTHMUS_MAX_FILE", size, said)


@contextmanager
def open_picture(content: bytes) -> Iterator[Image.Image]:
    """Open a picture with Pillow, whose warnings tell a user nothing that an error would not."""
    formats = prepare_heif() if is_heif(content) else prepare_decoders()
    with ignored_warnings, _open(content, formats) as picture:
        require_decodable(picture)
        yield picture


def _open(content: bytes, formats: tuple[str, ...]) -> Image.Image:
    if content.startswith(b"P") and len(content) > MAX_PPM_HEADER:
        _reject_long_header(content[:MAX_PPM_HEADER])
    try:
        return Image.open(io.BytesIO(content), formats=formats)
    except Image.DecompressionBombError:  # Pillow's own bound, which cannot be set for us alone
        return _open_without_bound(content, formats)


def _reject_long_header(start: bytes) -> None:
    """Refuse a PPM whose size is not where any program writes it.

    Raises
    ------
    SourceError
    """
    # Its name, width and height, and but for bitmaps the highest value; then come the pixels.
    count = 3 if start[1:2] in b"14" else 4
    if len(PPM_COMMENT.sub(b" ", start).split(None, count)) < count:
        raise SourceError("its header is too long; save it without its comments")


def _open_without_bound(content: bytes, formats: tuple[str, ...]) -> Image.Image:
    """Open a large picture as `Image.open` does, so that its sides are known."""
    for name in formats:
        factory, accepts = Image.OPEN[name]
        if accepts is None or accepts(content[:16]) is True:
            with suppress(SyntaxError, LookupError, TypeError, struct.error):
                return factory(io.BytesIO(content), "")
    raise UnidentifiedImageError


def require_decodable(picture: Any) -> None:
    """Refuse the present page of an opened picture if it is too large to be decoded.

    Raises
    ------
    SourceError
    """
    width, height = picture.size
    reject_too_large(width, height)
    if MAX_WEIGHT * width * height > limit_of("ISTHMUS_MAX_PIXELS"):
        reject_too_large(width, height, *weigh(picture))
    if picture.format == "TIFF":
        reject_large_tiles(picture.tag_v2, width * height)
    if picture.format == "ICO":  # whose own list of sizes need not be true
        reject_too_large(*picture.ico.frame(picture.ico.getentryindex(picture.size)).size)


@contextmanager
def open_if_known(content: bytes) -> Iterator[Image.Image | None]:
    """Open a picture with Pillow; None if it is a TIFF that Pillow has no mode for."""
    with ExitStack() as stack:
        try:
            picture = stack.enter_context(open_picture(content))
        except UnidentifiedImageError:
            if not is_tiff(content):
                _explain_unknown(content)
                raise
            picture = None
        yield picture


def _explain_unknown(content: bytes) -> None:
    depth = DEPTH.search(content) if content.startswith(JPEG_START) else None
    if depth is not None and depth[1] not in b"\x08":
        raise SourceError(f"a JPEG of {depth[1][0]} bits, which is not read; convert it to PNG")


def is_heif(content: bytes) -> bool:
    """Return whether a file is HEIC or HEIF, as telephones write them."""
    return content.startswith(HEIF_STARTS, 4) and b"avif" not in content[8:64]


@cache
def prepare_heif() -> tuple[str, ...]:
    """Teach Pillow HEIF, and return the name of the format.

    Raises
    ------
    SourceError
        If the package for it is missing.
    """
    prepare_decoders()
    try:
        from pillow_heif import register_heif_opener
    except ModuleNotFoundError:
        raise SourceError(
            "HEIC, which needs pillow-heif; install it with pip install 'isthmus[heic]'"
        ) from None
    register_heif_opener()
    return ("HEIF",)


def explain(error: Exception) -> IsthmusError:
    """Turn an error of a decoder into one of ours."""
    if isinstance(error, IsthmusError):
        return error
    if isinstance(error, UnidentifiedImageError):
        return SourceError("not an image that Pillow can read")
    if isinstance(error, Image.DecompressionBombError):
        most = limit_of("ISTHMUS_MAX_PIXELS")
        return SourceError(f"it has more than {most:,} pixels; set ISTHMUS_MAX_PIXELS to read it")
    if "MAX_TEXT" in str(error):  # bounds of Pillow's, on what is packed in a PNG
        return SourceError("its texts or its color profile are too large; save it without them")
    if isinstance(error, MemoryError):
        return SourceError(first_sentence(error))
    if str(error).startswith("decoder error"):  # and a number of Pillow's
        return SourceError("its content is damaged")
    return SourceError(str(error) or type(error).__name__)


@cache
def prepare_decoders() -> tuple[str, ...]:
    """Return the formats that Pillow is to read, as far as it can.

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
