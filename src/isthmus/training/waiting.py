"""`ShortWaits`: several threads on a machine that others use too.

At the end of each operation the threads wait for the last of them. libgomp, by which torch computes
on Linux, lets them wait at full load for some milliseconds, because a sleeping thread takes longer
to go on. Where other processes want the same cores, that is the time in which the last thread could
have computed: on two cores at a load of 12, a step of `dense-selu` took 115 ms instead of 2.

libgomp gives up waiting at full load where it has more threads than there are cores (see
GOMP_SPINCOUNT in its manual). So while the machine is busy, we keep one thread too many, asleep.
oneDNN, which computes convolutions, waits at full load in any case: while two of its threads are on
one core, and other processes have the other one, a step of `conv` takes 1,000 ms instead of 55. So
each thread that libgomp has started for the training gets a core of its own. What computes stays
the same threads, and all numbers stay the same to the bit.

This is done only where torch computes by libgomp on the CPU, with a thread for each core that the
process may use. No other thread of the process is touched.
"""

import ctypes
import os
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

from isthmus.runtime import computing_threads, torch_library

TASKS = Path("/proc/self/task")  # of Linux: a folder for each thread
GRAIN = 32768  # numbers for which torch starts one thread more
SECONDS_BETWEEN_LOOKS = 0.5
# How long all threads together were ready and had no core, as a share of the time.
BUSY, QUIET = 0.1, 0.02
QUIET_LOOKS = 4  # in a row, before threads may wait at full load again
CALLED = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class ShortWaits:
    """Lets the threads of a training sleep while they wait, as long as the machine is busy.

    Use it as a context, in the thread that trains. Where that is not certain to help, it does
    nothing; see above.

    Parameters
    ----------
    device : str
        "cpu", or a device on which nothing is done.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._cores = _own_cores()
        is_full = 1 < torch.get_num_threads() == len(self._cores)
        self.is_on = device == "cpu" and is_full and _libgomp() is not None
        self._looked, self._waited = time.perf_counter(), read_waits()
        self._quiet_looks = 0
        self.seconds = 0.0  # for how long threads have slept while they waited
        self._sleepers: Sleepers | None = None
        self._placed: dict[int, set[int]] = {}  # the cores on which threads may run since

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
        self.seconds += now - self._looked if self.is_short else 0.0
        waited = read_waits()
        grown = sum(seconds - self._waited.get(task, 0.0) for task, seconds in waited.items())
        self.note(grown / (now - self._looked))
        self._looked, self._waited = now, waited
        if self.is_short:
            self._placed = {task: self._placed[task] for task in self._placed.keys() & waited}
            with suppress(OSError, ValueError, IndexError):  # the system says nothing we know
                self._spread()

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
            with suppress(RuntimeError):  # there may be no more threads
                self._sleepers = Sleepers()
        elif not is_short and self._sleepers is not None:
            self._sleepers.close()
            self._sleepers = None
            for task in self._placed.keys() & read_waits():
                self._place(task, self._cores)
            self._placed = {}

    def _spread(self) -> None:
        """Give each thread of libgomp a core of its own, if there are as many.

        The calling thread stays where it is, as what it starts later would stay there too.
        """
        own = threading.get_native_id()
        others = sorted(set(find_team()) - {own})
        cores = sorted(self._cores - {_core_of(own)})
        if len(others) == len(cores) and _own_cores() == self._cores:
            for task, core in zip(others, cores, strict=True):
                self._place(task, {core})

    def _place(self, task: int, cores: set[int]) -> None:
        """Let a thread run on these cores, unless somebody else has decided where it runs."""
        with suppress(OSError):  # it has just ended
            if os.sched_getaffinity(task) == self._placed.get(task, self._cores):
                os.sched_setaffinity(task, cores)
                self._placed[task] = cores


class Sleepers:
    """A thread with another one of libgomp, which is then one too many; both sleep until the end.

    Raises
    ------
    RuntimeError
        If the process may have no more threads.
    """

    def __init__(self) -> None:
        self._is_over, is_ready = threading.Event(), threading.Event()
        threading.Thread(
            target=self._sleep, args=(is_ready,), name="isthmus-sleepers", daemon=True
        ).start()
        is_ready.wait()

    def _sleep(self, is_ready: threading.Event) -> None:
        try:
            with computing_threads(2):
                torch.empty(2 * GRAIN, dtype=torch.uint8).fill_(0)  # which starts the second one
        finally:
            is_ready.set()
        self._is_over.wait()  # the second one ends with this one

    def close(self) -> None:
        """Let both end.

        Nobody waits for that: while Python exits, such threads run no more.
        """
        self._is_over.set()


def find_team() -> list[int]:
    """Return the numbers of the threads that compute for the calling one, itself among them.

    libgomp keeps them for each thread that calls it, so all of them have to answer.
    """
    team: list[int] = []
    library = _libgomp()
    if library is not None:
        answer = CALLED(lambda _: team.append(threading.get_native_id()))
        library.GOMP_parallel(answer, None, 0, 0)  # by as many as torch computes with
    return team


def read_waits() -> dict[int, float]:
    """Return how many seconds each thread of this process was ready to compute and had no core.

    The keys are the numbers of the threads; there are none where the system does not say.
    """
    found = {}
    with suppress(OSError):
        for folder in TASKS.iterdir():
            with suppress(OSError, ValueError):  # it has just ended
                _, waited, _ = (folder / "schedstat").read_text().split()
                found[int(folder.name)] = int(waited) / 1e9
    return found


def _own_cores() -> set[int]:
    """Return the cores on which the calling thread may run; none where the system does not say."""
    return os.sched_getaffinity(0) if sys.platform == "linux" else set()


def _core_of(task: int) -> int:
    """Return the core on which a thread was last."""
    stat = (TASKS / str(task) / "stat").read_bytes()
    return int(stat.rpartition(b")")[2].split()[36])


@cache
def _libgomp() -> ctypes.CDLL | None:
    """Return torch's library if it computes by libgomp; None for others, and where it is unknown.

    Those of Intel and LLVM have functions of the same name, and others that libgomp has not.
    """
    with suppress(OSError):
        library = torch_library()
        is_other = any(hasattr(one, "kmp_set_blocktime") for one in (library, ctypes.CDLL(None)))
        return library if hasattr(library, "GOMP_parallel") and not is_other else None
    return None
