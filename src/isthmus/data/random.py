"""Random numbers by counter: the same on every machine and after every resume.

A generator is seeded with what its numbers are for (seed, stream, epoch, step, or index of the
sample) instead of being advanced from state to state. So a checkpoint stores no state, resuming
is exact to the bit, and several processes draw the numbers of a single one. NumPy draws, not torch,
because torch's numbers differ between devices.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# Streams keep numbers for different purposes independent. Stream 0 is for splitting samples. They
# keep their numbers forever: runs of earlier versions could not be resumed to the bit otherwise.
ORDER, FLIP, NOISE, FIXED_NOISE, DROPOUT, AUGMENT = 1, 2, 3, 4, 5, 6
LATENT, FIXED_LATENT = 7, 8  # of codes that are drawn: in training, and for validation and test
PATCHES = 11  # of images that a denoiser is trained on
GENERATION, FOLDS = 9, 10  # of codes to decode into new samples; of cross-validation

POISSON_BLOCK = 2**20  # numbers drawn at once


class Rng(Protocol):
    """Random numbers for a batch; the first side of a shape is the size of the batch."""

    def normal(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """Draw float32 from the normal distribution of mean 0 and standard deviation 1."""
        ...

    def uniform(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """Draw float32 from the uniform distribution on [0, 1)."""
        ...

    def poisson(self, means: NDArray[np.float32]) -> NDArray[np.float32]:
        """Draw float32 from the Poisson distributions of these means (n, …).

        n is the number of samples of this process, unlike in `normal` and `uniform`.
        """
        ...


class StepRng:
    """Draws for a training batch; they differ in every step of every epoch.

    Parameters
    ----------
    seed, epoch, batch : int
    size : int
        Samples in the batch, over all processes. Each process draws for all of them and keeps
        its own numbers, so that together they get those of a single process.
    share : (int, int)
        Index of this process, and the number of processes n: it takes every n-th sample.
    stream : int
        Purpose of the numbers; see the constants of this module.
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
        # NumPy hashes the list (`SeedSequence`), so that neighboring counters give unrelated
        # numbers. Making a generator takes 10 µs.
        self._counters = [seed, stream, epoch, batch]
        self._rng = np.random.default_rng(self._counters)
        self._size = size
        self._own = slice(share[0], None, share[1])
        self._poisson_calls = 0

    def normal(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """See `Rng`."""
        return self._rng.standard_normal((self._size, *shape[1:]), np.float32)[self._own]

    def uniform(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """See `Rng`."""
        return self._rng.random((self._size, *shape[1:]), np.float32)[self._own]

    def poisson(self, means: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Rng`."""
        # How many random numbers a draw takes depends on its mean, and this process does not know
        # the samples of others. So each sample has a generator, by its place in the whole batch;
        # the key keeps it apart from the shared one and from those of earlier calls.
        call, self._poisson_calls = self._poisson_calls, self._poisson_calls + 1
        places = range(self._size)[self._own]
        keys = [np.random.SeedSequence(self._counters, spawn_key=(call, i)) for i in places]
        return _draw_poisson([np.random.default_rng(key) for key in keys], means)


class SampleRng:
    """Draws that belong to samples: always the same for the sample of an index.

    Validation and test noise is drawn so. It does not depend on the batch size, and a model is
    always measured on the same noisy samples.
    """

    def __init__(self, seed: int, indices: NDArray[np.int64], stream: int = FIXED_NOISE) -> None:
        # One generator for each sample: with a shared one, a sample's numbers would depend on the
        # samples before it. Calls continue it, so that each kind of noise gets new numbers.
        self._rngs = [np.random.default_rng([seed, stream, int(index)]) for index in indices]

    def normal(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """See `Rng`."""
        return np.stack([rng.standard_normal(shape[1:], np.float32) for rng in self._rngs])

    def uniform(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """See `Rng`."""
        return np.stack([rng.random(shape[1:], np.float32) for rng in self._rngs])

    def poisson(self, means: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Rng`."""
        return _draw_poisson(self._rngs, means)


def _draw_poisson(
    rngs: Sequence[np.random.Generator], means: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Draw for each sample by its own generator."""
    counts = np.empty_like(means, order="C")
    for rng, one, row in zip(rngs, counts.reshape(len(means), -1), means, strict=True):
        flat = row.reshape(-1)
        # NumPy draws int64 from float64. In blocks, a large image takes little more memory; the
        # numbers do not depend on the blocks.
        for start in range(0, len(flat), POISSON_BLOCK):
            block = slice(start, start + POISSON_BLOCK)
            one[block] = rng.poisson(flat[block])
    return counts
