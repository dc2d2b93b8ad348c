"""Frozen networks whose feature maps say how alike two images are, and the table that names them.

A perceptual loss compares two images by what a network sees in them instead of pixel by pixel:
Gatys, Ecker and Bethge, Image Style Transfer Using Convolutional Neural Networks, 2016. That paper
takes VGG-16's elder sister, trained on ImageNet. Weights of that size are not part of Isthmus, so
two other networks have the same interface: a classifier that was trained on the user's own
photographs, and random filters, which know textures without any training (Ustyuzhaninov et al.,
What Does It Take to Generate Natural Textures?, 2017).
"""

import copy
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.errors import ModelError
from isthmus.files import fingerprint
from isthmus.models.layers import Network, Pad, Segmenter, Standardize, require_encoder
from isthmus.models.segmenters import Pyramid, read_vgg16, take_vgg16, vgg16

RANDOM_SEED = 0
RANDOM_SCALES = 4  # the image, its half, its quarter and its eighth
RANDOM_FILTERS, RANDOM_SIDE = 32, 7  # how many, and their sides in pixels
MAX_STAGES = 4  # of a classifier: later maps know what is seen, no longer where
VGG16_NAMES = ("relu1_2", "relu2_2", "relu3_2", "relu4_2")


class Features(nn.Module):
    """A frozen network from images to named feature maps.

    It stays in evaluation mode, and none of its weights takes a gradient; gradients pass through
    to the image.

    Parameters
    ----------
    maps : nn.Module
        From images (N, 3, H, W) in [0, 1] to a list of maps (N, C', H', W').
    names : sequence of str
        Of the maps, in order.
    content, style : sequence of str
        Names of the maps that say what an image shows, and how it is painted.
    min_side : int
        The smallest side of an image in pixels.

    Attributes
    ----------
    fingerprint : str
        16 hexadecimal digits of the weights and the names.
    """

    def __init__(
        self,
        maps: nn.Module,
        names: Sequence[str],
        content: Sequence[str],
        style: Sequence[str],
        min_side: int,
    ) -> None:
        super().__init__()
        self.maps = maps
        self.names, self.content, self.style = tuple(names), tuple(content), tuple(style)
        self.min_side = min_side
        self.requires_grad_(requires_grad=False).train(mode=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Turn images x (N, 3, H, W) in [0, 1] into maps (N, C', H', W') by name."""
        return dict(zip(self.names, self.maps(x), strict=True))

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, also as a part of a module that is trained."""
        return super().train(mode=False)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of the weights and of what they are used for."""
        arrays = (value.cpu().contiguous().numpy() for value in self.state_dict().values())
        parts = (array.reshape(-1).data for array in arrays)
        return fingerprint(self.names, self.content, self.style, *parts)


# -- a chain: what pretrained networks and classifiers are ----------------------------------


class Chain(nn.Module):
    """Stages one after the other; the output of each is a map.

    Parameters
    ----------
    stages : sequence of nn.Module
    channels : int
        What the first stage takes: 3 for color, 1 for gray, to which color is turned first.
    """

    def __init__(self, stages: Sequence[nn.Module], channels: int = 3) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.channels = channels

    def forward(self, x: Tensor) -> list[Tensor]:
        """Turn images (N, 3, H, W) in [0, 1] into the stages' maps, finest first."""
        if self.channels == 1:
            x = (x * x.new_tensor(OPPONENT[0])[:, None, None]).sum(1, keepdim=True)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def split_at_pooling(layers: Sequence[nn.Module]) -> list[nn.Sequential]:
    """Divide convolutional layers into stages; each after the first begins with its pooling.

    The layers end where the maps do: at a layer that flattens them or takes their mean. What pads
    them to the sides of one size of image is left out.
    """
    stages: list[list[nn.Module]] = [[]]
    for layer in layers:
        if isinstance(layer, nn.Flatten | nn.AdaptiveAvgPool2d):
            break
        if isinstance(layer, nn.MaxPool2d):
            stages.append([])
        stages[-1] += [] if isinstance(layer, Pad) else [layer]
    # A pooling at the end has no layers behind it and is no stage of its own.
    return [nn.Sequential(*stage) for stage in stages if len(stage) > 1]


# -- the three networks ---------------------------------------------------------------------


def vgg16_features(file: Path) -> Features:
    """Return VGG-16 up to relu4_2, with the weights of a file.

    Content is relu4_2's as in StyleBank (Chen et al. 2017), style that of relu1_2, relu2_2,
    relu3_2 and relu4_2.

    Parameters
    ----------
    file : Path
        A state dictionary in torchvision's layout, as .pth or .safetensors, with or without batch
        normalization.

    Raises
    ------
    ModelError
        If the file is missing or damaged, or holds other weights.
    """
    weights = read_vgg16(file)
    network = vgg16(3, batch_norm=any(name.endswith("running_mean") for name in weights))
    own = {f"features.{name}": value for name, value in network.state_dict().items()}
    learned = take_vgg16(file, weights, own)
    network.load_state_dict({name.removeprefix("features."): v for name, v in learned.items()})
    return _cut_vgg16(network)


def vgg16_features_of(weights: Mapping[str, Tensor]) -> Features:
    """Return what `vgg16_features` has returned, from the weights of its state dictionary.

    Raises
    ------
    RuntimeError
        If they are others.
    """
    has_batch_norm = any(name.endswith("running_mean") for name in weights)
    with torch.device("meta"):
        features = _cut_vgg16(vgg16(3, batch_norm=has_batch_norm))
    features.load_state_dict(weights, assign=True)
    return features.requires_grad_(requires_grad=False)


def _cut_vgg16(network: nn.Sequential) -> Features:
    return Features(Chain(_vgg16_stages(network)), VGG16_NAMES, VGG16_NAMES[-1:], VGG16_NAMES, 16)


def _vgg16_stages(network: nn.Sequential) -> list[nn.Sequential]:
    """Divide VGG-16 behind the second ReLU of each of its first four stages."""
    stages: list[list[nn.Module]] = [[Standardize()]]
    rectified = 0
    for layer in network:
        # In place would change a map after it was returned.
        stages[-1].append(nn.ReLU() if isinstance(layer, nn.ReLU) else layer)
        rectified = 0 if isinstance(layer, nn.MaxPool2d) else rectified + isinstance(layer, nn.ReLU)
        if isinstance(layer, nn.ReLU) and rectified == 2:
            stages.append([])
    return [nn.Sequential(*stage) for stage in stages[: len(VGG16_NAMES)]]


def classifier_features(network: Network, name: str = "the model") -> Features:
    """Return the maps of a trained network before each of its poolings.

    Content is that of the third stage, or of the last one of fewer; style is that of all.

    Parameters
    ----------
    network : Network
        With an encoder of convolutions and max pooling: `cnn`, `cnn-tiny`, `cnn-small`, the encoder
        of `cnn-autoencoder`, `fcn8s`. It is copied and left as it is.
    name : str
        What it is called in a message.

    Raises
    ------
    ModelError
        If its encoder has no pooling, or takes images of one size alone.
    """
    stages = split_at_pooling(copy.deepcopy(_layers(network)))[:MAX_STAGES]
    parts = [part for stage in stages for part in stage.modules()]
    convolutions = [part for part in parts if isinstance(part, nn.Conv2d)]
    if len(stages) < 2 or not convolutions:
        raise ModelError(
            f"{name} has no maps of images that max pooling makes coarser and coarser; give a run "
            "of cnn, cnn-tiny or cnn-small."
        )
    channels = convolutions[0].in_channels
    names = [f"stage{number}" for number in range(1, len(stages) + 1)]
    return Features(Chain(stages, channels), names, [names[:3][-1]], names, 2 ** len(stages))


def _layers(network: Network) -> list[nn.Module]:
    encoder = require_encoder(network).encoder
    if isinstance(network, Segmenter) and isinstance(encoder, Pyramid):
        return [encoder.standardize, *encoder.features]
    return list(encoder.children())


# Of colors (R, G, B): brightness, red against green, and both against blue. All three count alike
# when they are divided by their standard deviations, here those of photographs of cats and dogs.
OPPONENT = ((0.299, 0.587, 0.114), (1.0, -1.0, 0.0), (0.5, 0.5, -1.0))
DEVIATIONS = (0.24, 0.09, 0.10)
GRAY = 0.45  # the mean brightness there
# What is left of the second and third in textures. Without any, gray strokes come out in the colors
# of a rainbow; with all, colors drown the strokes.
TEXTURE_COLOR = 1 / 3
NEIGHBORHOOD = 9  # pixels a side, in which the contrast of edges is measured
LEAST_CONTRAST = 0.05  # of brightness; what is below it counts as even


class RandomMaps(nn.Module):
    """Textures by random filters at several scales, the colors, and edges at two scales.

    - `texture1`, `texture2`, ...: the same filters with ReLU on the image, its half, and so on.
      Each scale is seen without what the next coarser one shows: the image minus its blurred self,
      as in the pyramid of Burt and Adelson (1983). Bright areas would drown the texture otherwise.
    - `colors`: a one and the three color channels, at a quarter of the sides. Their Gram matrix
      holds the mean color and how colors vary.
    - `edges2`, `edges4`: brightness minus its mean around, divided by its deviation around (Jarrett
      et al., What Is the Best Multi-Stage Architecture for Object Recognition?, 2009, section 2.1).
      A style may then change colors, brightness and contrast of what a photograph shows.

    Parameters
    ----------
    filters : (C', 3, S, S) float32
    scales : int
        Three or more.
    """

    filters: Tensor

    def __init__(self, filters: Tensor, scales: int) -> None:
        super().__init__()
        self.register_buffer("filters", filters)
        self.textures = tuple(f"texture{2**scale}" for scale in range(scales))
        self.names = (*self.textures, "colors", "edges2", "edges4")

    def forward(self, x: Tensor) -> list[Tensor]:
        """Turn images (N, 3, H, W) in [0, 1] into the maps `names`."""
        scales = [to_opponent(x)]
        for _ in self.textures[1:]:
            scales.append(halve(scales[-1]))
        details = [one - _enlarge(two, one.shape[2:]) for one, two in itertools.pairwise(scales)]
        textures = [self._see(one) for one in (*details, scales[-1])]
        colors = torch.cat([torch.ones_like(scales[2][:, :1]), scales[2]], 1)
        return [*textures, colors, *(_edges(one[:, :1]) for one in scales[1:3])]

    def _see(self, x: Tensor) -> Tensor:
        margin = self.filters.shape[-1] // 2
        x = x * x.new_tensor([1, TEXTURE_COLOR, TEXTURE_COLOR])[:, None, None]
        x = functional.pad(x, [margin] * 4, mode="replicate")
        return functional.relu(functional.conv2d(x, self.filters))


def random_features(seed: int = RANDOM_SEED) -> Features:
    """Return random filters at several scales; see `RandomMaps`.

    The shallow networks of Ustyuzhaninov et al. (2017) have filters of several sizes; here images
    of several sizes have one set of filters, which takes a tenth of the arithmetic.

    Parameters
    ----------
    seed : int
        Of the filters.
    """
    shape = (RANDOM_FILTERS, 3, RANDOM_SIDE, RANDOM_SIDE)
    drawn = np.random.default_rng(seed).standard_normal(shape, np.float32)
    # Deviation 1 / √inputs, so that a map has about the deviation of what it sees.
    maps = RandomMaps(torch.from_numpy(drawn) / (3 * RANDOM_SIDE**2) ** 0.5, RANDOM_SCALES)
    style, content = maps.names[:-2], maps.names[-2:]
    return Features(maps, maps.names, content, style, 2**RANDOM_SCALES)


def to_opponent(x: Tensor) -> Tensor:
    """Turn images (N, 3, H, W) in [0, 1] into brightness and two colors, of deviation about 1."""
    matrix = x.new_tensor(OPPONENT) / x.new_tensor(DEVIATIONS)[:, None]
    return functional.conv2d(x - GRAY, matrix[:, :, None, None])


def halve(x: Tensor) -> Tensor:
    """Blur images (N, C, H, W) and keep every second pixel, as Burt and Adelson (1983) do.

    Means of 2 × 2 pixels would be faster, but images that are optimized by them show their squares.
    """
    weights = x.new_tensor([1, 4, 6, 4, 1]) / 16
    kernel = torch.outer(weights, weights).expand(x.shape[1], 1, 5, 5)
    padded = functional.pad(x, [2] * 4, mode="replicate")
    return functional.conv2d(padded, kernel, stride=2, groups=x.shape[1])


def _enlarge(x: Tensor, sides: Sequence[int]) -> Tensor:
    # Corners are aligned as `halve` keeps the first pixel of each pair.
    return functional.interpolate(x, size=tuple(sides), mode="bilinear", align_corners=True)


def _edges(x: Tensor) -> Tensor:
    difference = x - _mean_around(x)
    least = (LEAST_CONTRAST / DEVIATIONS[0]) ** 2
    return difference / (_mean_around(difference.square()) + least).sqrt()


def _mean_around(x: Tensor) -> Tensor:
    padded = functional.pad(x, [NEIGHBORHOOD // 2] * 4, mode="replicate")
    return functional.avg_pool2d(padded, NEIGHBORHOOD, 1)
