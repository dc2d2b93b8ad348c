"""Random numbers by counter, drawn by NumPy: the same on every machine and after every resume."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# Streams of random numbers, so that none follows from another. The division of samples has 0.
ORDER, FLIP, NOISE, FIXED_NOISE, DROPOUT, AUGMENT = 1, 2, 3, 4, 5, 6


class Rng(Protocol):
    """Random numbers for a batch; the first side of a shape is always that of the batch."""

    def normal(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """Draw from the normal distribution of mean 0 and deviation 1."""
        ...

    def uniform(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """Draw evenly from [0, 1)."""
        ...


class StepRng:
    """Draws for a batch of training: others in every step of every epoch.

    They are drawn for the whole batch of `size` samples. Of several processes, each takes those
    from its own number `share[0]` on, every `share[1]`-th: together they see what one would.
    """

    def __init__(
        self,
        seed: int,
        epoch: int,
        batch: int,
        size: int,
        share: tuple[int, int] = (0, 1),
        stream: int = NOISE,
    ) -> None:
        self._rng = np.random.default_rng([seed, stream, epoch, batch])
        self._size = size
        self._mine = slice(share[0], None, share[1])

    def normal(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """See `Rng`."""
        return self._rng.standard_normal((self._size, *shape[1:]), np.float32)[self._mine]

    def uniform(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """See `Rng`."""
        return self._rng.random((self._size, *shape[1:]), np.float32)[self._mine]


class SampleRng:
    """Draws that belong to samples: always the same for the sample of an index."""

    def __init__(self, seed: int, indices: NDArray[np.int64]) -> None:
        self._rngs = [np.random.default_rng([seed, FIXED_NOISE, int(index)]) for index in indices]

    def normal(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """See `Rng`."""
        return np.stack([rng.standard_normal(shape[1:], np.float32) for rng in self._rngs])

    def uniform(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """See `Rng`."""
        return np.stack([rng.random(shape[1:], np.float32) for rng in self._rngs])
