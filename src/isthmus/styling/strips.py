"""Large pictures in strips, so that only what is as small as the code is in memory as a whole.

The encoder and the decoder see a few rows around each pixel, so each strip is computed with that
much more and cut; nothing differs but rounding. The layers of a style normalize over the whole
picture, so they get its whole code: a sixteenth of the pixels.
"""

import torch
from torch import Tensor, nn

from isthmus.models.layers import Residual
from isthmus.models.stylebank import STEP

STRIP_PIXELS = 2**20  # of a strip; 200 MB at the widest layer
MARGIN = 4  # rows of the code around a strip that convolutions reach, but for residual blocks


def encode_in_strips(encoder: nn.Module, x: Tensor) -> Tensor:
    """Turn an image (1, 3, H, W), sides multiples of 4, into maps (1, C', H/4, W/4)."""
    return _in_strips(encoder, x, _rows(x.shape[3]), STEP, 1)


def decode_in_strips(decoder: nn.Module, maps: Tensor) -> Tensor:
    """Turn maps (1, C', H/4, W/4) into an image (1, 3, H, W)."""
    return _in_strips(decoder, maps, _rows(STEP * maps.shape[3]), 1, STEP)


def _rows(width: int) -> int:
    """Return how many rows of the code a strip has."""
    return max(MARGIN, STRIP_PIXELS // (STEP * width))


def _in_strips(compute: nn.Module, x: Tensor, rows: int, inner: int, outer: int) -> Tensor:
    """Compute strips of so many rows of the code.

    `inner` and `outer` are how many rows of the input and of the output one row of the code is.
    """
    height = x.shape[2] // inner
    # Each residual block has two convolutions, which reach a row further each.
    margin = MARGIN + 2 * sum(isinstance(part, Residual) for part in compute.modules())
    if height <= rows + 2 * margin:
        return _compute(compute, x)
    strips = []
    for start in range(0, height, rows):
        end = min(start + rows, height)
        first, last = max(0, start - margin), min(height, end + margin)
        y = _compute(compute, x[:, :, first * inner : last * inner])
        strips.append(y[:, :, (start - first) * outer : (end - first) * outer].clone())
    return torch.cat(strips, 2)


def _compute(module: nn.Module, x: Tensor) -> Tensor:
    y: Tensor = module(x)
    return y
