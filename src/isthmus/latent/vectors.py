"""`Vectors`: the codes of an index in faiss, and their nearest neighbors."""

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import ModelError
from isthmus.latent.nearest import find_nearest, rank
from isthmus.latent.stored_vectors import flat, from_tensors, load_faiss, to_tensors
from isthmus.latent.tensor_files import Tensor, Tensors

METRICS = ("euclidean", "cosine")
MAX_VALUE = 1e15  # of a code's numbers; the squares of larger ones may leave float32
BLOCK_NUMBERS = 2**22  # that are checked at once

# Comparing a query with 100,000 vectors of 32 numbers takes about a millisecond. Above, inverted
# lists are worth their training, and cost some recall.
MAX_EXACT = 100_000
MANY_QUERIES = 16  # from which matrix products are faster than differences
SPARE = 8  # candidates beyond those wanted, as sums in float32 may swap the nearly equal
# Codes of data with structure are clustered, and few lists hold all the nearest; structureless
# codes need half of all lists, and search is then slow but right. So the number of lists to
# probe is not fixed but found for each index, by the recall on queries of its own.
MIN_RECALL = 0.99
RECALL_NEIGHBORS = 10  # recall is the share of this many nearest that a search finds
RECALL_QUERIES = 200  # by which recall is measured
KMEANS_ITERATIONS = 10  # more neither speed up the search nor raise recall
MAX_POINTS_PER_LIST = 128  # that k-means learns from
SEED = 0

Distances = NDArray[np.float32]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


def to_vectors(
    z: NDArray[np.float32], metric: str, called: Callable[[int], str]
) -> NDArray[np.float32]:
    """Return z (n, D) as the index compares it, scaled to length 1 for the metric cosine.

    Parameters
    ----------
    z : (n, D) float32
    metric : str
    called : callable
        Returns what to call a code in a message, given its row.

    Raises
    ------
    ModelError
        If a code holds NaN, or has no direction and needs one.
    """
    z = np.ascontiguousarray(z, np.float32)
    vectors = z if metric == "euclidean" else np.empty_like(z)
    step = max(1, BLOCK_NUMBERS // z.shape[1])
    for start in range(0, len(z), step):
        part = z[start : start + step]
        if not (part.min() >= -MAX_VALUE and part.max() <= MAX_VALUE):  # NaN is neither
            usable = (np.abs(part) <= MAX_VALUE).all(axis=1)
            culprit = called(start + int(usable.argmin()))
            raise ModelError(f"{culprit} holds NaN or numbers beyond {MAX_VALUE:g}; leave it out.")
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


def to_distances(distances: NDArray[np.float32], metric: str) -> NDArray[np.float32]:
    """Turn Euclidean distances between vectors of `to_vectors` into those of the metric."""
    if metric == "euclidean":
        return distances
    halves: NDArray[np.float32] = distances * distances / np.float32(2)
    return halves  # of vectors of length 1: |a - b|² = 2 - 2 cos


class Vectors:
    """N vectors in faiss, numbered by row, and their Euclidean distances.

    Up to `MAX_EXACT` vectors, a query is compared with all of them. Above, they are in inverted
    lists, one for each center of k-means, and a query is compared with those in the `nprobe`
    lists whose centers are nearest (J. Sivic, A. Zisserman: Video Google, ICCV 2003). `nprobe` is
    doubled until the recall among the ten nearest is at least `MIN_RECALL`.

    Any number of threads may search at the same time. Only one may change the vectors, and no
    other may search meanwhile.

    Parameters
    ----------
    index : faiss.IndexFlatL2 or faiss.IndexIVFFlat
        Its vectors are numbered from 0.
    nprobe : int
    recall : float
        As measured with `nprobe`.
    """

    def __init__(self, index: Any, nprobe: int = 1, recall: float = 1.0) -> None:
        self.index = index
        self.nprobe = nprobe
        self.recall = recall
        self._direct_map = threading.Lock()

    def __len__(self) -> int:
        return int(self.index.ntotal)

    @classmethod
    def build(cls, vectors: NDArray[np.float32]) -> "Vectors":
        """Store vectors (N, D)."""
        count, size = vectors.shape
        if count <= MAX_EXACT:
            return cls(flat(vectors))
        # √N lists balance the two parts of a search: comparing a query with the centers, and with
        # the members of a list.
        index = load_faiss().IndexIVFFlat(
            load_faiss().IndexFlatL2(size), size, round(math.sqrt(count))
        )
        index.cp.seed, index.cp.niter = SEED, KMEANS_ITERATIONS
        # No warning about few points: lists of a small index may learn from one.
        index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, MAX_POINTS_PER_LIST
        index.train(vectors)
        index.add(vectors)
        stored = cls(index)
        stored._tune()
        return stored

    @property
    def kind(self) -> str:
        """How it searches: "exact", or "ivf" for inverted lists."""
        return "ivf" if isinstance(self.index, load_faiss().IndexIVF) else "exact"

    @property
    def size(self) -> int:
        """D, the numbers of a vector."""
        return int(self.index.d)

    @property
    def lists(self) -> int:
        """Number of inverted lists, 1 if the search is exact."""
        return int(self.index.nlist) if self.kind == "ivf" else 1

    def search(
        self, vectors: NDArray[np.float32], k: int, among: Mask | None = None
    ) -> tuple[Distances, Rows]:
        """Find the nearest stored vectors.

        Parameters
        ----------
        vectors : (n, D) float32
        k : int
            At most as many as there are, or as there are in `among`.
        among : (N,) bool, optional
            Vectors that may be found. The search is then exact.

        Returns
        -------
        distances : (n, k) float32
            Ascending.
        rows : (n, k) int64
        """
        if among is None and self.kind == "exact":
            return self._search_all(vectors, k)
        # The lists probed may hold few of a small class, or none: only all lists are safe.
        nprobe = self.lists if among is not None else self.nprobe
        squares, rows = self._probe(vectors, k, nprobe, among)
        short = np.flatnonzero((rows < 0).any(axis=1))  # fewer than k are in the lists probed
        if len(short):
            squares[short], rows[short] = self._probe(vectors[short], k, self.lists, among)
        return np.sqrt(squares), rows

    def at(self, rows: Rows) -> NDArray[np.float32]:
        """Return the vectors at `rows`, copied: (n, D) float32."""
        # faiss finds a row in its list by a "direct map", an array of 8 bytes a vector that is
        # made on first use. Two threads that made it at the same time would corrupt memory.
        with self._direct_map:
            if self.kind == "ivf":
                self.index.make_direct_map()
            vectors: NDArray[np.float32] = self.index.reconstruct_batch(rows)
        return vectors

    def add(self, vectors: NDArray[np.float32]) -> "Vectors":
        """Append vectors (n, D); return what holds them all, another if it gets inverted lists."""
        if self.kind == "exact" and len(self) + len(vectors) > MAX_EXACT:
            stored = self.at(np.arange(len(self)))
            return Vectors.build(np.concatenate([stored, vectors]))
        self.index.add(vectors)
        self._tune()
        return self

    def remove(self, removed: Mask) -> None:
        """Remove the vectors of a mask (N,); those behind them move up.

        The others are stored again, with the same centers. Removing them from their lists is
        faster (1.9 instead of 2.8 s for 1,000,000 × 32, of which measuring the recall takes most),
        but leaves gaps in the numbers of the others, which only pointers into faiss can close.
        """
        vectors = self.at(np.flatnonzero(~removed))
        if self.kind == "exact":
            self.index = flat(vectors)
        else:
            centers = self.index.quantizer.reconstruct_n(0, self.lists)
            self.index = load_faiss().IndexIVFFlat(flat(centers), self.size, self.lists)
            self.index.add(vectors)
        self._tune()

    def to_tensors(self) -> dict[str, Tensor]:
        """Return the arrays that `from_tensors` takes, to be written before the next change."""
        return to_tensors(self.index)

    @classmethod
    def from_tensors(cls, tensors: Tensors, nprobe: int, recall: float) -> "Vectors":
        """Return the vectors of stored arrays.

        Raises
        ------
        ValueError
            If they are not what `to_tensors` returns, or there are fewer lists than to probe.
        """
        vectors = cls(from_tensors(tensors), nprobe, recall)
        if nprobe > vectors.lists:
            raise ValueError(f"nprobe is {nprobe}, of {vectors.lists} lists")
        return vectors

    def _search_all(self, vectors: NDArray[np.float32], k: int) -> tuple[Distances, Rows]:
        """Compare with all vectors; distances do not depend on how many queries come at once."""
        stored = self._stored()
        if len(vectors) >= MANY_QUERIES:
            distances, rows = find_nearest(vectors, stored, k)
        else:
            _, candidates = self._probe(vectors, min(k + SPARE, len(self)), 1)
            distances, rows = rank(vectors, stored, candidates, k)
        return distances.astype(np.float32), rows

    def _stored(self) -> NDArray[np.float32]:
        """Return the vectors (N, D) of an exact index, where they are."""
        numbers = load_faiss().rev_swig_ptr(self.index.get_xb(), len(self) * self.size)
        stored: NDArray[np.float32] = numbers.reshape(len(self), self.size)
        return stored

    def _probe(
        self, vectors: NDArray[np.float32], k: int, nprobe: int, among: Mask | None = None
    ) -> tuple[Distances, Rows]:
        """Return squared distances and rows, -1 where the lists hold no more."""
        # With a selector, a flat index computes differences; without, dot products, whose
        # rounding depends on how many queries come at once and ruins small distances.
        selector: Any = load_faiss().IDSelectorAll() if self.kind == "exact" else None
        if among is not None:
            selector = load_faiss().IDSelectorBitmap(np.packbits(among, bitorder="little"))
        params = load_faiss().SearchParametersIVF(sel=selector, nprobe=nprobe)
        squares, rows = self.index.search(vectors, k, params=params)
        return squares, rows

    def _tune(self) -> None:
        """Measure recall, and probe more lists until it is enough."""
        if self.kind == "exact":
            return
        rng = np.random.default_rng(SEED)
        queries = self.at(rng.choice(len(self), min(RECALL_QUERIES, len(self)), replace=False))
        k = min(RECALL_NEIGHBORS + 1, len(self))  # the first is the vector itself
        nearest, _ = self._probe(queries, k, self.lists)
        self.recall = self._measure_recall(queries, nearest)
        while self.recall < MIN_RECALL and self.nprobe < self.lists:
            self.nprobe = min(2 * self.nprobe, self.lists)
            self.recall = self._measure_recall(queries, nearest)

    def _measure_recall(self, queries: NDArray[np.float32], nearest: Distances) -> float:
        """Return the share of the nearest that is found, given their squared distances (n, k).

        By distance, not by row, so that it does not matter which of several equals is found.
        """
        if nearest.shape[1] == 1:
            return 1.0
        found, _ = self._probe(queries, nearest.shape[1], self.nprobe)
        hits = (found <= nearest[:, -1:]).sum(axis=1) - 1
        return float(hits.mean() / (nearest.shape[1] - 1))
