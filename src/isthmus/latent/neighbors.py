"""Who is near whom: exact nearest neighbors, and how well a map keeps them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import OptionError

LARGEST = 10_000  # samples a figure is measured on; of more, so many are drawn
SPARE = 8  # neighbors that are looked for beyond those wanted; see `nearest`
ROWS = 512  # of a matrix of distances that are held at once
NUMBERS = 2**22  # numbers of vectors that are held at once

Points = NDArray[np.float32]


def nearest_neighbors(
    queries: Points, points: Points, k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find the nearest points by Euclidean distance, exactly.

    The answer for a query does not depend on its company, nor on the number of threads: dot
    products, whose rounding does, only choose the candidates.

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
        Of points; of equally near ones, the first comes first.
    """
    import faiss

    center = points.mean(0, dtype=np.float64).astype(np.float32)  # far from 0, rounding is worse
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(points - center)
    indices = np.empty((len(queries), k), np.int64)
    distances = np.empty((len(queries), k))
    wanted = min(k + SPARE, len(points))
    step = max(1, NUMBERS // points.shape[1])
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        _, candidates = index.search(queries[block] - center, wanted)
        distances[block], indices[block] = _sorted(queries[block], points, candidates, k)
    return distances, indices


def other_neighbors(points: Points, k: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find the k nearest other points of each of (N, D) points; see `nearest`."""
    distances, indices = nearest_neighbors(points, points, k + 1)
    other = indices != np.arange(len(points))[:, None]
    other[other.all(1), -1] = False  # so many equal ones that the point itself is not among them
    return distances[other].reshape(-1, k), indices[other].reshape(-1, k)


def trustworthiness(high: Points, low: Points, k: int = 10) -> float:
    """Tell how far neighbors on a map are neighbors in truth.

    Venna & Kaski, Neighborhood preservation in nonlinear projection methods, ICANN 2001: 1 minus
    the mean number of ranks by which the k nearest on the map miss being the k nearest in truth,
    in units of the worst case. Points that are equally near share the better rank.

    Parameters
    ----------
    high : (N, D) float32
        The truth.
    low : (N, 2) float32
        The map.
    k : int
        Below N / 2.

    Returns
    -------
    float
        From 0 to 1, which is best; a random map has about 0.5.

    Raises
    ------
    SettingsError
        If k is outside its range.
    """
    count = len(high)
    if not 1 <= k < count / 2:
        raise OptionError(
            f"neighbors must be at least 1 and fewer than half of the {count:,} samples, not {k}."
        )
    _, near = other_neighbors(low, k)
    missed = 0
    for start, distances in _distances(high):
        rows = np.arange(len(distances))
        slack = 1e-12 * distances.max(initial=0.0)  # of rounding, between equally near points
        distances[rows, start + rows] = np.inf
        for column in near[start : start + len(rows)].T:
            limit = distances[rows, column] - slack
            rank = 1 + (distances < limit[:, None]).sum(1)
            missed += int(np.maximum(rank - k, 0).sum())
    return 1 - 2 * missed / (count * k * (2 * count - 3 * k - 1))


def continuity(high: Points, low: Points, k: int = 10) -> float:
    """Tell how far neighbors in truth are neighbors on a map; see `trustworthiness`."""
    return trustworthiness(low, high, k)


def knn_accuracy(points: Points, labels: NDArray[np.int64], k: int, seed: int = 0) -> float:
    """Tell how often the k nearest other points outvote a point's label correctly.

    Parameters
    ----------
    points : (N, D) float32
        Of more than 10,000, so many are drawn by the seed, and vote among themselves.
    labels : (N,) int64
    k : int
        Below N. If labels have equally many votes, that of the nearest counts.
    seed : int

    Returns
    -------
    float
        Share of points, from 0 to 1.

    Raises
    ------
    SettingsError
        If k is outside its range.
    """
    chosen = sample_indices(len(points), seed)
    if not 1 <= k < len(chosen):
        raise OptionError(
            f"neighbors must be at least 1 and fewer than the {len(chosen):,} samples, not {k}."
        )
    points, labels = points[chosen], labels[chosen]
    return float((majority_vote(labels[other_neighbors(points, k)[1]]) == labels).mean())


def sample_indices(count: int, seed: int, max_samples: int = LARGEST) -> NDArray[np.int64]:
    """Return which of `count` samples a figure is measured on, ascending."""
    if count <= max_samples:
        return np.arange(count)
    return np.sort(np.random.default_rng([seed, 2]).choice(count, max_samples, replace=False))


def _sorted(
    queries: Points, points: Points, candidates: NDArray[np.int64], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return distances and indices of the k nearest of each row's candidates."""
    candidates = np.sort(candidates, axis=1)
    distances = np.empty(candidates.shape)
    step = max(1, NUMBERS // (candidates.shape[1] * points.shape[1]))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        apart = points[candidates[block]] - queries[block, None]
        distances[block] = np.sqrt(np.einsum("ijk,ijk->ij", apart, apart, dtype=np.float64))
    order = distances.argsort(axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(candidates, order, 1)


def _distances(points: Points) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield the squared distances of all points to all, row block by row block.

    Each block comes with the number of its first row; it is (n, N) and the caller's to change.
    """
    center = points.mean(0, dtype=np.float64)
    for start in range(0, len(points), ROWS):
        block = points[start : start + ROWS] - center
        own = np.square(block).sum(1)[:, None]
        distances = np.empty((len(block), len(points)))
        for other in range(0, len(points), ROWS):  # in float64, one block at a time
            column = points[other : other + ROWS] - center
            norms = np.square(column).sum(1)
            distances[:, other : other + ROWS] = own + norms - 2 * (block @ column.T)
        yield start, distances


def majority_vote(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what most of k neighbors say, ties to the nearest.

    Parameters
    ----------
    labels : (N, k) int64
        Of the neighbors of N samples, nearest first.

    Examples
    --------
    >>> majority_vote(np.array([[3, 1, 1, 3], [2, 5, 5, 5]])).tolist()
    [3, 5]
    """
    agreeing = (labels[:, :, None] == labels[:, None, :]).sum(2)
    winners: NDArray[np.int64] = labels[np.arange(len(labels)), agreeing.argmax(1)]
    return winners
