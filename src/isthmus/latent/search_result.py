"""`SearchResult`: what a search in an index has found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.items import Items
from isthmus.display import Displayed
from isthmus.errors import OptionError


@dataclass(frozen=True, eq=False)
class SearchResult(Displayed):
    """The k nearest samples of each of n queries, nearest first.

    In a notebook it shows what a session found as pictures.

    Parameters
    ----------
    rows : (n, k) int64
        Of the index at the time of the search; they find samples, labels or codes that are kept
        in the same order. Of a `LanceIndex` they are rows of `items`.
    distances : (n, k) float32
        Euclidean distances, or 1 - cos in [0, 2].
    items : Items
        Of the whole index; of a `LanceIndex`, of what was found.
    load : callable, optional
        Loads samples of the index by their names, where they are needed: see `values`.
    queries : (n, H, W, C) uint8, (n, L, C) float32 or sequence of n str, optional
        The samples that were searched for, or their names in the index; None if codes were.
    """

    rows: NDArray[np.int64]
    distances: NDArray[np.float32]
    items: Items
    load: Callable[[Sequence[str]], NDArray[Any]] | None = field(default=None, repr=False)
    queries: NDArray[Any] | Sequence[str] | None = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        # What loads the samples holds a session, with its locks and its model: a copy in another
        # process does without.
        return {**self.__dict__, "load": None}

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def names(self) -> list[list[str]]:
        """Names of what was found: n lists of k."""
        names = self.items.names
        return [[names[row] for row in found] for found in self.rows.tolist()]

    @cached_property
    def labels(self) -> list[list[str | None]] | None:
        """Class names of what was found, None for a sample without one; None if none has one."""
        if self.items.labels is None:
            return None
        return [self.items.take(found).label_names() for found in self.rows]

    def values(self, query: int = 0) -> NDArray[Any]:
        """Load the samples that were found for one query.

        Returns
        -------
        (k, H, W, C) uint8 or (k, L, C) float32

        Raises
        ------
        OptionError
            If an index gave this result, and no session: an index holds codes only.
        SourceError
            If a source of the index is gone.
        """
        return self._load(self.names[query])

    def query_values(self, query: int = 0) -> NDArray[Any] | None:
        """Return the sample that was searched for, (H, W, C) or (L, C); None if it was a code."""
        if self.queries is None:
            return None
        known = self.queries[query]
        sample: NDArray[Any] = self._load([known])[0] if isinstance(known, str) else known
        return sample

    def matches(self, query: int = 0) -> list[dict[str, Any]]:
        """Return what was found for one query as JSON objects: name, label, distance."""
        names, distances = self.names[query], self.distances[query].tolist()
        labels = self.labels[query] if self.labels is not None else [None] * len(names)
        return [
            {"name": name, "label": label, "distance": distance}
            for name, label, distance in zip(names, labels, distances, strict=True)
        ]

    def _load(self, names: Sequence[str]) -> NDArray[Any]:
        if self.load is None:
            raise OptionError("an index holds no samples; search with Session.search to see them.")
        return self.load(names)
