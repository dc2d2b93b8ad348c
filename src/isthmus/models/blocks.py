"""Pieces that several models share."""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.models.sequence import Layers


class Pad(nn.Module):
    """Repeat the border until the spatial sides are `sides`, as evenly as possible around."""

    def __init__(self, sides: Sequence[int]) -> None:
        super().__init__()
        self.sides = tuple(sides)

    def forward(self, x: Tensor) -> Tensor:
        """Pad (N, C, *spatial) to (N, C, *sides)."""
        margins: list[int] = []
        for side, held in zip(reversed(self.sides), reversed(x.shape[2:]), strict=True):
            margins += [(side - held) // 2, (side - held + 1) // 2]
        return functional.pad(x, margins, mode="replicate")

    def extra_repr(self) -> str:
        """Show the sides in the printed module."""
        return " × ".join(map(str, self.sides))


class Crop(Pad):
    """Undo `Pad`: cut the middle of `sides` out."""

    def forward(self, x: Tensor) -> Tensor:
        """Crop (N, C, *spatial) to (N, C, *sides)."""
        for axis, side in enumerate(self.sides, start=2):
            x = x.narrow(axis, (x.shape[axis] - side) // 2, side)
        return x


class Unpatch(nn.Module):
    """Spread channels over space: the inverse of cutting into patches of `steps`.

    In two dimensions with equal steps it is the sub-pixel layer of Shi et al., Real-Time Single
    Image and Video Super-Resolution, 2016.
    """

    def __init__(self, steps: Sequence[int]) -> None:
        super().__init__()
        self.steps = tuple(steps)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N, C·∏steps, *sides) into (N, C, *(sides·steps))."""
        axes = len(self.steps)
        sides = [side * step for side, step in zip(x.shape[2:], self.steps, strict=True)]
        x = torch.unflatten(x, 1, (-1, *self.steps))
        order = [place for axis in range(axes) for place in (2 + axes + axis, 2 + axis)]
        return x.permute(0, 1, *order).reshape(len(x), x.shape[1], *sides)

    def extra_repr(self) -> str:
        """Show the steps in the printed module."""
        return " × ".join(map(str, self.steps))


class Autoencoder(nn.Module):
    """An encoder to a code and a decoder back.

    `decode` returns values before the output activation, so that a loss can be computed from
    logits; which activation follows is part of the model's `Spec`.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, x: Tensor) -> Tensor:
        """Turn samples x (N, C, H, W) or (N, C, L) into codes z (N, D)."""
        z: Tensor = self.encoder(x)
        return z

    def decode(self, z: Tensor) -> Tensor:
        """Turn codes z (N, D) into samples before the output activation."""
        x: Tensor = self.decoder(z)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Encode, then decode."""
        return self.decode(self.encode(x))


def dense_layers(sizes: Sequence[int], activation: type[nn.Module]) -> list[nn.Module]:
    """Return linear layers from each size to the next, each with its activation."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return layers


def between(shape: Sequence[int], natural: Sequence[int], layers: list[nn.Module]) -> nn.Module:
    """Put an encoder's layers behind the padding from `shape` to its natural sides, if any."""
    pad = [] if tuple(shape[1:]) == tuple(natural) else [Pad(natural)]
    return Layers(*pad, *layers)


def cropped(shape: Sequence[int], natural: Sequence[int], layers: list[nn.Module]) -> nn.Module:
    """Put the crop from a decoder's natural sides to `shape` behind its layers, if any."""
    crop = [] if tuple(shape[1:]) == tuple(natural) else [Crop(shape[1:])]
    return Layers(*layers, *crop)


def lecun_normal(module: nn.Module) -> None:
    """Give linear layers weights of variance 1 / inputs, as SELU wants them.

    Klambauer et al., Self-Normalizing Neural Networks, 2017.
    """
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=1 / math.sqrt(module.in_features))
        nn.init.zeros_(module.bias)


def normalises_over_batch(module: nn.Module) -> bool:
    """Tell whether any part normalises over the batch and so needs two samples to train."""
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())


def parameters(module: nn.Module) -> tuple[int, int]:
    """Count a module's numbers as (trainable, not trainable).

    Not trainable are frozen weights and the running means and variances of batch normalisation.
    """
    trainable = sum(p.numel() for p in module.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in module.parameters() if not p.requires_grad)
    running = sum(b.numel() for b in module.buffers() if b.dtype.is_floating_point)
    return trainable, frozen + running


def channels_last(module: Autoencoder) -> Autoencoder:
    """Lay the weights of two-dimensional convolutions out as processors like them."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
