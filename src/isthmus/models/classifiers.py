"""The classifiers, each a function from shape, code size and number of classes to a module.

Shapes are those of one image x: (C, H, W). The code size is the number of features that `encode`
gives. Where pooling does not divide a side, the rest of the border is left out.
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

COARSEST = 7  # places a side at which `cnn` stops halving
GROWTH = 8  # times the first width at which `cnn` stops doubling


class ResponseNorm(nn.Module):
    """Divide each number by the strength of the five channels around it at its place.

    Local response normalization of Krizhevsky et al. (2012), section 3.3: the number a becomes
    a / (2 + 1e-4 Σ a²)^0.75. The sums are a 1 × 1 convolution, the fastest way to have them;
    torch's own layer moreover takes their mean.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x (N, C, H, W)."""
        near = x.new_ones(x.shape[1], x.shape[1]).tril(2).triu(-2)
        strength = 2 + 1e-4 * functional.conv2d(x.square(), near[:, :, None, None])
        root = strength.rsqrt()
        return x * root * root.sqrt()


def cnn(
    shape: Sequence[int], code_size: int, classes: int, *, width: int = 32, dropout: float = 0.2
) -> Classifier:
    """Convolutions with batch normalization and ReLU, max pooling, average pooling at the end.

    A first convolution gives `width` channels. Then, while a side is above 7, pooling halves it, a
    convolution doubles the channels, up to 8 times `width`, and another adds to them what it finds
    (He et al., Deep Residual Learning, 2016). The last has `code_size` channels, whose means over
    all places are the features (Lin et al., Network in Network, 2014). Channels that are multiples
    of 16 are fastest.
    """
    return Classifier(_cnn_encoder(shape, code_size, width), _head(code_size, classes, dropout))


def cnn_autoencoder(shape: Sequence[int], code_size: int, *, width: int = 32) -> Autoencoder:
    """Give the encoder of `cnn` the decoder of `conv`.

    The encoder's parameters have the names and shapes of those of a `cnn` of the same shape, code
    size and width, so that learnt weights fit.
    """
    return Autoencoder(_cnn_encoder(shape, code_size, width), conv(shape, code_size).decoder)


def cnn_code(shape: Sequence[int], *, width: int = 32, **others: Any) -> int:
    """Return the number of channels that `cnn` has at its end."""
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

    Five convolutions, overlapping max pooling, local response normalization behind the first two,
    and two dense layers of `code_size`. The two towers of the paper, which split some layers over
    two processors, are one here: 62,378,344 parameters for 1,000 classes at 227 × 227.

    The first convolution is 11 × 11 by steps of 4, for which the input is padded (by its border)
    from 224 to 227 and likewise from other sides. Where the smaller side is below 128, it is
    5 × 5 by 2; below 64, 3 × 3 by 1: so the last map is never empty, from sides of 16 on. Weights
    start as He et al. (2015) advise for ReLU, not with the paper's deviation of 0.01 everywhere.

    Parameters
    ----------
    shape : (C, H, W)
    code_size, classes : int
    width : float
        Factor on the channels of all convolutions.
    lrn : bool
        Whether to normalize local responses.
    dropout : float
        Share of the two dense layers' features that is left out in training.
    """
    channels, *sides = shape
    a, b, c, d, e = (scale_channels(count, width) for count in (96, 256, 384, 384, 256))
    first, natural, sides = _first_convolution(channels, a, sides)
    for _ in range(3):
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
    widths[-1] = code_size
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
    return [width * min(2**stage, GROWTH) for stage in range(stages)]


def _halvings(sides: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the steps of each pooling: 2 along a side that is still above `COARSEST`, else 1."""
    halvings = []
    while max(sides) > COARSEST:
        steps = tuple(2 if side > COARSEST else 1 for side in sides)
        sides = [side // step for side, step in zip(sides, steps, strict=True)]
        halvings.append(steps)
    return halvings


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    # Batch normalization subtracts the mean, and with it any bias.
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def _head(code_size: int, classes: int, dropout: float) -> nn.Module:
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(code_size, classes))


def _first_convolution(
    channels: int, outputs: int, sides: Sequence[int]
) -> tuple[nn.Module, list[int], list[int]]:
    """Return AlexNet's first layer, the sides that it wants and those of what it gives."""
    if min(sides) >= 128:
        natural = [11 + 4 * math.ceil((side - 11) / 4) for side in sides]
        after = [(side - 11) // 4 + 1 for side in natural]
        return nn.Conv2d(channels, outputs, 11, 4), natural, after
    if min(sides) >= 64:
        after = [math.ceil(side / 2) for side in sides]
        return nn.Conv2d(channels, outputs, 5, 2, padding=2), list(sides), after
    return nn.Conv2d(channels, outputs, 3, padding=1), list(sides), list(sides)
