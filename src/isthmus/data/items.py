"""`Names`: a million names in the memory of their letters."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray


class Names(Sequence[str]):
    """Names in one array of bytes, found by number or by name.

    A list of a million names takes some hundred megabytes and a dictionary twice that; this takes
    their letters and 8 bytes each, and 16 more once a name is looked up.

    Parameters
    ----------
    text : (B,) uint8
        All names in UTF-8, one behind the other.
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
        """Store names."""
        # A name of a file need not be proper text; so that it comes back, its bytes pass.
        parts = [name.encode("utf-8", "surrogatepass") for name in names]
        lengths = np.fromiter(map(len, parts), np.int64, len(parts))
        return cls(np.frombuffer(b"".join(parts), np.uint8), np.cumsum(lengths))

    def __len__(self) -> int:
        return len(self.ends)

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
        text, start = self.text.tobytes(), 0
        for end in self.ends.tolist():
            yield text[start:end].decode("utf-8", "surrogatepass")
            start = end

    def rows(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Return the row of each of the names, -1 where there is none: (n,) int64."""
        starts = np.searchsorted(self._hashed[1], _hashes(names)).tolist()
        found = [self._row(name, start) for name, start in zip(names, starts, strict=True)]
        return np.array(found, np.int64)

    def append(self, names: Iterable[str]) -> "Names":
        """Return these and more names behind them."""
        more = Names.of(names)
        ends = np.concatenate([self.ends, more.ends + len(self.text)])
        return Names(np.concatenate([self.text, more.text]), ends)

    def select(self, mask: NDArray[np.bool_]) -> "Names":
        """Return those of a mask (N,)."""
        lengths = np.diff(self.ends, prepend=0)
        return Names(self.text[np.repeat(mask, lengths)], np.cumsum(lengths[mask]))

    def _row(self, name: str, start: int) -> int:
        """Return the row of a name, whose hash is at `start` of the sorted ones if it is there."""
        order, hashes = self._hashed
        while start < len(order) and hashes[start] == hash(name):
            if self[int(order[start])] == name:
                return int(order[start])
            start += 1
        return -1

    @cached_property
    def _hashed(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows in the order of their names' hashes, and these hashes."""
        hashes = _hashes(self)
        order = np.argsort(hashes, kind="stable")
        return order, hashes[order]


def _hashes(names: Sequence[str]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, names), np.int64, len(names))
