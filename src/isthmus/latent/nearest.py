"""The nearest points to queries, exactly, and fast where there are many of both.

The squared distance |q - p|² is |q|² + |p|² - 2 q·p, and matrix products are the fastest way to
compute many. Their rounding may change which points are the nearest, within a bound that is known.
So every point is a candidate whose product is within that bound of the k nearest; the distances of
candidates are then computed from differences.

To look at each product takes half as long as to multiply, so only those below a limit are kept: the
k-th smallest of a sample. Of 1,000 queries among 50,000 × 32, on one core (CPU time): 80 ms (40 of
them to multiply, 20 to look), with faiss by differences 216, with scikit-learn, which computes
products in float64, 166.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.runtime import map_in_threads, one_blas_thread, thread_count

# That are multiplied at once: the products stay in the processor's cache.
MAX_QUERIES, POINTS = 1024, 512
SAMPLE = 4096  # points that give the first limit
COLUMNS = 4  # times k, among which the k smallest of the sample are looked for
MAX_KEPT = 2**20  # products below the limit, before the limit is lowered
BLOCK_NUMBERS = 2**22  # of differences in memory
UNIT = 2.0**-24  # the largest relative error of a rounding in float32

Points = NDArray[np.float32]
Distances = NDArray[np.float64]
Indices = NDArray[np.int64]


class Found(NamedTuple):
    """The k nearest points so far: distances and indices (M, k), infinite where there are fewer."""

    distances: Distances
    indices: Indices


class Kept(NamedTuple):
    """Pairs whose product is below the limit of the query: rows of queries and of points, (n,)."""

    rows: Indices
    indices: Indices
    products: Points


def find_nearest(queries: Points, points: Points, k: int) -> Found:
    """Find the nearest points; see `isthmus.latent.neighbors.nearest_neighbors`."""
    # Far from 0, rounding is worse. About the center of all is as good, and is there at once.
    center = _sample(points, k).mean(0, dtype=np.float64).astype(np.float32)
    squares = _square(points, center)
    find = partial(_find, points=points, k=k, center=center, squares=squares)
    threads = thread_count()
    step = min(MAX_QUERIES, -(-len(queries) // threads)) or 1
    parts = (queries[start : start + step] for start in range(0, len(queries), step))
    with one_blas_thread:
        found = list(map_in_threads(find, parts, threads, "nearest"))
    nobody = Found(np.zeros((0, k)), np.zeros((0, k), np.int64))
    return Found(*map(np.concatenate, zip(nobody, *found, strict=True)))


def rank(queries: Points, points: Points, candidates: Indices, k: int) -> Found:
    """Return the k nearest of the candidates (M, n) of each query; the first of equally near ones.

    Distances are computed from differences, and do not depend on the other queries.
    """
    rows = np.repeat(np.arange(len(queries)), candidates.shape[1])
    return _merge(_nothing(queries, points, k), queries, points, rows, candidates.reshape(-1))


def _find(queries: Points, points: Points, k: int, center: Points, squares: Points) -> Found:
    x = queries - center
    norms = np.square(x, dtype=np.float64).sum(1)
    slack = _rounding(norms, float(np.sqrt(squares.max())), points.shape[1])
    # Points are rows of products: limits, one a query, are then compared without a stride.
    factors = np.ascontiguousarray(np.hstack([-2 * x, np.ones((len(x), 1), np.float32)]).T)
    limits = _sample_limits(factors, _sample(points, k), center, k) + 2 * slack
    found = _nothing(queries, points, k)
    kept: list[Kept] = []
    # Used again: a fifth of the time would go to asking the system for memory.
    buffer = np.empty((POINTS, len(x)), np.float32)
    below = np.empty(buffer.shape, np.bool_)
    for block in _slices(len(points), POINTS):
        products = _multiply(factors, points[block] - center, squares[block], buffer)
        np.less_equal(products, limits.astype(np.float32), out=below[: len(products)])
        hits = np.flatnonzero(below[: len(products)])
        indices, rows = np.divmod(hits, len(x))
        kept.append(Kept(rows, indices + block.start, products.reshape(-1)[hits]))
        if sum(len(one.rows) for one in kept) > MAX_KEPT:
            found = _add(found, queries, points, kept, slack)
            limits = np.minimum(limits, found.distances[:, -1] ** 2 - norms + slack)
            kept = []
    return _add(found, queries, points, kept, slack)


def _square(points: Points, center: Points) -> Points:
    """Return the squared distances of points from the center, (N,)."""
    blocks = (points[part] - center for part in _slices(len(points), POINTS))
    squares: Points = np.concatenate([np.einsum("ij,ij->i", one, one) for one in blocks])
    return squares


def _rounding(norms: Distances, largest: float, size: int) -> Distances:
    """Return by how much products may be off, for each query (M,).

    A sum of D products is off by D units of the product of both lengths at most (N. Higham,
    Accuracy and Stability of Numerical Algorithms, 2002, equation 3.5); the rest is for centering,
    squares, limits and the last addition.
    """
    return np.asarray((size + 16) * UNIT * np.square(np.sqrt(norms) + 1.01 * largest))


def _sample(points: Points, k: int) -> Points:
    """Return points for the first limit: one of every few in a row, at random.

    Evenly spread ones hold fewer near ones where the order of points repeats itself.
    """
    stride = max(1, len(points) // max(SAMPLE, COLUMNS * k))
    starts = np.arange(0, len(points) - stride + 1, stride)
    chosen: Points = points[starts + np.random.default_rng(0).integers(stride, size=len(starts))]
    return chosen


def _sample_limits(factors: Points, sample: Points, center: Points, k: int) -> Distances:
    """Return a product for each query (M,) that those of k points at least do not exceed."""
    squares, buffer = _square(sample, center), np.empty((POINTS, factors.shape[1]), np.float32)
    products = np.concatenate(
        [
            _smallest(_multiply(factors, sample[part] - center, squares[part], buffer), k)
            for part in _slices(len(sample), POINTS)
        ]
    )
    limits: Distances = np.partition(_smallest(products, k), k - 1, axis=0)[k - 1].astype(float)
    return limits


def _smallest(products: Points, k: int) -> Points:
    """Return the smaller one of each two, again and again: k of them belong to k points."""
    smallest = products.copy() if len(products) < 2 * COLUMNS * k else products
    while (half := len(smallest) // 2) >= COLUMNS * k:
        smallest = np.minimum(smallest[:half], smallest[half : 2 * half])
    return smallest


def _multiply(factors: Points, points: Points, squares: Points, buffer: Points) -> Points:
    """Return |p|² - 2 q·p, (n, M), of points (n, D) and columns (-2 q, 1) of queries.

    They are in the buffer (N, M), until it is used again.
    """
    return np.matmul(np.hstack([points, squares[:, None]]), factors, out=buffer[: len(points)])


def _add(
    found: Found, queries: Points, points: Points, kept: list[Kept], slack: Distances
) -> Found:
    """Take into account what may be among the k nearest, by its products."""
    if not kept:
        return found
    rows, indices, products = map(np.concatenate, zip(*kept, strict=True))
    counts = np.bincount(rows, minlength=len(slack))
    k = found.indices.shape[1]
    is_full = counts >= k
    limits = np.full(len(slack), np.inf)
    ends = (counts.cumsum() - counts)[is_full] + k - 1
    limits[is_full] = _sort(rows, products)[ends] + 2 * slack[is_full]
    may_be = products <= limits[rows]
    return _merge(found, queries, points, rows[may_be], indices[may_be])


def _sort(rows: Indices, products: Points) -> Points:
    """Return the products sorted by rows, and by value in a row.

    Whole numbers of 64 bits that hold both are sorted in a thirtieth of the time of two keys. The
    bits of floats are in their order, those of negative ones in the opposite order.
    """
    keys = (rows << 32) + _flip_negative(products.view(np.int32))
    keys.sort()
    return _flip_negative(keys.astype(np.int32)).view(np.float32)


def _flip_negative(bits: NDArray[np.int32]) -> NDArray[np.int32]:
    flipped: NDArray[np.int32] = bits ^ (bits >> 31 & np.int32(2**31 - 1))
    return flipped


def _nothing(queries: Points, points: Points, k: int) -> Found:
    return Found(np.full((len(queries), k), np.inf), np.full((len(queries), k), len(points)))


def _merge(found: Found, queries: Points, points: Points, rows: Indices, indices: Indices) -> Found:
    """Take pairs of a query and a point into account."""
    k = found.indices.shape[1]
    apart = _measure(queries, points, rows, indices)
    rows = np.concatenate([np.repeat(np.arange(len(queries)), k), rows])
    distances = np.concatenate([found.distances.reshape(-1), apart])
    indices = np.concatenate([found.indices.reshape(-1), indices])
    order = np.lexsort((indices, distances, rows))
    starts = np.searchsorted(rows[order], np.arange(len(queries)))
    chosen = order[starts[:, None] + np.arange(k)]
    return Found(distances[chosen], indices[chosen])


def _measure(queries: Points, points: Points, rows: Indices, indices: Indices) -> Distances:
    """Return the distances of pairs (n,), from differences."""
    distances = np.empty(len(rows))
    for part in _slices(len(rows), max(1, BLOCK_NUMBERS // points.shape[1])):
        apart = points[indices[part]] - queries[rows[part]]
        distances[part] = np.sqrt(np.einsum("ij,ij->i", apart, apart, dtype=np.float64))
    return distances


def _slices(count: int, step: int) -> Iterator[slice]:
    return (slice(start, start + step) for start in range(0, count, step))
