"""`ArrayFile`: the arrays in a .npy or .npz file, described before any is read.

An array is read only if it is asked for, as one that nobody needs may be large, damaged or of
Python objects. Those are never opened: to load a pickle runs the code in it.
"""

import ast
import lzma
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.readers.archives.zipfiles import open_zip, reject_large_array
from isthmus.data.readers.csv.names import clean_name
from isthmus.errors import SourceError, first_sentence
from isthmus.runtime import ignored_warnings, reject_beyond_memory

MAGIC = b"\x93NUMPY"
MAX_HEADER_BYTES = 2**16
MAX_DIMENSIONS = 32
# What NumPy, zipfile and the decoders below it raise for damaged files.
BROKEN_ARRAYS = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


class Header(NamedTuple):
    """Type and shape of an array in a file, where its numbers begin, and their order."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_fortran: bool
    start: int

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers; an integer of Python, as a claim may be larger than any memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def is_pickled(self) -> bool:
        """Whether the array holds Python objects."""
        return self.dtype.hasobject


class ArrayFile(NamedTuple):
    """The arrays of one file.

    Parameters
    ----------
    path : Path
    headers : mapping
        Type and shape of each array by its name.
    others : sequence of str
        What is in the file and no array.
    read : callable
        Reads the array of a name.
    surplus : int
        Bytes behind the array of an .npy file.
    """

    path: Path
    headers: Mapping[str, Header]
    others: Sequence[str]
    read: Callable[[str], NDArray[Any]]
    surplus: int = 0

    def load(self, key: str) -> NDArray[Any]:
        """Read an array.

        Raises
        ------
        SourceError
            If it is damaged or holds Python objects.
        """
        if self.headers[key].is_pickled:
            raise SourceError(
                f"{self.path}: {key} holds Python objects, such as arrays of different lengths, "
                "which are not opened, as that could run any code; save numbers of one shape, or "
                "words as text."
            )
        try:
            return self.read(key)
        except BROKEN_ARRAYS as error:
            raise unreadable(self.path, error) from error


def open_arrays(path: Path) -> ArrayFile:
    """Describe the arrays of an .npy or .npz file; its content decides which one it is.

    Raises
    ------
    SourceError
        If it is neither, or damaged.
    """
    try:
        with path.open("rb") as file:
            is_zip = file.read(2) == b"PK"
        return _open_npz(path) if is_zip else _open_npy(path)
    except BROKEN_ARRAYS as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> SourceError:
    """Return the error that a file of NumPy cannot be read."""
    return SourceError(f"{path} is not a readable NumPy file: {first_sentence(error)}.")


def _open_npy(path: Path) -> ArrayFile:
    with path.open("rb") as file:
        header = _read_header(file)
        available = file.seek(0, 2) - header.start
    if not header.is_pickled:
        _require_bytes(header, available)

    def read(key: str) -> NDArray[Any]:
        if not header.nbytes:
            return np.empty(header.shape, header.dtype)
        values: NDArray[Any] = np.memmap(
            path,
            header.dtype,
            mode="r",
            offset=header.start,
            shape=header.shape,
            order="F" if header.is_fortran else "C",
        )
        return values

    surplus = 0 if header.is_pickled else available - header.nbytes
    return ArrayFile(path, {"x": header}, (), read, surplus)


def _open_npz(path: Path) -> ArrayFile:
    headers, members = {}, {}
    with open_zip(path) as archive:
        infos = [member for member in archive.infolist() if not member.is_dir()]
        others = [clean_name(one.filename) for one in infos if not one.filename.endswith(".npy")]
        for member in infos:
            key = clean_name(member.filename.removesuffix(".npy"))
            if member.filename.endswith(".npy"):
                headers[key], members[key] = _describe_member(archive, member), member

    def read(key: str) -> NDArray[Any]:
        reject_large_array(path, members[key], headers[key].nbytes)
        reject_beyond_memory(headers[key].nbytes, f"{path}: {key}")
        with open_zip(path) as archive, archive.open(members[key]) as file:
            return _read_member(file, headers[key])

    return ArrayFile(path, headers, others, read)


def _describe_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Header:
    try:
        with archive.open(member) as file:
            header = _read_header(file)
    except BROKEN_ARRAYS as error:
        said = first_sentence(error) if type(error) is ValueError else "it is damaged"
        raise ValueError(f"{clean_name(member.filename)}: {said}") from error
    if not header.is_pickled:
        _require_bytes(header, member.file_size - header.start)
    return header


def _read_member(file: IO[bytes], header: Header) -> NDArray[Any]:
    """Read an array from a compressed stream, which cannot be mapped."""
    file.read(header.start)
    values = np.empty(math.prod(header.shape), header.dtype)
    content = values.view(np.uint8) if values.nbytes else np.empty(0, np.uint8)
    done = 0
    while done < len(content):
        block = file.read(min(2**20, len(content) - done))
        if not block:
            raise EOFError(f"it ends after {done:,} of {len(content):,} bytes")
        content[done : done + len(block)] = np.frombuffer(block, np.uint8)
        done += len(block)
    return values.reshape(header.shape, order="F" if header.is_fortran else "C")


def _read_header(file: IO[bytes]) -> Header:
    """Read the header of NumPy's format (NEP 1): magic, version, length, a dictionary as text."""
    start = file.read(8)
    if start[:6] != MAGIC or len(start) < 8:
        raise ValueError("it does not begin as an array does" if start else "it is empty")
    kind = "<H" if start[6] == 1 else "<I"
    length = struct.unpack(kind, file.read(struct.calcsize(kind)))[0]
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"its header claims {length:,} bytes")
    content = file.read(length)
    fields = _parse_header(content.decode("utf-8" if start[6] == 3 else "latin-1"))
    return Header(*fields, start=8 + struct.calcsize(kind) + length)


def _parse_header(text: str) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    # Python 2 wrote long integers as 3L.
    text = re.sub(r"(?<=\d)L(?=\W)", "", text)
    try:
        with ignored_warnings:  # about escapes and types that damage made
            fields = ast.literal_eval(text.strip())
            dtype = np.lib.format.descr_to_dtype(fields["descr"])
        shape = tuple(fields["shape"])
        is_fortran = bool(fields["fortran_order"])
    except BROKEN_ARRAYS as error:
        raise ValueError("its header is damaged") from error
    is_shape = all(type(side) is int and side >= 0 for side in shape)
    # Of numbers without bytes, a file of a few may claim any number.
    is_empty = not dtype.itemsize and not dtype.hasobject and math.prod(shape) > 0
    if not is_shape or is_empty or len(shape) > MAX_DIMENSIONS:
        raise ValueError("its header is damaged")
    return dtype, shape, is_fortran


def _require_bytes(header: Header, available: int) -> None:
    if header.nbytes > available:
        raise ValueError(
            f"it is cut short or damaged, as {header.dtype} {header.shape} takes "
            f"{header.nbytes:,} bytes and {max(available, 0):,} are there"
        )
