"""Small denoisers that nobody has trained, for tests of how they are used."""

import torch
from torch import nn

from isthmus.data.preprocess import Preprocessing
from isthmus.inference.trained import TrainedModel
from isthmus.models.config import configure

OPTIONS = {"dncnn": {"depth": 3, "width": 8}, "denoiser": {"width": 8, "blocks": 1}}


def untrained(
    channels: int = 1, *, joined: bool = False, silent: bool = False, side: int = 64
) -> TrainedModel:
    """Return a denoiser with random weights, which changes images by some 10 of 255.

    Parameters
    ----------
    channels : int
        Of its images.
    joined : bool
        Whether it is a small U-Net, which makes one of 8 × 8 pixels, or else DnCNN.
    silent : bool
        Whether it finds no noise, so that images come back as they are.
    side : int
        Of the patches that it would be trained on.
    """
    torch.manual_seed(0)
    name = "denoiser" if joined else "dncnn"
    config = configure(name, (channels, side, side), options=OPTIONS[name])
    module = config.build()
    convolutions = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    for layer in convolutions:
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        nn.init.normal_(layer.weight, 0, (layer.in_channels * 9) ** -0.5)
    nn.init.normal_(convolutions[-1].weight, 0, 0 if silent else 0.1)
    return TrainedModel(config, Preprocessing(channels=channels), module.eval())
