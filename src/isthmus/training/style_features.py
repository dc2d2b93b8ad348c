"""The network that compares images while styles are learned: opened once, then kept in the run."""

from pathlib import Path

import safetensors.torch

from isthmus.errors import RunError
from isthmus.inference.contract import is_weights_file
from isthmus.inference.trained import TrainedModel
from isthmus.models.perceptual import (
    Features,
    classifier_features,
    random_features,
    vgg16_features_of,
)
from isthmus.training.perceptual import load_features

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
    if str(source) == RANDOM:
        return RANDOM, b""
    features = load_features(source)
    path = Path(source)
    if path.is_dir() or is_weights_file(path):
        return CLASSIFIER, TrainedModel.load(path).to_bytes()
    weights = {name: value.contiguous() for name, value in features.state_dict().items()}
    return VGG16, safetensors.torch.save(weights)


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
        return vgg16_features_of(safetensors.torch.load(content))
    raise RunError(f"it has features called {kind!r}")
