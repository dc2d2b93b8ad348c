"""Kinds of distance, all searched as Euclidean distances of vectors made for it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import ModelError

METRICS = ("euclidean", "cosine")
LARGEST = 1e15  # of a code's numbers; the squares of larger ones may leave float32
BLOCK = 2**22  # numbers that are checked at once


def vectors_of(
    z: NDArray[np.float32], metric: str, called: Callable[[int], str]
) -> NDArray[np.float32]:
    """Return z (n, D) as the index compares it: of length 1 if by the cosine.

    Parameters
    ----------
    z : (n, D) float32
    metric : str
    called : callable
        Says what to call a code, given its row.

    Raises
    ------
    ModelError
        If a code holds NaN, or has no direction and needs one.
    """
    z = np.ascontiguousarray(z, np.float32)
    vectors = z if metric == "euclidean" else np.empty_like(z)
    step = max(1, BLOCK // z.shape[1])
    for start in range(0, len(z), step):
        part = z[start : start + step]
        usable = (np.abs(part) <= LARGEST).all(axis=1)  # NaN is not
        if not usable.all():
            culprit = called(start + int(usable.argmin()))
            raise ModelError(f"{culprit} holds NaN or numbers beyond {LARGEST:g}; leave it out.")
        if metric == "cosine":
            lengths = np.linalg.norm(part.astype(np.float64), axis=1, keepdims=True)
            if not lengths.all():
                culprit = called(start + int(lengths.argmin()))
                raise ModelError(
                    f"{culprit} is all zeros and has no direction; leave it out, or use the metric "
                    "euclidean."
                )
            vectors[start : start + step] = part / lengths
    return vectors


def distances_of(distances: NDArray[np.float32], metric: str) -> NDArray[np.float32]:
    """Turn the Euclidean distances of such vectors into those of the metric."""
    if metric == "euclidean":
        return distances
    halves: NDArray[np.float32] = distances * distances / np.float32(2)
    return halves  # of vectors of length 1: |a - b|² = 2 - 2 cos
