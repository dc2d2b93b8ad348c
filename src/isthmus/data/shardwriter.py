"""`ShardWriter`: samples in tars of a bounded size, called by their split and a number."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from isthmus.data.tarwriter import TarWriter, size_in_tar

DIGITS = 6  # of the numbers of shards


class WrittenShard(NamedTuple):
    """A shard: the name of its file, how many samples it holds, and its size in bytes."""

    name: str
    samples: int
    bytes: int


class Division:
    """Decides in which shard each sample is: those of a split fill up one after the other.

    Parameters
    ----------
    max_bytes : int
        With a sample that would make it larger, the next shard begins.
    max_samples : int
        Of a shard.
    """

    def __init__(self, max_bytes: int, max_samples: int) -> None:
        self.max_bytes, self.max_samples = max_bytes, max_samples
        self._shards: Counter[str] = Counter()
        # Of the last shard of each split.
        self._samples: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def add(self, split: str, size: int) -> str:
        """Return the name of the shard for the next sample of a split, of so many bytes."""
        count = self._samples[split]
        if not count or count >= self.max_samples or self._bytes[split] + size > self.max_bytes:
            self._shards[split] += 1
            self._samples[split] = self._bytes[split] = 0
        self._samples[split] += 1
        self._bytes[split] += size
        return f"{split}-{self._shards[split] - 1:0{DIGITS}}.tar"


class ShardWriter:
    """Writes samples into shards, one after the other for each split.

    Parameters
    ----------
    folder : Path
    division : Division
    """

    def __init__(self, folder: Path, division: Division) -> None:
        self.folder = folder
        self.written: list[WrittenShard] = []
        self._division = division
        self._open: dict[str, OpenShard] = {}  # by split

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, *_: object) -> None:
        for split in list(self._open):
            self._end(split)

    def add(self, split: str, members: Mapping[str, bytes]) -> None:
        """Add a sample to the shard of a split: its members by their names."""
        name = self._division.add(split, size_of_sample(members))
        if split in self._open and self._open[split].name != name:
            self._end(split)
        if split not in self._open:
            self._open[split] = OpenShard(self.folder, name)
        self._open[split].add(members)

    def _end(self, split: str) -> None:
        self.written.append(self._open.pop(split).end())


class OpenShard:
    """A shard that is being written.

    Parameters
    ----------
    folder : Path
    name : str
        Of its file, which is replaced.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._path, self._samples = folder / name, 0
        self._tar = TarWriter(self._path)

    def add(self, members: Mapping[str, bytes]) -> None:
        """Add a sample: its members by their names."""
        for name, content in members.items():
            self._tar.add(name, content)
        self._samples += 1

    @property
    def size(self) -> int:
        """In bytes, so far."""
        return self._tar.size

    def end(self) -> WrittenShard:
        """Close the file, and return what was written."""
        self._tar.close()
        return WrittenShard(self.name, self._samples, self._path.stat().st_size)


def size_of_sample(members: Mapping[str, bytes]) -> int:
    """Return how many bytes a sample takes in a tar: its members by their names."""
    return sum(size_in_tar(name, len(content)) for name, content in members.items())
