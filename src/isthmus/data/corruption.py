"""`Corruption`: noise that a denoiser learns to remove, drawn for each step or fixed.

All random numbers come from counters (`Rng`), so the noise is the same on every machine, for any
batch size or number of processes, and after every resume.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.data.noise import (
    Strengths,
    add_gaussian,
    add_gaussian_unclipped,
    add_salt_pepper,
    channels_last_shape,
    compress_jpeg,
    count_photons,
    mask_pixels,
    multiply_speckle,
    occlude,
    shift_rows,
    to_tensor_like,
)
from isthmus.data.random import Rng, SampleRng
from isthmus.data.transforms import Strength, Transforms
from isthmus.errors import OptionError


@dataclass(frozen=True)
class CorruptionRow:
    """A row of `CORRUPTIONS`.

    Parameters
    ----------
    apply : callable
        Takes x (N, C, *sides) in [0, 1], a strength and an `Rng`; returns the corrupted x.
    description : str
        One line for people.
    max_strength, min_strength : float
        The largest and the smallest strength that are allowed; 0 only as the end of a range.
    is_whole : bool
        Whether a strength is a whole number.
    is_for_images : bool
        Whether signals cannot be changed so.
    example : float
        A usual strength.
    """

    apply: Callable[[Tensor, Strengths, Rng], Tensor]
    description: str
    max_strength: float = 1.0
    min_strength: float = 0.0
    is_whole: bool = False
    is_for_images: bool = False
    example: float = 0.1


# The strength of normal noise is a deviation and not a share, so that it may exceed 1. That of shot
# noise may not: there, white is a single photon.
CORRUPTIONS: dict[str, CorruptionRow] = {
    "gaussian": CorruptionRow(
        add_gaussian, "normal noise of this standard deviation, clipped to [0, 1]", 10
    ),
    "gaussian-unclipped": CorruptionRow(add_gaussian_unclipped, "the same, not clipped", 10),
    "masked": CorruptionRow(mask_pixels, "this share of the pixels black"),
    "occluded": CorruptionRow(occlude, "a gray rectangle over this share of the area"),
    "salt-pepper": CorruptionRow(add_salt_pepper, "this share of the pixels black or white"),
    "poisson": CorruptionRow(
        count_photons, "shot noise, of this standard deviation where it is white"
    ),
    "speckle": CorruptionRow(
        multiply_speckle, "each value times normal noise of mean 1 and this standard deviation", 10
    ),
    "stripes": CorruptionRow(
        shift_rows, "each row brighter or darker by normal noise of this standard deviation", 10
    ),
    "jpeg": CorruptionRow(
        compress_jpeg,
        "saved as JPEG of this quality",
        95,
        1,
        is_whole=True,
        is_for_images=True,
        example=10,
    ),
}


@dataclass(frozen=True)
class Corruption(Transforms):
    """Kinds of noise with their strengths, in the order in which they are applied.

    Parameters
    ----------
    steps : tuple of (kind, strength)
        Keys of `CORRUPTIONS`; strengths above 0, in the [0, 1] range of pixels or as shares, but
        for jpeg, of which it is the quality. From a range (low, high) each sample gets another
        strength, and each is equally likely.

    Raises
    ------
    OptionError
        If a kind is unknown or its strength outside its bounds.

    Examples
    --------
    >>> str(Corruption.parse("gaussian:0.50, masked:0.25"))
    'gaussian:0.5,masked:0.25'
    >>> Corruption.parse("gaussian:0..51/255").steps
    (('gaussian', (0.0, 0.2)),)
    """

    rows = CORRUPTIONS
    noun = "corruption"
    has_ranges = True

    def apply(self, x: Tensor, rng: Rng) -> Tensor:
        """Return a copy of x (N, C, H, W) or (N, C, L) with this noise.

        Raises
        ------
        OptionError
            If x are signals, or sizes, that a kind of noise is not for.
        """
        self.require_suitable(is_signal=x.ndim == 3)
        for kind, strength in self.steps:
            x = CORRUPTIONS[kind].apply(x, _draw_strengths(x, strength, rng), rng)
        return x

    def require_suitable(self, is_signal: bool) -> None:
        """Raise an OptionError for signals if a kind of noise is one of images only."""
        for kind, _ in self.steps:
            if is_signal and CORRUPTIONS[kind].is_for_images:
                raise OptionError(f"{kind} is noise of images and not of signals; leave it out.")

    def apply_fixed(self, x: Tensor, seed: int, indices: NDArray[np.int64]) -> Tensor:
        """Return a copy of x with the noise that the samples of these indices always have."""
        return self.apply(x, SampleRng(seed, indices))


def with_fixed_noise(
    batches: Iterable[Tensor],
    corruption: Corruption | None,
    seed: int,
    indices: NDArray[np.int64],
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches x with the same samples in the noise that they always have.

    Parameters
    ----------
    batches : iterable of (n, C, H, W) or (n, C, L)
    corruption : Corruption, optional
        Without one, x is yielded twice.
    seed : int
    indices : (N,) int64
        Of the samples of all batches: noise depends on them, and not on the batch.
    """
    start = 0
    for x in batches:
        rows = indices[start : start + len(x)]
        yield x, x if corruption is None else corruption.apply_fixed(x, seed, rows)
        start += len(x)


def binarize(x: Tensor, rng: Rng) -> Tensor:
    """Return x with each number replaced by 1 with its value as probability, and else by 0.

    Salakhutdinov and Murray, On the Quantitative Analysis of Deep Belief Networks, 2008: so MNIST
    is turned into data that a Bernoulli distribution of each pixel can be the density of.
    """
    return (to_tensor_like(x, rng.uniform(channels_last_shape(x))) < x).to(x.dtype)


def _draw_strengths(x: Tensor, strength: Strength, rng: Rng) -> Strengths:
    """Return a fixed strength as it is, and of a range one for each sample: (N, 1, …)."""
    if not isinstance(strength, tuple):
        return strength
    low, high = strength
    # From above low to high: no sample has a strength of 0, at which some kinds divide by it.
    drawn = high - (high - low) * rng.uniform((len(x),)).astype(np.float64)
    return torch.from_numpy(drawn.astype(np.float32)).to(x.device).view(-1, *[1] * (x.ndim - 1))
