"""`ShardLayout`: what the samples of a manifest are in shards, member by member."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, repeat
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from isthmus.data.export import encode_png
from isthmus.data.manifest import Manifest
from isthmus.data.readers.archives.names import clean_path
from isthmus.data.readers.files.folder_names import PART_LABELS
from isthmus.data.readers.files.kinds import PICTURE_SUFFIXES
from isthmus.data.readers.shards.labels import NAME_FIELD
from isthmus.data.readers.shards.members import CLASS, RECORD, split_name
from isthmus.data.shardmasks import list_masks, measure_file, name_mask, read_file
from isthmus.data.shardwriter import DIGITS, size_of_sample
from isthmus.data.tarwriter import size_in_tar
from isthmus.errors import SourceError

NO_SPLIT = "shard"  # what shards are called that have no split
SKIPPED = re.compile("__[^/]*__($|/)")  # names of members that the WebDataset library passes over


@dataclass(frozen=True)
class ShardLayout:
    """The samples of a manifest as members of shards.

    Parameters
    ----------
    manifest : Manifest
    pictures : sequence of N str
        What the pictures are called in the shards.
    are_called : bool
        Whether the samples are called so, too.
    """

    manifest: Manifest
    pictures: Sequence[str]
    are_called: bool

    @classmethod
    def of(cls, manifest: Manifest) -> "ShardLayout":
        """Return the layout of a whole source."""
        pictures = _name_pictures(manifest)
        return cls(manifest, pictures, pictures == list(manifest.names))

    def take(self, rows: NDArray[np.int64]) -> "ShardLayout":
        """Return the layout of some of the samples."""
        pictures = [self.pictures[row] for row in rows.tolist()]
        return replace(self, manifest=self.manifest.take(rows), pictures=pictures)

    def split_of(self, row: int) -> str:
        """Return what the shards of a sample are called."""
        splits = self.manifest.splits
        return NO_SPLIT if splits is None else PART_LABELS[splits[row]]

    def list_samples(self) -> Iterator[dict[str, bytes] | SourceError]:
        """Yield the members of each sample by name, or the reason why it cannot be read."""
        masks = repeat(b"") if self.manifest.masks is None else list_masks(self.manifest)
        for row, (picture, mask) in enumerate(zip(self._list_pictures(), masks, strict=False)):
            if isinstance(picture, SourceError):
                yield picture
            elif isinstance(mask, SourceError):
                yield mask
            else:
                yield self._put_together(row, picture, mask)

    def list_sizes(self) -> Iterator[int | SourceError]:
        """Yield how many bytes each sample takes in a tar, or why it cannot be read.

        Files on a disk are not read for it, except where there are masks.
        """
        if self.manifest.values is not None or self.manifest.masks is not None:
            for sample in self.list_samples():
                yield sample if isinstance(sample, SourceError) else size_of_sample(sample)
            return
        for row, size in enumerate(map(measure_file, self.manifest.files)):
            if isinstance(size, SourceError):
                yield size
            else:
                own = size_in_tar(self.pictures[row], size)
                yield own + size_of_sample(self._list_texts(row))

    def _list_pictures(self) -> Iterator[bytes | SourceError]:
        """Yield the content of each picture, or the reason why it has none."""
        if self.manifest.values is not None:
            return map(encode_png, self.manifest.values)
        return map(read_file, self.manifest.files)

    def _put_together(self, row: int, picture: bytes, mask: bytes) -> dict[str, bytes]:
        sample = {self.pictures[row]: picture}
        if self.manifest.masks is not None:
            sample[name_mask(self.manifest, row, split_name(self.pictures[row])[0])] = mask
        return sample | self._list_texts(row)

    def _list_texts(self, row: int) -> dict[str, bytes]:
        """Return the label of a sample, and its name where its members do not have it."""
        labels, key = self.manifest.labels, split_name(self.pictures[row])[0]
        texts = {}
        if labels is not None:
            texts[f"{key}.{CLASS}"] = str(labels[row]).encode()
        if labels is None or not self.are_called:
            record = {NAME_FIELD: self.manifest.names[row]}
            texts[f"{key}.{RECORD}"] = json.dumps(record).encode()
        return texts


def _name_pictures(manifest: Manifest) -> list[str]:
    """Return the names of the pictures in the shards, in ascending order."""
    names = list(manifest.names)
    keys = {split_name(name)[0] for name in names}
    ascend = all(one < other for one, other in pairwise(names))
    if ascend and len(keys) == len(names) and all(map(_is_member_name, names)):
        return names
    digits = max(DIGITS, len(str(len(names))))
    suffixes = [".png" if manifest.values is not None else _suffix(name) for name in names]
    return [f"{row:0{digits}}{suffix}" for row, suffix in enumerate(suffixes)]


def _is_member_name(name: str) -> bool:
    """Return whether a member of this name is read under it, here and by WebDataset."""
    key, kind = split_name(name)
    is_picture = f".{kind}" in PICTURE_SUFFIXES and not key.endswith("/") and key != ""
    return is_picture and clean_path(name) == name and not SKIPPED.match(name)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
