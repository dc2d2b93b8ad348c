"""Denoisers: fully convolutional networks that take images of any size and return them clean.

They have no bottleneck: what a code would leave out of a photograph is what its owner wants to
keep. They compute the noise, which is subtracted from their input.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Denoiser(nn.Module):
    """A network that computes the noise of an image.

    Parameters
    ----------
    noise : nn.Module
        From images (N, C, H, W), with sides of multiples of the stride, to what is to be
        subtracted from them.
    margin : int
        How many pixels in each direction a pixel depends on.
    stride : int
        How many pixels the network joins. Where an image begins at a multiple of it, what is
        computed for a part is what is computed for the whole.
    """

    def __init__(self, noise: nn.Module, *, margin: int, stride: int = 1) -> None:
        super().__init__()
        self.noise = noise
        self.margin, self.stride = margin, stride

    def forward(self, x: Tensor) -> Tensor:
        """Return images x (N, C, H, W), with any sides, without their noise; not clipped."""
        height, width = x.shape[2:]
        noise = self.noise(_fill_up(x, self.stride))
        clean: Tensor = x - noise[..., :height, :width]
        return clean


def _fill_up(x: Tensor, stride: int) -> Tensor:
    """Repeat the last row and column of images up to a multiple of the stride.

    By indices, and not by `functional.pad` or with an `if`: so `torch.export` leaves both sides
    open.
    """
    if stride == 1:
        return x
    rows, columns = (
        torch.arange((side + stride - 1) // stride * stride, device=x.device).clamp(max=side - 1)
        for side in x.shape[2:]
    )
    return x[:, :, rows][..., columns]


def dncnn(shape: Sequence[int], code_size: int, *, depth: int = 17, width: int = 64) -> Denoiser:
    """Build DnCNN as published: convolutions of 3 × 3 with batch normalization.

    Zhang, Zuo, Chen, Meng and Zhang, Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for
    Image Denoising, 2017.

    Parameters
    ----------
    shape : (C, H, W)
    code_size : int
        0, as there is no code.
    depth : int
        Convolutions.
    width : int
        Channels.
    """
    channels = shape[0]
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
    for _ in range(depth - 2):
        layers += [
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
    layers.append(nn.Conv2d(width, channels, 3, padding=1))
    return Denoiser(nn.Sequential(*layers), margin=depth)
