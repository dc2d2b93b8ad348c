"""Labels of samples in shards: from `.cls`, or from a field of `.json`; and the names of classes.

A label is a number or a name. What the numbers mean is in `classnames.txt` next to the shards, a
line for each class, as the sets of CLIP benchmark on Hugging Face have it.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import MAX_NUMBER, Content, encode_labels
from isthmus.data.readers.shards.members import Shard
from isthmus.errors import SourceError
from isthmus.limits import limit_of

CLASS_NAMES = "classnames.txt"
LABEL_FIELDS = ("label", "class", "cls")  # of a record; the first one that is there counts
NAME_FIELD = "filename"  # of a record: what the sample is called
MAX_LABEL = 4096  # bytes


class Said(NamedTuple):
    """What the files next to a picture say of it.

    Parameters
    ----------
    label : int, str or None
        None if they say none.
    name : str
        What the sample is called; empty if they do not say so.
    is_all : bool
        Whether a record says the name and nothing else, as those of `write_shards` do.
    """

    label: int | str | None
    name: str
    is_all: bool


def read_labels(shard: Shard) -> Iterator[Said]:
    """Read what is said of each sample of a shard, in their order."""
    wanted = [name for names in (shard.classes, shard.records) for name in names if name]
    contents = iter(shard.tree.contents(wanted))  # of a packed tar, all in one pass
    labels = [_parse_class(next(contents)) if name else None for name in shard.classes]
    for label, file in zip(labels, shard.records, strict=True):
        record = _parse_record(next(contents)) if file else {}
        found = (record.get(field) for field in LABEL_FIELDS)
        other = next((one for one in found if _is_label(one)), None)
        called = record.get(NAME_FIELD)
        name = called if isinstance(called, str) else ""
        yield Said(other if label is None else label, name, record == {NAME_FIELD: name})


def number_classes(
    labels: Sequence[int | str], listed: tuple[str, ...], path: Path
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the names of the classes, and the number of each label (N,).

    Parameters
    ----------
    labels : sequence of N int or str
    listed : tuple of str
        The names in `classnames.txt`; empty if there is none.
    path : Path
        The source, for messages.

    Raises
    ------
    SourceError
        If a label is not in the list.
    """
    are_numbers = all(isinstance(label, int) for label in labels)
    if not listed:
        array = np.array(labels, np.int64) if are_numbers else np.array([*map(str, labels)], object)
        names, indices = encode_labels(array, path)
        assert indices is not None
        return names, indices
    index: dict[Any, int] = {name: number for number, name in enumerate(listed)}
    if are_numbers:
        index = {number: number for number in range(len(listed))}
    unknown = next((label for label in labels if label not in index), None)
    if unknown is not None:
        raise SourceError(
            f"{path} has the label {unknown!r}, which is none of the {len(listed):,} classes in "
            f"{CLASS_NAMES}; add it there or remove that file."
        )
    return listed, np.array([index[label] for label in labels], np.int64)


def parse_class_names(content: bytes) -> tuple[str, ...]:
    r"""Return the names in a list of classes, a line each.

    Examples
    --------
    >>> parse_class_names(b"cat\r\ndog\n")
    ('cat', 'dog')
    """
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    lines = text.removesuffix("\n").split("\n") if text else []
    return tuple(line.removesuffix("\r") for line in lines)


def format_class_names(names: Sequence[str]) -> bytes:
    """Return the content of a list of classes, which `parse_class_names` reads."""
    return "".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape")


def _parse_class(content: Content) -> int | str | None:
    """Return the label in a `.cls` file, None if it is no line of text."""
    if not isinstance(content, bytes) or len(content) > MAX_LABEL:
        return None
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        return None
    label = int(text) if re.fullmatch(r"[+-]?[0-9]{1,15}", text) else text
    return label if _is_label(label) else None


def _parse_record(content: Content) -> dict[str, Any]:
    """Return the fields of a `.json` file; none if it is damaged, too large or has no fields."""
    if not isinstance(content, bytes) or len(content) > limit_of("ISTHMUS_MAX_LIST"):
        return {}
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _is_label(value: Any) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= MAX_LABEL and "\n" not in value
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER
