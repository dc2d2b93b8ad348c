"""Locks between processes and threads, held by files.

The operating system holds a lock, so that a process that is killed leaves none behind. Some network
file systems have no such locks. There a file marks the lock while it is held: it names its owner,
by which that of a process that has ended is known, on the same machine.
"""

import errno
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import filelock

from isthmus.errors import IsthmusError, OptionError, first_sentence
from isthmus.state import lock_path

if sys.platform != "win32":
    import fcntl

LOCK = ".lock"  # in a folder whose files several processes may change
FOREVER = -1
SECONDS_FOR_LOCK = 0.2  # for who only looks whether it is held, and so holds it for a moment
MARK = ".held"  # what the name of a lock gets where the system has no locks
HELD = {errno.EAGAIN, errno.EACCES}  # what flock answers while another one holds a lock
# What it answers where a file system has no locks, such as NFS without its lock service.
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}

_warned: set[int] = set()  # file systems, by their numbers


class LockWarning(UserWarning):
    """A file system has no locks, and files mark them."""


@contextmanager
def hold(
    path: Path,
    *,
    busy: str = "",
    timeout: float = FOREVER,
    kind: type[IsthmusError] = IsthmusError,
    optional: bool = False,
) -> Iterator[None]:
    """Hold the lock of a file, which is made if needed, as are the folders above it.

    A lock is not held twice: who holds it and asks for it again waits as anybody else. To read
    what is written whole or not at all needs no lock.

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
    optional : bool
        Go on without a lock whose file cannot be made, as that forbids nothing.

    Raises
    ------
    IsthmusError
        If another one holds it, or the file cannot be made.
    """
    lock: filelock.BaseFileLock | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _acquire(path, timeout)
    except filelock.Timeout as error:
        raise kind(_add_mark(busy, error, path)) from None
    except OSError as error:
        if not optional:
            raise kind(_explain(path, error)) from error
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def working_alone(folder: Path) -> AbstractContextManager[None]:
    """Keep other processes of this user from writing to a folder, in which no lock may stay.

    Raises
    ------
    OptionError
        If one does.
    """
    busy = f"{folder} is written to by another process; wait for its end."
    lock = lock_path(folder)
    return hold(lock, busy=busy, timeout=SECONDS_FOR_LOCK, kind=OptionError, optional=True)


def is_held(path: Path) -> bool:
    """Return whether another one holds the lock of a file now; nothing is made.

    Any number may look at the same time.
    """
    if not (path.exists() or _mark(path).exists()):
        return False
    try:
        if sys.platform != "win32" and not _mark(path).exists():
            return not _can_share(path)
        _acquire(path, SECONDS_FOR_LOCK).release()
    except filelock.Timeout:
        return True
    except OSError:  # of a folder that cannot be written to, where nobody writes
        return False
    return False


def _can_share(path: Path) -> bool:
    """Hold the lock of a file for a moment, together with others that do no more, if possible."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD:
            return False
        raise
    finally:
        os.close(file)
    return True


def _acquire(path: Path, timeout: float) -> filelock.BaseFileLock:
    """Return a lock that is held; of the system, else by a file that marks it."""
    lock: filelock.BaseFileLock = filelock.FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(timeout=timeout)
    except (OSError, NotImplementedError) as error:  # of them is `filelock.Timeout`, too
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            raise
        _warn(path.parent.resolve())
        # Another name: the file of the lock itself stays where the system did have locks, and an
        # empty one would count as held for ever.
        lock = filelock.SoftFileLock(_mark(path))
        lock.acquire(timeout=timeout)
    return lock


def _mark(path: Path) -> Path:
    return path.with_name(path.name + MARK)


def _warn(folder: Path) -> None:
    """Say once of a file system how it is locked."""
    device = folder.stat().st_dev
    if device not in _warned:
        _warned.add(device)
        text = f"the file system of {folder} has no locks; a file *{MARK} marks who writes instead."
        warnings.warn(text, LockWarning, stacklevel=1)  # of this file, by which commands know it


def _add_mark(busy: str, error: filelock.Timeout, path: Path) -> str:
    """Return what to say where a file marks the lock, which a machine may have left behind."""
    if not error.lock_file.endswith(MARK):
        return busy
    return f"{busy.removesuffix('.')}, or remove {_mark(path)} if its machine broke down."


def _explain(path: Path, error: OSError) -> str:
    why = first_sentence(error)
    # A folder, a link or somebody else's; not on a file system that is read-only.
    if os.path.lexists(path) and os.access(path.parent, os.W_OK):
        return f"{path} cannot be locked: {why}; remove it, unless it is in use."
    return f"{path.parent} cannot be written: {why}."
