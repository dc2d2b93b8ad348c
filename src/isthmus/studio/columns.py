"""Columns: arrays of numbers as files that a page reads without parsing.

A header of 16 bytes, then the numbers, all little-endian:

======  =====================================================================
bytes   content
======  =====================================================================
0-3     the letters ISTH
4       version of the format, 1
5       kind of the numbers, an index in `DTYPES`
6-7     how many numbers a row has
8-11    how many rows there are
12-15   zero
======  =====================================================================

The header is as long as the widest vector of a processor, so that a page, and a memory map, can
view the numbers where they are.
"""

import math
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from isthmus.damage import reporting_damage
from isthmus.errors import IsthmusError

MAGIC, FORMAT = b"ISTH", 1
HEADER = struct.Struct("<4sBBHII")
DTYPES = tuple(map(np.dtype, ("<u1", "<u2", "<i4", "<f4", "<f2")))
MAX_COLUMNS, MAX_ROWS = 2**16 - 1, 2**32 - 1


def pack(values: NDArray[Any]) -> bytes:
    """Return an array as the content of a column's file.

    Parameters
    ----------
    values : (N, ...) array
        uint8, uint16, int32, float32 or float16. The axes after the first become one.

    Raises
    ------
    ValueError
        If the numbers are of another kind, or a row has more than 65,535 of them.

    Examples
    --------
    >>> unpack(pack(np.array([3, 1, 2], np.uint8))).tolist()
    [3, 1, 2]
    """
    little = values.dtype.newbyteorder("<")
    return header(little, values.shape) + np.ascontiguousarray(values, little).data


def header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """Return the first 16 bytes of the file of an array; see `pack`."""
    little, columns = dtype.newbyteorder("<"), math.prod(shape[1:])
    if little not in DTYPES:
        raise ValueError(f"a column holds {', '.join(map(str, DTYPES))}, not {dtype}.")
    if columns > MAX_COLUMNS or shape[0] > MAX_ROWS:
        raise ValueError(f"a column holds {MAX_ROWS} rows of {MAX_COLUMNS} at most, not {shape}.")
    return HEADER.pack(MAGIC, FORMAT, DTYPES.index(little), columns, shape[0], 0)


def unpack(content: bytes | memoryview) -> NDArray[Any]:
    """Return the array of a column's file: (N,) for one number a row, else (N, D); a view.

    Raises
    ------
    IsthmusError
        If it is not a whole file of this format.
    """
    dtype, shape = read_header(content, len(content))
    return _shaped(np.frombuffer(content, dtype, offset=HEADER.size), shape)


def read_header(start: bytes | memoryview, size: int) -> tuple[np.dtype[Any], tuple[int, int]]:
    """Return kind and shape (N, D) of the numbers in a file of `size` bytes that starts so.

    Raises
    ------
    IsthmusError
        If it is not a whole file of this format.
    """
    with reporting_damage("a column", IsthmusError):
        if len(start) < HEADER.size:
            raise ValueError("it ends within its header")
        magic, version, kind, columns, rows, _ = HEADER.unpack(bytes(start[: HEADER.size]))
        dtype = DTYPES[kind]
        if (magic, version) != (MAGIC, FORMAT):
            raise ValueError("it is of another format")
        if size != HEADER.size + rows * columns * dtype.itemsize:
            raise ValueError(f"{size} bytes do not hold {rows} rows of {columns}")
    return dtype, (rows, columns)


def write_blocks(file: BinaryIO, blocks: Iterable[NDArray[Any]], shape: tuple[int, ...]) -> None:
    """Write a column of float32 block by block.

    Parameters
    ----------
    file : binary file
    blocks : iterable of (n, D) float32
    shape : (N, D)
        Of all blocks together.
    """
    file.write(header(np.dtype(np.float32), shape))
    for block in blocks:
        file.write(np.ascontiguousarray(block, "<f4").data)


def open_column(path: Path) -> NDArray[Any]:
    """Open a column's file by memory map, read-only; see `unpack`.

    Raises
    ------
    IsthmusError
        If it is not a whole file of this format.
    """
    with path.open("rb") as file:
        dtype, shape = read_header(file.read(HEADER.size), path.stat().st_size)
    if 0 in shape:  # which no memory map can hold
        return _shaped(np.empty(0, dtype), shape)
    return _shaped(np.memmap(path, dtype, "r", HEADER.size, math.prod(shape)), shape)


def _shaped(numbers: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    return numbers.reshape(shape[:1] if shape[1] == 1 else shape)
