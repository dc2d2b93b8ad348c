"""Kinds of noise: functions from clean samples to noisy ones.

Each takes x (N, C, *sides) in [0, 1], a strength and an `Rng`, and returns a new tensor of the same
shape, type and device. A strength is one number for all samples, or a tensor (N, 1, …) with one
for each, on the device of x.
"""

import io

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from isthmus.data.pictures.opening import open_picture
from isthmus.data.random import Rng
from isthmus.errors import OptionError

OCCLUSION_GRAY = 0.5  # visible on black and on white
MIN_SHOT_NOISE = 1e-6  # weaker noise is below the steps of float32 at white
MAX_PHOTONS = 1e15  # a signal may be far above 1, and NumPy draws no more than 1e18
MAX_JPEG_SIDE = 65_500  # pixels; libjpeg writes no longer ones

Strengths = float | Tensor


def add_gaussian(x: Tensor, strength: Strengths, rng: Rng) -> Tensor:
    """Add normal noise of standard deviation `strength` and clip to [0, 1]."""
    return add_gaussian_unclipped(x, strength, rng).clamp_(0, 1)


def add_gaussian_unclipped(x: Tensor, strength: Strengths, rng: Rng) -> Tensor:
    """Add normal noise of standard deviation `strength`."""
    return x + _normal_like(x, rng).mul_(strength).to(x.dtype)


def multiply_speckle(x: Tensor, strength: Strengths, rng: Rng) -> Tensor:
    """Multiply by normal noise of mean 1 and standard deviation `strength`; clip to [0, 1]."""
    return (_normal_like(x, rng).mul_(strength).add_(1).to(x.dtype) * x).clamp_(0, 1)


def count_photons(x: Tensor, strength: Strengths, rng: Rng) -> Tensor:
    """Draw each value from the Poisson distribution whose mean it is, and clip to [0, 1].

    White is 1 / strength² photons on average, so that `strength` is the standard deviation at
    white; that at the brightness b is strength · √b.
    """
    # NumPy divides, not torch, whose quotients differ between devices in the last bit: here that
    # can be another count.
    means = x.movedim(1, -1).to("cpu", torch.float32).contiguous().numpy()
    shares = np.maximum(_to_array(strength, len(x)), MIN_SHOT_NOISE, dtype=np.float64)
    weights = (shares**2).astype(np.float32).reshape(len(x), *[1] * (means.ndim - 1))  # of a photon
    rates = np.maximum(means, 0)
    rates /= weights
    counts = rng.poisson(np.minimum(rates, MAX_PHOTONS, out=rates))
    counts *= weights
    return to_tensor_like(x, counts).to(x.dtype).clamp_(0, 1)


def shift_rows(x: Tensor, strength: Strengths, rng: Rng) -> Tensor:
    """Add normal noise to whole rows, the same in all channels, and clip to [0, 1].

    A signal is one row.
    """
    offsets = to_tensor_like(x, rng.normal((len(x), *x.shape[2:-1], 1, 1)))
    return (x + offsets.mul_(strength).to(x.dtype)).clamp_(0, 1)


def mask_pixels(x: Tensor, strength: Strengths, rng: Rng) -> Tensor:
    """Set a share of the pixels to 0, in all channels (Vincent et al., ICML 2008)."""
    return x * (_uniform_per_pixel(x, rng) >= strength)


def add_salt_pepper(x: Tensor, strength: Strengths, rng: Rng) -> Tensor:
    """Set a share of the pixels to 0 or 1, with equal probability."""
    chance = _uniform_per_pixel(x, rng)
    # A clone keeps the order of memory, which `masked_fill` with a smaller mask does not.
    y = x.clone().masked_fill_(chance < strength / 2, 0.0)
    return y.masked_fill_(chance >= 1 - strength / 2, 1.0)


def occlude(x: Tensor, strength: Strengths, rng: Rng) -> Tensor:
    """Cover a share of the area with a gray rectangle, or an interval of a signal."""
    axes = x.ndim - 2
    chance = rng.uniform((len(x), 1 + axes))
    area = _to_array(strength, len(x)) if isinstance(strength, Tensor) else strength
    # Shares of height and width whose product is the strength. The exponent stays between 1/4 and
    # 3/4, so that the rectangle never becomes a line.
    height = area ** (0.25 + 0.5 * chance[:, 0]) if axes == 2 else np.full(len(x), area)
    shares = (height, area / height)[:axes]
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
    return x.clone().masked_fill_(inside, OCCLUSION_GRAY)


def compress_jpeg(x: Tensor, strength: Strengths, rng: Rng) -> Tensor:
    """Write images as JPEG files in memory, of this quality from 1 to 95, and read them again.

    Gray images and those of three channels, taken for RGB, are one file; the channels of others
    are a file each. Chance has no part in it but for the quality, where that is a range.

    Raises
    ------
    OptionError
        If a side is longer than JPEG allows.
    """
    if max(x.shape[2:]) > MAX_JPEG_SIDE:
        raise OptionError(
            f"an image of {x.shape[2]:,} × {x.shape[3]:,} pixels is larger than JPEG allows; leave "
            "jpeg out, or make it smaller."
        )
    levels = (x * 255).round_().clamp_(0, 255).byte().movedim(1, -1).cpu().numpy()
    qualities = _to_array(strength, len(x)).round().astype(int).tolist()
    read = np.stack([_through_jpeg(*one) for one in zip(levels, qualities, strict=True)])
    return torch.from_numpy(read).to(x.device).movedim(-1, 1).to(x.dtype).div_(255)


def _through_jpeg(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return an image (H, W, C) as it is after it was saved as a JPEG file."""
    channels = pixels.shape[2]
    if channels not in (1, 3):
        parts = [_through_jpeg(pixels[..., i : i + 1], quality) for i in range(channels)]
        return np.concatenate(parts, axis=2)
    content = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels if channels == 3 else pixels[..., 0]))
    image.save(content, "JPEG", quality=quality)
    with open_picture(content.getvalue()) as saved:
        return np.array(saved).reshape(pixels.shape)


def channels_last_shape(x: Tensor) -> tuple[int, ...]:
    """Return the shape of x with channels last, the order of its memory.

    Drawn in that order, noise is added without a transposed copy.
    """
    return (len(x), *x.shape[2:], x.shape[1])


def to_tensor_like(x: Tensor, noise: NDArray[np.float32]) -> Tensor:
    """Move noise (N, *sides, C) to the device and axes of x."""
    return torch.from_numpy(noise).to(x.device).movedim(-1, 1)


def _normal_like(x: Tensor, rng: Rng) -> Tensor:
    return to_tensor_like(x, rng.normal(channels_last_shape(x)))


def _uniform_per_pixel(x: Tensor, rng: Rng) -> Tensor:
    """Draw one number for each pixel, shared by its channels: (N, 1, *sides) in [0, 1)."""
    return to_tensor_like(x, rng.uniform((len(x), *x.shape[2:], 1)))


def _to_array(strength: Strengths, count: int) -> NDArray[np.float32]:
    """Return strengths as an array (N,)."""
    if isinstance(strength, Tensor):
        return strength.flatten().cpu().numpy()
    return np.full(count, strength, np.float32)
