"""What a Parquet file says of its row groups, at its end.

pyarrow says it as well, but where a file is damaged, to ask it for a column ends the process.
The fields are those of https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

import os
import struct
from pathlib import Path
from typing import Any, NamedTuple

from isthmus.data.readers.parquet.thrift import Thrift
from isthmus.errors import SourceError
from isthmus.limits import reject_beyond
from isthmus.text import format_bytes

END = b"PAR1"
GROUPS = 4  # numbers of the fields of the whole, …
COLUMNS, ROWS = 1, 3  # … of a row group, …
DESCRIPTION = 3  # … of a column in it, …
PATH, UNPACKED, PACKED, DATA, DICTIONARY, STATISTICS = 3, 6, 7, 9, 11, 12  # … of its description
NULLS = 3  # … and of the statistics in that
NUMBERS = dict.fromkeys((PATH, UNPACKED, PACKED, DATA, DICTIONARY))
COLUMN = {DESCRIPTION: {**NUMBERS, STATISTICS: {NULLS: None}}}
WANTED = {GROUPS: {ROWS: None, COLUMNS: COLUMN}}


class Column(NamedTuple):
    """A column of a row group.

    Parameters
    ----------
    path : str
        Names of the column and of its fields, joined by dots.
    start, packed, unpacked : int
        Where in the file it begins, and its bytes there and unpacked.
    nulls : int, optional
        Rows without a value.
    """

    path: str
    start: int
    packed: int
    unpacked: int
    nulls: int | None


class Group(NamedTuple):
    """A row group: its rows and columns."""

    rows: int
    columns: tuple[Column, ...]


def read_footer(path: Path) -> list[Group]:
    """Return the row groups of a Parquet file.

    Raises
    ------
    SourceError
        If what it says of them is larger than lists may be.
    ValueError, LookupError, struct.error
        If it is damaged.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        length, end = struct.unpack("<I4s", file.read())
        if end != END or length > size - 8:
            raise ValueError("its end is not that of a Parquet file")
        said = f"{path} says of its parts {format_bytes(length)}"
        try:
            reject_beyond("ISTHMUS_MAX_LIST", length, said)
        except SourceError as error:
            raise SourceError(f"{error}.") from None
        file.seek(size - 8 - length)
        whole = Thrift(file.read(length)).read(WANTED)
    return [_read_group(group) for group in whole.get(GROUPS, [])]


def _read_group(group: dict[int, Any]) -> Group:
    columns = tuple(_read_column(one[DESCRIPTION]) for one in group[COLUMNS])
    if group[ROWS] < 0:
        raise ValueError("a part of it has a negative number of rows")
    return Group(group[ROWS], columns)


def _read_column(column: dict[int, Any]) -> Column:
    starts = [column[DATA], column.get(DICTIONARY) or column[DATA]]  # 0: no dictionary
    sizes = (column[PACKED], column[UNPACKED])
    if min(*starts, *sizes) < 0:
        raise ValueError("a part of it has a negative size")
    path = b".".join(column[PATH]).decode()
    return Column(path, min(starts), *sizes, column.get(STATISTICS, {}).get(NULLS))
