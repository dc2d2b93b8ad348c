"""Denoisers: fully convolutional networks that take images of any size and return them clean.

They have no bottleneck: what a code would leave out of a photograph is what its owner wants to
keep. They compute the noise, which is subtracted from their input.
"""

from collections.abc import Sequence

from torch import Tensor, nn


class Denoiser(nn.Module):
    """A network that computes the noise of an image.

    Parameters
    ----------
    noise : nn.Module
        From images (N, C, H, W) of any sides to what is to be subtracted from them.
    """

    def __init__(self, noise: nn.Module) -> None:
        super().__init__()
        self.noise = noise

    def forward(self, x: Tensor) -> Tensor:
        """Return images x (N, C, H, W), with any sides, without their noise; not clipped."""
        clean: Tensor = x - self.noise(x)
        return clean


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
    return Denoiser(nn.Sequential(*layers, nn.Conv2d(width, channels, 3, padding=1)))
