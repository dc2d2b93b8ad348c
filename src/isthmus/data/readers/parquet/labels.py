"""Labels of tables: numbers, words, or numbers with names, joined over several files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.items import NO_CLASS
from isthmus.data.manifest import encode_labels
from isthmus.data.readers.parquet.types import is_text
from isthmus.errors import SourceError

MAX_LABEL = 200  # letters


class Labels(NamedTuple):
    """Labels of the rows of one table.

    Parameters
    ----------
    indices : (N,) int64
        In the class names, -1 for a row without a label.
    class_names : tuple of str
    are_declared : bool
        Whether the table says the names, also of classes that do not occur.
    """

    indices: NDArray[np.int64]
    class_names: tuple[str, ...]
    are_declared: bool = False


def read_labels(batches: Sequence[Any], names: Sequence[str], path: Path) -> Labels:
    """Return the labels in parts of a column.

    Parameters
    ----------
    batches : sequence of pyarrow.Array
    names : sequence of str
        Of the classes by their numbers, if the table says them.
    path : Path

    Raises
    ------
    SourceError
        If labels are fractions, very long, or no numbers of the classes that the table names.
    """
    if not batches:
        return Labels(np.zeros(0, np.int64), tuple(names), bool(names))
    if is_text(batches[0].type):
        return _read_words(batches, path)
    values = np.concatenate([_to_numbers(one) for one in batches])
    is_given = np.concatenate([one.is_valid().to_numpy(zero_copy_only=False) for one in batches])
    if names:
        return _read_declared(values, is_given, names, path)
    indices = np.full(len(values), NO_CLASS, np.int64)
    classes, found = encode_labels(values[is_given], path)
    assert found is not None
    indices[is_given] = found
    return Labels(indices, classes)


def _to_numbers(values: Any) -> NDArray[Any]:
    numbers: NDArray[Any] = values.fill_null(0).to_numpy(zero_copy_only=False)
    return numbers.astype(np.int64) if numbers.dtype.kind in "bu" else numbers


def _read_declared(
    values: NDArray[Any], is_given: NDArray[np.bool_], names: Sequence[str], path: Path
) -> Labels:
    # Hugging Face gives -1 to test pictures whose classes are not told.
    indices = np.where(is_given, values, NO_CLASS).astype(np.int64)
    if len(indices) and (indices.min() < NO_CLASS or indices.max() >= len(names)):
        wrong = indices[(indices < NO_CLASS) | (indices >= len(names))][0]
        raise SourceError(
            f"{path} has the label {wrong:,} but names {len(names):,} classes, from 0; give "
            "--label-column none, or another column."
        )
    return Labels(indices, tuple(names), are_declared=True)


def _read_words(batches: Sequence[Any], path: Path) -> Labels:
    numbers: dict[str, int] = {}
    indices = []
    for batch in batches:
        for value in batch:
            word = value.as_py()
            if word is not None and len(word) > MAX_LABEL:
                raise SourceError(
                    f"{path} has a label of {len(word):,} letters, more than {MAX_LABEL}; if it is "
                    "none, say --label-column none."
                )
            indices.append(numbers.setdefault(word, len(numbers)) if word else NO_CLASS)
    return _sort(np.array(indices, np.int64), list(numbers))


def _sort(indices: NDArray[np.int64], names: Sequence[str]) -> Labels:
    """Return labels whose classes are sorted by name."""
    ordered = sorted(names)
    places = {name: place for place, name in enumerate(ordered)}
    # NO_CLASS is -1 and so finds the last entry, which is itself.
    moved = np.array([*(places[name] for name in names), NO_CLASS], np.int64)
    return Labels(moved[indices], tuple(ordered))


def join_labels(parts: Sequence[Labels], rows: NDArray[np.int64]) -> Labels:
    """Return the labels of some rows of several tables, in which equal names are one class."""
    names = list(dict.fromkeys(name for part in parts for name in part.class_names))
    are_declared = any(part.are_declared for part in parts)
    if not are_declared:
        names.sort(key=lambda name: (int(name), "") if _is_whole(name) else (0, name))
    numbers = {name: number for number, name in enumerate(names)}
    moved = [
        np.array([*(numbers[name] for name in part.class_names), NO_CLASS], np.int64)[part.indices]
        for part in parts
    ]
    chosen = np.concatenate(moved)[rows]
    if are_declared:
        return Labels(chosen, tuple(names), are_declared)
    found, indices = np.unique(chosen, return_inverse=True)
    return Labels(indices.astype(np.int64), tuple(names[i] for i in found.tolist()))


def _is_whole(name: str) -> bool:
    return name.removeprefix("-").isdecimal()
