"""What a training computes with: device, precision and threads, as chosen or as a run was started.

Sums in another order are other numbers: a convolution adds up its gradients in as many parts as
there are threads. So a run records what it was started with, and `resume` keeps it, or says what
differs. With `--deterministic` there is one thread, whatever the machine has: so nothing can depend
on their number.
"""

import os
import platform
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from isthmus.errors import OptionError, TrainingError
from isthmus.runtime import (
    PRECISIONS,
    choose_device,
    choose_precision,
    computing_threads,
    configure_process,
    core_count,
    launch,
    process_count,
)
from isthmus.text import count_of
from isthmus.training.config import TrainingConfig
from isthmus.training.run import Run
from isthmus.version import __version__

if TYPE_CHECKING:
    from lightning_fabric import Fabric

T = TypeVar("T")

WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS may add up in any order


@dataclass(frozen=True)
class Machine:
    """What a training computes with.

    Parameters
    ----------
    device : str
        "cpu", "cuda", "mps" or "auto".
    precision : str
        "32", "bf16" or "auto".
    threads : int or None
        Of the CPU; by default those of this process.
    is_deterministic : bool
        Whether the weights must depend neither on the number of threads nor on chance.
    """

    device: str
    precision: str
    threads: int | None = None
    is_deterministic: bool = False

    @classmethod
    def of(cls, config: TrainingConfig) -> "Machine":
        """Return what a new run computes with.

        Raises
        ------
        OptionError
            If torch cannot compute deterministically on the device.
        """
        if config.deterministic and config.device == "mps":
            raise OptionError("deterministic needs the device cpu or cuda, not mps; take cpu.")
        threads = 1 if config.deterministic else None
        return cls(config.device, config.precision, threads, config.deterministic)

    @classmethod
    def of_run(cls, run: Run) -> "Machine":
        """Return what a run was started with or told since, with the threads that are here.

        Raises
        ------
        OptionError
            If this machine does not have the device.
        """
        new, begun = cls.of(run.record.training_config), run.record.environment
        device = new.device if new.device != "auto" else _device_of(begun)
        precision = new.precision if new.precision != "auto" else _precision_of(begun)
        _require_device(run, device)
        return replace(
            new, device=device, precision=precision, threads=new.threads or _threads_of(begun)
        )

    @property
    def is_open(self) -> bool:
        """Whether precision and threads may be chosen by what is fastest here.

        Processes of one training must compute alike, and measure for themselves.

        Raises
        ------
        OptionError
            If this machine does not have the device.
        """
        is_free = not self.is_deterministic and process_count() == 1
        return is_free and choose_device(self.device) == "cpu"

    def launch(self) -> "Fabric":
        """Choose device and precision, and join the other processes that torchrun started."""
        if self.is_deterministic and choose_device(self.device) == "cuda":
            os.environ.setdefault(*WORKSPACE)
        return launch(self.device, self.precision)

    def settle(self) -> "Machine":
        """Return the machine with the device that is chosen, and the threads that there are now."""
        device, threads = choose_device(self.device), self.threads or torch.get_num_threads()
        return replace(self, device=device, threads=threads)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Compute in this way until it is left, in the calling thread."""
        with ExitStack() as stack:
            if self.threads is not None:
                stack.enter_context(computing_threads(self.threads))
            if self.is_deterministic and self.device == "cuda":
                stack.enter_context(_deterministic_cuda())
            yield

    def walk(self, steps: Generator[T, None, None]) -> Iterator[T]:
        """Yield what a generator yields, and compute in this way only while it is at work.

        Its caller, who may be in another thread each time, computes as before.
        """
        try:
            while True:
                with self.computing():
                    try:
                        step = next(steps)
                    except StopIteration:
                        return
                yield step
        finally:
            steps.close()

    def describe(self) -> dict[str, Any]:
        """Return when, with which versions and on which machine a run is made, for run.json."""
        device = choose_device(self.device)
        if device == "cpu":
            configure_process()
        precision = self.precision if self.precision != "auto" else choose_precision(device)
        with self.computing():
            return _describe_environment(torch.device(device), PRECISIONS[precision])


def describe_computing(run: Run) -> str:
    """Return " in float32 by 2 threads", as a run is computed on a CPU; empty for other devices.

    It may have been chosen by measurement; see `fastest_way`.
    """
    machine = Machine.of_run(run)
    if machine.device != "cpu" or machine.threads is None:
        return ""
    precision = "bfloat16" if machine.precision == "bf16" else "float32"
    return f" in {precision} by {count_of(machine.threads, 'thread')}"


def _describe_environment(device: torch.device, precision: str) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "isthmus": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": device.type if device.type != "cuda" else torch.cuda.get_device_name(device),
        "precision": precision,
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "processes": process_count(),
    }


def _device_of(begun: dict[str, Any]) -> str:
    """Return the device that a run was started on; of CUDA, run.json has the name of the card."""
    device = begun.get("device", "auto")
    return device if device in ("auto", "cpu", "mps") else "cuda"


def _precision_of(begun: dict[str, Any]) -> str:
    names = {recorded: name for name, recorded in PRECISIONS.items()}
    return names.get(begun.get("precision", ""), "auto")


def _threads_of(begun: dict[str, Any]) -> int | None:
    """Return as many threads as a run was started with, where there are cores for them.

    More threads than cores wait for each other. Where there are other processes, the weights differ
    in any case.
    """
    threads, processes = begun.get("threads", 0), begun.get("processes", 1)
    is_same = processes == process_count() and 1 <= threads <= core_count()
    return threads if is_same else None


def _require_device(run: Run, device: str) -> None:
    try:
        choose_device(device)
    except OptionError:
        raise OptionError(
            f"{run.name} is trained on {run.record.environment.get('device', device)}, and this "
            f"machine has no {device} device; give --device cpu to continue with weights that "
            "differ a little."
        ) from None


@contextmanager
def _deterministic_cuda() -> Iterator[None]:
    """Let CUDA compute the same in every run; the settings are those of the whole process."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    was_on = torch.are_deterministic_algorithms_enabled()
    only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn.deterministic, cudnn.benchmark = True, False
    torch.use_deterministic_algorithms(True)
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        raise TrainingError(
            "this model has a step that torch cannot compute deterministically on cuda; leave "
            "deterministic out, or take the device cpu."
        ) from error
    finally:
        torch.use_deterministic_algorithms(was_on, warn_only=only_warned)
        cudnn.deterministic, cudnn.benchmark = before
