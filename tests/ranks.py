"""Processes of one training, as torchrun starts them on one or several machines.

They are forks of a process that has imported torch and computed nothing, so that they start in
milliseconds. Run as a program, this module is that process: it reads what to start as lines of
JSON, and answers with what became of it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

SECONDS = 240.0  # more means that they wait for each other for ever
POLL = 0.01
GRACE = 0.5  # of torchrun, before it ends those whose process does not end


@dataclass(frozen=True)
class Ended:
    """What became of a process: its exit code, and what it printed."""

    code: int
    out: str
    err: str


class Ranks:
    """Starts the processes of a training."""

    def __init__(self, server: "subprocess.Popen[str]") -> None:
        self._server = server

    def run(
        self,
        *arguments: object,
        count: int = 2,
        differing: Sequence[Mapping[str, str]] = (),
        kill: tuple[int, Path] | None = None,
        port: int | None = None,
    ) -> list[Ended]:
        """Run a command in so many processes, and end all when one of them fails.

        Parameters
        ----------
        *arguments
            Of `isthmus`.
        count : int
        differing : sequence of mappings
            Environment variables of each process, among them `PWD`, the folder that it is in.
        kill : (int, Path), optional
            Kill a process once there is a file.
        port : int, optional
            By which they meet; by default a free one.
        """
        environments = [_environment(rank, count, port or free_port()) for rank in range(count)]
        if port is None:
            for one in environments:
                one["MASTER_PORT"] = environments[0]["MASTER_PORT"]
        for own, more in zip(environments, differing, strict=False):
            own.update(more)
        question = {
            "arguments": list(map(str, arguments)),
            "environments": environments,
            "kill": None if kill is None else [kill[0], str(kill[1])],
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(question) + "\n")
        self._server.stdin.flush()
        return [Ended(**one) for one in json.loads(self._server.stdout.readline())]


@contextmanager
def serving(cache: Path) -> Iterator[Ranks]:
    """Provide `Ranks`, with a cache for all of them."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "ISTHMUS_CACHE": str(cache),
        "OMP_NUM_THREADS": "1",
    }
    pipe = subprocess.PIPE
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as server:
        yield Ranks(server)
        assert server.stdin is not None
        server.stdin.close()


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _environment(rank: int, count: int, port: int) -> dict[str, str]:
    """Return what torchrun sets for a process."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "GROUP_WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "none",
    }


# -- the process that is forked -----------------------------------------------------------------


def _serve() -> None:
    import lightning_fabric.strategies  # noqa: F401
    import sklearn.datasets
    import sklearn.decomposition  # noqa: F401
    import torch.distributed  # noqa: F401

    import isthmus.data.load
    import isthmus.evaluation.diagnosis.diagnose
    import isthmus.training.train  # noqa: F401

    for line in sys.stdin:
        question = json.loads(line)
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(_run(question, Path(folder))), flush=True)


def _run(question: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    arguments, environments = question["arguments"], question["environments"]
    ids = [_start(arguments, one, folder / str(rank)) for rank, one in enumerate(environments)]
    codes = _wait(ids, question["kill"])
    return [
        {
            "code": codes[process],
            "out": (folder / f"{rank}.out").read_text(),
            "err": (folder / f"{rank}.err").read_text(),
        }
        for rank, process in enumerate(ids)
    ]


def _wait(ids: Sequence[int], kill: tuple[int, str] | None) -> dict[int, int]:
    """Wait for all processes; once one has failed, the others are ended."""
    codes: dict[int, int] = {}
    limit = time.monotonic() + SECONDS
    while len(codes) < len(ids):
        for one in set(ids) - set(codes):
            ended, status = os.waitpid(one, os.WNOHANG)
            if ended:
                codes[one] = os.waitstatus_to_exitcode(status)
        left = set(ids) - set(codes)
        if kill is not None and Path(kill[1]).exists():
            os.kill(ids[kill[0]], signal.SIGKILL)
            kill = None
        if any(codes.values()) and left:
            time.sleep(GRACE)
            _end(left, signal.SIGTERM)
        if time.monotonic() > limit:
            _end(left, signal.SIGKILL)
        time.sleep(POLL)
    return codes


def _end(ids: set[int], how: signal.Signals) -> None:
    for one in ids:
        os.kill(one, how)


def _start(arguments: list[str], environment: dict[str, str], log: Path) -> int:
    process = os.fork()
    if not process:
        _become(arguments, environment, log)
    return process


def _become(arguments: list[str], environment: dict[str, str], log: Path) -> NoReturn:
    code: Any = 1
    try:
        for number, suffix in ((1, ".out"), (2, ".err")):
            file = os.open(log.with_suffix(suffix), os.O_WRONLY | os.O_CREAT)
            os.dup2(file, number)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        os.environ.update(environment)
        os.chdir(environment.get("PWD", "."))
        sys.argv = ["isthmus", *arguments]
        from isthmus.cli import main  # only now: it looks at the rank

        main()
        code = 0
    except SystemExit as error:
        code = error.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(code))


if __name__ == "__main__":
    _serve()
