"""Reading ahead from memory-mapped samples that memory cannot hold.

Batches take samples in random order. The system cannot foresee that order, but it follows from
counters. So we ask the system for the samples of the next batches, and it reads them from the disk
while this one is computed. With a disk that is fast enough, training does not wait. Order and
numbers stay the same.
"""

import mmap
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.runtime import total_memory

MAX_MEMORY_SHARE = 0.5  # of the memory that a file may take and still be left to the system
BATCHES_AHEAD = 2  # one that is being read while the other one is complete

Indices = NDArray[np.int64]


class ReadAhead:
    """Tells the system which rows of memory-mapped arrays are needed soon.

    It does nothing for arrays in memory, and for files that fit into it: all of those will be
    needed, and the system reads the pages around a sample too. Of a file that does not fit, those
    pages would push out what is needed; without them, random batches from a file of twice the
    memory came sixty times faster.

    Parameters
    ----------
    arrays : arrays (N, …)
        Samples and perhaps their masks.
    """

    def __init__(self, *arrays: NDArray[Any]) -> None:
        rows = [_Rows(array) for array in arrays if _exceeds_memory(array)]
        self._rows = [one for one in rows if one.bytes]

    def walk(self, portions: Iterable[Indices]) -> Iterable[Indices]:
        """Return the rows (n,) of batches as they are given, each asked for before it is needed."""
        return self._walk(portions) if self._rows else portions

    def _walk(self, portions: Iterable[Indices]) -> Iterator[Indices]:
        waiting: deque[Indices] = deque()
        for portion in portions:
            for rows in self._rows:
                rows.ask_for(portion)
            waiting.append(portion)
            if len(waiting) > BATCHES_AHEAD:
                yield waiting.popleft()
        yield from waiting


class _Rows:
    """The rows of a memory-mapped array, and where they are in its file."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._file: mmap.mmap = vars(array)["_mmap"]
        self._file.madvise(mmap.MADV_RANDOM)  # only what is asked for
        # The map may begin before the array, which may be a part of another one.
        self._start = array.ctypes.data - np.frombuffer(self._file, np.uint8).ctypes.data
        is_dense = array.flags.c_contiguous
        self.bytes = array.strides[0] if is_dense else 0  # of a row; 0 if rows are not in one piece

    def ask_for(self, indices: Indices) -> None:
        """Let the system begin to read rows; this does not wait for the disk."""
        starts = self._start + indices * self.bytes
        within = starts % mmap.PAGESIZE  # a range begins with a page
        lengths = (within + self.bytes).tolist()
        with suppress(OSError):  # an error of reading is raised where the samples are used
            for start, length in zip((starts - within).tolist(), lengths, strict=True):
                self._file.madvise(mmap.MADV_WILLNEED, start, length)


def _exceeds_memory(array: NDArray[Any]) -> bool:
    is_mapped = getattr(array, "_mmap", None) is not None
    if not is_mapped or sys.platform == "win32":  # which has no madvise
        return False
    return array.nbytes > MAX_MEMORY_SHARE * total_memory()
