"""Thrift's compact protocol, in which Parquet files describe themselves.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from collections.abc import Mapping
from typing import Any

TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
NUMBERS = (4, 5, 6)  # types of 16, 32 and 64 bits
MAX_DEPTH = 16
MAX_DIGITS = 10  # of a number, of seven bits each
MAX_STRUCTURES = 2**22  # each takes some hundred bytes; a column of a row group is four
DAMAGED = "what it says of its parts is damaged"

# What is read of a structure: of fields by their numbers, None for a number or bytes, or what is
# read of a structure in it; of lists, the same of each item. All others are passed over.
Wanted = Mapping[int, Any]


class Thrift:
    """Reads structures; what lies beyond the content raises an IndexError.

    Parameters
    ----------
    content : bytes
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.place = 0
        self._left = MAX_STRUCTURES

    def read(self, wanted: Wanted, depth: int = 0) -> dict[int, Any]:
        """Return a structure by the numbers of its fields; of a repeated number the largest.

        Raises
        ------
        ValueError
            If it is damaged, or has too many structures.
        """
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            raise ValueError(DAMAGED if self._left >= 0 else "it has too many parts")
        found: dict[int, Any] = {}
        field = 0
        while first := self._take():
            step, kind = first >> 4, first & 15
            field = field + step if step else self._read_signed()
            if kind in (TRUE, FALSE):  # which are said by the type
                continue
            value = self._read_value(kind, wanted.get(field) or {}, depth)
            if field in wanted:
                is_again = field in found and kind in NUMBERS and type(found[field]) is int
                found[field] = max(value, found[field]) if is_again else value
        return found

    def _read_value(self, kind: int, wanted: Wanted, depth: int) -> Any:
        if kind in NUMBERS:
            return self._read_signed()
        if kind in (TRUE, FALSE, BYTE, DOUBLE):
            return self._read_bytes(8 if kind == DOUBLE else 1)
        if kind == BINARY:
            return self._read_bytes(self._read_number())
        if kind == STRUCT:
            return self.read(wanted, depth + 1)
        if kind in (LIST, SET):
            return self._read_list(wanted, depth)
        if kind == MAP:
            return self._pass_map(depth)
        raise ValueError(DAMAGED)

    def _read_list(self, wanted: Wanted, depth: int) -> list[Any]:
        first = self._take()
        count = self._read_number() if first >> 4 == 15 else first >> 4
        values = []
        for _ in range(count):  # each takes a byte at least
            value = self._read_value(first & 15, wanted, depth + 1)
            if wanted or first & 15 == BINARY:
                values.append(value)
        return values

    def _pass_map(self, depth: int) -> None:
        count = self._read_number()
        kinds = self._take() if count else 0
        for _ in range(count):
            self._read_value(kinds >> 4, {}, depth + 1)
            self._read_value(kinds & 15, {}, depth + 1)

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
        raise ValueError(DAMAGED)

    def _take(self) -> int:
        byte = self.content[self.place]
        self.place += 1
        return byte

    def _read_bytes(self, count: int) -> bytes:
        start, self.place = self.place, self.place + count
        if self.place > len(self.content):
            raise IndexError
        return self.content[start : self.place]
