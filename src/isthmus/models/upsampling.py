"""Upsampling and the convolution behind it in one step, with less arithmetic.

Nearest upsampling by s repeats each number s times a side, so that several taps of the kernel
behind it meet the same number. Summing their weights first leaves a smaller kernel on the small
image: for s of 2 or 3 and a kernel of 3, 2 × 2 taps instead of 3 × 3. Each of the s × s phases of
the output has its own sums; they are computed as channels of one convolution and interleaved. The
result is that of the two layers, up to rounding.
"""

from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional


class Layers(nn.Sequential):
    """A sequence that computes upsampling and the convolution behind it in one step.

    Modules, weights and their names are those of an ordinary sequence. Where someone listens to
    what leaves the upsampling (by a hook), the two are computed one after the other.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Send x through all layers."""
        layers = list(self)
        folded = False
        for layer, following in zip(layers, [*layers[1:], None], strict=True):
            if folded:
                folded = False
            elif _folds(layer, following):
                scale: Any = layer.scale_factor
                x = upsampled_convolution(x, cast("nn.Conv2d", following), int(scale))
                folded = True
            else:
                x = layer(x)
        return x


def upsampled_convolution(x: Tensor, convolution: nn.Conv2d, scale: int) -> Tensor:
    """Do what nearest upsampling by `scale` and then `convolution` do.

    Parameters
    ----------
    x : (N, C, H, W)
    convolution : nn.Conv2d
        With a square kernel, stride 1 and zeros around.
    scale : int

    Returns
    -------
    (N, C', H', W')
        Channels-last in memory.
    """
    kernel, padding = convolution.kernel_size[0], int(convolution.padding[0])
    taps = _taps(scale, kernel).to(convolution.weight)
    small = taps.shape[1]
    weight = torch.einsum("rmt,snu,octu->rsocmn", taps, taps, convolution.weight)
    weight = weight.reshape(-1, x.shape[1], small, small)
    bias = None if convolution.bias is None else convolution.bias.repeat(scale * scale)
    before = -(-padding // scale)
    sides = [scale * side + 2 * padding - kernel + 1 for side in x.shape[2:]]
    after = [
        (out - 1 - padding) // scale + small - side
        for out, side in zip(sides, x.shape[2:], strict=True)
    ]
    x = functional.pad(x, (before, after[1], before, after[0]))
    phases = functional.conv2d(x, weight.contiguous(memory_format=torch.channels_last), bias)
    count, _, height, width = phases.shape
    y = phases.permute(0, 2, 3, 1).reshape(count, height, width, scale, scale, -1)
    y = y.transpose(2, 3).reshape(count, scale * height, scale * width, -1)
    start = scale * before - padding
    y = y[:, start : start + sides[0], start : start + sides[1]]
    return y.permute(0, 3, 1, 2)


@lru_cache
def _taps(scale: int, kernel: int) -> Tensor:
    """Say which taps fall on which small one: (phase, small tap, tap), of zeros and ones.

    Phases are ordered by their first tap: tap t of phase r falls on (r + t) // scale.
    """
    small = (scale + kernel - 2) // scale + 1
    taps = torch.zeros(scale, small, kernel)
    for phase in range(scale):
        for tap in range(kernel):
            taps[phase, (phase + tap) // scale, tap] = 1
    return taps


def _folds(layer: nn.Module, following: nn.Module | None) -> bool:
    """Tell whether these two can be computed in one step, and nobody listens to them."""
    if not (isinstance(layer, nn.Upsample) and isinstance(following, nn.Conv2d)):
        return False
    parts = (layer, following)
    return (
        layer.mode == "nearest"
        and isinstance(layer.scale_factor, float)
        and layer.scale_factor.is_integer()
        and len(set(following.kernel_size)) == 1
        and following.padding in {(side, side) for side in range(following.kernel_size[0])}
        and (following.stride, following.dilation, following.groups) == ((1, 1), (1, 1), 1)
        and following.padding_mode == "zeros"
        and not any(part._forward_hooks or part._forward_pre_hooks for part in parts)
    )
