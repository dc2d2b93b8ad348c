"""Denoisers: fully convolutional networks that take images of any size and return them clean.

They have no bottleneck: what a code would leave out of a photograph is what its owner wants to
keep. They compute the noise, which is subtracted from their input.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Denoiser(nn.Module):
    """Layers that find the noise in an image, which is then subtracted.

    Parameters
    ----------
    noise : nn.Module
        From images (N, C, H, W) to their noise, of the same shape.
    step : int
        The sides of what `noise` gets are multiples of it.
    """

    def __init__(self, noise: nn.Module, step: int = 1) -> None:
        super().__init__()
        self.noise = noise
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """Return the clean estimates of images x (N, C, H, W) in [0, 1], before any clipping."""
        height, width = x.shape[2:]
        noise: Tensor = self.noise(mirror(mirror(x, 2, self.step), 3, self.step))
        # Not a slice: when a model is exported for images of any sides, that cannot be checked.
        rows, columns = (torch.arange(side, device=x.device) for side in (height, width))
        return x - noise.index_select(2, rows).index_select(3, columns)


def mirror(x: Tensor, axis: int, step: int) -> Tensor:
    """Mirror an image at its end along an axis, until `step` divides the side.

    Repeating the border instead would turn its noise into stripes, which no longer look like noise.
    Only the end grows: in each tile of a large image that begins at a multiple of `step`, the same
    pixels then meet as in the whole. Unlike `functional.pad`, this also works for sides below
    `step`.
    """
    if step == 1:
        return x
    side = x.shape[axis]
    place = torch.arange(-(-side // step) * step, device=x.device) % (2 * side)  # there and back
    return x.index_select(axis, torch.minimum(place, 2 * side - 1 - place))


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
    return Denoiser(nn.Sequential(*layers))
