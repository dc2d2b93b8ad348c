"""`Survey`: what the samples of a source hold, collected while they are decoded.

It looks at each block of samples once, while they are in the processor's cache, and keeps 48 bytes
of each. So a set may exceed the memory.
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.blocks import Block
from isthmus.data.checks import CHECKS, Check
from isthmus.data.decode import format_size
from isthmus.data.images import Images, Ragged
from isthmus.data.items import Items
from isthmus.data.known import Known
from isthmus.data.manifest import Manifest
from isthmus.data.reading import Findings, PictureFacts
from isthmus.data.report import ReadingReport, count_values, leave_out_broken
from isthmus.data.samples import SPLITS, Origin, Samples

PAGE = re.compile(r"#\d+$")  # behind the name of a file; see `isthmus.data.pages`
SAMPLED_BYTES = 256  # of a sample, in its quick checksum
BLOCK_BYTES = 2**22  # of samples in memory that are looked at together
# Odd, so that no bit is lost; any others would do.
WEIGHTS = np.random.default_rng(0).integers(2**63, size=SAMPLED_BYTES // 8, dtype=np.uint64) | 1


class Read(NamedTuple):
    """Samples that have been read: those of a source that could be decoded.

    Parameters
    ----------
    description : str
    items : Items
    splits : (N,) uint8 or None
    origin : Origin
    skipped : sequence of (name, reason)
    values : (N, …) array, Ragged or None
        None if the pictures differ in size and are not kept.
    """

    description: str
    items: Items
    splits: NDArray[np.uint8] | None
    origin: Origin
    skipped: Sequence[tuple[str, str]]
    values: NDArray[Any] | Ragged | None

    @classmethod
    def of(cls, samples: Samples | Images) -> "Read":
        """Return what the samples or images say."""
        return cls(
            samples.describe(),
            samples.items,
            samples.splits,
            samples.origin,
            samples.skipped,
            samples.values,
        )


class Survey:
    """Collects what is known of samples, block by block, in their order.

    Parameters
    ----------
    is_exact : bool
        Whether equal checksums mean equal samples. If not, they are quick, and mean that the
        samples have to be compared.
    checks : sequence of Check
        What is looked for.
    """

    def __init__(self, is_exact: bool = False, checks: Sequence[Check] = CHECKS) -> None:
        self.is_exact, self.checks = is_exact, checks
        self.kinds: Counter[str] = Counter()
        self.turned = 0
        self.mask_values = np.zeros(256, np.bool_)
        # Height, width, low, high and pages, 0 if unknown.
        self._columns: list[NDArray[np.float64]] = []
        self._checksums: list[NDArray[np.uint64]] = []

    def watch(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield blocks of pictures, and collect what they hold."""
        for block in blocks:
            if block.mask_values is not None:
                self.mask_values |= block.mask_values
            if len(block.facts) and len(block.facts) == len(block.pixels):
                self._add_facts(block)
                self._checksums.append(self._sum(block.pixels))
            elif len(block.pixels):
                self.add(block.pixels)
            yield block
            del block  # the next may be as large

    def add(self, values: NDArray[Any]) -> None:
        """Collect what samples (n, H, W, C) or (n, L, C) hold of whose files nothing is known."""
        if not values.size:  # refused once it is clear that all are empty
            return
        rows = values.reshape(len(values), -1)
        columns = np.zeros((len(values), 5))
        columns[:, 2], columns[:, 3] = rows.min(axis=1), rows.max(axis=1)
        self._columns.append(columns)
        self._checksums.append(self._sum(values))

    def report(self, read: Read, manifest: Manifest | None = None) -> ReadingReport:
        """Return the report on samples, all of which were collected.

        Parameters
        ----------
        read : Read
        manifest : Manifest, optional
            What the reader found.
        """
        findings = Findings() if manifest is None else manifest.findings
        mask_names = () if manifest is None else manifest.mask_names
        known = self._know(read, findings)
        known = replace(known, turned_with_masks=self.turned if mask_names else 0)
        found = {note.code for note in findings.notes}
        notes = [note for check in self.checks for note in check(known) if note.code not in found]
        items, splits = read.items, read.splits
        # Samples of an array are called by numbers, which tell nothing.
        names = items.names if manifest is not None and manifest.values is None else ()
        sizes = known.sizes[known.sizes[:, 0] > 0]
        return ReadingReport(
            source=read.origin.source,
            description=read.description,
            count=len(items),
            limit=read.origin.limit,
            layout=findings.layout,
            suffixes=count_values(map(_suffix, _files(names))),
            mask_suffixes=count_values(map(_suffix, mask_names)),
            folders=count_values(map(_folder, names)),
            left_out=(*findings.left_out, *leave_out_broken(read.skipped)),
            classes=_count_labels(items.labels, items.class_names),
            splits={name: n for name, n in _count_labels(splits, SPLITS).items() if n},
            masks=tuple(np.flatnonzero(self.mask_values).tolist()),
            mask_classes=items.class_names if items.labels is None else (),
            kinds=dict(self.kinds.most_common()),
            sizes=count_values(map(format_size, sizes.tolist())),
            size_range=_size_range(sizes),
            values=findings.values,
            low=known.low,
            high=known.high,
            turned=self.turned,
            notes=(*findings.notes, *notes),
        )

    def _know(self, read: Read, findings: Findings) -> Known:
        columns = np.concatenate([*self._columns, np.ones((0, 5))])
        is_constant = columns[:, 2] == columns[:, 3]
        checksums = np.concatenate([*self._checksums, np.zeros(0, np.uint64)])
        return Known(
            items=read.items,
            splits=read.splits,
            origin=read.origin,
            sizes=columns[:, :2].astype(np.int64),
            lows=columns[:, 2],
            highs=columns[:, 3],
            pages=columns[:, 4].astype(np.int64),
            kinds=self.kinds,
            values=findings.values,
            is_signal=isinstance(read.values, np.ndarray) and read.values.ndim == 3,
            duplicates=find_duplicates(
                checksums, is_constant, None if self.is_exact else read.values
            ),
        )

    def _add_facts(self, block: Block) -> None:
        rows = [(one.height, one.width, 0, 0, one.pages) for one in block.facts]
        columns = np.array(rows, np.float64)
        columns[:, 2:4] = block.limits
        self._columns.append(columns)
        self.kinds.update([one.kind for one in block.facts])
        self.turned += sum(one.is_turned for one in block.facts)

    def _sum(self, values: NDArray[Any]) -> NDArray[np.uint64]:
        rows = np.ascontiguousarray(values).reshape(len(values), -1).view(np.uint8)
        return exact_checksums(rows) if self.is_exact else quick_checksums(rows)


def survey_picture(samples: Samples, facts: PictureFacts) -> ReadingReport:
    """Return the report on a single picture, of whose file these are the facts."""
    survey = Survey()
    for _ in survey.watch([Block(samples.values, facts=[facts])]):
        pass
    return survey.report(Read.of(samples), Manifest(samples.names))


def survey_samples(samples: Samples, findings: Findings | None = None) -> ReadingReport:
    """Return the report on samples in memory, and on what was found when they were read."""
    survey = Survey()
    step = max(1, BLOCK_BYTES // max(1, samples.values[:1].nbytes))
    for start in range(0, len(samples), step):
        survey.add(samples.values[start : start + step])
        if samples.masks is not None:
            survey.mask_values[np.unique(samples.masks[start : start + step])] = True
    if findings is None:
        return survey.report(Read.of(samples))
    manifest = Manifest(samples.names, samples.values, findings=findings)
    return survey.report(Read.of(samples), manifest)


def report_of(samples: Samples) -> ReadingReport:
    """Return the report that samples came with, or one on what they hold."""
    return samples.report or survey_samples(samples)


def quick_checksums(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return checksums (n,) of rows (n, B) by a few of their bytes; equal rows have equal ones."""
    step = (rows.shape[1] // SAMPLED_BYTES) | 1  # odd, to meet all columns and channels
    sampled = np.zeros((len(rows), SAMPLED_BYTES), np.uint8)
    part = rows[:, ::step][:, :SAMPLED_BYTES]
    sampled[:, : part.shape[1]] = part
    words = sampled.view(np.uint64)
    # Halves are mixed first: a product alone would keep high bits among themselves.
    mixed: NDArray[np.uint64] = ((words ^ (words >> np.uint64(32))) * WEIGHTS).sum(axis=1)
    return mixed


def exact_checksums(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return checksums (n,) of rows (n, B), which for different rows are different."""
    digests = b"".join(hashlib.blake2b(row.data, digest_size=8).digest() for row in rows)
    return np.frombuffer(digests, np.uint64)


def find_duplicates(
    checksums: NDArray[np.uint64],
    is_constant: NDArray[np.bool_],
    values: NDArray[Any] | Ragged | None,
) -> list[list[int]]:
    """Return groups of rows that hold the same, each in its order.

    Parameters
    ----------
    checksums : (N,) uint64
    is_constant : (N,) bool
        Samples that are left alone: blank ones are equal and another matter.
    values : (N, …) array or Ragged, optional
        To compare samples of equal checksums.
    """
    rows = np.flatnonzero(~is_constant)
    _, group, counts = np.unique(checksums[rows], return_inverse=True, return_counts=True)
    candidates = rows[counts[group] > 1]
    groups: dict[Any, list[int]] = {}
    for row in candidates.tolist():
        # A digest, as the samples of many candidates may exceed the memory.
        value = np.zeros(0) if values is None else np.ascontiguousarray(values[row])
        key = int(checksums[row]), value.shape, hashlib.blake2b(value.data, digest_size=16).digest()
        groups.setdefault(key, []).append(row)
    return [group for group in groups.values() if len(group) > 1]


def _files(names: Iterable[str]) -> Iterable[str]:
    """Return the files that samples are from, of which some may be pages of one."""
    return dict.fromkeys(PAGE.sub("", name) for name in names)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower() or "without suffix"  # noqa: PTH122 - a Path takes longer


def _folder(name: str) -> str:
    return name.partition("/")[0] + "/" if "/" in name else "at the top"


def _size_range(sizes: NDArray[np.int64]) -> tuple[str, ...]:
    """Return the smallest and the largest of sizes (N, 2) by area, if there are several."""
    if not len(sizes):
        return ()
    areas = sizes.prod(axis=1)
    ends = tuple(format_size(sizes[int(row)]) for row in (areas.argmin(), areas.argmax()))
    return ends if len({*ends}) > 1 else ()


def _count_labels(labels: NDArray[Any] | None, names: Sequence[str]) -> dict[str, int]:
    """Return how many samples each class or split has."""
    if labels is None:
        return {}
    counts = np.bincount(labels[labels >= 0], minlength=len(names)).tolist()
    return dict(zip(names, counts, strict=True))
