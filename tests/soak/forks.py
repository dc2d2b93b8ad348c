"""Commands in forks of a process that has imported everything: they start in milliseconds."""

import importlib
import os
import pkgutil
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import NoReturn

import isthmus

MAX_SECONDS = 120.0  # of a command that nobody ends: more means that it hangs
POLL_SECONDS = 0.001
KILLED = -signal.SIGKILL

EARLY = ("isthmus.cli", "isthmus.training.train", "lightning_fabric", "sklearn.datasets")
LATE = (  # what commands import of others, beside torch
    "faiss",
    "lightning.fabric",
    "lightning_fabric.strategies",
    "matplotlib.backends.backend_agg",
    "matplotlib.pyplot",
    "onnxruntime",
    "onnxscript",
    "openTSNE",
    "scipy.signal",
    "sklearn.datasets",
    "sklearn.decomposition",
    "sklearn.linear_model",
    "torch._dynamo",
    "torch._inductor",
    "torch.distributed",
    "torch.export",
    "torch.onnx._internal.exporter._core",
    "torchmetrics",
)

Prepare = Callable[[], None]


@dataclass(frozen=True)
class Outcome:
    """What became of a command.

    Parameters
    ----------
    code : int
        Its exit code; minus the number of the signal that ended it.
    text : str
        What it printed on standard error.
    seconds : float
    memory : int
        Bytes held at most, with those of the process that it is a fork of.
    """

    code: int
    text: str
    seconds: float
    memory: int = 0

    @property
    def is_refusal(self) -> bool:
        """Whether it ended as a user's error has to: exit code 2 and a sentence."""
        return self.code == 2 and self.text.rstrip().endswith(".") and not self.is_bug

    @property
    def is_bug(self) -> bool:
        """Whether it ended in a traceback."""
        return "Traceback (most recent call last)" in self.text

    def __str__(self) -> str:
        lines = self.text.strip().splitlines()
        return f"exit code {self.code}" + (f", {lines[-1].strip()}" if lines else "")


class Fork:
    """A command, or a function, that runs in a fork of this process.

    The processes that it starts belong to its group, and are killed with it.
    """

    def __init__(
        self,
        work: Callable[[], None],
        folder: Path,
        environment: Mapping[str, str],
        prepare: Prepare | None = None,
    ) -> None:
        self.start = time.monotonic()
        self._log = TemporaryFile()  # noqa: SIM115
        self.id = os.fork()
        if not self.id:
            self._run(work, folder, environment, prepare)
        with suppress(OSError):  # the fork does so, too: whichever comes first
            os.setpgid(self.id, self.id)

    def kill(self, after: float = 0.0) -> None:
        """Kill it, and all that it started, so many seconds after its start."""
        time.sleep(max(0.0, self.start + after - time.monotonic()))
        with suppress(ProcessLookupError):
            os.killpg(self.id, signal.SIGKILL)

    def wait(self, seconds: float = MAX_SECONDS) -> Outcome:
        """Wait for its end, at most for so long."""
        while not (ended := os.wait4(self.id, os.WNOHANG))[0]:
            if time.monotonic() > self.start + seconds:
                self.kill()
            time.sleep(POLL_SECONDS)
        taken = time.monotonic() - self.start
        self.kill()  # what it has left behind
        self._log.seek(0)
        text = self._log.read().decode(errors="replace")
        self._log.close()
        code = os.waitstatus_to_exitcode(ended[1])
        return Outcome(code, text, taken, ended[2].ru_maxrss * 1024)

    def _run(
        self,
        work: Callable[[], None],
        folder: Path,
        environment: Mapping[str, str],
        prepare: Prepare | None,
    ) -> NoReturn:
        code = 1
        try:
            os.setpgid(0, 0)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._redirect()
            os.environ.update(environment)
            os.chdir(folder)
            if prepare is not None:
                prepare()
            work()
            code = 0
        except SystemExit as error:
            code = int(error.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _redirect(self) -> None:
        """Lose what is printed, but keep what is said on standard error."""
        nothing = os.open(os.devnull, os.O_RDWR)
        for target, source in enumerate((nothing, nothing, self._log.fileno())):
            os.dup2(source, target)
        sys.stdout = os.fdopen(1, "w")
        sys.stderr = os.fdopen(2, "w")


def start(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    prepare: Prepare | None = None,
    delay: float = 0.0,
) -> Fork:
    """Start a command of ours in a workspace, after so many seconds."""

    def work() -> None:
        time.sleep(delay)
        from isthmus.cli import main  # in the fork it is there already

        sys.argv = ["isthmus", *arguments]
        main()

    own = {
        "ISTHMUS_CACHE": str(folder / "cache"),
        "ISTHMUS_DATA": str(folder / "data"),
        "HOME": str(folder / "home"),
        "ISTHMUS_STATE": str(folder / "home/state"),
        "NO_PROXY": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
    }
    return Fork(work, folder, {**own, **(environment or {})}, prepare)


def run(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    prepare: Prepare | None = None,
) -> Outcome:
    """Run a command of ours in a workspace to its end."""
    return start(arguments, folder, environment, prepare).wait()


def limit_memory(more: int) -> None:
    """Let this process have so much more memory than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def import_all() -> None:
    """Import what commands import, once, in the process that is forked.

    It computes nothing: threads, such as those of OpenMP, do not survive a fork.
    """
    for module in pkgutil.walk_packages(isthmus.__path__, "isthmus."):
        if not module.name.endswith("__main__"):
            _import(module.name)
    for name in LATE:
        _import(name)


def import_some() -> None:
    """Import what training imports; it takes a quarter of the time."""
    for name in EARLY:
        _import(name)


def _import(name: str) -> None:
    with suppress(ImportError):  # such as of what is not installed
        importlib.import_module(name)
