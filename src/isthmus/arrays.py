"""Arrays in our own .npy and .npz files, which are read only if they are what they say.

The size of an array stands in its header. It is compared with the bytes that are there before
memory is asked for, so that no file of a few bytes takes a few gigabytes. Python objects, which a
file could hold to run code, are never read.
"""

import io
import math
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import IsthmusError, list_names
from isthmus.text import count_of

# A compressed array that is larger by this than its file is none of ours: whole numbers in a row,
# which shrink most, take a fifth.
MAX_RATIO = 100
# As NumPy writes it. NumPy reads it as Python code, which two threads at once cannot do in Python
# 3.11: one of them fails, such as an export while a page asks for something.
HEADER = re.compile(
    rb"\{'descr': '([<>|][A-Za-z?][0-9]*)', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]+, ?)*[0-9]*)\), \} *\n"
)
KINDS = {"i": "whole numbers", "f": "numbers", "b": "truth values", "U": "texts", "u": "bytes"}


def read_npy(content: bytes) -> NDArray[Any]:
    """Return the array of a .npy file.

    Raises
    ------
    IsthmusError
        If it is no such file, or not as long as it says.
    """
    return _read(io.BytesIO(content))


def map_npy(path: Path) -> NDArray[Any]:
    """Return the array of a .npy file by memory map; writing to it changes only the copy in memory.

    Raises
    ------
    IsthmusError
        If it is no such file, or not as long as it says.
    OSError
        If it cannot be opened.
    """
    with path.open("rb") as file:
        dtype, shape, is_fortran = _read_header(file)
        start = file.tell()
        _require_size(dtype, shape, os.fstat(file.fileno()).st_size - start)
    if 0 in shape:  # which no memory map can hold
        return np.empty(shape, dtype)
    order: Literal["F", "C"] = "F" if is_fortran else "C"
    return np.memmap(path, dtype, "c", start, shape, order)


def read_npz(file: Path | bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file by name.

    Raises
    ------
    IsthmusError
        If it is no such file, a part of it is damaged, or it is much larger than it looks.
    OSError
        If it cannot be opened.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(file) if isinstance(file, bytes) else file) as archive:
            return {
                info.filename.removesuffix(".npy"): _read_member(archive, info)
                for info in archive.infolist()
            }
    except zipfile.BadZipFile:
        raise IsthmusError("it is no .npz file, or a part of it is damaged.") from None


def require_array(
    arrays: Mapping[str, NDArray[Any]], name: str, kind: str, axes: int
) -> NDArray[Any]:
    """Return an array of a file, if it is of a kind and has so many axes.

    Parameters
    ----------
    arrays : mapping
    name : str
    kind : str
        Letters of NumPy for what it may hold, such as "iu".
    axes : int

    Raises
    ------
    IsthmusError
    """
    if name not in arrays:
        raise IsthmusError(f"it has no array {name!r}, only {list_names(list(arrays)) or 'none'}.")
    array = arrays[name]
    if array.dtype.kind not in kind or array.ndim != axes:
        wanted = KINDS.get(kind[0], kind)
        raise IsthmusError(
            f"its array {name!r} is {array.dtype} {array.shape} and should be {wanted} with "
            f"{count_of(axes, 'axis', 'axes')}."
        )
    return array


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    if info.file_size > MAX_RATIO * max(info.compress_size, 1):
        raise IsthmusError(f"its array {info.filename!r} unpacks to {info.file_size:,} bytes.")
    with archive.open(info) as member:
        return _read(member)


def _read(file: IO[bytes]) -> NDArray[Any]:
    """Return the array that a file holds to its end."""
    dtype, shape, is_fortran = _read_header(file)
    content = file.read()  # of a member of an archive: at most what its entry says, and checked
    _require_size(dtype, shape, len(content))
    if not content:
        return np.empty(shape, dtype)
    flat = np.frombuffer(bytearray(content), dtype)  # a copy that may be written to
    return flat.reshape(shape[::-1]).T if is_fortran else flat.reshape(shape)


def _require_size(dtype: np.dtype[Any], shape: tuple[int, ...], size: int) -> None:
    """Reject an array of so many bytes, if its kind and shape take more or less."""
    if min(shape, default=0) < 0 or size != math.prod(shape) * dtype.itemsize:
        raise IsthmusError(
            f"it holds {size:,} bytes of an array {dtype} {shape}, which takes "
            f"{math.prod(shape) * dtype.itemsize:,}."
        )


def _read_header(file: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Return what the header of a .npy file says; `file` is then at its numbers."""
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError
        found = HEADER.fullmatch(file.read(int.from_bytes(file.read(2), "little")))
        if found is None:
            raise ValueError
        dtype = np.dtype(found[1].decode())
        shape = tuple(int(side) for side in found[3].split(b",") if side.strip())
    except (ValueError, TypeError):
        raise IsthmusError("the header of its array is damaged.") from None
    if dtype.hasobject or (not dtype.itemsize and 0 not in shape):
        raise IsthmusError(f"its array holds {dtype}, which are no numbers.")
    return dtype, shape, found[2] == b"True"
