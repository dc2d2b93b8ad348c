"""The segmenters, each a function from shape, code size and number of classes to a module.

Fully convolutional networks of Long, Shelhamer and Darrell, Fully Convolutional Networks for
Semantic Segmentation, 2015, on the VGG-16 of Simonyan and Zisserman, Very Deep Convolutional
Networks, 2015. Shapes are those of one image x: (C, H, W).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from isthmus.errors import ModelError
from isthmus.files import reporting_damage
from isthmus.models.layers import Network, Segmenter, Standardize, he_normal, scale_channels

VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
STEP = 32  # places of the image a side for one of the coarsest map
DENSE = {"fc6.0.": "classifier.0.", "fc7.0.": "classifier.3."}  # ours: torchvision's
DENSE_WIDTH = 4096  # channels of VGG-16's dense layers


class Pyramid(nn.Module):
    """VGG-16 as an encoder to three maps: behind the third and fourth pooling, and behind fc7.

    They have an eighth, a sixteenth and a thirty-second of the image's sides. The dense layers
    fc6 and fc7 are convolutions. `features` has the layout of torchvision's VGG-16.
    """

    def __init__(self, features: nn.Sequential, fc6: nn.Module, fc7: nn.Module) -> None:
        super().__init__()
        self.standardize = Standardize()
        self.features = features
        self.fc6 = fc6
        self.fc7 = fc7

    def forward(self, x: Tensor) -> list[Tensor]:
        """Turn images (N, C, H, W), sides multiples of 32, into the three maps, finest first."""
        pooled = []
        x = self.standardize(x)
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                pooled.append(x)
        return [*pooled[2:4], self.fc7(self.fc6(x))]


class Skips(nn.Module):
    """Score each map by a 1 × 1 convolution; upsample the coarser scores and add the finer.

    Scores start at zero, as in the paper: the finer maps then join in as far as they help. The
    upsampling starts as bilinear interpolation; the last one stays so.

    Parameters
    ----------
    widths : sequence of int
        Channels of the maps that are used, coarsest first; each has twice the sides of the one
        before.
    classes : int
    """

    def __init__(self, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        self.scores = nn.ModuleList(nn.Conv2d(width, classes, 1) for width in widths)
        self.doublings = nn.ModuleList(bilinear(classes, 2) for _ in widths[1:])
        self.upsampling = bilinear(classes, STEP // 2 ** (len(widths) - 1)).requires_grad_(False)
        for parameter in self.scores.parameters():
            nn.init.zeros_(parameter)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Turn maps, finest first, into logits (N, K, H, W)."""
        coarsest, *finer = reversed(maps)
        first, *others = self.scores
        total: Tensor = first(coarsest)
        for score, double, features in zip(others, self.doublings, finer, strict=False):
            total = double(total) + score(features)
        logits: Tensor = self.upsampling(total)
        return logits


def fcn32s(
    shape: Sequence[int],
    code_size: int,
    classes: int,
    *,
    width: float = 1.0,
    batch_norm: bool = False,
    dropout: float = 0.5,
) -> Segmenter:
    """FCN-32s: the coarsest map alone, upsampled 32 times.

    Parameters
    ----------
    shape : (C, H, W)
    code_size : int
        Channels of fc6 and fc7.
    classes : int
    width : float
        Factor on the channels of all convolutions of VGG-16.
    batch_norm : bool
        Whether each convolution is followed by batch normalization; without learnt weights to
        begin with, the net learns much sooner with it.
    dropout : float
        Share of the features of fc6 and fc7 that is left out in training.
    """
    return _fcn(shape, code_size, classes, 0, width, batch_norm, dropout)


def fcn16s(
    shape: Sequence[int],
    code_size: int,
    classes: int,
    *,
    width: float = 1.0,
    batch_norm: bool = False,
    dropout: float = 0.5,
) -> Segmenter:
    """FCN-16s: scores of the fourth pooling are added; parameters as of `fcn32s`."""
    return _fcn(shape, code_size, classes, 1, width, batch_norm, dropout)


def fcn8s(
    shape: Sequence[int],
    code_size: int,
    classes: int,
    *,
    width: float = 1.0,
    batch_norm: bool = False,
    dropout: float = 0.5,
) -> Segmenter:
    """FCN-8s: scores of the fourth and third pooling are added; parameters as of `fcn32s`."""
    return _fcn(shape, code_size, classes, 2, width, batch_norm, dropout)


def fcn_code(shape: Sequence[int], *, width: float = 1.0, **others: Any) -> int:
    """Return the usual number of channels of fc6 and fc7: 4096 at full width."""
    return scale_channels(DENSE_WIDTH, width)


def bilinear(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Return an upsampling by an even factor that starts as bilinear interpolation.

    Each output is the mean of the inputs around it, by their nearness, so that a transposed
    convolution of twice the factor a side does it; around the image are zeros.
    """
    layer = nn.ConvTranspose2d(
        channels, channels, 2 * factor, factor, padding=factor // 2, bias=False
    )
    places = torch.arange(2 * factor) - factor + 0.5
    nearness = 1 - places.abs() / factor
    with torch.no_grad():
        layer.weight.zero_()
        for channel in range(channels):
            layer.weight[channel, channel] = torch.outer(nearness, nearness)
    return layer


def vgg16(channels: int, width: float = 1.0, batch_norm: bool = False) -> nn.Sequential:
    """Return the convolutional layers of VGG-16, in the order of torchvision's `features`."""
    layers: list[nn.Module] = []
    inner = channels
    for stage in VGG16:
        for outer in (scale_channels(count, width) for count in stage):
            layers += _convolution(inner, outer, 3, batch_norm)
            inner = outer
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def load_vgg16(module: Network, file: Path) -> None:
    """Take over the weights of a VGG-16 that was trained elsewhere, such as on ImageNet.

    Parameters
    ----------
    module : Segmenter
        A model of the rows fcn32s, fcn16s or fcn8s, of width 1. fc6 and fc7 take the file's first
        two dense layers if it has them and as many features (VGG-16: 4096) as the code size;
        otherwise they stay as they are.
    file : Path
        A state dictionary in torchvision's layout, as .pth or .safetensors; with batch
        normalization if the module has it.

    Raises
    ------
    ModelError
        If the module is another, or the file absent, damaged or of other shapes. The module is
        then as it was.
    """
    if not isinstance(module.encoder, Pyramid):
        raise ModelError("only fcn32s, fcn16s and fcn8s take the weights of a VGG-16.")
    own = module.encoder.state_dict()
    given = {_ours(name): value for name, value in _read_weights(file).items()}
    _fold_biases(given, own)
    dense = len(given.get("fc6.0.weight", ())) == len(own["fc6.0.weight"])
    taken = ("features.", *DENSE) if dense else ("features.",)
    learnt = {
        name: _fitting(file, name, given, value.shape)
        for name, value in own.items()
        if name.startswith(taken)
    }
    module.encoder.load_state_dict(learnt, strict=False)


def _fcn(
    shape: Sequence[int],
    code_size: int,
    classes: int,
    skips: int,
    width: float,
    batch_norm: bool,
    dropout: float,
) -> Segmenter:
    fourth, third = (scale_channels(count, width) for count in (512, 256))
    dense = [
        nn.Sequential(*_convolution(inner, code_size, kernel, batch_norm), nn.Dropout(dropout))
        for inner, kernel in ((fourth, 7), (code_size, 1))
    ]
    encoder = Pyramid(vgg16(shape[0], width, batch_norm), *dense).apply(he_normal)
    return Segmenter(encoder, Skips([code_size, fourth, third][: 1 + skips], classes), STEP)


def _convolution(inputs: int, outputs: int, kernel: int, batch_norm: bool) -> list[nn.Module]:
    """Return a convolution that keeps the sides, with ReLU."""
    # Batch normalization subtracts the mean, and with it any bias.
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=not batch_norm)
    return [convolution, *([nn.BatchNorm2d(outputs)] if batch_norm else []), nn.ReLU()]


def _read_weights(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise ModelError(
            f"there is no file {file}; give one with the weights of a VGG-16, .pth or .safetensors."
        )
    with reporting_damage(file, ModelError):
        try:
            weights = _parsed(file)
        except (IndexError, SafetensorError) as error:  # what the parsers raise beside the usual
            raise ValueError(error) from error
    if not (isinstance(weights, dict) and all(map(torch.is_tensor, weights.values()))):
        raise ModelError(f"{file} holds no weights by name; save the state dictionary of a VGG-16.")
    return weights


def _parsed(file: Path) -> Any:
    if file.suffix == ".safetensors":
        return safetensors.torch.load_file(file)
    return torch.load(file, map_location="cpu", weights_only=True)


def _ours(name: str) -> str:
    """Return our name of a weight of torchvision's VGG-16."""
    for ours, theirs in DENSE.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def _fold_biases(given: dict[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Move biases in front of a batch normalization into the mean that it subtracts."""
    for name in [name for name in given if name.startswith("features.") and name not in own]:
        _, place, kind = name.split(".")
        mean = f"features.{int(place) + 1}.running_mean"
        if kind == "bias" and mean in given:
            given[mean] = given[mean] - given[name]


def _fitting(file: Path, name: str, given: Mapping[str, Tensor], shape: torch.Size) -> Tensor:
    """Return a weight of the file in the module's shape, or say that it does not fit."""
    if name not in given:
        raise ModelError(
            f"{file} has no {name}; give a VGG-16 in torchvision's layout, with batch "
            "normalization for a model that has it and without for one that has not."
        )
    value = given[name]
    if name.startswith(tuple(DENSE)) and value.numel() == shape.numel():
        return value.reshape(shape)  # a dense layer's matrix becomes a convolution
    if value.shape != shape:
        raise ModelError(
            f"{file} does not fit: {name} is {tuple(value.shape)} there and {tuple(shape)} in the "
            "model; VGG-16's weights fit a model of width 1 for RGB images."
        )
    return value
