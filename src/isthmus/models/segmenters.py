"""The segmenters: functions from shape, code size and number of classes to a module.

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

from isthmus.damage import reporting_damage
from isthmus.errors import ModelError
from isthmus.files import suggest_path
from isthmus.models.layers import Network, Segmenter, Standardize, he_normal, scale_channels

VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
STEP = 32  # pixels of the image along a side for one of the coarsest map
DENSE = {"fc6.0.": "classifier.0.", "fc7.0.": "classifier.3."}  # our name: torchvision's
DENSE_WIDTH = 4096  # channels of VGG-16's dense layers


class Pyramid(nn.Module):
    """VGG-16 as an encoder to three maps: after the third and fourth pooling, and after fc7.

    They have an eighth, a sixteenth and a thirty-second of the image's sides. The dense layers
    fc6 and fc7 are convolutions, so that images of any size pass. `features` has the layout of
    torchvision's VGG-16, so that its weights fit; see `load_vgg16`.
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
            if isinstance(layer, nn.MaxPool2d):  # the position depends on batch normalization
                pooled.append(x)
        return [*pooled[2:4], self.fc7(self.fc6(x))]


class Skips(nn.Module):
    """Score each map by a 1 × 1 convolution; upsample the coarser scores and add the finer.

    Scores start at zero, as in the paper: training then adds the finer maps as far as they help.
    The upsampling starts as bilinear interpolation; that of the sum keeps it.

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
        # Fixed, as in the paper; the doublings before it may learn.
        self.upsampling = bilinear(classes, STEP // 2 ** (len(widths) - 1)).requires_grad_(False)
        for parameter in self.scores.parameters():
            nn.init.zeros_(parameter)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Turn maps, finest first, into logits (N, K, H, W)."""
        coarsest, *finer = reversed(maps)
        first, *others = self.scores
        total: Tensor = first(coarsest)
        # Not strict: the encoder returns three maps, of which FCN-32s and FCN-16s use fewer.
        for score, double, features in zip(others, self.doublings, finer, strict=False):
            total = double(total) + score(features)
        logits: Tensor = self.upsampling(total)
        return logits


def fcn(
    skips: int,
    shape: Sequence[int],
    code_size: int,
    classes: int,
    *,
    width: float = 1.0,
    batch_norm: bool = False,
    dropout: float = 0.5,
) -> Segmenter:
    """Build FCN-32s, FCN-16s or FCN-8s.

    Parameters
    ----------
    skips : int
        0 for FCN-32s, the coarsest map alone, upsampled 32 times; 1 for FCN-16s, which adds scores
        of the fourth pooling; 2 for FCN-8s, which also adds those of the third.
    shape : (C, H, W)
    code_size : int
        Channels of fc6 and fc7.
    classes : int
    width : float
        Factor on the channels of all convolutions of VGG-16.
    batch_norm : bool
        Whether batch normalization follows each convolution; from random weights the network learns
        much faster with it.
    dropout : float
        Share of the features of fc6 and fc7 that is dropped in training.
    """
    fourth, third = (scale_channels(count, width) for count in (512, 256))
    dense = [
        nn.Sequential(*_convolution(inner, code_size, kernel, batch_norm), nn.Dropout(dropout))
        for inner, kernel in ((fourth, 7), (code_size, 1))
    ]
    encoder = Pyramid(vgg16(shape[0], width, batch_norm), *dense).apply(he_normal)
    return Segmenter(encoder, Skips([code_size, fourth, third][: 1 + skips], classes), STEP)


def fcn_code_size(shape: Sequence[int], *, width: float = 1.0, **others: Any) -> int:
    """Return the default number of channels of fc6 and fc7: 4096 at full width."""
    return scale_channels(DENSE_WIDTH, width)


def bilinear(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Return an upsampling by an even factor that starts as bilinear interpolation.

    Each output is the mean of the inputs around it, weighted by nearness. A transposed convolution
    whose kernel has twice the factor a side computes that; outside of the image are zeros.
    """
    layer = nn.ConvTranspose2d(
        channels, channels, 2 * factor, factor, padding=factor // 2, bias=False
    )
    offsets = torch.arange(2 * factor) - factor + 0.5
    nearness = 1 - offsets.abs() / factor
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
    """Copy the weights of a VGG-16 that was trained elsewhere, such as on ImageNet, into a model.

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
        If the module is of another row, or the file is missing, damaged or of other shapes. The
        module then stays as it is.
    """
    if not isinstance(module.encoder, Pyramid):
        raise ModelError("only fcn32s, fcn16s and fcn8s take the weights of a VGG-16.")
    own = module.encoder.state_dict()
    weights = read_vgg16(file)
    has_dense = len(weights.get("fc6.0.weight", ())) == len(own["fc6.0.weight"])
    prefixes = ("features.", *DENSE) if has_dense else ("features.",)
    wanted = {name: value for name, value in own.items() if name.startswith(prefixes)}
    # All are checked before one is copied, so that an error leaves the module as it was.
    module.encoder.load_state_dict(take_vgg16(file, weights, wanted), strict=False)


def read_vgg16(file: Path) -> dict[str, Tensor]:
    """Return the weights of a VGG-16 by our names: `features.…`, `fc6.…` and `fc7.…`.

    Raises
    ------
    ModelError
        If the file is missing or damaged, or holds no weights by name.
    """
    return {_rename(name): value for name, value in _read_weights(file).items()}


def take_vgg16(
    file: Path, weights: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return what replaces the weights `own` of a module, in their shapes.

    Parameters
    ----------
    file : Path
        For messages.
    weights : mapping
        From `read_vgg16`.
    own : mapping
        Weights of the module, by our names.

    Raises
    ------
    ModelError
        If a weight is missing or has another shape.
    """
    weights = dict(weights)
    _fold_biases(weights, own)
    return {name: _take_weight(file, name, weights, value.shape) for name, value in own.items()}


def _convolution(inputs: int, outputs: int, kernel: int, batch_norm: bool) -> list[nn.Module]:
    """Return a convolution that keeps the sides, with ReLU."""
    # Without a bias before batch normalization, which subtracts the mean and with it any bias.
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=not batch_norm)
    return [convolution, *([nn.BatchNorm2d(outputs)] if batch_norm else []), nn.ReLU()]


def _read_weights(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise ModelError(
            f"there is no file {file}{suggest_path(file)}; give one with the weights of a VGG-16, "
            ".pth or .safetensors."
        )
    with reporting_damage(file, ModelError):
        try:
            weights = _parse(file)
        except (IndexError, SafetensorError) as error:  # the parsers raise these, too
            raise ValueError(error) from error
    if not (isinstance(weights, dict) and all(map(torch.is_tensor, weights.values()))):
        raise ModelError(f"{file} holds no weights by name; save the state dictionary of a VGG-16.")
    return weights


def _parse(file: Path) -> Any:
    if file.suffix == ".safetensors":
        return safetensors.torch.load_file(file)
    return torch.load(file, map_location="cpu", weights_only=True)


def _rename(name: str) -> str:
    """Return our name for a weight of torchvision's VGG-16."""
    for ours, theirs in DENSE.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def _fold_biases(weights: dict[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Move biases before a batch normalization into the mean that it subtracts.

    torchvision's convolutions have a bias there, ours have none.
    """
    for name in [name for name in weights if name.startswith("features.") and name not in own]:
        _, index, kind = name.split(".")
        mean = f"features.{int(index) + 1}.running_mean"
        if kind == "bias" and mean in weights:
            weights[mean] = weights[mean] - weights[name]


def _take_weight(file: Path, name: str, weights: Mapping[str, Tensor], shape: torch.Size) -> Tensor:
    """Return a weight of the file in the module's shape; raise if it does not fit."""
    if name not in weights:
        raise ModelError(
            f"{file} has no {name}; give a VGG-16 in torchvision's layout, with batch "
            "normalization if and only if the model has it."
        )
    value = weights[name]
    if name.startswith(tuple(DENSE)) and value.numel() == shape.numel():
        return value.reshape(shape)  # a dense layer's matrix becomes a convolution
    if value.shape != shape:
        raise ModelError(
            f"{file} does not fit: {name} is {tuple(value.shape)} there and {tuple(shape)} in the "
            "model; VGG-16's weights fit a model of width 1 for RGB images."
        )
    return value
