"""The classifiers: functions from shape, code size and number of classes to a module.

Shapes are those of one image x: (C, H, W). The code size is the number of features that `encode`
returns. If pooling does not divide a side, the remaining border is dropped.
"""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from isthmus.models.autoencoders import conv
from isthmus.models.layers import (
    Autoencoder,
    Classifier,
    Residual,
    Standardize,
    he_normal,
    scale_channels,
    with_padding,
)

MAX_LAST_SIDE = 7  # `cnn` halves the sides until they are at most this
MAX_GROWTH = 8  # `cnn` doubles the channels up to this many times the first


class ResponseNorm(nn.Module):
    """Divide each number by the strength of the five channels around it in the same pixel.

    Local response normalization of Krizhevsky et al. (2012), section 3.3: the number a becomes
    a / (2 + 1e-4 Σ a²)^0.75. A 1 × 1 convolution with a band matrix is the fastest way to get the
    sums. `nn.LocalResponseNorm` divides by the mean of the squares instead of their sum.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x (N, C, H, W)."""
        # Made for each call: a buffer would have to move with the model and count as its weight.
        band = x.new_ones(x.shape[1], x.shape[1]).tril(2).triu(-2)
        strength = 2 + 1e-4 * functional.conv2d(x.square(), band[:, :, None, None])
        root = strength.rsqrt()  # two square roots are faster than a power of -0.75
        return x * root * root.sqrt()


def cnn(
    shape: Sequence[int], code_size: int, classes: int, *, width: int = 32, dropout: float = 0.2
) -> Classifier:
    """Convolutions with batch normalization and ReLU, max pooling, average pooling at the end.

    The first convolution has `width` channels. Then, while a side is above 7, pooling halves it, a
    convolution doubles the channels (up to 8 times `width`), and a second one adds its output to
    its input (He et al., Deep Residual Learning, 2016). The last stage has `code_size` channels,
    whose spatial means are the features (Lin et al., Network in Network, 2014). Multiples of 16
    channels are fastest.
    """
    return Classifier(_cnn_encoder(shape, code_size, width), _head(code_size, classes, dropout))


def cnn_autoencoder(shape: Sequence[int], code_size: int, *, width: int = 32) -> Autoencoder:
    """Combine the encoder of `cnn` with the decoder of `conv`.

    The encoder's parameters have the names and shapes of those of a `cnn` of the same shape, code
    size and width, so that learned weights fit.
    """
    return Autoencoder(_cnn_encoder(shape, code_size, width), conv(shape, code_size).decoder)


def cnn_code_size(shape: Sequence[int], *, width: int = 32, **others: Any) -> int:
    """Return the number of channels of the last stage of `cnn`."""
    return _cnn_widths(shape, width)[-1]


def cnn_small(
    shape: Sequence[int], code_size: int, classes: int, *, dropout: float = 0.5
) -> Classifier:
    """Two convolutions of 64 and 32 channels, each with ReLU and max pooling, and dense layers."""
    channels, height, width = shape
    encoder = nn.Sequential(
        nn.Conv2d(channels, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * (height // 4) * (width // 4), code_size),
        nn.ReLU(),
    )
    return Classifier(encoder, _head(code_size, classes, dropout))


def alexnet(
    shape: Sequence[int],
    code_size: int,
    classes: int,
    *,
    width: float = 1.0,
    lrn: bool = True,
    dropout: float = 0.5,
) -> Classifier:
    """AlexNet in one tower (Krizhevsky et al., ImageNet Classification with Deep ..., 2012).

    Five convolutions, overlapping max pooling, local response normalization after the first two,
    and two dense layers of `code_size`. The paper splits some layers into two towers for two GPUs;
    here there is one: 62,378,344 parameters for 1,000 classes at 227 × 227.

    The first convolution is 11 × 11 with stride 4, for which the input is padded (by its border)
    from 224 to 227, and likewise from other sides. If the smaller side is below 128, it is 5 × 5
    with stride 2; below 64, 3 × 3 with stride 1. So the last map is never empty from sides of 16
    on. First weights are those of He et al. (2015) for ReLU, not the paper's deviation of 0.01
    everywhere.

    Parameters
    ----------
    shape : (C, H, W)
    code_size, classes : int
    width : float
        Factor on the channels of all convolutions.
    lrn : bool
        Whether to normalize local responses.
    dropout : float
        Share of the two dense layers' features that is dropped in training.
    """
    channels, *sides = shape
    a, b, c, d, e = (scale_channels(count, width) for count in (96, 256, 384, 384, 256))
    first, natural, sides = _first_convolution(channels, a, sides)
    for _ in range(3):  # by each of the three poolings; the convolutions in between keep them
        sides = [(side - 3) // 2 + 1 for side in sides]
    norm1, norm2 = ([ResponseNorm()] if lrn else [] for _ in range(2))
    layers: list[nn.Module] = [
        Standardize(),
        first,
        nn.ReLU(),
        *norm1,
        nn.MaxPool2d(3, 2),
        nn.Conv2d(a, b, 5, padding=2),
        nn.ReLU(),
        *norm2,
        nn.MaxPool2d(3, 2),
        nn.Conv2d(b, c, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(c, d, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(d, e, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(e * math.prod(sides), code_size),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(code_size, code_size),
        nn.ReLU(),
    ]
    encoder = with_padding(shape, natural, layers).apply(he_normal)
    return Classifier(encoder, _head(code_size, classes, dropout))


def _cnn_encoder(shape: Sequence[int], code_size: int, width: int) -> nn.Module:
    widths = _cnn_widths(shape, width)
    widths[-1] = code_size  # the means of the last stage's channels are the code
    layers = _convolution(shape[0], widths[0])
    for inner, outer, steps in zip(widths, widths[1:], _halvings(shape[1:]), strict=False):
        layers += [
            nn.MaxPool2d(steps),
            *_convolution(inner, outer),
            Residual(*_convolution(outer, outer)),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _cnn_widths(shape: Sequence[int], width: int) -> list[int]:
    """Return the channels of each stage."""
    stages = 1 + len(_halvings(shape[1:]))
    return [width * min(2**stage, MAX_GROWTH) for stage in range(stages)]


def _halvings(sides: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the steps of each pooling: 2 along a side above `MAX_LAST_SIDE`, else 1."""
    halvings = []
    while max(sides) > MAX_LAST_SIDE:
        steps = tuple(2 if side > MAX_LAST_SIDE else 1 for side in sides)
        sides = [side // step for side, step in zip(sides, steps, strict=True)]
        halvings.append(steps)
    return halvings


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    # Without a bias: batch normalization subtracts the mean, and with it any bias.
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def _head(code_size: int, classes: int, dropout: float) -> nn.Module:
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(code_size, classes))


def _first_convolution(
    channels: int, outputs: int, sides: Sequence[int]
) -> tuple[nn.Module, list[int], list[int]]:
    """Return AlexNet's first layer, the sides of its input and those of its output."""
    if min(sides) >= 128:
        natural = [11 + 4 * math.ceil((side - 11) / 4) for side in sides]
        after = [(side - 11) // 4 + 1 for side in natural]
        return nn.Conv2d(channels, outputs, 11, 4), natural, after
    if min(sides) >= 64:
        after = [math.ceil(side / 2) for side in sides]
        return nn.Conv2d(channels, outputs, 5, 2, padding=2), list(sides), after
    return nn.Conv2d(channels, outputs, 3, padding=1), list(sides), list(sides)
