"""Run a command with little memory, and measure how much it takes.

The command runs in a control group of Linux with a limit, where one can be made (by root). Else it
runs without a limit, and what it holds in memory is measured all the same. This process itself is
never moved.
"""

import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

GROUPS = Path("/sys/fs/cgroup")
SECONDS_BETWEEN = 0.1  # of looking at the memory
SECONDS_TO_LEAVE = 0.05


@dataclass
class Measured:
    """What a command took.

    Parameters
    ----------
    seconds, cpu_seconds : float
        By the clock, and of all cores together.
    silent : float
        The longest time, in seconds, in which it printed nothing.
    group_mb, anonymous_mb : float or None
        The most memory of the group with all that it has read of files, which the system takes back
        when it is needed; and without.
    resident_mb : float
        The most memory of the process, with what it maps of files.
    code : int
        The exit code; -9 of a command that was killed for its memory.
    output, errors : str
        What it printed.
    """

    seconds: float
    cpu_seconds: float
    silent: float
    group_mb: float | None
    anonymous_mb: float | None
    resident_mb: float
    code: int
    output: str
    errors: str


class ControlGroup:
    """A control group of version 1 or 2, made now and removed by `close`."""

    def __init__(self, limit: int) -> None:
        is_first = (GROUPS / "memory").is_dir()
        top = GROUPS / "memory" if is_first else GROUPS
        self.path = top / f"isthmus-{os.getpid()}-{time.monotonic_ns()}"
        self.peak = "memory.max_usage_in_bytes" if is_first else "memory.peak"
        self.anonymous = "total_rss" if is_first else "anon"
        self.path.mkdir()
        try:
            self._write("memory.limit_in_bytes" if is_first else "memory.max", limit)
            if not is_first:
                self._write("memory.swap.max", 0)
        except OSError:
            self.path.rmdir()
            raise

    @classmethod
    def make(cls, limit: int) -> "ControlGroup | None":
        """Return a group with a limit in bytes, or None where none can be made."""
        with suppress(OSError):
            return cls(limit)
        return None

    def wrap(self, command: Sequence[str]) -> list[str]:
        """Return the command that enters the group and becomes the given one."""
        enter = 'echo $$ > "$0" && exec "$@"'
        return ["sh", "-c", enter, str(self.path / "cgroup.procs"), *command]

    def read_peak(self) -> int:
        """Return the most bytes so far, with those of files."""
        return int((self.path / self.peak).read_text())

    def read_anonymous(self) -> int:
        """Return the bytes now, without those of files."""
        lines = (self.path / "memory.stat").read_text().splitlines()
        return int(dict(line.split() for line in lines)[self.anonymous])

    def close(self) -> None:
        """Remove the group, once its last process has left it."""
        for _ in range(100):
            with suppress(OSError):
                self.path.rmdir()
                return
            time.sleep(SECONDS_TO_LEAVE)

    def _write(self, name: str, value: int) -> None:
        (self.path / name).write_text(str(value))


class _Watch:
    """Looks at the memory of a process again and again, in a thread."""

    def __init__(self, process: int, group: ControlGroup | None) -> None:
        self.process, self.group = process, group
        self.anonymous = self.resident = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN):
            with suppress(OSError, KeyError, ValueError):
                facts = _read_status(self.process)
                self.resident = max(self.resident, facts["VmHWM"])
                anonymous = facts["RssAnon"] if self.group is None else self.group.read_anonymous()
                self.anonymous = max(self.anonymous, anonymous)


def run_limited(command: Sequence[str], limit: int, environment: dict[str, str]) -> Measured:
    """Run a command with at most `limit` bytes of memory, and wait for it."""
    group = ControlGroup.make(limit)
    start, cpu = time.monotonic(), _cpu_of_children()
    process = subprocess.Popen(
        command if group is None else group.wrap(command),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    watch, lines = _Watch(process.pid, group), _Lines(process.stderr)
    with process:
        assert process.stdout is not None
        output = process.stdout.read()
    watch.stop()
    lines.join()
    peak = None if group is None else group.read_peak() / 1e6
    if group is not None:
        group.close()
    return Measured(
        time.monotonic() - start,
        _cpu_of_children() - cpu,
        lines.silent,
        peak,
        watch.anonymous / 1e6,
        watch.resident / 1e6,
        process.returncode,
        output,
        "".join(lines.lines),
    )


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class _Lines(threading.Thread):
    """Reads what a command says, and passes it on."""

    def __init__(self, file: IO[str] | None) -> None:
        super().__init__(daemon=True)
        assert file is not None
        self.file = file
        self.lines: list[str] = []
        self.silent = 0.0
        self.start()

    def run(self) -> None:
        last = time.monotonic()
        for line in self.file:
            self.lines.append(line)
            sys.stderr.write(f"    {line}")
            sys.stderr.flush()
            last, before = time.monotonic(), last
            self.silent = max(self.silent, last - before)
        self.silent = max(self.silent, time.monotonic() - last)


def forget(folder: Path) -> None:
    """Let the system forget what it has read of all files in a folder, so that it is read again."""
    os.sync()  # what is not on the disk yet cannot be forgotten
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                descriptor = os.open(os.path.join(place, name), os.O_RDONLY)  # noqa: PTH118
                try:
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(descriptor)


def _read_status(process: int) -> dict[str, int]:
    """Return the sizes that the system tells of a process, in bytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    rows = [line.split() for line in lines]
    return {row[0].rstrip(":"): 1024 * int(row[1]) for row in rows if row[-1] == "kB"}


def free_disk(folder: Path) -> int:
    """Return the free bytes of the disk that a folder is on."""
    return shutil.disk_usage(folder).free
