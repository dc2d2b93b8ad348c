"""Locks between processes and threads, held by files.

The operating system holds a lock, so that a process that is killed leaves none behind.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from isthmus.errors import IsthmusError, first_sentence

FOREVER = -1


@contextmanager
def hold(
    path: Path, *, busy: str = "", timeout: float = FOREVER, kind: type[IsthmusError] = IsthmusError
) -> Iterator[None]:
    """Hold the lock of a file, which is made if needed, as are the folders above it.

    Parameters
    ----------
    path : Path
        Of the lock itself, not of what it protects.
    busy : str
        What to say when another one holds it for longer than the timeout.
    timeout : float
        Seconds to wait; by default for ever.
    kind : type
        The error to raise.

    Raises
    ------
    IsthmusError
        If another one holds it, or the file cannot be made.
    """
    lock = filelock.FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=timeout)
    except filelock.Timeout:
        raise kind(busy) from None
    except OSError as error:
        raise kind(f"{path.parent} cannot be written: {first_sentence(error)}.") from error
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Return whether another one holds the lock of a file now; nothing is made."""
    if not path.exists():
        return False
    try:
        with filelock.FileLock(path, timeout=0):
            return False
    except filelock.Timeout:
        return True
    except OSError:  # of a folder that cannot be written to, where nobody writes
        return False
