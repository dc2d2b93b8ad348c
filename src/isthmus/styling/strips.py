"""Large pictures in strips, so that only what is as small as the code is in memory as a whole.

The encoder and the decoder see a few rows around each pixel, so each strip is computed with that
much more and cut; nothing differs but rounding. The layers of a style normalize over the whole
picture, so they get its whole code: a sixteenth of the pixels.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from isthmus.models.stylebank import STEP

STRIP_PIXELS = 2**20  # of a strip; 200 MB at the widest layer
# Rows of the code around a strip. The widest kernels reach two rows, and a decoder of eight
# residual blocks no further than this.
MARGIN = 24


def encode_in_strips(encode: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Turn an image (1, 3, H, W), sides multiples of 4, into maps (1, C', H/4, W/4)."""
    return _in_strips(encode, x, _rows(x.shape[3]), STEP, 1)


def decode_in_strips(decode: Callable[[Tensor], Tensor], maps: Tensor) -> Tensor:
    """Turn maps (1, C', H/4, W/4) into an image (1, 3, H, W)."""
    return _in_strips(decode, maps, _rows(STEP * maps.shape[3]), 1, STEP)


def _rows(width: int) -> int:
    """Return how many rows of the code a strip has."""
    return max(MARGIN, STRIP_PIXELS // (STEP * width))


def _in_strips(
    compute: Callable[[Tensor], Tensor], x: Tensor, rows: int, inner: int, outer: int
) -> Tensor:
    """Compute strips of so many rows of the code.

    `inner` and `outer` are how many rows of the input and of the output one row of the code is.
    """
    height = x.shape[2] // inner
    if height <= rows + 2 * MARGIN:
        return compute(x)
    strips = []
    for start in range(0, height, rows):
        end = min(start + rows, height)
        first, last = max(0, start - MARGIN), min(height, end + MARGIN)
        y = compute(x[:, :, first * inner : last * inner])
        strips.append(y[:, :, (start - first) * outer : (end - first) * outer].clone())
    return torch.cat(strips, 2)
