"""How large a model may be, decided by arithmetic before memory is asked for.

A file of a kilobyte can describe a model of any size. Its weights are counted on torch's meta
device, where a tensor has a shape and no memory; its layers by the sides and channels of a sample.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn

from isthmus.errors import ModelError
from isthmus.limits import limit_of

MAX_WEIGHTS, MAX_LAYER = "ISTHMUS_MAX_WEIGHTS", "ISTHMUS_MAX_LAYER"


def reject_large_sample(model: str, shape: Sequence[int]) -> None:
    """Reject a sample of more numbers than a layer may have.

    Raises
    ------
    ModelError
    """
    _reject(f"a sample of the model {model}", math.prod(shape), "numbers", MAX_LAYER)


def reject_large(model: str, module: nn.Module, shape: Sequence[int]) -> None:
    """Reject a module with too many weights, or a layer of too many numbers for one sample.

    Parameters
    ----------
    model : str
        What it is called.
    module : nn.Module
        It may be on torch's meta device.
    shape : sequence of int
        Of one sample x: (C, H, W), or (C, L) for signals.

    Raises
    ------
    ModelError
    """
    weights = sum(weight.numel() for weight in module.state_dict().values())
    _reject(f"the model {model}", weights, "weights", MAX_WEIGHTS)
    # More than any layer has, as no layer has both the most channels and the largest sides. The
    # layers themselves are counted only where that decides, as it takes torch a second.
    channels = [getattr(part, "out_channels", 1) for part in module.modules()]
    if max(channels) * math.prod(shape[1:]) > limit_of(MAX_LAYER):
        _reject(f"a layer of {model}", _largest_layer(module, shape), "numbers", MAX_LAYER)


def _largest_layer(module: nn.Module, shape: Sequence[int]) -> int:
    """Return how many numbers the largest output of a layer has, for one sample."""
    sizes: list[int] = []
    hooks = [
        part.register_forward_hook(lambda part, inputs, output: sizes.append(output.numel()))
        for part in module.modules()
        if not list(part.children())
    ]
    try:
        with torch.inference_mode():
            module.eval()(torch.zeros(1, *shape, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
    return max(sizes)


def _reject(what: str, count: int, noun: str, limit: str) -> None:
    if count > limit_of(limit):
        raise ModelError(
            f"{what} has {count:,} {noun}, more than {limit_of(limit):,}; take a smaller code or "
            f"smaller samples, or set {limit} if there is memory for it."
        )
