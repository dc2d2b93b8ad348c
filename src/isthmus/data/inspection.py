"""`check_data`: what would be read from a source, and how, before anything is trained on it."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.blocks import Block
from isthmus.data.cache import Track, open_or_decode, untracked
from isthmus.data.decode import decode_blocks, format_size, reject_too_many
from isthmus.data.items import Items
from isthmus.data.load import choose_preprocessing, load_with
from isthmus.data.manifest import Manifest
from isthmus.data.masks.table import MaskTable
from isthmus.data.preprocess import Preprocessing
from isthmus.data.reading import Note, Reading
from isthmus.data.report import ReadingReport
from isthmus.data.samples import Origin, Samples
from isthmus.data.survey import Read, Survey, report_of, survey_picture
from isthmus.errors import SizesDifferError


def check_data(
    source: str | Path | NDArray[Any],
    *,
    size: int | tuple[int, int] | None = None,
    crop: int | None = None,
    channels: int | None = None,
    background: str = "white",
    limit: int | None = None,
    reading: Reading | None = None,
    track: Track = untracked,
) -> ReadingReport:
    """Tell what is read from a source and how, what is left out, and what looks wrong.

    Parameters
    ----------
    source, size, crop, channels, background, limit, reading, track
        As for `load`. Pictures may differ in size.

    Returns
    -------
    ReadingReport
        As text, by `print`, or as an object whose `notes` name the options that mend what is wrong.

    Raises
    ------
    SourceError
        If the source cannot be read.
    OptionError
        If a size, crop, color or limit is out of range.

    Examples
    --------
    >>> check_data("digits").description
    '1,797 images of 8 × 8, gray, 10 classes'
    """
    preprocessing = choose_preprocessing(size, crop, channels, background)
    return check_with(source, preprocessing, limit=limit, reading=reading, track=track)


def check_with(
    source: str | Path | NDArray[Any],
    preprocessing: Preprocessing,
    *,
    limit: int | None = None,
    reading: Reading | None = None,
    track: Track = untracked,
) -> ReadingReport:
    """Check a source with a given `Preprocessing`; see `check_data`."""
    reports: list[ReadingReport] = []

    def open_or_look(
        origin: Origin, files: Sequence[Any], read: Callable[[], Manifest], **options: Any
    ) -> Samples:
        try:
            # What is read is also what training will need, so that it is kept.
            return open_or_decode(origin, files, read, **options)
        except SizesDifferError:
            reports.append(_check_sizes(origin, read(), track))
            raise

    try:
        samples = load_with(
            source, preprocessing, limit=limit, reading=reading, track=track, decode=open_or_look
        )
    except SizesDifferError:
        return reports[0]
    if samples.report is None and samples.origin.source:  # a single picture
        items, origin = samples.items, samples.origin
        del samples  # else two of a large picture would be in memory
        pixels, facts = origin.preprocessing.decode_and_measure(origin.source)
        return survey_picture(Samples(pixels[None], items, origin=origin), facts)
    return report_of(samples)


def _check_sizes(origin: Origin, manifest: Manifest, track: Track) -> ReadingReport:
    """Look at pictures of different sizes, one after the other, and keep none."""
    survey, tally = Survey(is_exact=True), _Tally(manifest, origin)
    with closing(decode_blocks(manifest, origin.preprocessing)) as blocks:
        counted = tally.count(survey.watch(blocks))
        for _ in track(counted, len(manifest.names), f"Reading {origin.source}"):
            pass
    manifest = tally.complete_manifest()
    report = survey.report(tally.read(), manifest)
    if any(note.code == "odd-sizes" for note in report.notes):  # which says it already
        return report
    return replace(report, notes=(*report.notes, _warn_of_sizes(tally.sizes)))


class _Tally:
    """Counts pictures that differ in size, and notes which are broken."""

    def __init__(self, manifest: Manifest, origin: Origin) -> None:
        self.manifest, self.origin = manifest, origin
        self.sizes: set[tuple[int, ...]] = set()  # (H, W) after cropping
        self.channels = 1
        self.broken: dict[int, str] = {}
        self._masks = MaskTable(manifest, origin.source)

    def complete_manifest(self) -> Manifest:
        """Name the classes that the masks hold, once all are counted."""
        if self.manifest.masks is not None:
            self.manifest = self._masks.complete()[1]
        return self.manifest

    def count(self, blocks: Iterable[Block]) -> Iterator[int]:
        """Count blocks and yield the position of each picture.

        Raises
        ------
        SourceError
            If too many pictures are broken.
        """
        done = 0
        for block in blocks:
            for position, reason in block.broken.items():
                self.broken[done + position] = reason
                reject_too_many(self.broken, self.manifest, self.origin.source, done + position + 1)
            if len(block.pixels):
                self.sizes.add(block.pixels.shape[1:3])
                self.channels = max(self.channels, block.pixels.shape[3])
            for mask, position in zip(block.masks, block.good, strict=False):
                self._masks.add(mask, self.manifest.mask_names[done + position])
            yield from range(done, done + len(block))
            done += len(block)
            del block  # the next may be as large

    def read(self) -> Read:
        """Return what has been read."""
        manifest = self.manifest
        good = np.array([i for i in range(len(manifest.names)) if i not in self.broken], np.int64)
        items = Items(manifest.names, manifest.labels, manifest.class_names).take(good)
        color = "gray" if self.channels == 1 else "RGB"
        kind = "" if manifest.masks is None else "masks of "
        classes = f", {kind}{len(items.class_names):,} classes" if items.class_names else ""
        return Read(
            f"{len(good):,} images of {len(self.sizes):,} sizes, {color}{classes}",
            items,
            None if manifest.splits is None else manifest.splits[good],
            self.origin,
            [(manifest.names[i], reason) for i, reason in self.broken.items()],
            None,
        )


def _warn_of_sizes(sizes: Set[tuple[int, ...]]) -> Note:
    smallest, *_, largest = sorted(sizes, key=math.prod)
    return Note(
        "warning",
        "sizes",
        f"the images have {len(sizes):,} sizes, from {format_size(smallest)} to "
        f"{format_size(largest)}, and a model takes one",
        "--size 64 resizes all of them",
    )
