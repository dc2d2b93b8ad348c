"""A data set split into training, validation and test samples."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.data.samples import Samples
from isthmus.errors import OptionError


@dataclass(frozen=True, eq=False)
class Split:
    """Indices of the samples to train on, to choose by and to report on, each int64 (n,)."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def split_samples(
    samples: Samples, seed: int = 0, validation: float = 0.1, test: float = 0.1
) -> Split:
    """Divide samples at random into training, validation and test parts.

    What the source says itself is kept: its own test part is used for testing only and its own
    validation part for validation only; what is missing is drawn from its training part.

    Parameters
    ----------
    samples : Samples
    seed : int
    validation, test : float
        Fractions of the part that is drawn from, in (0, 1); at least one sample each.

    Raises
    ------
    SettingsError
        If a fraction is outside its range or leaves nothing to train on.
    """
    for name, fraction in (("validation", validation), ("test", test)):
        if not 0 < fraction < 1:
            raise OptionError(f"{name} must be a fraction between 0 and 1, not {fraction:g}.")
    own = samples.splits if samples.splits is not None else np.zeros(len(samples), np.uint8)
    pool, *held_out = (np.flatnonzero(own == part) for part in range(3))
    pool = np.random.default_rng([seed, 0]).permutation(pool)
    wanted = [max(1, round(fraction * len(pool))) for fraction in (validation, test)]
    for part, count in enumerate(wanted):
        if len(held_out[part]) == 0:
            held_out[part], pool = pool[:count], pool[count:]
    if len(pool) == 0:
        raise OptionError(
            f"{len(samples)} samples are too few to divide into training, validation and test "
            "parts; give at least 3, or smaller fractions."
        )
    return Split(*(np.sort(part).astype(np.int64) for part in (pool, *held_out)))
