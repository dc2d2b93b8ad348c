"""What the arrays of an .npz file are for, by their names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isthmus.data.readers.arrays import IMAGE_KEYS, SIGNAL_KEYS
from isthmus.data.readers.csv_names import LABEL_NAMES
from isthmus.data.readers.numpy_files import Header

# Of several names that are there, the first in these tables is taken.
SAMPLE_KEYS = (*IMAGE_KEYS, *SIGNAL_KEYS, "x", "data", "samples", "inputs", "features", "arr_0", "")
LABEL_KEYS = (*LABEL_NAMES, "t", "arr_1")
CLASS_NAME_KEYS = (
    "class_names",
    "classnames",
    "label_names",
    "labelnames",
    "target_names",
    "categories",
    "names",
    "classes",
)
PARTS = {  # of a data set, by the word in a name: index in `SPLITS`
    **dict.fromkeys(("train", "training", "tr"), 0),
    **dict.fromkeys(("val", "valid", "validation", "dev"), 1),
    **dict.fromkeys(("test", "testing", "te"), 2),
}
WORD = "|".join(sorted(PARTS, key=len, reverse=True))
PART_FIRST = re.compile(rf"^({WORD})(?:_(.+)|(x|y|data|labels?|images|set)|)$")
PART_LAST = re.compile(rf"^(.+?)_?({WORD})$")


@dataclass(frozen=True)
class Roles:
    """Which array is what.

    Parameters
    ----------
    samples, labels : mapping of int to str
        Keys of the arrays, by the index of their part in `SPLITS`; None if there are no parts.
    class_names : str, optional
    others : sequence of str
        Keys of arrays that could hold samples too.
    """

    samples: Mapping[int | None, str]
    labels: Mapping[int | None, str]
    class_names: str | None
    others: Sequence[str]

    @property
    def used(self) -> set[str]:
        """Keys of all arrays that are read."""
        names = {self.class_names} if self.class_names else set()
        return {*self.samples.values(), *self.labels.values(), *names}


def assign_roles(headers: Mapping[str, Header]) -> Roles:
    """Decide by names, and where they say nothing by shapes, what each array is for."""
    parted = {key: split_key(key) for key in headers}
    class_names = _first(
        CLASS_NAME_KEYS, {key: fold(key) for key in headers if _holds_text(headers[key])}
    )
    parts = {part for part, _ in parted.values() if part is not None}
    by_part: dict[int | None, dict[str, str]] = {}
    for key, (part, word) in parted.items():
        if key != class_names:
            by_part.setdefault(part, {})[key] = word
    samples = {part: _find_samples(headers, words) for part, words in by_part.items()}
    found = {part: key for part, key in samples.items() if key is not None}
    if len(found) > 1 or (parts and None not in found):
        found.pop(None, None)
    labels = {part: _first(LABEL_KEYS, by_part[part]) for part in found}
    chosen = {part: key for part, key in labels.items() if key and key != found[part]}
    others = [
        key
        for key, header in headers.items()
        if header.ndim > 1 and key not in (*found.values(), *chosen.values(), class_names)
    ]
    return Roles(dict(sorted(found.items(), key=str)), chosen, class_names, others)


def fold(key: str) -> str:
    """Return a name as the tables have it: without folders, in lower case, with _ for - and space.

    Examples
    --------
    >>> fold("Class-Names")
    'class_names'
    """
    return re.sub(r"[-.\s]+", "_", key.rsplit("/", 1)[-1].strip().lower())


def split_key(key: str) -> tuple[int | None, str]:
    """Return the part of the data set that a name tells, and the rest of the name.

    Examples
    --------
    >>> split_key("x_train"), split_key("val_images"), split_key("testY"), split_key("images")
    ((0, 'x'), (1, 'images'), (2, 'y'), (None, 'images'))
    """
    word = fold(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key))
    if match := PART_FIRST.match(word):
        return PARTS[match[1]], match[2] or match[3] or ""
    if match := PART_LAST.match(word):
        rest = match[1]
        if rest in SAMPLE_KEYS or rest in LABEL_KEYS:
            return PARTS[match[2]], rest
    return None, word


def _find_samples(headers: Mapping[str, Header], words: Mapping[str, str]) -> str | None:
    """Return the key of the samples among those of one part."""
    many = {key: word for key, word in words.items() if headers[key].ndim > 1}
    named = _first(SAMPLE_KEYS, many) or _first(SAMPLE_KEYS, words)
    if named is not None:
        return named
    unnamed = [key for key, word in many.items() if word not in LABEL_KEYS]
    if len(unnamed) == 1:
        return unnamed[0]
    # In pictures of one size, as many numbers as possible: never the coordinates of a box.
    return None


def _first(table: Sequence[str], words: Mapping[str, str]) -> str | None:
    """Return the key whose word comes first in a table."""
    known = [key for key in words if words[key] in table]
    return min(known, key=lambda key: table.index(words[key]), default=None)


def _holds_text(header: Header) -> bool:
    return header.dtype.kind in "USO" and header.ndim == 1
