"""How far a convolutional network looks: the pixels that one pixel of its output depends on."""

import math
from fractions import Fraction

from torch import nn


def measure_reach(network: nn.Module) -> int:
    """Return how many pixels in each direction a pixel of the output depends on.

    Layers are taken in the order in which they were made, which has to be that in which they are
    computed; functions that are no layers are not seen. Ways around layers, as in residual blocks
    and a U-Net, are shorter than those through them.

    Examples
    --------
    >>> measure_reach(nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 1, 5)))
    3
    >>> measure_reach(nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4, 4, 3), nn.PixelShuffle(2)))
    3
    """
    reach, scale = Fraction(0), Fraction(1)  # pixels; pixels of the image that are one here
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            around = (layer.kernel_size[0] - 1) * layer.dilation[0]
            # Where pixels become one, the first depends on the last of them.
            reach += scale * (around if layer.stride[0] > 1 else Fraction(around, 2))
            scale *= layer.stride[0]
        elif isinstance(layer, nn.PixelUnshuffle):
            reach += scale * (layer.downscale_factor - 1)
            scale *= layer.downscale_factor
        elif isinstance(layer, nn.ConvTranspose2d):
            scale /= layer.stride[0]
        elif isinstance(layer, nn.PixelShuffle):
            scale /= layer.upscale_factor
    return math.ceil(reach)
