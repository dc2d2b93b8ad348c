"""How many pages or frames a file has.

Pillow opens each frame to count it, and compares each with all before: of a small file of many
pages, that takes minutes. Here headers are passed over, and counting ends soon after the bound.
"""

from typing import Any

from PIL import Image

from isthmus.data.pictures.opening import JPEG_START, open_if_known, read_content
from isthmus.data.pictures.tiff import count_tiff_pages
from isthmus.errors import SourceError
from isthmus.limits import limit_of, reject_beyond

PHOTO_FORMATS = ("JPEG", "MPO")  # an MPO is a JPEG with others behind it, for 3D or a thumbnail
MAX_PIXELS_OF_ALL = 64  # times those of one picture that all pages may have, whatever their size
GIF_IMAGE, GIF_EXTENSION = 0x2C, 0x21
HAS_COLORS, COLORS = 0x80, 0x07  # of the flags before a table of colors


def count_pages(file: bytes | str) -> int:
    """Return how many pages or frames a file has that are all to be read; 1 if it cannot be read.

    Raises
    ------
    SourceError
        If there are too many, without a full stop.
    """
    try:
        content = read_content(file)
        if content.startswith(JPEG_START):
            return 1
        with open_if_known(content) as picture:
            if picture is None:
                count, pixels = count_tiff_pages(content, _most()), 0
            else:
                count, pixels = count_frames(picture, content), picture.width * picture.height
    except Exception:  # it is decoded later, which tells the reason
        return 1
    reject_beyond("ISTHMUS_MAX_PAGES", count, f"it has {count:,} pages or more")
    _reject_long(count, count * pixels, len(content))
    return count


def count_frames(picture: Image.Image, content: bytes) -> int:
    """Return how many pages or frames an opened picture has; 1 if it cannot be told.

    Beyond `ISTHMUS_MAX_PAGES`, it need not be all.
    """
    if picture.format in PHOTO_FORMATS:
        return 1
    try:
        if picture.format == "TIFF":
            return count_tiff_pages(content, _most())
        if picture.format == "GIF":
            return _count_gif_frames(content, _most())
        return int(getattr(picture, "n_frames", 1))
    except Exception:  # the first page is there, whatever a damaged list of the others raises
        return 1


def _most() -> int:
    return limit_of("ISTHMUS_MAX_PAGES") + 1


def _reject_long(count: int, pixels: int, size: int) -> None:
    """Refuse a file whose many large pages say nothing."""
    most = MAX_PIXELS_OF_ALL * limit_of("ISTHMUS_MAX_PIXELS")
    if pixels > max(most, size * limit_of("ISTHMUS_MAX_RATIO")):
        raise SourceError(
            f"its {count:,} pages have {pixels:,} pixels in {size:,} bytes, more than {most:,}; "
            "set ISTHMUS_MAX_PIXELS to read it"
        )


def _count_gif_frames(content: bytes, most: int) -> int:
    position = 13 + _size_of_colors(content[10])
    count = 0
    while count < most and position < len(content):
        kind = content[position]
        if kind == GIF_IMAGE:
            flags: Any = content[position + 9 : position + 10]
            count += 1
            position += 11 + (_size_of_colors(flags[0]) if flags else 0)
        elif kind == GIF_EXTENSION:
            position += 2
        else:  # the end, or stray bytes
            position += 1
            if kind == 0x3B:
                break
            continue
        position = _skip_blocks(content, position)
    return max(count, 1)


def _size_of_colors(flags: int) -> int:
    return 3 * 2 ** ((flags & COLORS) + 1) if flags & HAS_COLORS else 0


def _skip_blocks(content: bytes, position: int) -> int:
    """Return where the blocks end that begin at a position, each with its length in front."""
    while position < len(content) and content[position]:
        position += 1 + content[position]
    return position + 1
