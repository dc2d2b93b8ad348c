"""Ranges of rows whose codes are computed together, in the batches that one machine would make."""

from collections.abc import Collection, Iterator

import numpy as np

from isthmus.inference.batches import FILES_TOGETHER

MAX_ROWS = 2048  # of a block of work, unless a batch has more
MAX_BYTES = 2**25  # of the samples of a block
MAX_FILES, BLOCKS_OF_FILES = 16, 64  # where each file is computed by itself


def choose_rows(batch_size: int, sample_bytes: int) -> int:
    """Return how many samples a block has: whole batches, of a few megabytes.

    Examples
    --------
    >>> choose_rows(512, 28 * 28), choose_rows(8, 224 * 224 * 3)
    (2048, 216)
    """
    fitting = min(MAX_ROWS, MAX_BYTES // max(1, sample_bytes))
    return max(1, fitting // batch_size) * batch_size


def choose_files(count: int, share_batches: bool) -> int:
    """Return how many files of pictures a block has.

    Files that may share a batch are in one block. Others are divided so that there is enough for
    all machines, and so that not more than some of them are computed again when one is lost.

    Examples
    --------
    >>> choose_files(10, True), choose_files(10, False), choose_files(100_000, False)
    (64, 1, 16)
    """
    return FILES_TOGETHER if share_batches else max(1, min(MAX_FILES, count // BLOCKS_OF_FILES))


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
