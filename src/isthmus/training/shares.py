"""How a batch is divided: among the processes of a training, and by each into micro-batches.

Processes work at the same time, and each computes its micro-batches one after the other. A share is
(i, n): every n-th sample of a batch, from the i-th on. Random numbers follow from a sample's place
in the whole batch, so that all shares together are what one process would compute at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from isthmus.errors import OptionError

Share = tuple[int, int]
WHOLE: Share = (0, 1)


@dataclass(frozen=True)
class Shares:
    """The shares of a batch that a process computes, in their order.

    Parameters
    ----------
    rank, processes : int
    accumulate : int
        Micro-batches of each process, whose gradients are added up.
    """

    rank: int = 0
    processes: int = 1
    accumulate: int = 1

    @property
    def count(self) -> int:
        """How many shares a batch has, of all processes together."""
        return self.processes * self.accumulate

    def __iter__(self) -> Iterator[Share]:
        for turn in range(self.accumulate):
            yield turn * self.processes + self.rank, self.count

    @property
    def part(self) -> Share:
        """The process and the number of processes, for what is not divided any further."""
        return self.rank, self.processes


def size_of(share: Share, size: int) -> int:
    """Return how many samples a share of a batch has.

    Examples
    --------
    >>> [size_of((i, 3), 32) for i in range(3)]
    [11, 11, 10]
    """
    return len(range(share[0], size, share[1]))


def blocks(count: int, size: int, share: Share = WHOLE) -> Iterator[slice]:
    """Yield every n-th of the blocks of `size` that so many samples are divided into.

    Examples
    --------
    >>> list(blocks(10, 4, (1, 2)))
    [slice(4, 8, None)]
    """
    for start in range(share[0] * size, count, share[1] * size):
        yield slice(start, min(start + size, count))


def reject_small_shares(size: int, processes: int, accumulate: int, needed: int, why: str) -> None:
    """Reject a batch that leaves a share too few samples.

    Parameters
    ----------
    size : int
        Samples of the batch.
    processes, accumulate : int
    needed : int
        Samples that a share must have.
    why : str
        Why it needs more than one.

    Raises
    ------
    OptionError
    """
    count = processes * accumulate
    if size // count >= needed:
        return
    among = [f"{processes:,} processes"] * (processes > 1)
    among += [f"{accumulate:,} micro-batches"] * (accumulate > 1)
    raise OptionError(
        f"a batch of {size:,} is too small for {' of '.join(reversed(among))}{why}; take a batch "
        f"size of at least {needed * count:,}."
    )
