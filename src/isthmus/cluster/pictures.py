"""`Pictures`: the files of a source as shards hold them, of which any rows can be sent."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from isthmus.cluster.workload import KEPT_SOURCES, PACKED, Contents, Source, with_lists
from isthmus.data.decode import reject_too_many
from isthmus.data.shardlayout import ShardLayout
from isthmus.data.shards import read_pictures
from isthmus.errors import OptionError

Rows = NDArray[np.int64]


class Given(Protocol):
    """Some samples of a source, as they are sent to a process."""

    @property
    def source(self) -> Source:
        """The source."""

    def open(self) -> ShardLayout:
        """Return the samples, on whatever machine this is."""


@dataclass(frozen=True)
class Sent:
    """Samples in files of their own, whose paths are sent."""

    source: Source
    layout: ShardLayout

    def open(self) -> ShardLayout:
        """See `Given`."""
        self.source.require()
        return self.layout


@dataclass(frozen=True)
class Listed:
    """Samples in archives, tables or arrays, which each process lists once."""

    source: Source
    rows: Rows
    contents: Contents

    def open(self) -> ShardLayout:
        """See `Given`."""
        return _list_once(self.source, self.contents).take(self.rows)


@dataclass(frozen=True)
class Pictures:
    """The samples of a source, undecoded; the blocks of a job.

    Parameters
    ----------
    found : Source
    layout : ShardLayout
        Of all samples.
    contents : Contents
    """

    found: Source
    layout: ShardLayout
    contents: Contents

    @classmethod
    def read(cls, found: Source, out: Path) -> "Pictures":
        """List a source that is to become shards.

        Raises
        ------
        OptionError
            If shards cannot hold it, or it cannot be read but from its start.
        SourceError
            If it cannot be read.
        """
        plan = found.plan()
        manifest = read_pictures(plan, found.name, out)
        if manifest.values is None and plan.location.name.lower().endswith(PACKED):
            raise OptionError(
                f"{found.name} is compressed, so that every machine would have to read all of it; "
                "unpack it, or leave --on out."
            )
        return cls(found, ShardLayout.of(manifest), Contents.of(plan, manifest.names))

    @property
    def source(self) -> str:
        """See `Blocks`."""
        return self.found.name

    @property
    def key(self) -> str:
        """See `Blocks`."""
        return self.contents.key

    def __len__(self) -> int:
        return len(self.layout.pictures)

    def block(self, start: int, stop: int) -> Given:
        """See `Blocks`."""
        return self.take(np.arange(start, stop))

    def take(self, rows: Rows) -> Given:
        """Return samples as they are sent."""
        if not self._are_files:
            return Listed(self.found, rows, self.contents)
        layout = self.layout.take(rows)
        return Sent(self.found, replace(layout, manifest=with_lists(layout.manifest)))

    def reject_broken(self, broken: dict[int, str], seen: int) -> None:
        """See `Blocks`."""
        reject_too_many(broken, self.layout.manifest, self.source, seen)

    @cached_property
    def _are_files(self) -> bool:
        """Whether each sample is a file of its own."""
        return isinstance(next(iter(self.layout.manifest.files), None), str)


@lru_cache(KEPT_SOURCES)
def _list_once(source: Source, contents: Contents) -> ShardLayout:
    manifest = source.plan().read()
    contents.require(source, manifest.names)
    return ShardLayout.of(manifest)
