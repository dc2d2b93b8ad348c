"""Files and folders that are not complete yet, under a name that says who writes them.

Whatever is written gets a temporary name first and its own name when it is complete. The temporary
name holds its owner: a machine, a process and when that process started. So what a killed process
left can be told from what a running one is still writing, and only the first is removed.
"""

import hashlib
import os
import platform
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

MAX_NAME_BYTES = 180  # of a file whose name a temporary one can extend; systems take 255
# Nobody writes for so long without a trace. It decides about what the process table does not know:
# owners on other machines and in other containers, and names of older versions, without an owner.
SECONDS_UNTIL_ABANDONED = 24 * 3600
NAME = re.compile(
    r"\.(?:.+\.)?"
    r"(?:(?P<machine>[0-9a-f]{6})-(?P<process>\d{1,10})-(?P<started>\d{1,20})-)?[0-9a-f]{8}\.tmp",
    re.DOTALL,
)


def temporary_path(path: Path) -> Path:
    """Return a hidden path in the same folder, for what is renamed to `path` once it is complete.

    Each call gives another one: two threads or processes may replace the same file.
    """
    process = os.getpid()
    owner = f"{_machine()}-{process}-{_start_of(process) or 0}-{uuid.uuid4().hex[:8]}"
    is_long = len(os.fsencode(path.name)) > MAX_NAME_BYTES
    return path.with_name(f".{owner}.tmp" if is_long else f".{path.name}.{owner}.tmp")


def is_temporary(name: str) -> bool:
    """Return whether a file or folder of this name is not complete."""
    return NAME.fullmatch(name) is not None


def is_abandoned(path: Path) -> bool:
    """Return whether nobody will complete what lies under a temporary name.

    Of a process of this machine, whether it has ended; of any other, whether nothing in it has
    changed for a day.
    """
    match = NAME.fullmatch(path.name)
    if match is None:
        return False
    if match["machine"] == _machine() and os.name == "posix":
        return not _is_running(int(match["process"]), int(match["started"]))
    return time.time() - _last_change(path) > SECONDS_UNTIL_ABANDONED


def sweep(folder: Path, *, deep: bool = False) -> int:
    """Remove the abandoned files and folders in a folder.

    Parameters
    ----------
    folder : Path
        It need not exist.
    deep : bool
        Look into folders in it as well.

    Returns
    -------
    int
        How many bytes that frees.
    """
    return sum(remove(path) for path in find_abandoned(folder, deep=deep))


def sweep_for(path: Path) -> None:
    """Remove what was left of earlier attempts to write this very file or folder."""
    with suppress(OSError):  # there is no such folder, or it may not be read
        for name in os.listdir(path.parent):  # noqa: PTH208 - four times as fast as `iterdir`
            if name.startswith(f".{path.name}.") and is_abandoned(path.with_name(name)):
                remove(path.with_name(name))


def find_abandoned(folder: Path, *, deep: bool = False) -> Iterator[Path]:
    """Yield the abandoned files and folders in a folder."""
    for place, folders, files in os.walk(folder):
        temporary = [name for name in (*folders, *files) if is_temporary(name)]
        yield from filter(is_abandoned, (Path(place, name) for name in temporary))
        # Of a folder that is still being written, the owner knows what is in it.
        folders[:] = [name for name in folders if deep and name not in temporary]


def remove(path: Path) -> int:
    """Remove a file or folder, as far as possible; return how many bytes it had."""
    size = size_of(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # another process was faster, or it may not be removed
            path.unlink()
    return 0 if os.path.lexists(path) else size


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; links are not followed."""
    return sum(one.st_size for one in _statuses(path) if not stat.S_ISDIR(one.st_mode))


def _last_change(path: Path) -> float:
    """Return when a file or anything in a folder was changed, in seconds since 1970."""
    return max((status.st_mtime for status in _statuses(path)), default=0.0)


def _statuses(path: Path) -> Iterator[os.stat_result]:
    """Yield the status of a path and of all that is in it, as far as it is there."""
    inside = (
        Path(place, name) for place, folders, files in os.walk(path) for name in (*folders, *files)
    )
    for found in (path, *inside):
        with suppress(OSError):
            yield found.lstat()


@cache
def _machine() -> str:
    """Return six hexadecimal digits for this machine, or this container: one table of processes."""
    processes = ""
    with suppress(OSError):  # there are no such files outside of Linux
        processes = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - it is a link to no path
    return hashlib.sha256(f"{platform.node()} {processes}".encode()).hexdigest()[:6]


def _is_running(process: int, started: int) -> bool:
    """Return whether a process that started at a moment still runs on this machine."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        pass
    # Numbers of processes are used again, also after the machine was started again.
    start = _start_of(process)
    return start is None or not started or start == started


def _start_of(process: int) -> int | None:
    """Return when a process started, in ticks since the machine did; None if that is not known."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(status.rpartition(")")[2].split()[19])  # the name before it may hold spaces
