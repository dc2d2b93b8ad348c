"""What each format of pictures can hold, and how it is written with as little loss as possible."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from isthmus.data.reading import MAX_EXAMPLES
from isthmus.errors import OptionError, list_names
from isthmus.text import count_of

JPEG = {"format": "JPEG", "quality": 95, "subsampling": 0}
HEIF = {"format": "HEIF", "quality": -1, "chroma": 444}  # -1: without loss
TIFF = {"format": "TIFF", "compression": "tiff_deflate"}
SAVE_OPTIONS: dict[str, dict[str, Any]] = {  # of Pillow, by suffix
    ".apng": {"format": "PNG"},
    ".avif": {"format": "AVIF", "quality": 100, "subsampling": "4:4:4"},
    ".bmp": {"format": "BMP"},
    ".dib": {"format": "DIB"},
    ".gif": {"format": "GIF"},
    ".heic": HEIF,
    ".heif": HEIF,
    ".hif": HEIF,
    ".j2k": {"format": "JPEG2000"},
    ".jfif": JPEG,
    ".jp2": {"format": "JPEG2000"},
    ".jpe": JPEG,
    ".jpeg": JPEG,
    ".jpg": JPEG,
    ".jpx": {"format": "JPEG2000"},
    ".pbm": {"format": "PPM"},
    ".pcx": {"format": "PCX"},
    ".pgm": {"format": "PPM"},
    ".png": {"format": "PNG"},
    ".pnm": {"format": "PPM"},
    ".ppm": {"format": "PPM"},
    ".tga": {"format": "TGA"},
    ".tif": TIFF,
    ".tiff": TIFF,
    ".webp": {"format": "WEBP", "lossless": True, "exact": True},
}
WITH_ALPHA = frozenset({"AVIF", "GIF", "HEIF", "JPEG2000", "PNG", "TGA", "TIFF", "WEBP"})
WITH_FRAMES = frozenset({"AVIF", "GIF", "HEIF", "PNG", "TIFF", "WEBP"})
TIMED = WITH_FRAMES - {"HEIF", "TIFF"}  # their frames have durations
WITH_PROFILE = frozenset({"AVIF", "HEIF", "JPEG", "PNG", "TIFF", "WEBP"})
WITH_EXIF = frozenset({"AVIF", "HEIF", "JPEG", "PNG", "TIFF", "WEBP"})
WITH_RESOLUTION = frozenset({"BMP", "DIB", "JPEG", "PNG", "TIFF"})
WITH_INTEGERS = frozenset({"PNG", "PPM", "TIFF"})  # gray ones of 16 bits
WITH_FRACTIONS = frozenset({"TIFF"})


def require_writable(names: Sequence[str]) -> None:
    """Reject names of pictures whose format can be read but not written.

    Raises
    ------
    OptionError
    """
    strange = [name for name in names if PurePath(name).suffix.lower() not in SAVE_OPTIONS]
    if strange:
        raise OptionError(
            f"{count_of(len(strange), 'picture is', 'pictures are')} of a format that is read "
            f"but not written, such as {list_names(strange[:MAX_EXAMPLES])}; convert to PNG first."
        )
