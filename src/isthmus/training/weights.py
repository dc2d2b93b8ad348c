"""The weights that training starts from: a seed's, or those of a trained encoder."""

from pathlib import Path

import torch

from isthmus.errors import ModelError, OptionError
from isthmus.inference.contract import MODEL_FILE
from isthmus.inference.trained import TrainedModel
from isthmus.models.config import ModelConfig, configure
from isthmus.models.layers import Network, channels_last, require_encoder
from isthmus.models.segmenters import load_vgg16


def initialize(model_config: ModelConfig, seed: int) -> Network:
    """Build a model with weights that follow from the seed.

    torch's global random numbers stay as they were, and do not matter: a caller that has drawn
    some gets the same weights, and draws the same numbers afterwards as without this call.
    """
    with torch.random.fork_rng(devices=[]):  # of the CPU alone, where models are built
        torch.manual_seed(seed)
        return channels_last(model_config.build())


def config_on_encoder(
    source: Path, shape: tuple[int, ...], class_names: tuple[str, ...]
) -> ModelConfig:
    """Configure a classifier on a trained model's encoder.

    On the encoder of an autoencoder it is a linear layer (the row `encoder`); on that of a
    classifier it is the same model.

    Raises
    ------
    IsthmusError
        If there is no such model, or it takes samples of another shape.
    """
    trained = TrainedModel.load(source).config
    _reject_shape(source, trained, shape)
    if trained.task == "reconstruct":
        model, options = "encoder", {"base": trained.model}
    else:
        model, options = trained.model, trained.options
    return configure(model, shape, trained.code_size, class_names=class_names, options=options)


def load_encoder(module: Network, model_config: ModelConfig, source: Path) -> None:
    """Replace the weights of a model's encoder by those of another model.

    Encoders fit if their weights have the same names and shapes, whatever model they are from:
    `cnn-autoencoder` has the encoder of `cnn`, and `encoder` that of any autoencoder.

    Parameters
    ----------
    module : Network
    model_config : ModelConfig
        Config of the module.
    source : path
        A run folder, its weights file, or for a segmenter VGG-16 as torchvision names its
        weights, .pth or .safetensors.

    Raises
    ------
    IsthmusError
        If there is no such model, or its encoder does not fit.
    """
    if source.is_file() and source.name != MODEL_FILE and model_config.task == "segment":
        load_vgg16(module, source)
        return
    trained = TrainedModel.load(source)
    _reject_shape(source, trained.config, model_config.shape)
    # By names and shapes of weights, not by the model's name: several rows share an encoder.
    encoder = require_encoder(module).encoder
    weights, own = require_encoder(trained.module).encoder.state_dict(), encoder.state_dict()
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in (weights, own)]
    if shapes[0] != shapes[1]:
        raise ModelError(
            f"the encoder of {source} ({trained.config.model}, code of "
            f"{trained.config.code_size:,}) is not that of {model_config.model} with "
            f"{model_config.code_size:,} features; leave the model out to put a linear layer "
            "behind it."
        )
    encoder.load_state_dict(weights)


def _reject_shape(source: Path, trained: ModelConfig, shape: tuple[int, ...]) -> None:
    if trained.shape != tuple(shape):
        height, width = trained.shape[1], trained.shape[-1]
        raise OptionError(
            f"{source} was trained on samples of {_sides(trained.shape)}, not {_sides(shape)}; "
            f"give the same size ({height}x{width}) and colors."
        )


def _sides(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, (*shape[1:], shape[0])))
