"""The pipeline of Ray Data: blocks of work, decoded in tasks, encoded and written by actors."""

import json
import os
import pickle
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.cluster.parts import Part, Parts, Range
from isthmus.cluster.workload import Decoded, Work
from isthmus.errors import IsthmusError
from isthmus.inference.model import Model
from isthmus.version import __version__

if TYPE_CHECKING:
    import pyarrow

# Cores that Ray reserves for each. An actor keeps its share while it waits for samples. So it has
# to leave a core of a machine to a decoder, even when actors of a lost machine move there; the
# system divides the cores among them. With a share of 0, Ray would place actors anywhere.
DECODER_CORES, ENCODER_CORES = 0.9, 0.001


@dataclass(frozen=True)
class Job:
    """What every worker needs to know.

    Parameters
    ----------
    parts : Parts
        Where the codes go.
    layer : str
    threads : int
        How many a worker computes with. Sums of floats depend on it.
    settings : mapping
        The environment variables of Isthmus on the machine that started the job.
    version : str
        Of Isthmus, the same for all.
    """

    parts: Parts
    layer: str
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


class Block(NamedTuple):
    """A range of rows to encode, the rows of it that are known to be broken, and the work."""

    range: Range
    known: Sequence[int]
    work: Work


class Outcome(NamedTuple):
    """What became of a block; see `Part`."""

    range: Range
    is_whole: bool
    broken: Mapping[int, str]


def encode_blocks(
    model: Model, job: Job, blocks: Iterable[Block]
) -> Generator[Outcome, None, None]:
    """Encode blocks on all machines of the cluster that this process has joined; see `_run`."""
    from ray.util.client import ray as client

    # Ray Data runs in a process of the cluster, not in one that only talks to it.
    return (_run_inside if client.is_connected() else _run)(model, job, blocks)


class Deputy:
    """Runs the pipeline in the cluster, for a process outside of it; an actor of Ray."""

    def __init__(self, model: Model, job: Job, blocks: Sequence[Block]) -> None:
        job.prepare()
        self._outcomes = _run(model, job, blocks)

    def next(self) -> Outcome | None:
        """Return what became of the next block, None at the end."""
        return next(self._outcomes, None)


def _run_inside(model: Model, job: Job, blocks: Iterable[Block]) -> Generator[Outcome, None, None]:
    import ray

    deputy = ray.remote(num_cpus=0)(Deputy).remote(model, job, list(blocks))
    while (outcome := ray.get(deputy.next.remote())) is not None:
        yield outcome


def _run(model: Model, job: Job, blocks: Iterable[Block]) -> Generator[Outcome, None, None]:
    """Encode blocks on all machines of the cluster, and yield what became of each as it is done.

    The pipeline is lazy: as much is decoded as the encoders and the memory of the cluster keep up
    with. What a machine was doing when it was lost, Ray does again on another one.
    """
    with closing(iter(_plan(model, job, blocks).iter_rows())) as rows:
        for row in rows:
            broken = {int(key): reason for key, reason in json.loads(row["broken"]).items()}
            yield Outcome((row["start"], row["stop"]), row["is_whole"], broken)


def _plan(model: Model, job: Job, blocks: Iterable[Block]) -> Any:
    """Return the dataset of Ray whose rows are the outcomes of blocks; nothing is computed yet."""
    import ray

    rows = [
        {"start": one.range[0], "stop": one.range[1], "known": list(one.known), "work": _pack(one)}
        for one in blocks
    ]
    _configure(ray)
    data = ray.data.from_items(rows, override_num_blocks=len(rows))
    return data.map_batches(
        decode_block,
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=DECODER_CORES,
        fn_kwargs={"job": job},
    ).map_batches(
        Encoder,
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=ENCODER_CORES,
        compute=ray.data.ActorPoolStrategy(size=min(len(rows), count_encoders(job.threads))),
        fn_constructor_args=(ray.put(model), job),
    )


def count_encoders(threads: int) -> int:
    """Return how many actors encode: as many as keep the cores of each machine busy."""
    return sum(max(1, one // threads) for one in list_cores()) or 1


def list_cores() -> list[int]:
    """Return how many cores each machine of the cluster has that computes."""
    import ray

    cores = (node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"])
    return [int(one) for one in cores if one >= 1]


def decode_block(row: "pyarrow.Table", job: Job) -> "pyarrow.Table":
    """Decode the samples of a block; a task of Ray Data."""
    import pyarrow as pa

    job.prepare()
    values, broken = pickle.loads(row["work"][0].as_buffer()).decode()
    columns = {
        "values": pa.array([np.ascontiguousarray(values).tobytes()], pa.large_binary()),
        "form": [json.dumps([str(values.dtype), values.shape])],
        "broken": [json.dumps(broken)],
    }
    kept = {name: row[name] for name in ("start", "stop", "known")}
    return pa.table({**kept, **columns})


class Encoder:
    """Encodes decoded blocks and writes the codes; an actor that loads the model once.

    Parameters
    ----------
    model : ray.ObjectRef
    job : Job
    """

    def __init__(self, model: Any, job: Job) -> None:
        import ray

        job.prepare()
        job.parts.require()
        self.job = job
        self.model: Model = ray.get(model)
        _set_threads(self.model, job.threads)

    def __call__(self, block: "pyarrow.Table") -> "pyarrow.Table":
        """Return where the block was, and which of its rows are broken."""
        import pyarrow as pa

        part = self._encode(block)
        self.job.parts.write(part)
        return pa.table(
            {
                "start": [part.range[0]],
                "stop": [part.range[1]],
                "is_whole": [part.is_whole],
                "broken": [json.dumps(part.broken)],
            }
        )

    def _encode(self, block: "pyarrow.Table") -> Part:
        start, stop = block["start"][0].as_py(), block["stop"][0].as_py()
        known = block["known"][0].as_py()
        values, found = _unpack(block)
        broken = {start + row: reason for row, reason in found.items()}
        is_whole = {*broken} <= {*known}
        # Those that were known to be broken do not count: the ranges were planned without them.
        rows = [row for row in range(start, stop) if row not in broken]
        values = values[[row not in known for row in rows]] if known else values
        z = self._features(values) if is_whole and len(values) else np.zeros((0, 0), np.float32)
        return Part((start, stop), z, broken, is_whole)

    def _features(self, values: NDArray[Any]) -> NDArray[np.float32]:
        batches = self.model.features(values, self.job.layer)
        return np.concatenate([batch.reshape(len(batch), -1) for batch in batches])


def _pack(block: Block) -> bytes:
    return pickle.dumps(block.work)


def _unpack(block: "pyarrow.Table") -> Decoded:
    dtype, shape = json.loads(block["form"][0].as_py())
    values = np.frombuffer(block["values"][0].as_buffer(), dtype).reshape(shape)
    broken = json.loads(block["broken"][0].as_py())
    return Decoded(values, {int(row): reason for row, reason in broken.items()})


def _set_threads(model: Model, threads: int) -> None:
    from isthmus.inference.trained import TrainedModel

    if isinstance(model, TrainedModel):
        import torch

        # Even if this machine has fewer cores: results depend on all machines using as many.
        torch.set_num_threads(threads)


def _configure(ray: Any) -> None:
    """Show nothing: progress and errors are said by us."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
