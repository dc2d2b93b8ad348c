"""Builds the index of a dataset, and finds how far a search must look."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import OptionError
from isthmus.latent.lance.dataset import LanceCodes
from isthmus.latent.lance.index_facts import IndexFacts
from isthmus.latent.lance.names import first_repeated
from isthmus.latent.lance.neighbors import nearest_distances, recall_of
from isthmus.latent.lance.searching import find_nearest
from isthmus.latent.lance.vectors import comparable
from isthmus.latent.vectors import to_vectors

INDEX = "z"  # the name of the index of codes, and of the column
# Comparing a query with all codes on disk takes 65 ms for 200,000 × 32 (2 cores, shared), and is
# right; below, an index is not worth its recall. Up to a million codes or so, `Index` by faiss
# answers in a tenth of the time, from memory.
MAX_EXACT = 100_000
# k-means of Lance learns from so many codes a center, for so many rounds. Its own 256 and 50 took
# 22 CPU seconds for 200,000 × 32 instead of 2, for the same recall.
SAMPLE_RATE, ITERATIONS = 64, 10
NUMBERS_PER_BYTE = 2  # that one byte of a quantized code stands for; with 4, refining costs more
MIN_RECALL = 0.97  # measured on a few queries; on others it is then at least 0.95
RECALL_NEIGHBORS = 10
RECALL_QUERIES = 200
REFINE, MAX_REFINE = 5, 80
MIN_GAIN = 0.002  # of recall, below which looking into more lists does not help
SEED = 0


def choose_partitions(count: int) -> int:
    """Return how many inverted lists N codes get: √N balances centers and members of a list."""
    return round(math.sqrt(count))


def require_indexable(codes: LanceCodes, metric: str) -> None:
    """Read all codes once; reject those that have no distance, and names that two share.

    Raises
    ------
    OptionError
    ModelError
    """
    if not len(codes):
        raise OptionError(f"there are no codes in {codes.path}; index others.")
    for _ in vectors_of(codes, metric):
        pass
    name = first_repeated(codes.names_in_blocks)
    if name is not None:
        raise OptionError(f"two of the codes are called {name}; give each its own name.")


def vectors_of(codes: LanceCodes, metric: str) -> Iterator[NDArray[np.float32]]:
    """Yield all codes in blocks as they are compared: of length 1 for the metric cosine."""
    for batch in codes.batches():
        yield comparable(batch, metric)


def build_lists(codes: LanceCodes, metric: str) -> int:
    """Build inverted lists of quantized codes (IVF-PQ), and return how many.

    H. Jégou, M. Douze, C. Schmid: Product quantization for nearest neighbor search, PAMI 2011.
    """
    partitions = choose_partitions(len(codes))
    codes.dataset.create_index(
        "z",
        "IVF_PQ",
        name=INDEX,
        metric="l2" if metric == "euclidean" else "cosine",
        replace=True,
        num_partitions=partitions,
        num_sub_vectors=_choose_bytes(codes.facts.size),
        sample_rate=SAMPLE_RATE,
        max_iters=ITERATIONS,
    )
    return partitions


def drop_lists(codes: LanceCodes) -> None:
    """Remove the lists of an earlier index, if there are any."""
    if any(one.name == INDEX for one in codes.dataset.describe_indices()):
        codes.dataset.drop_index(INDEX)


def tune(codes: LanceCodes, facts: IndexFacts) -> IndexFacts:
    """Find how many lists to look into and how many candidates to refine, by the recall.

    Lists are doubled as long as that helps, then candidates, until the recall among the ten nearest
    is at least `MIN_RECALL`. Without structure in the codes it may end below, with all lists.
    """
    queries = codes.sample(RECALL_QUERIES, SEED).z
    k = min(RECALL_NEIGHBORS + 1, len(codes))  # the first is the code itself
    nearest = nearest_distances(
        to_vectors(queries, facts.metric, str), vectors_of(codes, facts.metric), k
    )
    if facts.metric == "cosine":
        nearest = nearest / np.float32(2)  # as Lance gives them: 1 - cos

    def measure(tried: IndexFacts) -> IndexFacts:
        found = find_nearest(codes, tried, queries, k)["_distance"].to_numpy()
        return replace(tried, recall=recall_of(found.reshape(len(queries), k), nearest))

    best = measure(replace(facts, nprobes=1, refine=REFINE))
    while best.recall < MIN_RECALL:
        wider = measure(replace(best, nprobes=min(2 * best.nprobes, facts.partitions)))
        deeper = measure(replace(best, refine=2 * best.refine)) if _is_flat(best, wider) else wider
        if max(wider.recall, deeper.recall) <= best.recall and wider.nprobes == best.nprobes:
            break
        best = max(wider, deeper, key=lambda one: one.recall)
        if best.refine > MAX_REFINE:
            break
    return best


def _is_flat(before: IndexFacts, wider: IndexFacts) -> bool:
    """Return whether more lists did not help."""
    return wider.recall - before.recall < MIN_GAIN


def _choose_bytes(size: int) -> int:
    """Return how many bytes a quantized code of D numbers has: a divisor of D near D / 2."""
    wanted = max(1, size // NUMBERS_PER_BYTE)
    return next(count for count in range(wanted, 0, -1) if size % count == 0)
