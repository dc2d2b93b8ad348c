"""Batches: pictures of any size in those that fit into memory, and what is computed of them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

MAX_BATCH_BYTES = 2**26  # of whole pictures in memory; photographs are far larger than the input
# Consecutive files whose pictures may share a batch. A sum of floats depends on the size of the
# batch, so with this a machine of a cluster computes a range of files as one machine computes all.
FILES_TOGETHER = 64


def collect_batches(
    items: Iterable[T],
    size: int,
    nbytes: Callable[[T], int],
    most: int | None = None,
    *,
    row: Callable[[T], int] = lambda item: 0,
) -> Iterator[list[T]]:
    """Collect at most `size` items, and at most so many bytes of them plus one.

    Parameters
    ----------
    items : iterable
    size : int
        Items of a batch.
    nbytes : callable
        Returns the bytes of an item.
    most : int, optional
        Bytes; by default `MAX_BATCH_BYTES`.
    row : callable
        Returns the place of an item's file in its source. A batch is of the same `FILES_TOGETHER`,
        however many of them are broken.

    Examples
    --------
    >>> list(collect_batches("abcde", 2, len))
    [['a', 'b'], ['c', 'd'], ['e']]
    >>> list(collect_batches([0, 2, 63, 64, 65], 4, lambda item: 1, row=lambda item: item))
    [[0, 2, 63], [64, 65]]
    """
    batch: list[T] = []
    collected = 0
    for item in items:
        if batch and row(item) // FILES_TOGETHER != row(batch[0]) // FILES_TOGETHER:
            yield batch
            batch, collected = [], 0
        batch.append(item)
        collected += nbytes(item)
        if len(batch) == size or collected > (most or MAX_BATCH_BYTES):
            yield batch
            batch, collected = [], 0
    if batch:
        yield batch


def join_batches(batches: Iterable[NDArray[Any]], count: int) -> NDArray[Any]:
    """Join batches (n, …) of `count` rows in all, which are copied as they come.

    Not by a list of them: small results that stay between large inputs that come and go keep freed
    memory from being used again. Each batch of 256 images of 64 × 64 in color then took 12 MB more,
    as much as its input, which for 100,000 images was 4 GB.

    Examples
    --------
    >>> join_batches([np.zeros((2, 3)), np.ones((1, 3))], 3).shape
    (3, 3)
    """
    joined, done = np.empty(0), 0
    for batch in batches:
        if not done:
            joined = np.empty((count, *batch.shape[1:]), batch.dtype)
        joined[done : done + len(batch)] = batch
        done += len(batch)
    return joined
