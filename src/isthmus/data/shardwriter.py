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


class ShardWriter:
    """Writes samples into shards, one after the other for each split.

    Parameters
    ----------
    folder : Path
    max_bytes : int
        With a sample that would make it larger, the next shard begins.
    max_samples : int
        Of a shard.
    """

    def __init__(self, folder: Path, max_bytes: int, max_samples: int) -> None:
        self.folder, self.max_bytes, self.max_samples = folder, max_bytes, max_samples
        self.written: list[WrittenShard] = []
        self._open: dict[str, tuple[str, TarWriter]] = {}
        self._samples: Counter[str] = Counter()  # of the open shard of a split
        self._shards: Counter[str] = Counter()

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, *_: object) -> None:
        for split in list(self._open):
            self._end(split)

    def add(self, split: str, members: Mapping[str, bytes]) -> None:
        """Add a sample to the shard of a split: its members by their names."""
        if split in self._open and self._is_full(split, members):
            self._end(split)
        if split not in self._open:
            name = f"{split}-{self._shards[split]:0{DIGITS}}.tar"
            self._open[split] = name, TarWriter(self.folder / name)
            self._shards[split] += 1
        for name, content in members.items():
            self._open[split][1].add(name, content)
        self._samples[split] += 1

    def _is_full(self, split: str, members: Mapping[str, bytes]) -> bool:
        size = self._open[split][1].size + sum(map(size_in_tar, members.values()))
        return size > self.max_bytes or self._samples[split] >= self.max_samples

    def _end(self, split: str) -> None:
        name, tar = self._open.pop(split)
        tar.close()
        size = (self.folder / name).stat().st_size
        self.written.append(WrittenShard(name, self._samples.pop(split), size))
