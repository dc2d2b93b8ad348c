"""`Use`: says that an entry is in use, as long as anything refers to its memory maps.

On POSIX, deleted files stay readable to those who have mapped them, on this machine; but their room
is not free before, and the next process decodes again. So what is in use is not deleted to make
room. A shared lock of the operating system says so. It ends with the process, however that ends,
and forked processes have it as well, as they have the maps. Where there are no such locks, as on
some file systems, nothing says so. On Windows mapped files cannot be deleted anyway.
"""

import errno
import os
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

if sys.platform != "win32":
    import fcntl

ATTEMPTS, SECONDS_BETWEEN = 20, 0.005  # to begin to use an entry


class Use:
    """The use of an entry, which lasts as long as the maps that it makes.

    Parameters
    ----------
    path : Path
        The file whose lock says so.

    Raises
    ------
    FileNotFoundError
        If the file is not there, or another one is just deleting the entry.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        if not _can_share(self._descriptor):
            os.close(self._descriptor)
            raise FileNotFoundError(errno.ENOENT, "it is just deleted", str(path))

    def map(self, path: Path, dtype: str, shape: tuple[int, ...], offset: int = 0) -> NDArray[Any]:
        """Map a file into memory; the entry is in use until nothing refers to the map."""
        # Copy-on-write: torch wants writable memory, and nothing may write to the cache.
        values = np.memmap(path, dtype, "c", offset, shape)
        # A copy of the descriptor shares its lock, which ends with the last of them. The mapping
        # itself is watched: arrays that are made of this one refer to it alone.
        ending = weakref.finalize(values._mmap, os.close, os.dup(self._descriptor))  # type: ignore[attr-defined]
        ending.atexit = False  # the system does
        return values

    def close(self) -> None:
        """Say that no more maps are made."""
        os.close(self._descriptor)


@contextmanager
def excluding_use(path: Path) -> Iterator[bool]:
    """Let nobody begin to use an entry, and give whether nobody does."""
    descriptor = _open_for_lock(path)
    try:
        # Without a file nobody can use it.
        yield descriptor is None or _can_lock(descriptor, is_shared=False)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def is_used(path: Path) -> bool:
    """Return whether a living process uses an entry."""
    with excluding_use(path) as is_free:
        return not is_free


def _open_for_lock(path: Path) -> int | None:
    for flags in (os.O_RDWR, os.O_RDONLY):  # network file systems want the first
        with suppress(OSError):
            return os.open(path, flags)
    return None


def _can_share(descriptor: int) -> bool:
    """Return whether the entry can be used; who only looks excludes it for a moment."""
    for _ in range(ATTEMPTS):
        if _can_lock(descriptor, is_shared=True):
            return True
        time.sleep(SECONDS_BETWEEN)
    return False


def _can_lock(descriptor: int, *, is_shared: bool) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # there are no locks on this file system
        return True
    return True
