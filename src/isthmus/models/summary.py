"""`summarize`: the layers of a model with their output shapes, parameters and multiplications."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from isthmus.models.config import ModelConfig
from isthmus.models.layers import Network, count_parameters
from isthmus.models.recorder import copy_modules
from isthmus.models.stylebank import STEP, StyleBank, padded_sides

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
    network = model_config.build_on_meta().eval()
    layers = summarize_network(network, model_config.shape)
    if isinstance(network, StyleBank):  # which rebuilds a sample without any style
        sides = [side // STEP for side in padded_sides(model_config.shape[1:])]
        maps = torch.zeros(1, model_config.code_size, *sides, device="meta")
        layers += _list_layers(network, lambda copy: cast("StyleBank", copy).paint_all(maps))
    return layers


def summarize_network(network: Network, shape: Sequence[int]) -> list[Layer]:
    """List the layers of a network that exists already; see `summarize`.

    A sample of zeros passes the network itself, which takes milliseconds. The meta device would
    take a second: there torch computes shapes by its Python reference and imports its compiler.

    Parameters
    ----------
    network : Network
        In evaluation mode; it is left as it is.
    shape : tuple of int
        Of one sample x: (C, H, W), or (C, L) for signals.
    """
    device = next(network.parameters()).device
    return _list_layers(network, lambda copy: copy(torch.zeros(1, *shape, device=device)))


def _list_layers(network: Network, compute: Callable[[Network], object]) -> list[Layer]:
    """List the layers that take part when a copy of a network computes something."""
    copy = copy_modules(network)  # hooks on the network itself would catch other callers
    layers: list[Layer] = []
    for name, part in copy.named_modules():
        if not list(part.children()):  # a container has no arithmetic of its own
            part.register_forward_hook(_make_hook(name, layers))
    with torch.inference_mode():
        compute(copy)
    return layers


def _make_hook(
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
    # The other way around: here each number of the input meets the whole kernel.
    if isinstance(part, nn.ConvTranspose1d | nn.ConvTranspose2d):
        return part.weight.numel() * math.prod(x.shape[2:])
    return 0
