"""Rows of a table: which have pictures, what they are called, and the pictures themselves."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import Content
from isthmus.data.readers.archives.members import why_too_large
from isthmus.data.readers.archives.names import MAX_NAME, clean_path
from isthmus.data.readers.csv.names import PART_VALUES, fold_name
from isthmus.data.readers.parquet.columns import Roles
from isthmus.data.readers.parquet.labels import Labels, read_labels
from isthmus.data.readers.parquet.opening import Leaf, Table
from isthmus.errors import SourceError

MAX_SHOWN = 40  # letters of a value in a message


class Rows(NamedTuple):
    """What is known of the rows of a table before a picture is read.

    Parameters
    ----------
    is_missing : (N,) bool
        Whether a row has no picture.
    names : list of N str
        Empty where a row has none.
    labels : Labels, optional
    splits : (N,) uint8, optional
        Index of each row's split in `SPLITS`, where a column says it.
    stray : str
        A value of that column that is called as no split; empty if all are.
    """

    is_missing: NDArray[np.bool_]
    names: list[str]
    labels: Labels | None
    splits: NDArray[np.uint8] | None = None
    stray: str = ""


def read_rows(table: Table, roles: Roles) -> Rows:
    """Read all of a table but its pictures.

    Raises
    ------
    SourceError
        If it is damaged, or its labels are none.
    """
    label = None if roles.label is None else Leaf(roles.label)
    split = None if roles.split is None else Leaf(roles.split)
    leaves = [leaf for leaf in (roles.name, label, split) if leaf is not None]
    names: list[str] = []
    words: list[str] = []
    labels = []
    for _, batch in table.read(leaves) if leaves else ():
        if roles.name is not None:
            names += [_clean(value.as_py()) for value in roles.name.take(batch)]
        if label is not None:
            labels.append(label.take(batch))
        if split is not None:
            words += [value.as_py() or "" for value in split.take(batch)]
    return Rows(
        _find_missing(table, roles.picture),
        names if roles.name is not None else [""] * table.count,
        None if label is None else read_labels(labels, roles.class_names, table.path),
        *_read_splits(None if split is None else words),
    )


def _read_splits(words: list[str] | None) -> tuple[NDArray[np.uint8] | None, str]:
    if words is None:
        return None, ""
    stray = next((word for word in words if fold_name(word) not in PART_VALUES), None)
    if stray is not None:
        return None, stray[:MAX_SHOWN] or "nothing"
    return np.array([PART_VALUES[fold_name(word)] for word in words], np.uint8), ""


def read_pictures(table: Table, roles: Roles, rows: NDArray[np.int64]) -> Iterator[Content]:
    """Yield the files of the pictures in some rows, ascending.

    Raises
    ------
    SourceError
        If the table is damaged.
    """
    done = 0
    for start, batch in table.read([roles.picture], rows):
        values = roles.picture.take(batch)
        end = int(np.searchsorted(rows, start + len(batch)))
        for row in rows[done:end].tolist():
            yield _take_content(values[row - start])
        done = end


def _take_content(value: object) -> Content:
    """Return the bytes of a value, which are counted before they are copied."""
    buffer = value.as_buffer()  # type: ignore[attr-defined]
    if buffer is None:
        return SourceError("it has no picture")
    if why := why_too_large(buffer.size, ""):
        return SourceError(why)
    content: bytes = buffer.to_pybytes()
    return content


def _find_missing(table: Table, leaf: Leaf) -> NDArray[np.bool_]:
    """Return which rows have no picture: (N,); pictures are read where the file does not say."""
    is_missing = np.zeros(table.count, np.bool_)
    rows = table.rows_to_look_at(leaf)
    for start, batch in table.read([leaf], rows) if len(rows) else ():
        values = leaf.take(batch)
        is_missing[start : start + len(batch)] = values.is_null().to_numpy(zero_copy_only=False)
    return is_missing


def _clean(name: str | None) -> str:
    """Return a name as archives have it, without the folders of the machine that wrote it."""
    if name is None or len(name) > MAX_NAME:
        return ""
    return clean_path(name.replace("\\", "/")) or ""
