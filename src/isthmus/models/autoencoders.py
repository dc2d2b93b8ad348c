"""The autoencoders: functions from a sample's shape and a code size to a module.

Shapes are those of one sample x: (C, H, W) for images, (C, L) for signals. Every function takes
any sides. If its layers only return certain ones (the *natural* sides), the input is padded to the
next of them and the output cropped.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from isthmus.models.layers import (
    Autoencoder,
    Unpatch,
    dense_layers,
    is_on_meta,
    lecun_normal,
    with_crop,
    with_padding,
    zero_bias,
)

CONVOLUTIONS: dict[int, tuple[Any, Any]] = {
    1: (nn.Conv1d, nn.ConvTranspose1d),
    2: (nn.Conv2d, nn.ConvTranspose2d),
}
MAX_PATCH = 4  # side of the patches that `conv` cuts
MIN_PATCHES = 4  # along a side, if the sample is large enough
MAX_LAST_SIDE = 8  # `conv` halves the sides until they are at most this
MAX_WIDTH = 256  # channels up to which `conv` doubles


def dense(
    shape: Sequence[int],
    code_size: int,
    hidden: Sequence[int] = (512, 128),
    activation: type[nn.Module] = nn.GELU,
    code_activation: type[nn.Module] | None = None,
) -> Autoencoder:
    """Fully connected layers, mirrored around the code."""
    size = math.prod(shape)
    last = [code_activation()] if code_activation else []
    sizes = (size, *hidden)
    autoencoder = Autoencoder(
        nn.Sequential(
            nn.Flatten(), *dense_layers(sizes, activation), nn.Linear(sizes[-1], code_size), *last
        ),
        nn.Sequential(
            *dense_layers((code_size, *reversed(hidden)), activation),
            nn.Linear(hidden[0], size),
            nn.Unflatten(1, tuple(shape)),
        ),
    )
    if activation is nn.SELU:  # Klambauer et al., Self-Normalizing Networks, 2017
        autoencoder.apply(lecun_normal).apply(zero_bias)
    return autoencoder


def linear(shape: Sequence[int], code_size: int) -> Autoencoder:
    """One matrix each way.

    Trained with the mean squared error, it spans the same subspace as PCA (Baldi and Hornik,
    Neural Networks 2, 1989). It starts as the projection onto a random subspace.
    """
    encoder = nn.Linear(math.prod(shape), code_size)
    decoder = nn.Linear(code_size, math.prod(shape))
    # From a projection, training finds directions of little variance many times faster than from
    # two independent matrices: on LFW the error is within 1% of PCA's when it would still be a
    # third above it.
    if not is_on_meta(encoder):
        nn.init.orthogonal_(encoder.weight)
    with torch.no_grad():
        decoder.weight.copy_(encoder.weight.T)
    return Autoencoder(
        nn.Sequential(nn.Flatten(), encoder),
        nn.Sequential(decoder, nn.Unflatten(1, tuple(shape))),
    )


def conv(
    shape: Sequence[int],
    code_size: int,
    width: int = 96,
    neck: int = 32,
) -> Autoencoder:
    """Patches, strided convolutions, dense layers, a linear code, and the same back; GELU.

    The sample is cut into patches of at most 4 a side (Dosovitskiy et al., An Image is Worth
    16x16 Words, 2021), each embedded by one matrix. Then, while a side is above 8, convolutions
    halve it and double the channels. Before the dense layers the channels are reduced to `neck`.
    The decoder ends with a convolution that computes the pixels of each patch from it and the
    patches around it. It works in one dimension as in two; at 28 × 28 or 32 × 32 there are patches
    and no further convolutions.

    Its numbers were chosen on validation data of Fashion-MNIST (code of 2) and LFW (code of 32).
    """
    channels, *sides = shape
    convolution, transposed = CONVOLUTIONS[len(sides)]
    # Patches instead of strided convolutions doubled the images per second at the same loss: nearly
    # all arithmetic is in large matrices at few positions, which processors do fastest.
    patch = tuple(min(MAX_PATCH, max(1, side // MIN_PATCHES)) for side in sides)
    sides = [math.ceil(side / step) for side, step in zip(sides, patch, strict=True)]
    down: list[nn.Module] = [convolution(channels, width, patch, patch), nn.GELU()]
    up: list[nn.Module] = [
        convolution(width, channels * math.prod(patch), 3, padding=1),
        Unpatch(patch),
    ]
    natural = list(patch)
    inner = width
    while max(sides) > MAX_LAST_SIDE:
        outer, inner = inner, min(2 * inner, MAX_WIDTH)
        steps = tuple(2 if side > MAX_LAST_SIDE else 1 for side in sides)
        kernel = tuple(2 + step for step in steps)  # 4 halves and 3 keeps a side, at padding 1
        down += [convolution(outer, inner, kernel, steps, padding=1), nn.GELU()]
        up = [transposed(inner, outer, kernel, steps, padding=1), nn.GELU(), *up]
        sides = [math.ceil(side / step) for side, step in zip(sides, steps, strict=True)]
        natural = [size * step for size, step in zip(natural, steps, strict=True)]
    natural = [size * side for size, side in zip(natural, sides, strict=True)]
    # The dense layers hold nearly all weights and overfit small sets, so they get few channels. A
    # code below 8 numbers is better with one more dense layer each way; a larger one is not.
    flat = neck * math.prod(sides)
    hidden = (512,) if code_size >= 8 else (512, 128)
    encoder = [
        *down,
        convolution(inner, neck, 1),
        nn.Flatten(),  # before the activation, so that its backward pass sees one memory layout
        nn.GELU(),
        *dense_layers((flat, *hidden), nn.GELU),
        nn.Linear(hidden[-1], code_size),
    ]
    decoder = [
        *dense_layers((code_size, *reversed(hidden), flat), nn.GELU),
        nn.Unflatten(1, (neck, *sides)),
        convolution(neck, inner, 3, padding=1),
        nn.GELU(),
        *up,
    ]
    autoencoder = Autoencoder(
        with_padding(shape, natural, encoder), with_crop(shape, natural, decoder)
    )
    # With torch's default, a third of this variance, the signal fades from layer to layer. Together
    # with the settings of AdamW this took LFW (code of 32) from an MSE of 0.0061 to 0.0043 in 9
    # epochs, and 30 epochs became better than 80 had been.
    return autoencoder.apply(lecun_normal)


def conv_pool(shape: Sequence[int], code_size: int | None = None) -> Autoencoder:
    """Convolutions with max pooling, and back with upsampling; the code is a small image.

    The code has 8 channels, at 28 × 28 a side of 4 and so 128 numbers. For another code size, there
    is a dense layer on either side of the code. Natural sides are 8m - 4.
    """
    channels, height, width = shape
    rows, columns = (max(1, math.ceil((side + 4) / 8)) for side in (height, width))
    natural = (8 * rows - 4, 8 * columns - 4)
    flat = 8 * rows * columns
    code_size = code_size or flat
    encoder: list[nn.Module] = [
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
    ]
    decoder: list[nn.Module] = [
        nn.Unflatten(1, (8, rows, columns)),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(8, 16, 3),  # without padding, 16 becomes 14: doubled, the 28 of MNIST
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(16, channels, 3, padding=1),
    ]
    if code_size != flat:
        encoder = [*encoder, nn.Linear(flat, code_size)]
        decoder = [nn.Linear(code_size, flat), *decoder]
    return Autoencoder(with_padding(shape, natural, encoder), with_crop(shape, natural, decoder))


def conv_pool_code_size(shape: Sequence[int]) -> int:
    """Return the size of the code that the convolutions of `conv_pool` return."""
    return 8 * math.prod(max(1, math.ceil((side + 4) / 8)) for side in shape[1:])


def conv_bn_2d(shape: Sequence[int], code_size: int) -> Autoencoder:
    """Wide convolutions with batch normalization down to a code of two, and back.

    Natural sides are 9b - 8, b at least 2: the decoder enlarges b × b three times twice, and each
    of its two convolutions without padding removes 2.
    """
    channels, *sides = shape
    bases = [max(2, math.ceil((side + 8) / 9)) for side in sides]
    natural = [9 * base - 8 for base in bases]
    left = [((side - 2) // 2 - 2) // 2 for side in natural]
    flat, start = 112 * math.prod(left), 64 * math.prod(bases)
    encoder: list[nn.Module] = [
        nn.Conv2d(channels, 112, 3),
        nn.ReLU(),
        _norm2d(112),
        nn.MaxPool2d(2),
        nn.Conv2d(112, 112, 3),
        nn.ReLU(),
        _norm2d(112),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(flat, code_size),
        nn.ReLU(),
        _norm1d(code_size),
    ]
    decoder: list[nn.Module] = [
        nn.Linear(code_size, start),
        nn.ReLU(),
        _norm1d(start),
        nn.Unflatten(1, (64, *bases)),
        _norm2d(64),
        nn.Upsample(scale_factor=3),
        nn.Conv2d(64, 112, 3),
        nn.ReLU(),
        _norm2d(112),
        nn.Upsample(scale_factor=3),
        nn.Conv2d(112, 112, 3),
        nn.ReLU(),
        _norm2d(112),
        nn.Conv2d(112, channels, 1),
    ]
    return Autoencoder(with_padding(shape, natural, encoder), with_crop(shape, natural, decoder))


def conv_transpose(shape: Sequence[int], code_size: int) -> Autoencoder:
    """Convolutions with max pooling, and back with transposed convolutions; ELU.

    Natural sides are multiples of 16.
    """
    channels, *sides = shape
    natural = [16 * math.ceil(side / 16) for side in sides]
    small = [side // 16 for side in natural]
    flat = 256 * math.prod(small)
    widths = (channels, 32, 64, 128, 256)
    encoder: list[nn.Module] = []
    decoder: list[nn.Module] = []
    for outer, inner in itertools.pairwise(widths):
        encoder += [nn.Conv2d(outer, inner, 3, padding=1), nn.ELU(), nn.MaxPool2d(2)]
        # `output_padding` doubles a side exactly; without it, 2n - 1 pixels would result.
        wider = nn.ConvTranspose2d(inner, outer, 3, stride=2, padding=1, output_padding=1)
        decoder = [nn.ELU(), wider, *decoder]
    return Autoencoder(
        with_padding(shape, natural, [*encoder, nn.Flatten(), nn.Linear(flat, code_size)]),
        with_crop(
            shape,
            natural,
            # The first ELU of `decoder` follows the dense layer, whatever shape that has.
            [nn.Linear(code_size, flat), nn.Unflatten(1, (256, *small)), *decoder],
        ),
    )


def _norm1d(features: int) -> nn.Module:
    """Return batch normalization with the defaults of Keras, where the preset comes from."""
    return nn.BatchNorm1d(features, eps=1e-3, momentum=0.01)


def _norm2d(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
