"""`Pictures`: what is compared, read once from samples or from the files of a source.

Pictures of a source keep their own sizes, whatever they are, and are not kept: of each only a
thumbnail is. Those that are shown are read a second time.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, open_or_decode
from isthmus.data.decode import decode_blocks, reject_too_many
from isthmus.data.items import HasItems, Items
from isthmus.data.load import Plan
from isthmus.data.manifest import Content, Manifest
from isthmus.data.reading import LeftOut
from isthmus.data.samples import Samples
from isthmus.data.split import Split
from isthmus.detection.duplicates.thumbnails import Thumbnails, make_thumbnails
from isthmus.errors import OptionError, SourceError

BLOCK_BYTES = 2**24  # of samples that are read at once
Loader = Callable[[NDArray[np.int64]], list[NDArray[np.uint8]]]


@dataclass(frozen=True, eq=False)
class Pictures(HasItems):
    """N pictures to compare.

    Parameters
    ----------
    thumbnails : Thumbnails
    items : Items
    splits : (N,) uint8, optional
        Index of each picture's split in `SPLITS`.
    source : str
    load : callable
        Returns the pictures (H, W, C) at some rows.
    files : sequence of N bytes or Path or None, optional
        The digest of each picture's file, or where the file is.
    left_out : tuple of LeftOut
        Files that are no pictures.
    skipped : tuple of (name, reason)
        Files that could not be decoded.
    """

    thumbnails: Thumbnails
    items: Items
    splits: NDArray[np.uint8] | None
    source: str
    load: Loader
    files: Sequence[bytes | Path | None] = field(default=(), repr=False)
    left_out: tuple[LeftOut, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.thumbnails)

    def have_same_file(self, first: int, second: int) -> bool | None:
        """Return whether the files of two pictures have equal bytes; None if there are no files."""
        if not self.files:
            return None
        sums = [_digest(self.files[row]) for row in (first, second)]
        return None if None in sums else sums[0] == sums[1]


def of_samples(samples: Samples, splits: NDArray[np.uint8] | None, track: Track) -> Pictures:
    """Return the pictures of samples.

    Raises
    ------
    OptionError
        If they are signals.
    """
    name = samples.origin.source or "the array"
    if samples.is_signal:
        raise OptionError(f"{name} holds signals, and duplicates are found among images only.")
    values = samples.values
    step = max(1, BLOCK_BYTES // max(1, values[0].nbytes))
    starts = range(0, len(values), step)
    parts = [
        make_thumbnails(values[start : start + step])
        for start in track(starts, len(starts), f"Reading {name}")
    ]
    return Pictures(
        Thumbnails.join(parts),
        samples.items,
        splits,
        name,
        lambda rows: [np.asarray(values[row]) for row in rows.tolist()],
        _find_files(samples),
        skipped=samples.skipped,
    )


def of_run(samples: Samples, split: Split, track: Track) -> Pictures:
    """Return the pictures of a run's samples; those in no part of its split are left out."""
    parts = (split.train, split.validation, split.test)
    splits = np.repeat(np.arange(3, dtype=np.uint8), [len(part) for part in parts])
    rows = np.concatenate(parts)
    order = np.argsort(rows)
    if len(rows) < len(samples):  # else nothing has to be copied
        samples = samples.take(rows[order])
    return of_samples(samples, splits[order], track)


def of_plan(plan: Plan, track: Track) -> Pictures:
    """Return the pictures of a source, which may differ in size.

    Raises
    ------
    SourceError
        If the source is a single picture, or more than a tenth of its files cannot be decoded.
    OptionError
        If it holds signals.
    """
    if plan.is_picture:
        raise SourceError(f"{plan.location} is a single picture; give a folder or an archive.")
    manifest = plan.read()
    if manifest.values is not None:
        samples = open_or_decode(plan.origin, plan.files, plan.read, track=track)
        return of_samples(samples, samples.splits, track)
    reader = _Reader(plan, manifest)
    for _ in track(reader.read(), len(manifest.names), f"Reading {plan.origin.source}"):
        pass
    return reader.pictures()


class _Reader:
    """Decodes the pictures of a source, and keeps their thumbnails."""

    def __init__(self, plan: Plan, manifest: Manifest) -> None:
        self._plan, self._manifest = plan, manifest
        self._parts: list[Thumbnails] = []
        self._broken: dict[int, str] = {}
        self._files: list[bytes | Path | None] = []

    def read(self) -> Iterator[int]:
        """Decode all pictures, and yield the position of each."""
        manifest = replace(self._manifest, files=_sum_files(self._manifest.files, self._files))
        for position, pixels in _decode(manifest, self._plan, self._broken):
            if pixels is not None:
                self._parts.append(make_thumbnails(pixels[None]))
            yield position

    def pictures(self) -> Pictures:
        """Return all pictures, once they are read."""
        manifest, plan, total = self._manifest, self._plan, len(self._manifest.names)
        good = np.array([row for row in range(total) if row not in self._broken], np.int64)
        if not len(good):
            raise SourceError(f"{plan.origin.source} holds no samples.")
        has_files = len(self._files) == total  # else there are several pages in some
        return Pictures(
            Thumbnails.join(self._parts),
            Items(manifest.names, manifest.labels, manifest.class_names).take(good),
            None if manifest.splits is None else manifest.splits[good],
            plan.origin.source,
            lambda rows: _load_again(plan, good[rows]),
            [self._files[row] for row in good.tolist()] if has_files else (),
            manifest.findings.left_out,
            tuple((manifest.names[row], reason) for row, reason in self._broken.items()),
        )


def _decode(
    manifest: Manifest, plan: Plan, broken: dict[int, str]
) -> Iterator[tuple[int, NDArray[np.uint8] | None]]:
    """Yield the position of each picture and its pixels (H, W, C), None if it is broken."""
    manifest = replace(manifest, masks=None, mask_names=())  # masks do not say what is shown
    done = 0
    with closing(decode_blocks(manifest, plan.origin.preprocessing)) as blocks:
        for block in blocks:
            for position, reason in block.broken.items():
                broken[done + position] = reason
                reject_too_many(broken, manifest, plan.origin.source, done + position + 1)
            pixels = iter(block.pixels)
            for position in range(len(block)):
                yield done + position, None if position in block.broken else next(pixels)
            done += len(block)
            del block, pixels  # the next may be as large


def _load_again(plan: Plan, positions: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
    """Decode the pictures at some positions of the manifest.

    Raises
    ------
    SourceError
        If one has gone since it was read.
    """
    chosen, manifest = set(positions.tolist()), plan.read()
    wanted = sorted(chosen)
    numbers = list(range(len(manifest.names)))
    if manifest.pages is None:  # else a file may be more than one picture
        is_wanted = np.isin(numbers, wanted).tolist()
        names = list(compress(manifest.names, is_wanted))
        manifest = replace(manifest, names=names, files=compress(manifest.files, is_wanted))
        numbers = wanted
    broken: dict[int, str] = {}
    found = {
        numbers[position]: pixels
        for position, pixels in _decode(manifest, plan, broken)
        if pixels is not None and numbers[position] in chosen
    }
    if len(found) < len(wanted):
        raise SourceError(f"{plan.origin.source} has changed since it was read; start again.")
    return [found[row] for row in positions.tolist()]


def _sum_files(files: Iterable[Content], sums: list[bytes | Path | None]) -> Iterator[Content]:
    """Yield files, and collect the digest of the content of each, or its path."""
    for file in files:
        if isinstance(file, bytes):
            sums.append(hashlib.blake2b(file, digest_size=16).digest())
        else:
            sums.append(Path(file) if isinstance(file, str) else None)
        yield file


def _find_files(samples: Samples) -> Sequence[Path | None]:
    """Return the files of samples, if they come from a folder of files."""
    folder = Path(samples.origin.source) if samples.origin.source else None
    if folder is None or not folder.is_dir():
        return ()
    return [folder / name for name in samples.names]


def _digest(file: bytes | Path | None) -> bytes | None:
    """Return a digest of the content of a file, if it can be read."""
    if isinstance(file, Path):
        with suppress(OSError), file.open("rb") as content:
            return hashlib.file_digest(content, lambda: hashlib.blake2b(digest_size=16)).digest()
        return None
    return file
