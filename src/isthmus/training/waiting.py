"""`ShortWaits`: several threads on a machine that others use too.

At the end of each operation the threads wait for the last of them. libgomp, by which torch computes
on Linux, lets them wait at full load for some milliseconds, because a sleeping thread takes longer
to go on. Where other processes want the same cores, that is the time in which the last thread could
have computed: on two cores at a load of 12, a step of `dense-selu` took 115 ms instead of 2.

libgomp gives up waiting at full load where it has more threads than there are cores (see
GOMP_SPINCOUNT in its manual). So while the machine is busy, we keep threads that sleep. oneDNN,
which computes convolutions, waits at full load in any case: while two of its threads are on one
core, and other processes have the other one, a step of `conv` takes 1,000 ms instead of 55. So each
thread gets a core of its own. What computes stays the same threads, and all numbers stay the same
to the bit.
"""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch

from isthmus.runtime import computing_threads

TASKS = Path("/proc/self/task")  # of Linux: a folder for each thread
MAPPED = Path("/proc/self/maps")  # the files that are loaded
GRAIN = 32768  # numbers for which torch starts one thread more
SECONDS_BETWEEN_LOOKS = 0.5
# How long all threads together were ready and had no core, as a share of the time.
BUSY, QUIET = 0.1, 0.02
QUIET_LOOKS = 4  # in a row, before threads may wait at full load again


class ShortWaits:
    """Lets the threads of this process sleep while they wait, as long as the machine is busy.

    Use it as a context. Where it knows no way, it does nothing: with one thread, on other systems
    than Linux, with other libraries than libgomp.
    """

    def __init__(self) -> None:
        self.is_on = torch.get_num_threads() > 1 and _is_libgomp_loaded()
        self._looked, self._tasks = time.perf_counter(), read_tasks()
        self._quiet_looks = 0
        self._sleepers: Sleepers | None = None
        self._places: dict[int, set[int]] = {}  # the cores that threads had before

    def __enter__(self) -> "ShortWaits":
        return self

    def __exit__(self, *_: object) -> None:
        self.set_short(is_short=False)

    @property
    def is_short(self) -> bool:
        """Whether threads sleep while they wait."""
        return self._sleepers is not None

    def look(self, now: float) -> None:
        """Look at how busy the machine is, if it is time to; `now` is that of `perf_counter`."""
        if not self.is_on or now - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        tasks = read_tasks()
        grown = {key: one - self._tasks.get(key, Task()) for key, one in tasks.items()}
        self.note(sum(one.waited for one in grown.values()) / (now - self._looked))
        if self.is_short:
            self._spread({key: one.computed for key, one in grown.items()})
        self._looked, self._tasks = now, tasks

    def note(self, share: float) -> None:
        """Decide by the share of the time that threads were without a core."""
        self._quiet_looks = self._quiet_looks + 1 if share < QUIET else 0
        if share > BUSY:
            self.set_short(is_short=True)
        elif self._quiet_looks >= QUIET_LOOKS:
            self.set_short(is_short=False)

    def set_short(self, *, is_short: bool) -> None:
        """Let threads sleep while they wait, or not."""
        if is_short and self._sleepers is None:
            self._sleepers = Sleepers()
        elif not is_short and self._sleepers is not None:
            self._sleepers.close()
            self._sleepers = None
            for task, cores in self._places.items():
                _place(task, cores)
            self._places = {}

    def _spread(self, computed: dict[int, float]) -> None:
        """Give each thread that computes a core of its own, if there are as many.

        The calling thread stays where it is, as what it starts later would stay there too.
        """
        own = threading.get_native_id()
        cores = os.sched_getaffinity(own)
        if len(cores) != torch.get_num_threads():
            return
        others = [task for task in sorted(computed, key=lambda one: -computed[one]) if task != own]
        for task, core in zip(others, sorted(cores - {_core_of(own)}), strict=False):
            with suppress(OSError):  # it has just ended
                self._places.setdefault(task, os.sched_getaffinity(task))
            _place(task, {core})


class Sleepers:
    """A thread with so many of libgomp that there are more than cores; all sleep until the end."""

    def __init__(self) -> None:
        self._others = torch.get_num_threads()
        self._is_over, is_ready = threading.Event(), threading.Event()
        self._thread = threading.Thread(
            target=self._sleep, args=(is_ready,), name="isthmus-sleepers", daemon=True
        )
        self._thread.start()
        is_ready.wait()

    def _sleep(self, is_ready: threading.Event) -> None:
        # Of those that compute libgomp has one for each of torch's; this thread is none of them.
        count = max(2, len(os.sched_getaffinity(0)) - self._others + 2)
        try:
            with computing_threads(count):
                torch.empty(GRAIN * count, dtype=torch.uint8).fill_(0)  # which starts the threads
        finally:
            is_ready.set()
        self._is_over.wait()  # they end with this one

    def close(self) -> None:
        """End all threads."""
        self._is_over.set()
        self._thread.join()


class Task(NamedTuple):
    """How many seconds a thread has computed, and was ready to and had no core."""

    computed: float = 0.0
    waited: float = 0.0

    def __sub__(self, other: "Task") -> "Task":
        return Task(self.computed - other.computed, self.waited - other.waited)


def read_tasks() -> dict[int, Task]:
    """Return all threads of this process by their numbers; none where the system does not say."""
    found = {}
    with suppress(OSError):
        for folder in TASKS.iterdir():
            with suppress(OSError, ValueError):  # it has just ended
                computed, waited, _ = (folder / "schedstat").read_text().split()
                found[int(folder.name)] = Task(int(computed) / 1e9, int(waited) / 1e9)
    return found


def _core_of(task: int) -> int:
    """Return the core on which a thread was last."""
    return int((TASKS / str(task) / "stat").read_text().rpartition(")")[2].split()[36])


def _place(task: int, cores: set[int]) -> None:
    with suppress(OSError):  # it has just ended
        os.sched_setaffinity(task, cores)


def _is_libgomp_loaded() -> bool:
    with suppress(OSError):
        return "libgomp" in MAPPED.read_text()
    return False
