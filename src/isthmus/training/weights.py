"""What training starts from: weights that follow from a seed, and perhaps a learnt encoder."""

from pathlib import Path

import torch

from isthmus.errors import ModelError, OptionError
from isthmus.inference import TrainedModel
from isthmus.models.config import ModelConfig, configure
from isthmus.models.layers import Network, channels_last
from isthmus.models.segmenters import load_vgg16


def initialize(model_config: ModelConfig, seed: int) -> Network:
    """Build a model with weights that follow from the seed, leaving torch's own as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return channels_last(model_config.build())


def config_on_encoder(
    source: Path, shape: tuple[int, ...], class_names: tuple[str, ...]
) -> ModelConfig:
    """Specify a classifier upon a trained model's encoder: with a linear head, or its own.

    Raises
    ------
    IsthmusError
        If there is no such model, or it takes samples of another shape.
    """
    learnt = TrainedModel.load(source).config
    _reject_shape(source, learnt, shape)
    if learnt.task == "reconstruct":
        return configure(
            "encoder",
            shape,
            learnt.code_size,
            class_names=class_names,
            options={"base": learnt.model},
        )
    return configure(
        learnt.model, shape, learnt.code_size, class_names=class_names, options=learnt.options
    )


def load_encoder(module: Network, model_config: ModelConfig, source: Path) -> None:
    """Give a model the encoder of another: of a run, or of a file of VGG-16's weights.

    Parameters
    ----------
    module : Network
    model_config : ModelConfig
        Of the module.
    source : path
        A run folder, its weights file, or for a segmenter VGG-16 as torchvision names its
        weights, .pth or .safetensors.

    Raises
    ------
    IsthmusError
        If there is no such model, or its encoder does not fit.
    """
    if source.is_file() and source.name != "model.safetensors" and model_config.task == "segment":
        load_vgg16(module, source)
        return
    learnt = TrainedModel.load(source)
    _reject_shape(source, learnt.config, model_config.shape)
    given, own = learnt.module.encoder.state_dict(), module.encoder.state_dict()
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in (given, own)]
    if shapes[0] != shapes[1]:
        raise ModelError(
            f"the encoder of {source} ({learnt.config.model}, code of {learnt.config.code_size:,}) is "
            f"not that of {model_config.model} with {model_config.code_size:,} features; leave the model out to "
            "put a linear layer behind it."
        )
    module.encoder.load_state_dict(given)


def _reject_shape(source: Path, learnt: ModelConfig, shape: tuple[int, ...]) -> None:
    if learnt.shape != tuple(shape):
        height, width = learnt.shape[1], learnt.shape[-1]
        raise OptionError(
            f"{source} was trained on samples of {_sides(learnt.shape)}, not {_sides(shape)}; "
            f"give the same size ({height}x{width}) and colors."
        )


def _sides(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, (*shape[1:], shape[0])))
