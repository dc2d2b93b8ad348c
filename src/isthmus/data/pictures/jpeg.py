"""JPEGs by their markers: where segments are, and whether what they ask for is too much."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from isthmus.data.pictures.bounds import PROGRESSIVE_WEIGHT, reject_too_large
from isthmus.errors import SourceError
from isthmus.limits import limit_of, reject_beyond

MARKERS_ALONE = (0x01, *range(0xD0, 0xD8))  # no length follows
START_OF_SCAN, END_OF_IMAGE, APP1 = 0xDA, 0xD9, 0xE1
PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)  # headers of such pictures
NEXT_MARKER = re.compile(rb"\xff(?=[^\x00\xff\xd0-\xd7])")  # behind the data of a scan
SCAN = re.compile(rb"\xff\xda")  # found ten times as fast as by `bytes.count`
MIN_SCAN_BYTES = 10
MAX_QUICK_WORK = 2**28  # pixels of all scans: some tenths of a second
MAX_QUICK = 2**24  # pixels that are decoded in a moment, even if the file has none of them
MAX_PIXELS_PER_BYTE = 1024  # that is all of one color: 256 in gray, 512 in color


class Segment(NamedTuple):
    """A marker, and where the content of its segment begins and ends."""

    marker: int
    start: int
    end: int


def list_segments(content: bytes) -> Iterator[Segment]:
    """Yield the segments of a JPEG up to its first scan, whose own segment is the last one."""
    position = 2
    while position + 4 <= len(content):
        if content[position] != 0xFF:
            position = content.find(0xFF, position)  # stray bytes
            if position < 0:
                return
            continue
        marker = content[position + 1]
        if marker == 0xFF or marker in MARKERS_ALONE:  # filled up
            position += 1 if marker == 0xFF else 2
            continue
        if marker == END_OF_IMAGE:
            return
        length = max(2, int.from_bytes(content[position + 2 : position + 4]))
        yield Segment(marker, position + 4, position + 2 + length)
        if marker == START_OF_SCAN:
            return
        position += 2 + length


def reject_large_jpeg(content: bytes, width: int, height: int, scale: int) -> int:
    """Refuse a JPEG that is too large although it is decoded at a reduced scale, or takes too long.

    At an eighth of its sides, one of four times as many pixels is decoded in a moment. But one of
    several scans, as all progressive ones are, is kept whole in memory until the last has come.

    Returns
    -------
    int
        For how many pixels there must be room while it is decoded.

    Raises
    ------
    SourceError
    """
    pixels, most = width * height, limit_of("ISTHMUS_MAX_PIXELS")
    is_kept = PROGRESSIVE_WEIGHT * pixels > most and _is_kept(content)
    if is_kept:
        reject_too_large(width, height, PROGRESSIVE_WEIGHT, "a progressive JPEG")
    if pixels // min(scale, 2) ** 2 > most:
        reject_too_large(width, height)
    if pixels > MAX_QUICK and pixels > MAX_PIXELS_PER_BYTE * len(content):
        raise SourceError("it is cut short")
    _reject_many_scans(content, pixels)
    return PROGRESSIVE_WEIGHT * pixels if is_kept else pixels // scale**2


def _reject_many_scans(content: bytes, pixels: int) -> None:
    """Refuse a JPEG of so many scans that it would take minutes to decode.

    Of a progressive JPEG, a scan without any content is a few bytes, and a walk over all blocks.
    """
    if len(content) // MIN_SCAN_BYTES * pixels < MAX_QUICK_WORK:
        return  # however many there are
    most = limit_of("ISTHMUS_MAX_SCANS")
    # At least as many as there are: the marker may also be in a thumbnail or in a profile.
    if any(True for _ in islice(SCAN.finditer(content), most, None)):
        count = _count_scans(content)
        reject_beyond("ISTHMUS_MAX_SCANS", count, f"it is a JPEG of {count:,} scans")


def _is_kept(content: bytes) -> bool:
    """Return whether a decoder keeps all of a JPEG until its last scan has come."""
    is_progressive = any(one.marker in PROGRESSIVE for one in list_segments(content))
    return is_progressive or _count_scans(content) > 1


def _count_scans(content: bytes) -> int:
    """Count scans, without what looks like one in segments of other kinds."""
    first = next((one for one in list_segments(content) if one.marker == START_OF_SCAN), None)
    if first is None:
        return 0
    count, position = 1, first.end
    while found := NEXT_MARKER.search(content, position):
        marker, start = content[found.end()], found.end() + 1
        if marker == END_OF_IMAGE:
            break
        count += marker == START_OF_SCAN
        position = start + max(2, int.from_bytes(content[start : start + 2]))
    return count
