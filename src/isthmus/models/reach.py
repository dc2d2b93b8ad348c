"""How far a convolutional network looks: the pixels that one pixel of its output depends on."""

import math
from fractions import Fraction

from torch import nn


def measure_reach(network: nn.Module) -> int:
    """Return how many pixels around it a block of the output depends on.

    A block is what a network makes one of, such as 2 × 2 pixels; without any it is a pixel.

    Layers are taken in the order in which they were made, which has to be that in which they are
    computed; functions that are no layers are not seen. Ways around layers, as in residual blocks
    and a U-Net, are shorter than those through them.

    Examples
    --------
    >>> measure_reach(nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 1, 5)))
    3
    >>> measure_reach(nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4, 4, 3), nn.PixelShuffle(2)))
    2
    """
    reach, scale = Fraction(0), Fraction(1)  # pixels; pixels of the image that are one here
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            # A kernel as wide as its step covers the pixels that become one, and no more.
            around = (layer.kernel_size[0] - 1) * layer.dilation[0] + 1 - layer.stride[0]
            reach += scale * math.ceil(around / 2)
            scale *= layer.stride[0]
        elif isinstance(layer, nn.PixelUnshuffle):
            scale *= layer.downscale_factor
        elif isinstance(layer, nn.ConvTranspose2d):
            scale /= layer.stride[0]
        elif isinstance(layer, nn.PixelShuffle):
            scale /= layer.upscale_factor
    return math.ceil(reach)
