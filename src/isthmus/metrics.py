"""How near reconstructions are to their originals, one figure a sample.

All take originals x and reconstructions y of the same shape, (N, C, H, W) or (N, C, L), in the
[0, 1] range of pixels, and return (N,): the mean over a sample's pixels and channels.
"""

import torch
from torch import Tensor
from torch.nn import functional

SMALLEST_MSE = 1e-10  # PSNR is cut at 100 dB, so that a perfect sample leaves the mean finite
SMALLEST_PROBABILITY = 1e-7


def mse(y: Tensor, x: Tensor) -> Tensor:
    """Mean squared error."""
    return (y - x).square().flatten(1).mean(1)


def psnr(y: Tensor, x: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in decibels, of a peak of 1, at most 100."""
    return -10 * mse(y, x).clamp(min=SMALLEST_MSE).log10()


def bce(y: Tensor, x: Tensor) -> Tensor:
    """Binary cross-entropy in nats of outputs y in [0, 1], which are kept 1e-7 from 0 and 1."""
    y = y.clamp(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return functional.binary_cross_entropy(y, x.clamp(0, 1), reduction="none").flatten(1).mean(1)


def bce_of_logits(logits: Tensor, x: Tensor) -> Tensor:
    """Binary cross-entropy in nats of outputs before their sigmoid."""
    losses = functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return losses.flatten(1).mean(1)


def ssim(y: Tensor, x: Tensor) -> Tensor:
    """Structural similarity, 1 for equal images; images of at least 6 × 6 pixels only.

    Wang et al., IEEE Transactions on Image Processing 13, 2004: Gaussian window of 11 pixels and
    σ = 1.5, the images continued by reflection, the mean over all pixels and channels.

    Raises
    ------
    ValueError
        If these are no images or smaller ones; see `has_ssim`.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    if not has_ssim(tuple(x.shape[1:])):
        raise ValueError(f"SSIM needs images of at least 6 × 6 pixels, not {tuple(x.shape[2:])}.")
    values = structural_similarity_index_measure(y, x, reduction="none", data_range=1.0)
    return torch.as_tensor(values).reshape(len(x))


def has_ssim(shape: tuple[int, ...]) -> bool:
    """Tell whether samples of this shape, (C, H, W) or (C, L), have a structural similarity."""
    return len(shape) == 3 and min(shape[1:]) >= 6
