"""The two tasks by which machines write shards: to measure samples, and to write a shard."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.cluster.parts import Part
from isthmus.cluster.pictures import Given, Pictures, Rows
from isthmus.cluster.tasks import Block, WritesNoFiles, has_size
from isthmus.cluster.workload import require_same
from isthmus.data.shardwriter import Division, OpenShard, WrittenShard
from isthmus.errors import SourceError, first_sentence
from isthmus.files import fingerprint, flush_tree, temporary_folder


class MeasureSamples(WritesNoFiles):
    """Finds out how many bytes each sample takes in a tar, and which samples cannot be read."""

    title = "Measuring"
    takes_samples = False
    array = "sizes"

    @property
    def made_by(self) -> Mapping[str, str]:
        """See `Task`."""
        return {}

    def do(self, block: Block, folder: Path) -> Part:
        """See `Task`."""
        sizes = np.zeros(block.range[1] - block.range[0], np.int64)
        broken: dict[int, str] = {}
        for row, size in enumerate(block.given.open().list_sizes()):
            if isinstance(size, SourceError):
                broken[block.range[0] + row] = first_sentence(size)
            else:
                sizes[row] = size
        return Part(block.range, {self.array: sizes}, broken)


class Measured(NamedTuple):
    """The bytes (N,) of each sample in a tar, and the reasons why some cannot be read, by row."""

    sizes: NDArray[np.int64]
    broken: Mapping[int, str]


class PlannedShard(NamedTuple):
    """A shard to write: its name, the samples in it, and how many bytes they take."""

    name: str
    given: Given
    bytes: int


@dataclass(frozen=True)
class Shards:
    """The shards of a source, each of which is a block of a job.

    Parameters
    ----------
    pictures : Pictures
    sizes : (N,) int64
        Of all samples.
    rows : mapping
        From the name of each shard to its samples.
    """

    pictures: Pictures
    sizes: NDArray[np.int64]
    rows: Mapping[str, Rows]

    @classmethod
    def divide(cls, pictures: Pictures, measured: Measured, division: Division) -> "Shards":
        """Decide in which shard each sample is."""
        rows: defaultdict[str, list[int]] = defaultdict(list)
        for row, size in enumerate(measured.sizes.tolist()):
            if row not in measured.broken:
                rows[division.add(pictures.layout.split_of(row), size)].append(row)
        arrays = {name: np.array(numbers, np.int64) for name, numbers in rows.items()}
        return cls(pictures, measured.sizes, arrays)

    @property
    def source(self) -> str:
        """See `Blocks`."""
        return self.pictures.source

    @property
    def key(self) -> str:
        """See `Blocks`."""
        return fingerprint(self.pictures.key, list(self.rows), *(one.data for one in self._arrays))

    def __len__(self) -> int:
        return len(self.rows)

    def block(self, start: int, stop: int) -> Sequence[PlannedShard]:
        """See `Blocks`."""
        names = list(self.rows)[start:stop]
        return [
            PlannedShard(name, self.pictures.take(rows), int(self.sizes[rows].sum()))
            for name, rows in zip(names, self._arrays[start:stop], strict=True)
        ]

    def reject_broken(self, broken: dict[int, str], seen: int) -> None:
        """See `Blocks`: what is broken is in no shard."""

    @property
    def _arrays(self) -> Sequence[Rows]:
        return list(self.rows.values())


class WriteShard:
    """Writes a shard, whole or not at all."""

    title = "Writing shards"
    takes_samples = False

    @property
    def made_by(self) -> Mapping[str, str]:
        """See `Task`."""
        return {}

    def do(self, block: Block, folder: Path) -> Part:
        """See `Task`."""
        [planned] = block.given
        with temporary_folder(folder / planned.name) as temporary:
            written = _write(planned, temporary)
            flush_tree(temporary)
            (temporary / planned.name).replace(folder / planned.name)
        results = {
            "name": np.array([written.name]),
            "counts": np.array([written.samples, written.bytes]),
        }
        return Part(block.range, results, {})

    def is_kept(self, part: Part, folder: Path) -> bool:
        """See `Task`."""
        written = read_written(part)
        return has_size(folder / written.name, written.bytes)


def read_written(part: Part) -> WrittenShard:
    """Return what a part of `WriteShard` says."""
    [name], counts = part.array("name", "U", 1).tolist(), part.array("counts", "i", 1).tolist()
    return WrittenShard(name, *counts)


def _write(planned: PlannedShard, folder: Path) -> WrittenShard:
    shard, source = OpenShard(folder, planned.name), planned.given.source
    try:
        for sample in planned.given.open().list_samples():
            if isinstance(sample, SourceError):
                raise SourceError(
                    f"a file of {source.name} cannot be read any more ({first_sentence(sample)}); "
                    "repair or remove it, and remove the folders of parts to start over."
                )
            shard.add(sample)
        require_same(source.name, shard.size, planned.bytes)
    finally:
        written = shard.end()
    return written
