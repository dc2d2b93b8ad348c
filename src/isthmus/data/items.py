"""`Items`: names and labels, for samples, codes, maps and indexes alike."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import starmap
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from isthmus.arrays import require_array
from isthmus.errors import SourceError
from isthmus.fields import convert

CONTINUES, STARTS = 0x80, 0xC0  # bytes of UTF-8: from the first on parts, from the second letters
NO_CLASS = -1  # in `Items.labels`: this item has no class, while others have one


@dataclass(frozen=True, eq=False, repr=False)
class Items:
    """Names and labels of N items, which samples, their codes, a map and an index share.

    Parameters
    ----------
    names : sequence of N str
        Kept as `Names`.
    labels : (N,) int64, optional
        Index of each item's class in `class_names`, -1 for an item without a class. None if no
        item has one. Only an index of several sources mixes items with and without a class.
    class_names : tuple of str
    fingerprint : str
        Of the samples that these items name (see `Samples.fingerprint`), or of those they were
        taken from; empty where it is not known or there are several. `Samples` leaves it empty
        and computes it on demand, because it costs a pass over all pixels.

    Raises
    ------
    SourceError
        If there are not as many labels as names, or a label has no class name.

    Examples
    --------
    >>> items = Items(["a.png", "b.png"], np.array([1, 0]), ("cat", "dog"))
    >>> items.label_names()
    ['dog', 'cat']
    """

    names: Sequence[str]
    labels: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()
    fingerprint: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", Names.of(self.names))
        if self.labels is None or not (len(self.labels) or len(self)):
            return
        if len(self.labels) != len(self):
            raise SourceError(
                f"{len(self):,} names came with {len(self.labels):,} labels; give one for each."
            )
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < NO_CLASS or high >= len(self.class_names):
            raise SourceError(
                f"labels are {low} to {high}, but there are {len(self.class_names):,} class names; "
                "give a name for each class."
            )

    def __repr__(self) -> str:
        return f"Items({len(self):,} of {len(self.class_names):,} classes)"

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: NDArray[np.int64]) -> "Items":
        """Return the items at `indices`, in that order."""
        labels = None if self.labels is None else self.labels[indices]
        return replace(self, names=[self.names[i] for i in indices.tolist()], labels=labels)

    def select(self, mask: NDArray[np.bool_]) -> "Items":
        """Return the items of a mask (N,)."""
        labels = None if self.labels is None else self.labels[mask]
        return replace(self, names=Names.of(self.names).select(mask), labels=labels)

    def append(self, other: "Items") -> "Items":
        """Return these items followed by others; classes of the same name become one."""
        class_names = tuple(dict.fromkeys([*self.class_names, *other.class_names]))
        labels = None
        if self.labels is not None or other.labels is not None:
            labels = np.concatenate([items._labels_in(class_names) for items in (self, other)])
        names = Names.of(self.names).append(other.names)
        same = self.fingerprint == other.fingerprint
        return Items(names, labels, class_names, self.fingerprint if same else "")

    def rows(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Return the row of each of the names, -1 for one that is missing: (n,) int64."""
        return Names.of(self.names).rows(names)

    def label_names(self) -> list[str | None]:
        """Return the name of each item's class, None for an item without one."""
        if self.labels is None:
            return [None] * len(self)
        classes = [*self.class_names, None]  # NO_CLASS, -1, finds the last
        return [classes[label] for label in self.labels.tolist()]

    def first_repeated(self) -> str | None:
        """Return the first name that occurs a second time, if any."""
        return Names.of(self.names).first_repeated()

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return arrays for an .npz file, from which `from_arrays` rebuilds the items.

        The names are one array of bytes: NumPy's own text arrays give each name the room of the
        longest, four bytes a letter.
        """
        names = Names.of(self.names)
        arrays: dict[str, NDArray[Any]] = {
            "names": names.text,
            "name_ends": names.ends,
            "class_names": np.array(self.class_names, np.str_),
            "fingerprint": np.array(self.fingerprint),
        }
        return arrays if self.labels is None else {**arrays, "labels": self.labels}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Items":
        """Rebuild items from what `to_arrays` returned.

        Raises
        ------
        IsthmusError
            If an array is missing or of another kind.
        """
        names = Names(
            require_array(arrays, "names", "u", 1), require_array(arrays, "name_ends", "i", 1)
        )
        names.require_whole()
        return cls(
            names,
            require_array(arrays, "labels", "i", 1) if "labels" in arrays else None,
            tuple(require_array(arrays, "class_names", "U", 1).tolist()),
            str(require_array(arrays, "fingerprint", "U", 0)),
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object, from which `from_json` rebuilds the items."""
        return {
            "names": list(self.names),
            "labels": None if self.labels is None else self.labels.tolist(),
            "class_names": list(self.class_names),
            "fingerprint": self.fingerprint,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Items":
        """Rebuild items from what `to_json` returned.

        Raises
        ------
        IsthmusError
            If a value is missing or of another type.
        """
        names, labels = content["names"], content["labels"]
        _require_all("names", names, str)
        if labels is not None:
            _require_all("labels", labels, int)
            labels = np.array(labels, np.int64)
        class_names = convert(content["class_names"], tuple[str, ...], "class_names")
        return cls(names, labels, class_names, convert(content["fingerprint"], str, "fingerprint"))

    def _labels_in(self, class_names: tuple[str, ...]) -> NDArray[np.int64]:
        """Return the labels as indices of other class names, which include these."""
        if self.labels is None:
            return np.full(len(self), NO_CLASS, np.int64)
        numbers = {name: number for number, name in enumerate(class_names)}
        # NO_CLASS is -1 and so finds the last entry, which is itself.
        moved = [*(numbers[name] for name in self.class_names), NO_CLASS]
        return np.array(moved, np.int64)[self.labels]


class HasItems:
    """An object that has `items`, and reads their names, labels and class names from them."""

    items: Items

    @property
    def names(self) -> Sequence[str]:
        """Names of the N items."""
        return self.items.names

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """Index of each item's class in `class_names`: (N,) int64; None if no item has one."""
        return self.items.labels

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.items.class_names


class Names(Sequence[str]):
    """Names in one array of bytes, found by number or by name.

    A list of a million names takes some hundred megabytes and a dictionary twice that; this takes
    their letters and 8 bytes each, and 16 more once a name is looked up. It compares as a list.

    Parameters
    ----------
    text : (B,) uint8
        All names in UTF-8, one after the other.
    ends : (N,) int64
        Where in `text` each name ends.

    Examples
    --------
    >>> names = Names.of(["a.png", "b.png"])
    >>> names[1], names.rows(["b.png", "c.png"]).tolist()
    ('b.png', [1, -1])
    """

    def __init__(self, text: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        self.text = text
        self.ends = ends

    @classmethod
    def of(cls, names: Iterable[str]) -> "Names":
        """Store names; `Names` are returned as they are."""
        if isinstance(names, Names):
            return names
        # On Linux, file names are bytes and need not be valid text; Python writes such bytes as
        # lone surrogates, which plain UTF-8 refuses.
        parts = [name.encode("utf-8", "surrogatepass") for name in names]
        lengths = np.fromiter(map(len, parts), np.int64, len(parts))
        return cls(np.frombuffer(b"".join(parts), np.uint8), np.cumsum(lengths))

    def __len__(self) -> int:
        return len(self.ends)

    def require_whole(self) -> None:
        """Raise a SourceError unless each name ends behind the one before, within the text."""
        text, ends = self.text, self.ends
        starts = np.concatenate([[0], ends])
        # Not by differences, which may leave 64 bits.
        if (starts[1:] < starts[:-1]).any() or starts[-1] != len(text):
            raise SourceError("its names do not end where they should")
        if len(text) and text.max() >= CONTINUES:
            inner = ends[ends < len(text)]
            is_cut = (text[inner] >= CONTINUES) & (text[inner] < STARTS)
            try:
                text.tobytes().decode("utf-8", "surrogatepass")
            except UnicodeDecodeError:
                is_cut = np.ones(1, np.bool_)
            if is_cut.any():
                raise SourceError("its names hold bytes that are no text")

    def __repr__(self) -> str:
        return f"Names({list(self)})" if len(self) < 10 else f"Names({len(self):,})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the hashes: Python salts them differently in each process.
        return Names, (self.text, self.ends)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        row = range(len(self))[row]
        start = self.ends[row - 1] if row else 0
        return self.text[start : self.ends[row]].tobytes().decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        text, ends = self.text.tobytes(), self.ends.tolist()
        parts = starmap(slice, zip([0, *ends], ends, strict=False))
        if text.isascii():  # each byte is a letter: three times as fast
            return map(text.decode().__getitem__, parts)
        return (text[part].decode("utf-8", "surrogatepass") for part in parts)

    def rows(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Return the row of each of the names, -1 for one that is missing: (n,) int64."""
        starts = np.searchsorted(self._hashed[1], _hashes(names)).tolist()
        found = [self._row(name, start) for name, start in zip(names, starts, strict=True)]
        return np.array(found, np.int64)

    def first_repeated(self) -> str | None:
        """Return the first name that occurs a second time, if any."""
        hashes = self._hashed[1]
        if (hashes[1:] != hashes[:-1]).all():  # as nearly always
            return None
        seen: set[str] = set()
        for name in self:
            if name in seen:
                return name
            seen.add(name)
        return None

    def append(self, names: Iterable[str]) -> "Names":
        """Return these names followed by more."""
        more = Names.of(names)
        ends = np.concatenate([self.ends, more.ends + len(self.text)])
        return Names(np.concatenate([self.text, more.text]), ends)

    def select(self, mask: NDArray[np.bool_]) -> "Names":
        """Return the names of a mask (N,)."""
        lengths = np.diff(self.ends, prepend=0)
        return Names(self.text[np.repeat(mask, lengths)], np.cumsum(lengths[mask]))

    def _row(self, name: str, start: int) -> int:
        """Return the row of a name, whose hash is at `start` of the sorted ones if it is there."""
        order, hashes = self._hashed
        # Different names may have the same hash, so the name itself decides.
        while start < len(order) and hashes[start] == hash(name):
            if self[int(order[start])] == name:
                return int(order[start])
            start += 1
        return -1

    @cached_property
    def _hashed(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows in the order of their names' hashes, and these hashes."""
        hashes = _hashes(self)
        order = np.argsort(hashes, kind="stable")  # stable: of equal names, the first is found
        return order, hashes[order]


def _require_all(what: str, values: Any, kind: type) -> None:
    """Reject anything but a list of values of one type; of a million, in 10 ms."""
    if not isinstance(values, list) or not set(map(type, values)) <= {kind}:
        raise SourceError(f"{what} is no list of {'texts' if kind is str else 'whole numbers'}")


def _hashes(names: Sequence[str]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, names), np.int64, len(names))
