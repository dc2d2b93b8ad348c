"""File operations of a process, counted, and an act at the n-th of them.

Python reports what opens, renames and removes files by audit events, also of libraries. What is
written and flushed it does not report, so files that are opened for writing are watched here.
"""

import builtins
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR
EVENTS = {  # audit events by what they are called here
    "open": "open",
    "os.link": "link",
    "os.mkdir": "mkdir",
    "os.remove": "unlink",
    "os.rename": "rename",
    "os.rmdir": "rmdir",
    "os.symlink": "link",
    "os.truncate": "truncate",
}

Act = Callable[[], None]


def kill() -> None:
    """End this process as a power cut or the system does: nothing of it runs on."""
    os.kill(os.getpid(), signal.SIGKILL)


class Operations:
    """Counts the operations of this process below a folder, from `watch` on.

    Parameters
    ----------
    folder : Path
    at : int, optional
        The number, from 0, of the operation before which to act; of a write, half is done.
    act : callable
    log : int, optional
        A descriptor that gets a line for each operation.
    """

    def __init__(
        self, folder: Path, at: int | None = None, act: Act = kill, log: int | None = None
    ) -> None:
        self.folder, self.at, self.act, self.log = f"{folder.resolve()}/", at, act, log
        self.count = 0

    def watch(self) -> None:
        """Start; nothing ends it but the end of the process."""
        sys.addaudithook(self._hear)
        self._wrap_open()
        for name in ("fsync", "fdatasync"):
            self._wrap_flush(name, getattr(os, name))

    def note(self, name: str, path: Any, before: Act | None = None) -> None:
        """Count an operation, and act if its turn has come."""
        if not self._is_ours(path):
            return
        if self.log is not None:
            place = os.fsdecode(path).removeprefix(self.folder)
            os.write(self.log, f"{name} {place}\n".encode())
        self.count += 1
        if self.count - 1 == self.at:
            if before is not None:
                before()
            self.act()

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS:
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
            return
        # Of a rename, the new name tells more.
        self.note(EVENTS[event], arguments[1 if event == "os.rename" else 0])

    def _is_ours(self, path: Any) -> bool:
        """Return whether a path, maybe relative to an open folder, can be below the folder."""
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        name = os.fsdecode(path)
        return not os.path.isabs(name) or name.startswith(self.folder)  # noqa: PTH117

    def _wrap_flush(self, name: str, flush: Callable[[Any], None]) -> None:
        def flushing(file: Any) -> None:
            number = file if isinstance(file, int) else file.fileno()
            self.note("flush", Path(f"/proc/self/fd/{number}").readlink())
            flush(file)

        setattr(os, name, flushing)

    def _wrap_open(self) -> None:
        original = builtins.open

        def opening(
            file: Any, mode: str = "r", buffering: int = -1, *others: Any, **named: Any
        ) -> Any:
            is_watched = set(mode) in ({"w", "b"}, {"x", "b"}, {"a", "b"}) and self._is_ours(file)
            if not is_watched or buffering == 0:
                return original(file, mode, buffering, *others, **named)
            return io.BufferedWriter(_Watched(file, mode, self))

        builtins.open = io.open = opening


class _Watched(io.FileIO):
    """A file whose writes are noted."""

    def __init__(self, file: Any, mode: str, operations: Operations) -> None:
        super().__init__(os.fspath(file), mode.replace("b", ""))
        self._operations, self._path = operations, os.fspath(file)

    def write(self, content: Any) -> int:
        half = memoryview(content).cast("B")[: len(content) // 2]

        def write_half() -> None:
            super(_Watched, self).write(half)

        self._operations.note("write", self._path, write_half)
        return super().write(content)
