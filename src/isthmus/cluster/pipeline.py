"""The pipeline of Ray Data: blocks of samples, decoded in tasks, and what actors do with them."""

import json
import os
import pickle
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from isthmus.cluster.parts import Part, Parts, Range
from isthmus.cluster.tasks import Block, Task
from isthmus.cluster.workload import Decoded
from isthmus.data.pictures.mixed_scales import Largest
from isthmus.errors import IsthmusError
from isthmus.version import __version__

if TYPE_CHECKING:
    import pyarrow

# Cores that Ray reserves for each. An actor keeps its share while it waits for samples. So it has
# to leave a core of a machine to a decoder, even when actors of a lost machine move there; the
# system divides the cores among them. With a share of 0, Ray would place actors anywhere.
DECODER_CORES, WORKER_CORES = 0.9, 0.001


@dataclass(frozen=True)
class Setup:
    """What every process needs to know.

    Parameters
    ----------
    parts : Parts
        Where the results go.
    threads : int
        How many a worker computes with. Sums of floats depend on it.
    settings : mapping
        The environment variables of Isthmus on the machine that started the job.
    version : str
        Of Isthmus, the same for all.
    """

    parts: Parts
    threads: int
    settings: Mapping[str, str]
    version: str = __version__

    def prepare(self) -> None:
        """Set up the process of a worker.

        Raises
        ------
        IsthmusError
            If it has another version of Isthmus.
        """
        if self.version != __version__:
            raise IsthmusError(
                f"the cluster has Isthmus {__version__} and this machine {self.version}; install "
                "the same version on all."
            )
        os.environ.update(self.settings)
        os.environ["OMP_NUM_THREADS"] = str(self.threads)
        # Threads that wait for each other leave the core to decoders.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        os.environ["LOKY_MAX_CPU_COUNT"] = "1"  # decoding: there is a task for each core


class Outcome(NamedTuple):
    """What became of a block; see `Part`."""

    range: Range
    is_whole: bool
    broken: Mapping[int, str]


def do_blocks(task: Task, setup: Setup, blocks: Iterable[Block]) -> Generator[Outcome, None, None]:
    """Do blocks on all machines of the cluster that this process has joined; see `_run`."""
    from ray.util.client import ray as client

    # Ray Data runs in a process of the cluster, not in one that only talks to it.
    return (_run_inside if client.is_connected() else _run)(task, setup, blocks)


class Deputy:
    """Runs the pipeline in the cluster, for a process outside of it; an actor of Ray."""

    def __init__(self, task: Task, setup: Setup, blocks: Sequence[Block]) -> None:
        setup.prepare()
        self._outcomes = _run(task, setup, blocks)

    def next(self) -> Outcome | None:
        """Return what became of the next block, None at the end."""
        return next(self._outcomes, None)


def _run_inside(
    task: Task, setup: Setup, blocks: Iterable[Block]
) -> Generator[Outcome, None, None]:
    import ray

    deputy = ray.remote(num_cpus=0)(Deputy).remote(task, setup, list(blocks))
    while (outcome := ray.get(deputy.next.remote())) is not None:
        yield outcome


def _run(task: Task, setup: Setup, blocks: Iterable[Block]) -> Generator[Outcome, None, None]:
    """Do blocks on all machines of the cluster, and yield what became of each as it is done.

    The pipeline is lazy: as much is decoded as the workers and the memory of the cluster keep up
    with. What a machine was doing when it was lost, Ray does again on another one.
    """
    with closing(iter(_plan(task, setup, blocks).iter_rows())) as rows:
        for row in rows:
            broken = {int(key): reason for key, reason in json.loads(row["broken"]).items()}
            yield Outcome((row["start"], row["stop"]), row["is_whole"], broken)


def _plan(task: Task, setup: Setup, blocks: Iterable[Block]) -> Any:
    """Return the dataset of Ray whose rows are the outcomes of blocks; nothing is computed yet."""
    import ray

    rows = [
        {
            "start": one.range[0],
            "stop": one.range[1],
            "known": list(one.known),
            "work": pickle.dumps(one.given),
        }
        for one in blocks
    ]
    _configure(ray)
    data = ray.data.from_items(rows, override_num_blocks=len(rows))
    if task.takes_samples:
        data = data.map_batches(
            decode_block,
            batch_size=1,
            batch_format="pyarrow",
            num_cpus=DECODER_CORES,
            fn_kwargs={"setup": setup},
        )
    return data.map_batches(
        Worker,
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=WORKER_CORES,
        compute=ray.data.ActorPoolStrategy(size=min(len(rows), count_workers(setup.threads))),
        fn_constructor_args=(ray.put(task), setup),
    )


def count_workers(threads: int) -> int:
    """Return how many actors compute: as many as keep the cores of each machine busy."""
    return sum(max(1, one // threads) for one in list_cores()) or 1


def list_cores() -> list[int]:
    """Return how many cores each machine of the cluster has that computes."""
    import ray

    cores = (node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"])
    return [int(one) for one in cores if one >= 1]


def decode_block(row: "pyarrow.Table", setup: Setup) -> "pyarrow.Table":
    """Decode the samples of a block; a task of Ray Data."""
    import pyarrow as pa

    setup.prepare()
    values, broken, largest = pickle.loads(row["work"][0].as_buffer()).decode()
    columns = {
        "values": pa.array([np.ascontiguousarray(values).tobytes()], pa.large_binary()),
        "form": [json.dumps([str(values.dtype), values.shape])],
        "broken": [json.dumps(broken)],
        "largest": [json.dumps(largest)],
    }
    kept = {name: row[name] for name in ("start", "stop", "known")}
    return pa.table({**kept, **columns})


class Worker:
    """Does a task with blocks and writes the results; an actor that loads the task once.

    Parameters
    ----------
    task : ray.ObjectRef
    setup : Setup
    """

    def __init__(self, task: Any, setup: Setup) -> None:
        import ray

        setup.prepare()
        setup.parts.require()
        self.parts = setup.parts
        self.task: Task = ray.get(task)
        _set_threads(setup.threads)

    def __call__(self, table: "pyarrow.Table") -> "pyarrow.Table":
        """Return where the block was, and which of its rows are broken."""
        import pyarrow as pa

        block = _read_block(table)
        if self.parts.are_wanted():
            part = self.task.do(block, self.parts.files)
            self.parts.write(part)
        else:
            part = Part(block.range, {}, {}, is_whole=False)
        return pa.table(
            {
                "start": [part.range[0]],
                "stop": [part.range[1]],
                "is_whole": [part.is_whole],
                "broken": [json.dumps(part.broken)],
            }
        )


def _read_block(table: "pyarrow.Table") -> Block:
    place = table["start"][0].as_py(), table["stop"][0].as_py()
    is_decoded = "values" in table.column_names
    given = _unpack(table) if is_decoded else pickle.loads(table["work"][0].as_buffer())
    return Block(place, table["known"][0].as_py(), given)


def _unpack(table: "pyarrow.Table") -> Decoded:
    dtype, shape = json.loads(table["form"][0].as_py())
    values = np.frombuffer(table["values"][0].as_buffer(), dtype).reshape(shape)
    broken = json.loads(table["broken"][0].as_py())
    largest = [Largest(*one) for one in json.loads(table["largest"][0].as_py())]
    return Decoded(values, {int(row): reason for row, reason in broken.items()}, largest)


def _set_threads(threads: int) -> None:
    """Let torch compute with so many threads, if the task has loaded it.

    Also if this machine has fewer cores: results depend on all machines using as many.
    """
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)


def _configure(ray: Any) -> None:
    """Show nothing: progress and errors are said by us."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
