"""Noise that a denoiser learns to undo: which kinds there are, fresh or frozen.

All chance comes from counters (`Rng`), so that the same noise falls on every machine, for any
batch size or number of processes, and after every resume.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.data.random import Rng, SampleRng
from isthmus.data.transforms import Transforms

OCCLUDER = 0.5  # gray, which shows on black and on white


@dataclass(frozen=True)
class CorruptionRow:
    """A row of `CORRUPTIONS`.

    Parameters
    ----------
    apply : callable
        From x (N, C, *sides) in [0, 1], a strength and draws to the corrupted x.
    about : str
        One line for people.
    strongest : float
        The largest strength that makes sense.
    """

    apply: Callable[[Tensor, float, Rng], Tensor]
    about: str
    strongest: float = 1.0


def gaussian(x: Tensor, strength: float, rng: Rng) -> Tensor:
    """Add normal noise and clip to [0, 1]."""
    return gaussian_unclipped(x, strength, rng).clamp_(0, 1)


def gaussian_unclipped(x: Tensor, strength: float, rng: Rng) -> Tensor:
    """Add normal noise."""
    return x + strength * _like(x, rng.normal(_last(x)))


def masked(x: Tensor, strength: float, rng: Rng) -> Tensor:
    """Set pixels to 0, all channels of one together (Vincent et al., ICML 2008)."""
    return x * (_places(x, rng) >= strength)


def salt_pepper(x: Tensor, strength: float, rng: Rng) -> Tensor:
    """Set pixels to 0 or 1, as many to either."""
    chance = _places(x, rng)
    return x.masked_fill(chance < strength / 2, 0.0).masked_fill_(chance >= 1 - strength / 2, 1.0)


def occluded(x: Tensor, strength: float, rng: Rng) -> Tensor:
    """Cover a rectangle of `strength` of the area with gray, anywhere; of a signal, a stretch."""
    axes = x.ndim - 2
    chance = rng.uniform((len(x), 1 + axes))
    # Shares of height and width whose product is the strength, neither of them a mere line.
    tall = strength ** (0.25 + 0.5 * chance[:, 0]) if axes == 2 else np.full(len(x), strength)
    shares = (tall, strength / tall)[:axes]
    inside = torch.ones(len(x), 1, *x.shape[2:], dtype=torch.bool, device=x.device)
    for axis, share in enumerate(shares):
        side = x.shape[2 + axis]
        length = np.maximum(1, np.round(share * side))
        start = np.floor(chance[:, 1 + axis] * (side - length + 1))
        place = np.arange(side)
        along = (place >= start[:, None]) & (place < (start + length)[:, None])
        shape = [len(x), 1] + [side if other == axis else 1 for other in range(axes)]
        inside &= torch.from_numpy(along).to(x.device).view(shape)
    return x.masked_fill(inside, OCCLUDER)


CORRUPTIONS: dict[str, CorruptionRow] = {
    "gaussian": CorruptionRow(gaussian, "normal noise of that deviation, clipped to [0, 1]", 10),
    "gaussian-unclipped": CorruptionRow(gaussian_unclipped, "the same, not clipped", 10),
    "masked": CorruptionRow(masked, "that share of the pixels black"),
    "occluded": CorruptionRow(occluded, "a gray rectangle over that share of the area"),
    "salt-pepper": CorruptionRow(salt_pepper, "that share of the pixels black or white"),
}


@dataclass(frozen=True)
class Corruption(Transforms):
    """Kinds of noise with their strengths, one after the other.

    Parameters
    ----------
    steps : tuple of (kind, strength)
        Keys of `CORRUPTIONS`; strengths above 0, in the [0, 1] range of pixels or as shares.

    Raises
    ------
    SettingsError
        If a kind is unknown or its strength outside its range.

    Examples
    --------
    >>> str(Corruption.parse("gaussian:0.50, masked:0.25"))
    'gaussian:0.5,masked:0.25'
    """

    rows = CORRUPTIONS
    what = "corruption"

    def apply(self, x: Tensor, rng: Rng) -> Tensor:
        """Return x (N, C, H, W) or (N, C, L) with this noise; x stays as it is."""
        for kind, strength in self.steps:
            x = CORRUPTIONS[kind].apply(x, strength, rng)
        return x

    def frozen(self, x: Tensor, seed: int, indices: NDArray[np.int64]) -> Tensor:
        """Return x with the noise that the samples of these indices always have."""
        return self.apply(x, SampleRng(seed, indices))


def _last(x: Tensor) -> tuple[int, ...]:
    """Return the shape of x with channels last, the order of its memory."""
    return (len(x), *x.shape[2:], x.shape[1])


def _like(x: Tensor, noise: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(noise).to(x.device).movedim(-1, 1)


def _places(x: Tensor, rng: Rng) -> Tensor:
    """Draw a number for every pixel, the same for all its channels: (N, 1, *sides)."""
    return _like(x, rng.uniform((len(x), *x.shape[2:], 1)))
