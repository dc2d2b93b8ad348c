"""`Hits`: what a search has found."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Hits:
    """The k nearest samples of each of n queries, nearest first.

    Parameters
    ----------
    names : list of n lists of k str
    labels : list of n lists of k str or None, optional
        Their classes, None where a sample has none; None if no sample of the index has.
    distances : (n, k) float32
        Euclidean distances, or 1 - cos in [0, 2].
    """

    names: list[list[str]]
    labels: list[list[str | None]] | None
    distances: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, query: int = 0) -> list[dict[str, Any]]:
        """Return what was found for one query as JSON objects: name, label, distance."""
        names = self.names[query]
        labels = self.labels[query] if self.labels is not None else [None] * len(names)
        distances = self.distances[query].tolist()
        return [
            {"name": name, "label": label, "distance": distance}
            for name, label, distance in zip(names, labels, distances, strict=True)
        ]
