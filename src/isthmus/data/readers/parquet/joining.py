"""Joins the tables of a source into one manifest, and says which rows are left out."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.items import NO_CLASS
from isthmus.data.manifest import Content, Contents, Manifest, evenly_spaced
from isthmus.data.readers.parquet.columns import Roles
from isthmus.data.readers.parquet.labels import Labels, join_labels
from isthmus.data.readers.parquet.opening import Table
from isthmus.data.readers.parquet.rows import Rows, read_pictures
from isthmus.data.reading import Findings, LeftOut, Note
from isthmus.errors import SourceError

NO_PICTURE = "row without a picture"
NO_LABEL = "row without a label, which --label-column none reads"


class Part(NamedTuple):
    """One table of a source: its name, what its columns are for, its rows, and its split."""

    name: str
    table: Table
    roles: Roles
    rows: Rows
    split: int | None = None


def join_parts(
    path: Path, parts: Sequence[Part], limit: int | None, findings: Findings
) -> Manifest:
    """Return what several tables hold, in their order.

    Raises
    ------
    SourceError
        If no row is left.
    """
    labels, notes = _list_labels(parts)
    names = _name_rows(parts)
    kept, left_out = _keep_rows(path, parts, labels, names)
    rows = kept[evenly_spaced(len(kept), limit)]
    joined = join_labels(labels, rows) if labels else None
    first = parts[0].roles
    splits, where = _list_splits(parts, rows)
    notes += [note for part in parts for note in part.table.notes] + _note_strays(parts)
    layout = "table" if len(parts) == 1 else f"{len(parts):,} tables"
    layout = f"{layout}, {first.describe()}{where}"
    return Manifest(
        [names[row] for row in rows.tolist()],
        files=Contents(partial(_read_all, parts), rows),
        labels=None if joined is None else joined.indices,
        class_names=() if joined is None else joined.class_names,
        splits=splits,
        findings=findings.add((*first.notes, *notes), (*first.left_out, *left_out), layout),
    )


def _list_labels(parts: Sequence[Part]) -> tuple[list[Labels], list[Note]]:
    """Return the labels of all tables, if all have some."""
    labels = [part.rows.labels for part in parts if part.rows.labels is not None]
    if not labels or len(labels) == len(parts):
        return labels, []
    without = next(part.name for part in parts if part.rows.labels is None)
    text = f"{without} has no column of labels, so that no picture gets one"
    return [], [Note("warning", "labels-missing", text, "--label-column NAME")]


def _list_splits(
    parts: Sequence[Part], rows: NDArray[np.int64]
) -> tuple[NDArray[np.uint8] | None, str]:
    """Return the splits of rows by the names of their files, or by a column, and which that is."""
    called = [part.split for part in parts]
    if None not in called:
        counts = [part.table.count for part in parts]
        return np.repeat(np.array(called, np.uint8), counts)[rows], ""
    columns = [part.rows.splits for part in parts if part.rows.splits is not None]
    if len(columns) < len(parts):
        return None, ""
    splits = np.concatenate(columns)
    found = {*np.unique(splits).tolist()}
    if 0 not in found or len(found) < 2:  # a set of its own
        return None, ""
    return splits[rows], f", split in the column {parts[0].roles.split!r}"


def _note_strays(parts: Sequence[Part]) -> list[Note]:
    """Say why a column that is called as one of splits is none."""
    part = next((part for part in parts if part.rows.stray and part.split is None), None)
    if part is None:
        return []
    text = f"the column {part.roles.split!r} gives no splits, because it holds {part.rows.stray!r}"
    return [Note("warning", "split-column", text, "call them train, validation and test")]


def _keep_rows(
    path: Path, parts: Sequence[Part], labels: Sequence[Labels], names: Sequence[str]
) -> tuple[NDArray[np.int64], list[LeftOut]]:
    """Return the rows that are samples, and why others are none."""
    is_missing = np.concatenate([part.rows.is_missing for part in parts])
    is_unlabeled = np.zeros(len(is_missing), np.bool_)
    if labels:
        is_unlabeled = np.concatenate([one.indices for one in labels]) == NO_CLASS
    reasons = ((NO_PICTURE, is_missing), (NO_LABEL, is_unlabeled & ~is_missing))
    left_out = count_left_out(
        (why, names[row]) for why, rows in reasons for row in np.flatnonzero(rows).tolist()
    )
    kept = np.flatnonzero(~is_missing & ~is_unlabeled)
    if not len(kept):
        said = "; ".join(f"{one.count:,} {one.reason}" for one in left_out)
        raise SourceError(f"{path} holds no pictures ({said or 'it has no rows'}); give another.")
    return kept, left_out


def count_left_out(reasons: Iterable[tuple[str, str]]) -> list[LeftOut]:
    """Count what is left out, each given as (reason, name); reasons begin with a noun."""
    counted = LeftOut.by_reason(reasons)
    return [
        LeftOut(one.reason.replace(" ", "s ", 1), one.count, one.examples) if one.count > 1 else one
        for one in counted
    ]


def _name_rows(parts: Sequence[Part]) -> list[str]:
    """Return the name of each row: its own where no other has it, or its file and number."""
    own = [name for part in parts for name in part.rows.names]
    counts = Counter(own)
    places = (f"{part.name}#{row + 1}" for part in parts for row in range(part.table.count))
    return [
        name if name and counts[name] == 1 else place
        for name, place in zip(own, places, strict=True)
    ]


def _read_all(parts: Sequence[Part], rows: NDArray[np.int64]) -> Iterator[Content]:
    """Yield the pictures of rows, ascending, that are numbered over all tables."""
    start = 0
    for part in parts:
        end = start + part.table.count
        own = rows[(rows >= start) & (rows < end)] - start
        if len(own):
            yield from read_pictures(part.table, part.roles, own)
        start = end
