"""Exact nearest neighbors among codes that are compared where they lie."""

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.float32]


def find_neighbors(
    codes: Codes, queries: Codes, k: int, among: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the nearest codes by Euclidean distance; the codes are not copied.

    Parameters
    ----------
    codes : (N, D) float32
        In memory or memory-mapped.
    queries : (M, D) float32
    k : int
        If there are fewer, all are found.
    among : (n,) int64, optional
        Rows that may be found; by default all.

    Returns
    -------
    rows : (M, k) int64
    distances : (M, k) float32
        Ascending.
    """
    import faiss

    points = codes if among is None else codes[among]
    k = min(k, len(points))
    if not k:
        empty = (len(queries), 0)
        return np.empty(empty, np.int64), np.empty(empty, np.float32)
    # Few queries are compared by differences, as dot products lose small distances to rounding.
    squares, rows = faiss.knn(np.ascontiguousarray(queries), np.ascontiguousarray(points), k)
    found = rows if among is None else among[rows]
    return found, np.sqrt(np.maximum(squares, 0))
