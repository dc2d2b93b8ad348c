"""How much the pages of a Parquet file unpack to, by their own headers.

pyarrow unpacks a page as a whole, to as many bytes as its header says, whatever the list of the
file's parts says. So the headers are looked at first. They are written in Thrift's compact
protocol: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from collections.abc import Iterator
from typing import IO, NamedTuple

UNPACKED, PACKED = 2, 3  # numbers of the fields of a header that are looked at
TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
NUMBERS = (4, 5, 6)  # types of 16, 32 and 64 bits
HEADER_BYTES = 2**10  # that are read at once; a header may hold two values of its page
MAX_HEADER_BYTES = 2**24  # that pyarrow reads
MAX_DEPTH = 8
MAX_DIGITS = 10  # of a number, of seven bits each


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
            header = Header(content)
            numbers = header.read_struct()
            return Page(numbers.get(PACKED, 0), numbers.get(UNPACKED, 0)), header.place
        except IndexError:
            if size > len(content) or size > MAX_HEADER_BYTES:
                raise ValueError("the header of a page of it is cut short") from None
            size *= 16


class Header:
    """Reads the compact protocol; what lies beyond the content raises an IndexError."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.place = 0

    def read_struct(self, depth: int = 0) -> dict[int, int]:
        """Return the largest number of each field that is one, by the number of the field."""
        if depth > MAX_DEPTH:
            raise ValueError("the header of a page of it is damaged")
        found: dict[int, int] = {}
        field = 0
        while kind := self._take():
            step, kind = kind >> 4, kind & 15
            field = field + step if step else self._read_signed()
            if kind in NUMBERS:
                found[field] = max(self._read_signed(), found.get(field, -(2**63)))
            elif kind not in (TRUE, FALSE):  # which are said by the type
                self._skip(kind, depth)
        return found

    def _skip(self, kind: int, depth: int) -> None:
        if kind in (TRUE, FALSE, BYTE):
            self._pass(1)
        elif kind in NUMBERS:
            self._read_number()
        elif kind == DOUBLE:
            self._pass(8)
        elif kind == BINARY:
            self._pass(self._read_number())
        elif kind in (LIST, SET, MAP):
            self._skip_many(kind, depth)
        elif kind == STRUCT:
            self.read_struct(depth + 1)
        else:
            raise ValueError("the header of a page of it is damaged")

    def _skip_many(self, kind: int, depth: int) -> None:
        if kind == MAP:
            count = self._read_number()
            both = self._take() if count else 0
            kinds = [both >> 4, both & 15]
        else:
            first = self._take()
            count = self._read_number() if first >> 4 == 15 else first >> 4
            kinds = [first & 15]
        for _ in range(count):  # each takes a byte at least
            for one in kinds:
                self._skip(one, depth + 1)

    def _read_signed(self) -> int:
        number = self._read_number()
        return (number >> 1) ^ -(number & 1)

    def _read_number(self) -> int:
        number = 0
        for digit in range(MAX_DIGITS):
            byte = self._take()
            number |= (byte & 127) << (7 * digit)
            if byte < 128:
                return number
        raise ValueError("the header of a page of it is damaged")

    def _take(self) -> int:
        byte = self.content[self.place]
        self.place += 1
        return byte

    def _pass(self, count: int) -> None:
        self.place += count
        if self.place > len(self.content):
            raise IndexError
