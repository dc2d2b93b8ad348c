"""Exact nearest neighbors, and how well a map keeps them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import OptionError
from isthmus.latent.nearest import find_nearest

MAX_MEASURED = 10_000  # samples; trustworthiness of 10,000 × 32 takes 4 s, and grows with N²
BLOCK_ROWS = 512  # of a matrix of distances in memory

Points = NDArray[np.float32]


def nearest_neighbors(
    queries: Points, points: Points, k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find the nearest points by Euclidean distance, exactly.

    The answer for a query does not depend on the other queries or the number of threads; see
    `isthmus.latent.nearest`.

    Parameters
    ----------
    queries : (M, D) float32
    points : (N, D) float32
    k : int
        At most N.

    Returns
    -------
    distances : (M, k) float64
        Ascending.
    indices : (M, k) int64
        Of points; among equally near points, the first comes first.
    """
    return find_nearest(queries, points, k)


def other_neighbors(points: Points, k: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find the k nearest other points of each of (N, D) points; see `nearest_neighbors`."""
    distances, indices = nearest_neighbors(points, points, k + 1)
    other = indices != np.arange(len(points))[:, None]
    # With more than k equal points, the point itself may not be among them: drop the last.
    other[other.all(1), -1] = False
    return distances[other].reshape(-1, k), indices[other].reshape(-1, k)


def trustworthiness(high: Points, low: Points, k: int = 10) -> float:
    """Measure how far neighbors on a map are neighbors in the original space.

    J. Venna, S. Kaski: Neighborhood preservation in nonlinear projection methods, ICANN 2001.

        1 - 2 / (N k (2N - 3k - 1)) · Σᵢ Σⱼ max(0, r(i, j) - k)

    over the k nearest j of each i on the map, where r(i, j) is the rank of j among the neighbors
    of i in the original space. Points that are equally near share the better rank.

    Parameters
    ----------
    high : (N, D) float32
        Points in the original space.
    low : (N, 2) float32
        The same points on the map.
    k : int
        From 1, below N / 2.

    Returns
    -------
    float
        In [0, 1], higher is better; a random map has about 0.5.

    Raises
    ------
    OptionError
        If k is outside its range.
    """
    count = len(high)
    if not 1 <= k < count / 2:
        raise OptionError(
            f"neighbors must be at least 1 and fewer than half of the {count:,} samples, not {k}."
        )
    _, near = other_neighbors(low, k)
    missed = 0  # a whole number: adding up floats would depend on the size of the blocks
    for start, distances in _distance_blocks(high):
        rows = np.arange(len(distances))
        slack = 1e-12 * distances.max(initial=0.0)  # of rounding, between equally near points
        distances[rows, start + rows] = np.inf
        for column in near[start : start + len(rows)].T:
            limit = distances[rows, column] - slack
            rank = 1 + (distances < limit[:, None]).sum(1)
            missed += int(np.maximum(rank - k, 0).sum())
    return 1 - 2 * missed / (count * k * (2 * count - 3 * k - 1))


def continuity(high: Points, low: Points, k: int = 10) -> float:
    """Measure how far neighbors in the original space are neighbors on a map.

    This is `trustworthiness` with the two spaces swapped.
    """
    return trustworthiness(low, high, k)


def knn_accuracy(points: Points, labels: NDArray[np.int64], k: int, seed: int = 0) -> float:
    """Return the accuracy of a k-nearest-neighbors classifier that leaves one point out.

    Parameters
    ----------
    points : (N, D) float32
        Of more than 10,000 points, as many are chosen by the seed, as queries and as neighbors.
    labels : (N,) int64
    k : int
        From 1, below N. Of labels with equally many votes, that of the nearest point counts.
    seed : int

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    OptionError
        If k is outside its range.
    """
    chosen = sample_indices(len(points), seed)
    if not 1 <= k < len(chosen):
        raise OptionError(
            f"neighbors must be at least 1 and fewer than the {len(chosen):,} samples, not {k}."
        )
    points, labels = points[chosen], labels[chosen]
    return float((majority_vote(labels[other_neighbors(points, k)[1]]) == labels).mean())


def sample_indices(count: int, seed: int, max_samples: int = MAX_MEASURED) -> NDArray[np.int64]:
    """Return the samples, out of `count`, to measure on: ascending indices, chosen by the seed."""
    if count <= max_samples:
        return np.arange(count)
    return np.sort(np.random.default_rng([seed, 2]).choice(count, max_samples, replace=False))


def _distance_blocks(points: Points) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield the squared distances between all points in blocks of rows.

    Each block comes with the index of its first row; it is (n, N), and the caller may change it.
    """
    center = points.mean(0, dtype=np.float64)  # far from 0, rounding is worse
    for start in range(0, len(points), BLOCK_ROWS):
        block = points[start : start + BLOCK_ROWS] - center
        own = np.square(block).sum(1)[:, None]
        distances = np.empty((len(block), len(points)))
        for other in range(0, len(points), BLOCK_ROWS):  # in float64, one block at a time
            column = points[other : other + BLOCK_ROWS] - center
            norms = np.square(column).sum(1)
            distances[:, other : other + BLOCK_ROWS] = own + norms - 2 * (block @ column.T)
        yield start, distances


def majority_vote(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the label of most of k neighbors; of equally many votes, the nearest decides.

    Parameters
    ----------
    labels : (N, k) int64
        Of the neighbors of N samples, nearest first.

    Returns
    -------
    (N,) int64

    Examples
    --------
    >>> majority_vote(np.array([[3, 1, 1, 3], [2, 5, 5, 5]])).tolist()
    [3, 5]
    """
    # How many of the k have the label of each: the first of the largest counts is the nearest one.
    agreeing = (labels[:, :, None] == labels[:, None, :]).sum(2)
    winners: NDArray[np.int64] = labels[np.arange(len(labels)), agreeing.argmax(1)]
    return winners
