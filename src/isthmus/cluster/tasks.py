"""`Task`: what is done with each block: numbers are computed of samples, or files are written."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from isthmus.cluster.parts import Part, Range
from isthmus.data.manifest import Manifest
from isthmus.fields import from_json, parse_json
from isthmus.files import to_json
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


class WritesNoFiles:
    """What tasks share whose results are in the parts alone."""

    def is_kept(self, part: Part, folder: Path) -> bool:
        """See `Task`."""
        return True


@dataclass(frozen=True)
class SampleTask(WritesNoFiles):
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
        values, found, largest = block.given
        broken = {start + row: reason for row, reason in found.items()}
        is_whole = {*broken} <= {*block.known}
        # Those that were known to be broken do not count: the ranges were planned without them.
        rows = [row for row in range(start, stop) if row not in broken]
        if block.known:
            values = values[[row not in block.known for row in rows]]
        results = {}
        if is_whole and len(values):
            results[self.array] = self.compute(self.model, values)
        return Part(block.range, results, broken, is_whole, largest)


class Written(Protocol):
    """A file that is written; a dataclass of what a job says of it at its end."""

    @property
    def file(self) -> str:
        """Its path below the folder."""

    @property
    def size(self) -> int:
        """Its bytes."""


T = TypeVar("T", bound=Written)


@dataclass(frozen=True)
class FileTask(Generic[T]):
    """Writes a file for each picture, into a folder that becomes the output when all are done.

    Parameters
    ----------
    model : Model
    write : callable
        Takes the model, pictures and the folder, writes files whole or not at all, and returns
        what was written, and by the places of broken pictures the reasons.
    written : type
        The dataclass that it returns.
    title : str
        See `Task`.
    """

    model: Model
    write: Callable[[Model, Manifest, Path], tuple[Sequence[T], Mapping[int, str]]]
    written: type[T]
    title: str

    takes_samples = False
    array = "files"

    @property
    def made_by(self) -> Mapping[str, str]:
        """See `Task`."""
        return {"model": self.model.fingerprint, "writes": self.written.__name__}

    def do(self, block: Block, folder: Path) -> Part:
        """See `Task`."""
        start, _ = block.range
        files, broken = self.write(self.model, block.given.open(), folder)
        results = {self.array: np.array(json.dumps(to_json(list(files))))}
        return Part(block.range, results, {start + row: why for row, why in broken.items()})

    def is_kept(self, part: Part, folder: Path) -> bool:
        """See `Task`."""
        return all(has_size(folder / one.file, one.size) for one in self.files(part))

    def files(self, part: Part) -> list[T]:
        """Return what a part says of its files, checked."""
        content = parse_json(str(part.array(self.array, "U", 0)))
        return [from_json(self.written, one) for one in content]


def has_size(path: Path, size: int) -> bool:
    """Return whether there is a file of so many bytes."""
    return path.is_file() and path.stat().st_size == size
