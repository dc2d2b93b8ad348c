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

from isthmus.data.random import Rng, SampleRng
from isthmus.data.transforms import Transforms

OCCLUSION_GRAY = 0.5  # visible on black and on white


@dataclass(frozen=True)
class CorruptionRow:
    """A row of `CORRUPTIONS`.

    Parameters
    ----------
    apply : callable
        Takes x (N, C, *sides) in [0, 1], a strength and an `Rng`; returns the corrupted x.
    description : str
        One line for people.
    max_strength : float
        The largest strength that is allowed.
    """

    apply: Callable[[Tensor, float, Rng], Tensor]
    description: str
    max_strength: float = 1.0


def add_gaussian(x: Tensor, strength: float, rng: Rng) -> Tensor:
    """Add normal noise of standard deviation `strength` and clip to [0, 1]."""
    return add_gaussian_unclipped(x, strength, rng).clamp_(0, 1)


def add_gaussian_unclipped(x: Tensor, strength: float, rng: Rng) -> Tensor:
    """Add normal noise of standard deviation `strength`."""
    return x + strength * _to_tensor_like(x, rng.normal(_channels_last_shape(x)))


def mask_pixels(x: Tensor, strength: float, rng: Rng) -> Tensor:
    """Set a share of the pixels to 0, in all channels (Vincent et al., ICML 2008)."""
    return x * (_uniform_per_pixel(x, rng) >= strength)


def add_salt_pepper(x: Tensor, strength: float, rng: Rng) -> Tensor:
    """Set a share of the pixels to 0 or 1, with equal probability."""
    chance = _uniform_per_pixel(x, rng)
    return x.masked_fill(chance < strength / 2, 0.0).masked_fill_(chance >= 1 - strength / 2, 1.0)


def occlude(x: Tensor, strength: float, rng: Rng) -> Tensor:
    """Cover a share of the area with a gray rectangle, or an interval of a signal."""
    axes = x.ndim - 2
    chance = rng.uniform((len(x), 1 + axes))
    # Shares of height and width whose product is the strength. The exponent stays between 1/4 and
    # 3/4, so that the rectangle never becomes a line.
    height = strength ** (0.25 + 0.5 * chance[:, 0]) if axes == 2 else np.full(len(x), strength)
    shares = (height, strength / height)[:axes]
    inside = torch.ones(len(x), 1, *x.shape[2:], dtype=torch.bool, device=x.device)
    for axis, share in enumerate(shares):
        side = x.shape[2 + axis]
        length = np.maximum(1, np.round(share * side))
        # Each position at which the rectangle lies within the image is equally likely.
        start = np.floor(chance[:, 1 + axis] * (side - length + 1))
        place = np.arange(side)
        along = (place >= start[:, None]) & (place < (start + length)[:, None])
        shape = [len(x), 1] + [side if other == axis else 1 for other in range(axes)]
        inside &= torch.from_numpy(along).to(x.device).view(shape)
    return x.masked_fill(inside, OCCLUSION_GRAY)


# The strength of normal noise is a deviation and not a share, so that it may exceed 1.
CORRUPTIONS: dict[str, CorruptionRow] = {
    "gaussian": CorruptionRow(
        add_gaussian, "normal noise of this standard deviation, clipped to [0, 1]", 10
    ),
    "gaussian-unclipped": CorruptionRow(add_gaussian_unclipped, "the same, not clipped", 10),
    "masked": CorruptionRow(mask_pixels, "this share of the pixels black"),
    "occluded": CorruptionRow(occlude, "a gray rectangle over this share of the area"),
    "salt-pepper": CorruptionRow(add_salt_pepper, "this share of the pixels black or white"),
}


@dataclass(frozen=True)
class Corruption(Transforms):
    """Kinds of noise with their strengths, in the order in which they are applied.

    Parameters
    ----------
    steps : tuple of (kind, strength)
        Keys of `CORRUPTIONS`; strengths above 0, in the [0, 1] range of pixels or as shares.

    Raises
    ------
    OptionError
        If a kind is unknown or its strength outside its range.

    Examples
    --------
    >>> str(Corruption.parse("gaussian:0.50, masked:0.25"))
    'gaussian:0.5,masked:0.25'
    """

    rows = CORRUPTIONS
    noun = "corruption"

    def apply(self, x: Tensor, rng: Rng) -> Tensor:
        """Return a copy of x (N, C, H, W) or (N, C, L) with this noise."""
        for kind, strength in self.steps:
            x = CORRUPTIONS[kind].apply(x, strength, rng)
        return x

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
    return (_to_tensor_like(x, rng.uniform(_channels_last_shape(x))) < x).to(x.dtype)


def _channels_last_shape(x: Tensor) -> tuple[int, ...]:
    """Return the shape of x with channels last, the order of its memory.

    Drawn in that order, noise is added without a transposed copy.
    """
    return (len(x), *x.shape[2:], x.shape[1])


def _to_tensor_like(x: Tensor, noise: NDArray[np.float32]) -> Tensor:
    """Move noise (N, *sides, C) to the device and axes of x."""
    return torch.from_numpy(noise).to(x.device).movedim(-1, 1)


def _uniform_per_pixel(x: Tensor, rng: Rng) -> Tensor:
    """Draw one number for each pixel, shared by its channels: (N, 1, *sides) in [0, 1)."""
    return _to_tensor_like(x, rng.uniform((len(x), *x.shape[2:], 1)))
