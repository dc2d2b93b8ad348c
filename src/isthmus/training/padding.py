"""Weights of convolutions that meet nothing but padding.

Where an image is smaller than a kernel reaches, some weights only ever multiply the zeros around
it. They change no answer, and their gradient is 0. In bfloat16 on a CPU, torch 2.13 returns
uninitialized memory instead: other numbers in every run, some of them NaN, which would end up in
the weights and in their fingerprint.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isthmus.models.layers import Network
from isthmus.models.recorder import copy_modules

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)


def zero_unread_gradients(network: Network, shape: Sequence[int]) -> None:
    """Set the gradient of weights that meet nothing but padding to 0, in every backward pass.

    Parameters
    ----------
    network : Network
        On its device. Its weights get hooks; its modules stay as they are.
    shape : tuple of int
        Of one sample x: (C, H, W) or (C, L).
    """
    copy = copy_modules(network).eval()  # it shares the weights
    for layer in copy.modules():
        if isinstance(layer, CONVOLUTIONS) and layer.weight.requires_grad:
            layer.register_forward_hook(_add_hook)
    device = next(network.parameters()).device
    with torch.no_grad():
        copy(torch.zeros(1, *shape, device=device))


def _add_hook(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    """Add a hook to the weight of a layer that reads its input only in part."""
    sides = list(zip(inputs[0].shape[2:], output.shape[2:], strict=True))
    is_transposed = isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d)
    read: NDArray[np.bool_] = np.ones(1, np.bool_)
    for axis, (side, out) in enumerate(sides):
        # A transposed convolution writes where a convolution of its output would read.
        first, last = (side, out) if is_transposed else (out, side)
        taps = _read_taps(
            layer.kernel_size[axis],
            layer.stride[axis],
            layer.padding[axis],
            layer.dilation[axis],
            first,
            last,
        )
        read = read[..., None] & taps
    if not read.all():
        unread = torch.from_numpy(~read).to(layer.weight.device)
        layer.weight.register_hook(partial(_zero, unread=unread))


def _read_taps(
    kernel: int, stride: int, padding: int, dilation: int, places: int, side: int
) -> NDArray[np.bool_]:
    """Return which taps of a kernel meet one of `side` pixels, placed `places` times.

    Examples
    --------
    >>> _read_taps(3, 1, 1, 1, places=1, side=1).tolist()  # a single pixel: only the middle
    [False, True, False]
    """
    pixels = np.arange(places)[:, None] * stride - padding + np.arange(kernel) * dilation
    return np.asarray(((pixels >= 0) & (pixels < side)).any(0))


def _zero(gradient: Tensor, *, unread: Tensor) -> Tensor:
    return gradient.masked_fill(unread, 0)
