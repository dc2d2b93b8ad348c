"""How much the pages of a Parquet file unpack to, by their own headers.

pyarrow unpacks a page as a whole, to as many bytes as its header says, whatever the list of the
file's parts says. So the headers are looked at first.
"""

from collections.abc import Iterator
from typing import IO, NamedTuple

from isthmus.data.readers.parquet.thrift import Thrift

UNPACKED, PACKED = 2, 3  # numbers of the fields of a header
WANTED = {UNPACKED: None, PACKED: None}
HEADER_BYTES = 2**10  # that are read at once; a header may hold two values of its page
MAX_HEADER_BYTES = 2**24  # that pyarrow reads


class Page(NamedTuple):
    """Bytes of a page, and of it unpacked."""

    packed: int
    unpacked: int


def list_pages(file: IO[bytes], start: int, length: int) -> Iterator[Page]:
    """Yield the pages in a part of a file.

    Raises
    ------
    ValueError
        If a header is damaged.
    """
    end = start + length
    while start < end:
        page, size = _read_page(file, start, end)
        if page.packed < 0 or page.unpacked < 0:
            raise ValueError("a page of it has a negative size")
        yield page
        start += size + page.packed


def _read_page(file: IO[bytes], start: int, end: int) -> tuple[Page, int]:
    """Return a page and the bytes of its header."""
    size = HEADER_BYTES
    while True:
        file.seek(start)
        content = file.read(min(size, end - start))
        try:
            header = Thrift(content)
            found = header.read(WANTED)
            return Page(found.get(PACKED, 0), found.get(UNPACKED, 0)), header.place
        except IndexError:
            if size > len(content) or size > MAX_HEADER_BYTES:
                raise ValueError("the header of a page of it is cut short") from None
            size *= 16
