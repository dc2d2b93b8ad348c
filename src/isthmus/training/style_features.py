"""The network that compares images while styles are learned: opened once, then kept in the run."""

from pathlib import Path

import safetensors.torch
import torch

from isthmus.errors import ModelError, RunError
from isthmus.inference.contract import is_weights_file
from isthmus.inference.trained import TrainedModel
from isthmus.models.perceptual import (
    Features,
    classifier_features,
    random_features,
    vgg16_features,
)

RANDOM, CLASSIFIER, VGG16 = "random", "classifier", "vgg16"


def open_features(source: str | Path) -> tuple[str, bytes]:
    """Return the kind of a network of features, and what a run keeps of it.

    Parameters
    ----------
    source : str or path
        random; the run or the file of weights of a classifier or a segmenter; or a file with the
        weights of VGG-16 as torchvision names them.

    Raises
    ------
    ModelError
        If there is no such file, or it holds no network that features can be taken from.
    """
    path = Path(source)
    if str(source) == RANDOM:
        return RANDOM, b""
    if path.is_dir() or (path.suffix == ".safetensors" and path.exists() and is_weights_file(path)):
        model = TrainedModel.load(path)
        classifier_features(model.module)  # raises if it has none
        return CLASSIFIER, model.to_bytes()
    if path.suffix in (".pth", ".pt", ".safetensors") and path.exists():
        return VGG16, _pack(vgg16_features(path))
    raise ModelError(
        f"there are no features at {source}; give random, the run of a classifier, or a file of "
        "VGG-16's weights (.pth or .safetensors)."
    )


def restore_features(kind: str, content: bytes) -> Features:
    """Return the network that `open_features` has packed.

    Raises
    ------
    IsthmusError
        If the content is damaged.
    """
    if kind == RANDOM:
        return random_features()
    if kind == CLASSIFIER:
        return classifier_features(TrainedModel.from_bytes(content).module)
    if kind == VGG16:
        return _unpack(content)
    raise RunError(f"it has features called {kind!r}")


def _pack(features: Features) -> bytes:
    return safetensors.torch.save(
        {name: value.contiguous() for name, value in features.state_dict().items()}
    )


def _unpack(content: bytes) -> Features:
    weights = safetensors.torch.load(content)
    with torch.device("meta"):
        features = vgg16_layout(any("running_mean" in name for name in weights))
    features.load_state_dict(weights, assign=True)
    return features.requires_grad_(requires_grad=False)
