"""The exact nearest neighbors among codes in blocks, to measure the recall of an index by."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from isthmus.latent.stored_vectors import load_faiss

TOLERANCE = 1e-5  # of distances that are computed in another order


def nearest_distances(
    queries: NDArray[np.float32], blocks: Iterable[NDArray[np.float32]], k: int
) -> NDArray[np.float32]:
    """Return the squared distances of the k nearest vectors of all blocks: (n, k), ascending."""
    best = np.full((len(queries), k), np.inf, np.float32)
    for block in blocks:
        _, rows = load_faiss().knn(queries, np.ascontiguousarray(block), min(k, len(block)))
        # By differences: faiss takes dot products here, whose rounding ruins small distances.
        found = np.square(block[rows] - queries[:, None]).sum(axis=2)
        best = np.sort(np.concatenate([best, found], axis=1), axis=1)[:, :k]
    return best


def recall_of(found: NDArray[np.float32], nearest: NDArray[np.float32]) -> float:
    """Return the share of the nearest that was found, given squared distances (n, k).

    The first of them is the query itself. By distance, so that it does not matter which of several
    equals is found.
    """
    if nearest.shape[1] < 2:
        return 1.0
    # Also of the usual distance: those of copies are zero but for rounding.
    limit = nearest[:, -1:] * (1 + TOLERANCE) + TOLERANCE * np.median(nearest[:, -1])
    hits = (found <= limit).sum(axis=1) - 1
    return float(np.clip(hits, 0, None).mean() / (nearest.shape[1] - 1))
