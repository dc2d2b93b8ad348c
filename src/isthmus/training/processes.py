"""What the processes of a training exchange, and what all of them must have in common."""

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

from isthmus.errors import OptionError, TrainingError
from isthmus.runtime import process_count
from isthmus.text import count_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric

T = TypeVar("T")

# What all processes must have in common: how a sentence says it, and the way out.
ALIKE = {
    "isthmus": ("Isthmus {}", "install the same version on every machine"),
    "torch": ("torch {}", "install the same version on every machine"),
    "precision": ("the precision {}", "give --precision 32, which every processor has"),
    "samples": ("samples of the fingerprint {}", "give every machine the same files"),
    "options": ("options of the fingerprint {}", "start every process with the same ones"),
}


def gather(fabric: "Fabric", value: T) -> list[T]:
    """Return the values of all processes, in the order of their ranks."""
    if fabric.world_size == 1:
        return [value]
    values: list[T | None] = [None] * fabric.world_size
    torch.distributed.all_gather_object(values, value)
    return [one for one in values if one is not None]


def first_says(fabric: "Fabric", answer: bool) -> bool:
    """Return the answer of the first process; asked in every step, so it takes little time."""
    if fabric.world_size == 1:
        return answer
    said = torch.tensor(int(answer), device=fabric.device)
    torch.distributed.broadcast(said, 0)
    return bool(said)


def copy_buffers(fabric: "Fabric", module: nn.Module) -> None:
    """Give all processes the buffers of the first one, such as the means of batch normalization.

    In training they are those of a process's own samples.
    """
    if fabric.world_size > 1:
        for buffer in module.buffers():
            torch.distributed.broadcast(buffer, 0)


def require_alike(fabric: "Fabric", facts: Mapping[str, str]) -> None:
    """Refuse to train where a process differs from the first one.

    Parameters
    ----------
    fabric : Fabric
    facts : mapping
        Of this process, by keys of `ALIKE`.

    Raises
    ------
    OptionError
        In every process.
    """
    found = gather(fabric, (platform.node(), dict(facts)))
    host, first = found[0]
    for rank, (other_host, other) in enumerate(found):
        for name in first:
            if other[name] != first[name]:
                what, way_out = ALIKE[name]
                raise OptionError(
                    f"rank {rank} on {other_host} has {what.format(other[name])}, and rank 0 on "
                    f"{host} has {what.format(first[name])}; {way_out}."
                )


def reject_other_processes(name: str, begun: int) -> None:
    """Refuse to continue a run with another number of processes than it was started with.

    Raises
    ------
    OptionError
    """
    if begun == (now := process_count()):
        return
    # Sums in another order, and batch normalization over other samples, give other weights.
    way_out = "start it without torchrun"
    if begun > 1:
        way_out = f"start as many by torchrun, such as torchrun --nproc-per-node {begun} -m isthmus"
    raise OptionError(
        f"{name} was started by {count_of(begun, 'process', 'processes')} and cannot be resumed by "
        f"{now}; {way_out}."
    )


@contextmanager
def reporting_lost_processes() -> Iterator[None]:
    """Turn what torch raises when processes cannot reach each other into one sentence.

    Raises
    ------
    TrainingError
    """
    try:
        yield
    except RuntimeError as error:
        # NCCL's errors have a class of their own, gloo's have none.
        if process_count() == 1 or not (
            isinstance(error, torch.distributed.DistError) or "gloo" in str(error)
        ):
            raise
        raise TrainingError(_explain(str(error))) from error


def _explain(text: str) -> str:
    place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
    if "EADDRINUSE" in text:
        return (
            f"another program uses {place}, by which the processes of this training meet; give "
            "torchrun another --master-port."
        )
    if "client socket" in text:
        return (
            f"rank {os.environ.get('RANK')} on {platform.node()} cannot reach rank 0 at {place}; "
            "start torchrun on every machine, and open that port between them."
        )
    return (
        "another process of this training was lost; start as many again by torchrun with isthmus "
        "resume, which continues from the last whole epoch."
    )
