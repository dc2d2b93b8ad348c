"""`Vectors`: in rows, so that those nearest to others are found."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import ModelError

METRICS = ("euclidean", "cosine")
LARGEST = 1e15  # of a code's numbers; the squares of larger ones may leave float32
BLOCK = 2**22  # numbers that are checked at once


def to_vectors(
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


def to_distances(distances: NDArray[np.float32], metric: str) -> NDArray[np.float32]:
    """Turn the Euclidean distances of such vectors into those of the metric."""
    if metric == "euclidean":
        return distances
    halves: NDArray[np.float32] = distances * distances / np.float32(2)
    return halves  # of vectors of length 1: |a - b|² = 2 - 2 cos


EXACT = 100_000  # vectors up to which a query is compared with every one
NEAREST = 10  # recall is counted among as many
RECALL = 0.99  # at least, of an index by inverted lists
QUERIES = 200  # by which recall is measured
ITERATIONS = 10  # of k-means; more neither speed up the search nor help recall
POINTS = 128  # a list, for k-means to learn from
SEED = 0

Distances = NDArray[np.float32]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Vectors:
    """The vectors of an index in faiss, numbered by row, and their Euclidean distances.

    Up to `EXACT` vectors, a query is compared with all. Above, they are in inverted lists, one
    for each center of k-means, and a query is compared with those in the `nprobe` lists whose
    centers are nearest (J. Sivic, A. Zisserman: Video Google, ICCV 2003). `nprobe` is doubled
    until the recall among the ten nearest, measured on vectors of its own, is at least `RECALL`.

    Parameters
    ----------
    index : faiss.IndexFlatL2 or faiss.IndexIVFFlat
        Whose vectors are numbered from 0.
    nprobe : int
    recall : float
        As measured with `nprobe`.
    mapped : bool
        Whether the vectors lie in a file, which faiss cannot change.
    """

    def __init__(
        self, index: Any, nprobe: int = 1, recall: float = 1.0, *, mapped: bool = False
    ) -> None:
        self.index = index
        self.nprobe = nprobe
        self.recall = recall
        self._mapped = mapped

    def __len__(self) -> int:
        return int(self.index.ntotal)

    @classmethod
    def build(cls, vectors: NDArray[np.float32]) -> "Vectors":
        """Store vectors (N, D)."""
        count, size = vectors.shape
        if count <= EXACT:
            index: Any = _faiss().IndexFlatL2(size)
            index.add(vectors)
            return cls(index)
        index = _faiss().IndexIVFFlat(_faiss().IndexFlatL2(size), size, round(math.sqrt(count)))
        index.cp.seed, index.cp.niter = SEED, ITERATIONS
        index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, POINTS
        index.train(vectors)
        index.add(vectors)
        stored = cls(index)
        stored._tune()
        return stored

    @property
    def kind(self) -> str:
        """How it searches: "exact", or "ivf" for inverted lists."""
        return "ivf" if hasattr(self.index, "nlist") else "exact"

    @property
    def size(self) -> int:
        """D, the numbers of a vector."""
        return int(self.index.d)

    @property
    def lists(self) -> int:
        """How many inverted lists there are; 1 if it is exact."""
        return int(getattr(self.index, "nlist", 1))

    def search(
        self, vectors: NDArray[np.float32], k: int, among: Mask | None = None
    ) -> tuple[Distances, Rows]:
        """Find the nearest stored vectors.

        Parameters
        ----------
        vectors : (n, D) float32
        k : int
            At most as many as there are (among those in question).
        among : (N,) bool, optional
            Which may be found; they are then found exactly.

        Returns
        -------
        distances : (n, k) float32
            Ascending.
        rows : (n, k) int64
        """
        nprobe = self.lists if among is not None else self.nprobe
        squares, rows = self._probe(vectors, k, nprobe, among)
        short = np.flatnonzero((rows < 0).any(axis=1))  # fewer than k are in the lists probed
        if len(short):
            squares[short], rows[short] = self._probe(vectors[short], k, self.lists, among)
        return np.sqrt(squares), rows

    def at(self, rows: Rows) -> NDArray[np.float32]:
        """Return the vectors at `rows`, copied: (n, D) float32."""
        if self.kind == "ivf":
            self.index.make_direct_map()
        found: NDArray[np.float32] = self.index.reconstruct_batch(rows)
        return found

    def add(self, vectors: NDArray[np.float32]) -> "Vectors":
        """Append vectors (n, D); return what holds them all, another if it was exact till now."""
        if self.kind == "exact" and len(self) + len(vectors) > EXACT:
            stored = self.at(np.arange(len(self)))
            return Vectors.build(np.concatenate([stored, vectors]))
        self._own()
        self.index.add(vectors)
        self._tune()
        return self

    def remove(self, gone: Mask) -> None:
        """Take out the vectors of a mask (N,); those behind them move up."""
        self._own()
        bits = np.packbits(gone, bitorder="little")
        if self.kind == "ivf":
            self.index.make_direct_map(False)
        self.index.remove_ids(_faiss().IDSelectorBitmap(len(gone), _faiss().swig_ptr(bits)))
        if self.kind == "ivf":  # a flat index numbers anew by itself
            moved = np.cumsum(~gone) - 1
            for _, rows, _ in self._inverted_lists():
                rows[:] = moved[rows]
        self._tune()

    def write(self, file: BinaryIO) -> None:
        """Write what `read` reads."""
        if self.kind == "ivf":
            self.index.make_direct_map(False)  # quickly made again; would only be read in vain
        _faiss().write_index(self.index, _faiss().PyCallbackIOWriter(file.write))

    @classmethod
    def read(cls, path: Path, nprobe: int, recall: float) -> "Vectors":
        """Open a file by memory map, where the system can, else read it.

        A damaged file can end the process: make sure before that it is whole.
        """
        try:
            index = _faiss().read_index(str(path), _faiss().IO_FLAG_MMAP_IFC)
        except RuntimeError:  # faiss knows memory maps of Linux and Windows only
            return cls(_faiss().read_index(str(path)), nprobe, recall)
        return cls(index, nprobe, recall, mapped=True)

    def _probe(
        self, vectors: NDArray[np.float32], k: int, nprobe: int, among: Mask | None = None
    ) -> tuple[Distances, Rows]:
        """Return squared distances and rows, -1 where the lists hold no more."""
        # With a selector, a flat index computes differences; without, dot products, whose
        # rounding depends on how many queries come at once and ruins small distances.
        selector: Any = _faiss().IDSelectorAll() if self.kind == "exact" else None
        if among is not None:
            bits = np.packbits(among, bitorder="little")
            selector = _faiss().IDSelectorBitmap(len(among), _faiss().swig_ptr(bits))
        config = _faiss().SearchParametersIVF(sel=selector, nprobe=nprobe)
        squares, rows = self.index.search(vectors, k, params=config)
        return squares, rows

    def _tune(self) -> None:
        """Measure recall, and probe more lists until it is enough."""
        if self.kind == "exact":
            return
        draw = np.random.default_rng(SEED)
        queries = self.at(draw.choice(len(self), min(QUERIES, len(self)), replace=False))
        k = min(NEAREST + 1, len(self))  # the first is the vector itself
        truth, _ = self._probe(queries, k, self.lists)
        self.recall = self._measured(queries, truth)
        while self.recall < RECALL and self.nprobe < self.lists:
            self.nprobe = min(2 * self.nprobe, self.lists)
            self.recall = self._measured(queries, truth)

    def _measured(self, queries: NDArray[np.float32], truth: Distances) -> float:
        """Return which share of the nearest is found, given their squared distances (n, k).

        By distance, not by row, so that it does not matter which of several equals is found.
        """
        if truth.shape[1] == 1:
            return 1.0
        found, _ = self._probe(queries, truth.shape[1], self.nprobe)
        hits = (found <= truth[:, -1:]).sum(axis=1) - 1
        return float(hits.mean() / (truth.shape[1] - 1))

    def _own(self) -> None:
        """Copy the vectors from their file into memory, which alone can be changed."""
        if not self._mapped:
            return
        if self.kind == "exact":
            index: Any = _faiss().IndexFlatL2(self.size)
            index.add(self.at(np.arange(len(self))))
            self.index = index
        else:
            lists = _faiss().ArrayInvertedLists(self.lists, self.index.code_size)
            for number, rows, content in self._inverted_lists():
                parts = _faiss().swig_ptr(rows), _faiss().swig_ptr(content)
                lists.add_entries(number, len(rows), *parts)
            lists.this.disown()
            self.index.replace_invlists(lists, True)
        self._mapped = False

    def _inverted_lists(self) -> Iterator[tuple[int, Rows, NDArray[np.uint8]]]:
        """Yield the number of each list that is not empty, and views of its rows and bytes."""
        lists, width = self.index.invlists, self.index.code_size
        for number in range(self.lists):
            if count := lists.list_size(number):
                rows = _faiss().rev_swig_ptr(lists.get_ids(number), count)
                yield number, rows, _faiss().rev_swig_ptr(lists.get_codes(number), count * width)


def _faiss() -> Any:
    import faiss

    return faiss
