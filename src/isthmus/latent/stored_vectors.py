"""The vectors of a faiss index as plain arrays, and faiss filled from them.

faiss trusts the files that it reads: numbers that make no sense end the process, or worse. So no
byte of a file is given to its reader. An index is stored as arrays, which are checked, and its
lists are filled again: 0.05 s for 1,000,000 × 32.

vectors
    (N, D) float32, in the order of the rows; with inverted lists, in the order of the lists.
centers, ends, rows
    Of inverted lists: the center of each (L, D) float32, where it ends in `vectors` (L,) int64,
    and the row of each vector (N,) int64.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.latent.tensor_files import Tensor, Tensors

LISTS = {"centers", "ends", "rows"}


def to_tensors(index: Any) -> dict[str, Tensor]:
    """Return what `from_tensors` takes, of an IndexFlatL2 or IndexIVFFlat."""
    if not isinstance(index, load_faiss().IndexIVF):
        return {"vectors": Tensor.of(index.reconstruct_n(0, index.ntotal))}
    lists, count, size = index.invlists, int(index.ntotal), int(index.d)
    sizes = np.array([lists.list_size(number) for number in range(lists.nlist)], np.int64)

    def blocks(get: Callable[[int], Any], width: int, dtype: str) -> Any:
        for number in np.flatnonzero(sizes).tolist():
            yield load_faiss().rev_swig_ptr(get(number), int(sizes[number]) * width).view(dtype)

    return {
        "ends": Tensor.of(sizes.cumsum()),
        "rows": Tensor((count,), "<i8", blocks(lists.get_ids, 1, "<i8")),
        "centers": Tensor.of(index.quantizer.reconstruct_n(0, lists.nlist)),
        "vectors": Tensor((count, size), "<f4", blocks(lists.get_codes, 4 * size, "<f4")),
    }


def from_tensors(tensors: Tensors) -> Any:
    """Return the faiss index of stored arrays.

    Raises
    ------
    ValueError
        If they are not what `to_tensors` returns.
    """
    if tensors.names not in ({"vectors"}, {"vectors", *LISTS}):
        raise ValueError("it holds other arrays than an index")
    shape = tensors.shape("vectors")
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"its vectors are {shape}")
    if tensors.names == {"vectors"}:
        return flat(_usable(tensors.read("vectors", "<f4", 2)))
    centers, ends, rows = _lists(tensors, *shape)
    index = load_faiss().IndexIVFFlat(flat(centers), shape[1], len(centers))
    for number, (start, end) in enumerate(pairwise([0, *ends.tolist()])):
        if start < end:  # one list at a time, so that the vectors are in memory only once
            vectors = _usable(tensors.read_rows("vectors", start, end, "<f4"))
            pointers = map(load_faiss().swig_ptr, (rows[start:end], vectors.view(np.uint8)))
            index.invlists.add_entries(number, end - start, *pointers)
    index.ntotal = len(rows)
    return index


def flat(vectors: NDArray[np.float32]) -> Any:
    """Return a faiss index that compares a query with all vectors (n, D)."""
    index = load_faiss().IndexFlatL2(vectors.shape[1])
    index.add(vectors)
    return index


def _usable(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    numbers = vectors.reshape(-1)
    with np.errstate(all="ignore"):  # twice as fast as to compare each number
        is_finite = np.isfinite(np.dot(numbers, numbers))
    if not is_finite:
        raise ValueError("its vectors hold NaN or numbers that are too large")
    return vectors


def _lists(tensors: Tensors, count: int, size: int) -> tuple[NDArray[Any], ...]:
    """Return centers, ends and rows, once each vector is in one list and has a row of its own."""
    centers = tensors.read("centers", "<f4", 2)
    ends, rows = (tensors.read(name, "<i8") for name in ("ends", "rows"))
    if centers.shape != (len(ends), size) or not len(ends) or len(rows) != count:
        raise ValueError("its arrays do not fit each other")
    if ends[0] < 0 or ends[-1] != count or (ends[1:] < ends[:-1]).any():  # differences may overflow
        raise ValueError("its lists do not hold all vectors")
    is_taken = np.zeros(count, np.bool_)
    if 0 <= rows.min() <= rows.max() < count:
        is_taken[rows] = True
    if not is_taken.all():
        raise ValueError("its rows are not those of the vectors")
    return _usable(centers), ends, rows


def load_faiss() -> Any:
    """Return the module faiss, which is not imported before there is an index."""
    import faiss

    return faiss
