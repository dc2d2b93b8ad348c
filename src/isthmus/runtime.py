"""The process and its machine: threads, memory, devices, precision and warnings.

torch and Lightning are imported inside the functions that need them: using a trained model needs no
Lightning, and asking for the memory needs neither.
"""

import ctypes
import logging
import math
import os
import platform
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from isthmus.errors import OptionError, SourceError
from isthmus.text import format_bytes

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Item = TypeVar("Item")
Result = TypeVar("Result")

ITEMS_PER_THREAD = 2  # one that is computed, and one that is ready when it is done
REUSED_BYTES = 2**30  # freed blocks up to this size stay with the process
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
# As Fabric and run.json call them.
PRECISIONS: dict[str, Literal["32-true", "bf16-mixed"]] = {"32": "32-true", "bf16": "bf16-mixed"}
TORCH_LIBRARY = "libtorch_cpu.so"  # with OpenMP and MKL, on Linux
CONTROL_GROUPS = Path("/sys/fs/cgroup")  # of Linux, whose limits hold for containers and services
OWN_GROUPS = Path("/proc/self/cgroup")  # those that this process is in


@cache
def configure_process() -> None:
    """Set threads and memory of this process, once, before it computes on the CPU.

    Threads that call this at the same time set the same values twice, which changes nothing.
    """
    _limit_threads()
    _keep_freed_memory()


@contextmanager
def computing_threads(count: int) -> Iterator[None]:
    """Let torch compute with so many threads on the CPU, and as before afterwards.

    It holds for the calling thread alone: others in the process keep theirs, and several may do so
    at once. Where torch is built with other libraries than OpenMP and MKL, it holds for all of the
    process, as `torch.set_num_threads` does.
    """
    setters = _thread_setters()
    before = [set_threads(count) for set_threads in setters]
    try:
        yield
    finally:
        for set_threads, number in zip(setters, before, strict=True):
            set_threads(number)


@cache
def _thread_setters() -> tuple[Callable[[int], int], ...]:
    """Return functions that set a number of threads and return the one before."""
    import torch

    def set_by(set_threads: Callable[[int], Any], count: int) -> int:
        before = torch.get_num_threads()
        if count != before:
            set_threads(count)
        return before

    try:
        library = torch_library()
        # MKL has a number of its own, by which 0 stands for that of the process.
        return partial(set_by, library.omp_set_num_threads), library.MKL_Set_Num_Threads_Local
    except (OSError, AttributeError):
        return (partial(set_by, torch.set_num_threads),)


def torch_library() -> ctypes.CDLL:
    """Return the library of torch in which its computing on the CPU is, on Linux.

    Raises
    ------
    OSError
        If there is none.
    """
    import torch

    return ctypes.CDLL(str(Path(torch.__file__).with_name("lib") / TORCH_LIBRARY))


def launch(device: str = "auto", precision: str = "auto") -> "Fabric":
    """Choose device and precision, and join the other processes that torchrun started.

    Parameters
    ----------
    device : str
        "cpu", "cuda" or "mps"; "auto" is CUDA if there is a device.
    precision : str
        "32" or "bf16"; "auto" is bfloat16 if the device computes in it.

    Raises
    ------
    OptionError
        If this machine does not have the device.
    """
    with _unimported_metrics():
        from lightning_fabric import Fabric

    device = choose_device(device)
    if precision == "auto":
        precision = choose_precision(device)
    world = process_count()
    local_world = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    # At the level INFO, Fabric prints devices, precision and processes, which run.json records,
    # into notebooks and among progress bars.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator=device,
        devices=local_world,
        num_nodes=world // local_world,
        strategy="ddp" if world > 1 else "auto",
        precision=PRECISIONS[precision],
    )
    fabric.launch()
    if device == "cpu":
        configure_process()
    return fabric


@contextmanager
def _unimported_metrics() -> Iterator[None]:
    """Let Fabric find out the version of torchmetrics without importing it.

    Where torchmetrics is installed, Fabric imports it to ask for its version, which takes as long
    as importing Fabric; nothing else of it is used.
    """
    from lightning_utilities.core import imports

    compare: Callable[..., bool] | None = getattr(imports, "compare_version", None)
    if compare is None:  # another version of its helpers: then it imports what it wants
        yield
        return

    def compare_version(package: str, *arguments: Any, **named: Any) -> bool:
        if package != "torchmetrics":
            return compare(package, *arguments, **named)
        return bool(imports.RequirementCache("torchmetrics>=1.0.0"))

    imports.compare_version = compare_version
    try:
        yield
    finally:
        imports.compare_version = compare


def total_memory() -> int:
    """Return the bytes of memory of this machine, or of the container or control group in it."""
    if sys.platform == "win32":
        kilobytes = ctypes.c_ulonglong()
        ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes))
        return kilobytes.value * 1024 or sys.maxsize  # a virtual machine may not know it
    # A container sees the whole machine's memory and is killed at a limit of its own.
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for group in _control_groups("memory"):
        texts = (_read(group / name) for name in ("memory.max", "memory.limit_in_bytes"))
        sizes += [int(text) for text in texts if text.isdigit()]
    return min(sizes)


def _control_groups(controller: str) -> Iterator[Path]:
    """Yield the folders of the groups that may limit this process, by both versions of them.

    The limits of all groups above apply too. In a container, its own group may appear as the
    topmost one while the path is that on the machine, so the top is always among them.
    """
    for line in _read(OWN_GROUPS).splitlines():  # there are none on other systems than Linux
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            top = CONTROL_GROUPS / controller
        elif not controllers:
            top = CONTROL_GROUPS
        else:
            continue
        own = top / path.lstrip("/")
        yield from (group for group in (own, *own.parents) if group.is_relative_to(top))


def _read(file: Path) -> str:
    """Return the text of a file of the system; empty if there is none, or it is not for us."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def reject_beyond_memory(count: int, what: object) -> None:
    """Refuse what has to be in memory and is larger than half of that.

    Systems promise more memory than there is, and end the process when it is used.

    Parameters
    ----------
    count : int
        Bytes.
    what : object
        What needs them, to begin the sentence.

    Raises
    ------
    SourceError
    """
    if count > (memory := total_memory()) // 2:
        raise SourceError(
            f"{what} needs {format_bytes(count)} of memory, more than half of the "
            f"{format_bytes(memory)} of this machine; give a smaller part of it."
        )


def core_count() -> int:
    """Return how many cores this process may use; a container may have fewer than the machine."""
    is_bound = sys.platform == "linux"
    counts = [len(os.sched_getaffinity(0)) if is_bound else os.cpu_count() or 1]
    for group in _control_groups("cpu"):
        # Microseconds of computing in each period: in one file, or of version 1 in two.
        old = " ".join(_read(group / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        quota, _, period = (_read(group / "cpu.max") or old).partition(" ")
        if quota.isdigit() and period.isdigit():  # neither "max" nor -1
            counts.append(max(1, math.ceil(int(quota) / int(period))))
    return min(counts)


def thread_count() -> int:
    """Return how many threads computing may use: OMP_NUM_THREADS, or the cores of this process."""
    cores = core_count()
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(int(wanted), cores) if wanted.isdigit() and int(wanted) else cores


def processor_name() -> str:
    """Return what the processor calls itself; empty where the system does not say."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor()


def process_count() -> int:
    """Return how many processes torchrun has started for one training; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def map_in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, name: str
) -> Generator[Result, None, None]:
    """Yield `function` of each item, in order, computed by several threads.

    Items are taken as they are needed: at most two for each thread are being computed or wait for
    the caller, so that neither items nor results need to fit into memory.

    Parameters
    ----------
    function : callable
        Must release the interpreter while it computes.
    items : iterable
    threads : int
    name : str
        Of the threads, for debuggers.
    """
    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, name)
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            # The oldest first, for the order; waiting for it holds back the next items.
            if len(pending) >= ITEMS_PER_THREAD * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _limit_threads() -> None:
    """Give torch no more threads than there are cores for this process.

    torch counts the cores of the machine, also where a container may use fewer; the threads would
    then wait for each other.
    """
    import torch

    torch.set_num_threads(min(torch.get_num_threads(), thread_count()))


def _keep_freed_memory() -> None:
    """Let glibc keep freed blocks instead of giving them back to the system.

    By default it returns every block above 32 MB. The activations of a batch are then new memory in
    each step, which the system first fills with zeros: half of the time of wide layers in float32.
    Keeping them made training of `conv-bn-2d` 1.5 times as fast.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, REUSED_BYTES)
        mallopt(M_TRIM_THRESHOLD, REUSED_BYTES)


def choose_device(device: str) -> str:
    """Return "cpu", "cuda" or "mps"; "auto" is CUDA if there is a device.

    Raises
    ------
    OptionError
        If this machine does not have the device.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available[device]:
        raise OptionError(f"this machine has no {device} device; take cpu, or auto.")
    return device


def choose_precision(device: str) -> Literal["32", "bf16"]:
    """Return "bf16" if the device computes in bfloat16 rather than emulates it, or "32"."""
    return "bf16" if _computes_in_bfloat16(device) else "32"


def _computes_in_bfloat16(device: str) -> bool:
    import torch

    if device == "cuda":
        # Not `is_bf16_supported`, which is also true where it is emulated (before Ampere, 8.0).
        return torch.cuda.get_device_capability() >= (8, 0)
    features = torch.cpu.get_capabilities() if device == "cpu" else {}
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))


class Shared:
    """A change of the whole process that holds while at least one thread is in it.

    What belongs to the process, threads that each save and restore it would restore for each other,
    and leave wrong behind. So the first thread in makes the change, and the last one out undoes it.

    Parameters
    ----------
    change : callable
        Returns the context manager of one change.
    """

    def __init__(self, change: Callable[[], AbstractContextManager[Any]]) -> None:
        self._change = change
        self._lock = threading.Lock()
        self._threads = 0
        self._made: AbstractContextManager[Any] = nullcontext()

    def __enter__(self) -> None:
        with self._lock:
            if not self._threads:
                self._made = self._change()
                self._made.__enter__()
            self._threads += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._threads -= 1
            if not self._threads:
                self._made.__exit__(None, None, None)


def _limit_blas() -> AbstractContextManager[Any]:
    limits: AbstractContextManager[Any] = _find_libraries().limit(limits=1, user_api="blas")
    return limits


@cache
def _find_libraries() -> Any:
    """Return what sets the threads of the libraries in this process, NumPy's among them.

    To look for them takes 3 ms, a thirtieth of a search for 1,000 among 50,000.
    """
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


ignored_warnings = Shared(lambda: warnings.catch_warnings(action="ignore"))
# For threads that each multiply small matrices with NumPy. Its own threads wait for each other at
# full load after each product: on a busy machine, 0.86 instead of 0.11 CPU seconds.
one_blas_thread = Shared(_limit_blas)
