"""Ranges of rows whose codes are computed together, in the batches that one machine would make."""

from collections.abc import Collection, Iterator

import numpy as np

MAX_ROWS = 2048  # of a block of work, unless a batch has more
MAX_BYTES = 2**25  # of the samples of a block


def choose_rows(batch_size: int, sample_bytes: int) -> int:
    """Return how many samples a block has: whole batches, of a few megabytes.

    Examples
    --------
    >>> choose_rows(512, 28 * 28), choose_rows(8, 224 * 224 * 3)
    (2048, 216)
    """
    fitting = min(MAX_ROWS, MAX_BYTES // max(1, sample_bytes))
    return max(1, fitting // batch_size) * batch_size


def plan_ranges(count: int, rows: int, broken: Collection[int]) -> Iterator[tuple[int, int]]:
    """Yield consecutive ranges that cover all rows, each with `rows` that are not broken.

    A sum of floats depends on the size of the batch that it is computed in. On one machine, batches
    are made of what is not broken. With these ranges they are the same ones, so that the codes are
    equal to the last bit.

    Examples
    --------
    >>> list(plan_ranges(10, 4, {2}))
    [(0, 5), (5, 9), (9, 10)]
    """
    good = np.setdiff1d(np.arange(count), np.array(list(broken), np.int64))
    ends = (good[rows - 1 : len(good) - 1 : rows] + 1).tolist()
    starts = [0, *ends]
    yield from zip(starts, [*ends, count], strict=True)
