"""`Task`: what is done with each block; and the one that computes numbers of samples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from isthmus.cluster.parts import Part, Range
from isthmus.inference.model import Model


class Block(NamedTuple):
    """A range of rows, and what is given of it.

    Parameters
    ----------
    range : (int, int)
    known : sequence of int
        The rows of it that are known to be broken.
    given : Work or Decoded
        Its samples; decoded if the task takes samples, and otherwise whatever the source gives.
    """

    range: Range
    known: Sequence[int]
    given: Any


class Blocks(Protocol):
    """A source as a job sees it: rows, of which any range can be sent to a worker."""

    @property
    def source(self) -> str:
        """Its name."""

    @property
    def key(self) -> str:
        """16 hexadecimal digits that change when its content does."""

    def __len__(self) -> int:
        """Return how many rows it has."""

    def block(self, start: int, stop: int) -> Any:
        """Return what is sent to a worker of the rows from one to another; see `Block`."""

    def reject_broken(self, broken: dict[int, str], seen: int) -> None:
        """Reject a source of which too much is broken, of so many rows that were tried.

        Raises
        ------
        SourceError
        """


class Task(Protocol):
    """What is done with each block; one is sent to every worker, with all that it needs."""

    @property
    def title(self) -> str:
        """What it is called while it is shown, such as "Encoding"."""

    @property
    def made_by(self) -> Mapping[str, str]:
        """What its results depend on besides the source, such as the fingerprint of a model."""

    @property
    def takes_samples(self) -> bool:
        """Whether blocks are decoded before, by other processes, and broken samples shift batches.

        See `plan_ranges`. Otherwise the ranges of blocks are known from the start.
        """

    def do(self, block: Block, folder: Path) -> Part:
        """Do it, in a worker; the result of the same block is always the same.

        Files may be written into the folder, each whole or not at all; see `Parts.publish`.
        """

    def is_kept(self, part: Part, folder: Path) -> bool:
        """Return whether all files of a part are still there, which an earlier attempt wrote."""


@dataclass(frozen=True)
class SampleTask:
    """Computes numbers of samples, in the batches that one machine would make.

    Parameters
    ----------
    model : Model
    compute : callable
        From the model and samples (n, …) to an array (n, …).
    title : str
        See `Task`.
    options : mapping
        What the numbers depend on besides the model, for people and for the job's key.
    """

    model: Model
    compute: Callable[[Model, NDArray[Any]], NDArray[Any]]
    title: str
    options: Mapping[str, str]

    takes_samples = True
    array = "values"  # the name of the results in a part

    @property
    def made_by(self) -> Mapping[str, str]:
        """See `Task`."""
        return {"model": self.model.fingerprint, **self.options}

    def do(self, block: Block, folder: Path) -> Part:
        """See `Task`."""
        start, stop = block.range
        values, found = block.given
        broken = {start + row: reason for row, reason in found.items()}
        is_whole = {*broken} <= {*block.known}
        # Those that were known to be broken do not count: the ranges were planned without them.
        rows = [row for row in range(start, stop) if row not in broken]
        if block.known:
            values = values[[row not in block.known for row in rows]]
        results = {}
        if is_whole and len(values):
            results[self.array] = self.compute(self.model, values)
        return Part(block.range, results, broken, is_whole)

    def is_kept(self, part: Part, folder: Path) -> bool:
        """See `Task`."""
        return True
