"""Files of pictures, opened by Pillow: in silence, of known kinds, and not too large."""

import io
import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache

from PIL import Image, UnidentifiedImageError

from isthmus.data.pictures.tiff import is_tiff
from isthmus.errors import IsthmusError, SourceError
from isthmus.runtime import ignored_warnings

MAX_PIXELS = 2**27  # 11,585 × 11,585: in color, 1 GB while it is decoded
MAX_SIDE = 2**16  # of a JPEG, and more than any picture is; of a damaged header, anything
# Only these: Pillow knows others that start programs (EPS), whatever the file is called.
FORMATS = (
    *("BMP", "GIF", "JPEG", "MPO", "PNG", "PPM", "TIFF", "WEBP"),
    *("AVIF", "DIB", "ICO", "JPEG2000", "PCX", "TGA"),
)
JPEG_START = b"\xff\xd8"
DEPTH = re.compile(rb"\xff[\xc0-\xc3\xc9-\xcb]..(.)", re.DOTALL)  # bits of a sample of a JPEG
# What the content of HEIC and HEIF begins with, after its length; AVIF has the same structure.
HEIF_STARTS = tuple(b"ftyp" + name for name in (b"heic", b"heix", b"hevc", b"heim", b"mif1"))


def read_content(file: bytes | str) -> bytes:
    """Return the content of a file."""
    if isinstance(file, bytes):
        return file
    with open(file, "rb", buffering=0) as opened:  # noqa: PTH123 - a Path takes twice as long
        return opened.read()


@contextmanager
def open_picture(content: bytes) -> Iterator[Image.Image]:
    """Open a picture with Pillow, whose warnings tell a user nothing that an error would not."""
    formats = prepare_heif() if is_heif(content) else prepare_decoders()
    with ignored_warnings, Image.open(io.BytesIO(content), formats=formats) as picture:
        reject_too_large(*picture.size)
        yield picture


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


def reject_too_large(width: int, height: int) -> None:
    """Refuse a picture that would take more than a gigabyte while it is decoded."""
    if max(width, height) > MAX_SIDE:
        raise SourceError(
            f"it is {width:,} pixels wide and {height:,} high; a side has {MAX_SIDE:,} at most"
        )
    if width * height > MAX_PIXELS:
        raise SourceError(f"it has {width:,} × {height:,} pixels, more than {MAX_PIXELS:,}")


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
    if str(error).startswith("decoder error"):  # and a number of Pillow's
        return SourceError("its content is damaged")
    return SourceError(str(error) or type(error).__name__)


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
