"""Pictures of any size in batches that fit into memory."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

MAX_BATCH_BYTES = 2**26  # of whole pictures in memory; photographs are far larger than the input


def collect_batches(
    items: Iterable[T], size: int, nbytes: Callable[[T], int], most: int | None = None
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

    Examples
    --------
    >>> list(collect_batches("abcde", 2, len))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    batch: list[T] = []
    collected = 0
    for item in items:
        batch.append(item)
        collected += nbytes(item)
        if len(batch) == size or collected > (most or MAX_BATCH_BYTES):
            yield batch
            batch, collected = [], 0
    if batch:
        yield batch
