"""`summarize`: the layers of a model with their output shapes, parameters and multiplications."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from isthmus.models.config import ModelConfig
from isthmus.models.layers import count_parameters

ACTIVATIONS = (nn.ReLU, nn.ELU, nn.SELU, nn.GELU)  # listed with the layer that they follow


@dataclass(frozen=True)
class Layer:
    """One layer of a model.

    Parameters
    ----------
    name : str
        The module's name, such as encoder.0.
    kind : str
        The module's class and that of the activation that follows, such as "Conv2d + ReLU".
    shape : tuple of int
        Of its output for one sample.
    trainable, frozen : int
        Parameters; the running statistics of batch normalization count as frozen.
    macs : int
        Multiply-accumulate operations for one sample if each layer is computed separately, as the
        literature counts them. `FusedSequential` needs fewer.
    output : str
        The name of the module that returns the output: the activation that follows, if any.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    trainable: int
    frozen: int
    macs: int
    output: str


def summarize(model_config: ModelConfig) -> list[Layer]:
    """List the layers of a model in the order in which a sample passes them.

    Nothing is computed or allocated: the shapes come from a pass on torch's meta device.
    """
    module = model_config.build_on_meta().eval()
    layers: list[Layer] = []
    for name, part in module.named_modules():
        if not list(part.children()):
            part.register_forward_hook(_recorder(name, layers))
    with torch.inference_mode():
        module(torch.empty(1, *model_config.shape, device="meta"))
    return layers


def _recorder(
    name: str, layers: list[Layer]
) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def record(part: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # One row for both: activations have no parameters and keep the shape.
        if isinstance(part, ACTIVATIONS) and layers:
            layers[-1] = _with_activation(layers[-1], part, name)
            return
        layers.append(
            Layer(
                name,
                type(part).__name__,
                tuple(output.shape[1:]),
                *count_parameters(part),
                _macs(part, inputs[0], output),
                name,
            )
        )

    return record


def _with_activation(layer: Layer, activation: nn.Module, name: str) -> Layer:
    return replace(layer, kind=f"{layer.kind} + {type(activation).__name__}", output=name)


def _macs(part: nn.Module, x: Tensor, y: Tensor) -> int:
    """Count multiplications: each weight is used once for each position of its kernel."""
    if isinstance(part, nn.Linear):
        return part.weight.numel()
    if isinstance(part, nn.Conv1d | nn.Conv2d):
        return part.weight.numel() * math.prod(y.shape[2:])
    if isinstance(part, nn.ConvTranspose1d | nn.ConvTranspose2d):
        return part.weight.numel() * math.prod(x.shape[2:])
    return 0
