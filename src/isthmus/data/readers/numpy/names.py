"""What the arrays of an .npz file are for, by their names."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from isthmus.data.readers.arrays.axes import IMAGE_KEYS, SIGNAL_KEYS
from isthmus.data.readers.csv.names import LABEL_NAMES
from isthmus.data.readers.numpy.files import Header

# Of several names that are there, the first in these tables is taken.
SAMPLE_KEYS = (*IMAGE_KEYS, *SIGNAL_KEYS, "x", "data", "samples", "inputs", "features", "arr_0", "")
LABEL_KEYS = (*LABEL_NAMES, "t", "arr_1")
UNSURE_KEYS = ("classes", "class", "categories", "category", "names", "digits", "t", "arr_1")
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
    rivals : sequence of str
        Keys of arrays that are not used, though by their names they could be the samples.
    """

    samples: Mapping[int | None, str]
    labels: Mapping[int | None, str]
    class_names: str | None
    rivals: Sequence[str]

    @property
    def used(self) -> list[str]:
        """Keys of all arrays that are read."""
        names = [self.class_names] if self.class_names else []
        return [*self.samples.values(), *self.labels.values(), *names]


def assign_roles(headers: Mapping[str, Header], label_key: str | None = None) -> Roles:
    """Decide by names, and where they say nothing by shapes, what each array is for.

    Parameters
    ----------
    headers : mapping
    label_key : str, optional
        Name of the labels, or none; by default one of `LABEL_KEYS`.
    """
    by_part: dict[int | None, dict[str, str]] = {}
    for key in headers:
        part, word = split_key(key)
        by_part.setdefault(part, {})[key] = word
    found = {part: _find_samples(headers, words) for part, words in by_part.items()}
    samples = {part: key for part, key in found.items() if key is not None}
    if len(samples) > 1:
        samples.pop(None, None)
    order = sorted(samples, key=lambda part: part or 0)
    samples = {part: samples[part] for part in order}
    table = LABEL_KEYS if label_key is None else () if label_key == "none" else (fold(label_key),)
    labels = {part: _find_labels(headers, by_part[part], samples[part], table) for part in samples}
    used = {*samples.values(), *labels.values()}
    rivals = [
        key
        for part in samples
        for key, word in by_part[part].items()
        if key not in used and word in SAMPLE_KEYS and headers[key].ndim > 1
    ]
    chosen = {part: key for part, key in labels.items() if key is not None}
    return Roles(samples, chosen, _find_class_names(headers, samples, used), rivals)


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
    many = {
        key: word
        for key, word in words.items()
        if headers[key].ndim > 2 or (headers[key].ndim == 2 and word not in LABEL_KEYS)
    }
    named = _first(SAMPLE_KEYS, many)
    if named is None and len(many) == 1:
        named = next(iter(many))
    # One that has a name and no samples is refused for that.
    return named or (None if many else _first(SAMPLE_KEYS, words))


def _find_labels(
    headers: Mapping[str, Header], words: Mapping[str, str], samples: str, table: Sequence[str]
) -> str | None:
    """Return the key of the labels of one part."""
    count = headers[samples].shape[:1]
    possible = {
        key: word
        for key, word in words.items()
        # Names that are no words are labels only if there is one for each sample.
        if key != samples and (word not in UNSURE_KEYS or headers[key].shape[:1] == count)
    }
    return _first(table, possible)


def _find_class_names(
    headers: Mapping[str, Header], samples: Mapping[int | None, str], used: Collection[str | None]
) -> str | None:
    counts = {headers[key].shape[:1] for key in samples.values()}
    possible = {
        key: fold(key)
        for key, header in headers.items()
        if key not in used
        and header.dtype.kind in "USO"
        and header.ndim == 1
        # As many names as samples are more likely those of the samples.
        and (fold(key) not in UNSURE_KEYS or header.shape not in counts)
    }
    return _first(CLASS_NAME_KEYS, possible)


def _first(table: Sequence[str], words: Mapping[str, str]) -> str | None:
    """Return the key whose word comes first in a table."""
    known = [key for key in words if words[key] in table]
    return min(known, key=lambda key: table.index(words[key]), default=None)
