"""The table of models: a variant is a row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from isthmus.errors import ModelError, SettingsError
from isthmus.models.autoencoders import (
    conv,
    conv_bn_2d,
    conv_pool,
    conv_pool_code,
    conv_transpose,
    dense,
    linear,
)
from isthmus.models.blocks import Autoencoder

Activation = Literal["sigmoid", "identity"]
Kind = Literal["images", "signals"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}
KINDS: dict[int, Kind] = {3: "images", 2: "signals"}


@dataclass(frozen=True)
class Model:
    """A row of `MODELS`.

    Parameters
    ----------
    build : callable
        From the shape of one sample x and the code size to the module.
    about : str
        One line for people.
    shape : tuple of int
        The sample shape that the row was made for: (C, H, W), or (C, L) for signals.
    code_size : int or callable
        Unless the user asks for another; a callable computes it from the shape.
    activation : str
        What follows the decoder; a key of `ACTIVATIONS`.
    takes : tuple of str
        "images", "signals" or both.
    """

    build: Callable[[Sequence[int], int], Autoencoder]
    about: str
    shape: tuple[int, ...] = (1, 28, 28)
    code_size: int | Callable[[Sequence[int]], int] = 32
    activation: Activation = "sigmoid"
    takes: tuple[Kind, ...] = ("images",)


MODELS: dict[str, Model] = {
    "conv": Model(conv, "our best for images: strided convolutions, GELU, linear code"),
    "conv1d": Model(
        conv,
        "the same for signals",
        shape=(1, 128),
        activation="identity",
        takes=("signals",),
    ),
    "linear": Model(
        linear,
        "one matrix each way; equal to PCA",
        activation="identity",
        takes=("images", "signals"),
    ),
    "dense": Model(dense, "fully connected, 512-128 each way, GELU", takes=("images", "signals")),
    "dense-selu": Model(
        partial(dense, hidden=(100,), activation=nn.SELU, code_activation=nn.SELU),
        "fully connected, 100 each way, SELU",
        code_size=30,
        takes=("images", "signals"),
    ),
    "conv-pool": Model(
        conv_pool, "small convolutions, max pooling and upsampling", code_size=conv_pool_code
    ),
    "conv-bn-2d": Model(
        conv_bn_2d, "wide convolutions, batch normalisation, a code of 2", code_size=2
    ),
    "conv-transpose": Model(
        conv_transpose,
        "convolutions, max pooling, transposed convolutions, ELU",
        shape=(3, 32, 32),
        activation="identity",
    ),
}


@dataclass(frozen=True)
class Spec:
    """Everything needed to build a model again.

    Parameters
    ----------
    model : str
        A key of `MODELS`.
    shape : tuple of int
        Shape of one sample x: (C, H, W), or (C, L) for signals.
    code_size : int
    activation : str
        What follows the decoder; a key of `ACTIVATIONS`.

    Raises
    ------
    SettingsError
        If the model, the shape or the code size is none.
    ModelError
        If the model does not take samples of that shape.
    """

    model: str
    shape: tuple[int, ...]
    code_size: int
    activation: Activation

    def __post_init__(self) -> None:
        row = model_row(self.model)
        if self.code_size < 1:
            raise SettingsError(f"the code size must be at least 1, not {self.code_size}.")
        if len(self.shape) not in KINDS or min(self.shape) < 1:
            raise SettingsError(f"a sample is (C, H, W) or (C, L), not {self.shape}.")
        if (kind := KINDS[len(self.shape)]) not in row.takes:
            others = [name for name, other in MODELS.items() if kind in other.takes]
            raise ModelError(
                f"the model {self.model} takes {' and '.join(row.takes)}, not {kind}; "
                f"for {kind} there are {', '.join(others)}."
            )

    def build(self) -> Autoencoder:
        """Build the module, with fresh weights from torch's global random numbers."""
        try:
            return MODELS[self.model].build(self.shape, self.code_size)
        except RuntimeError as error:
            raise ModelError(
                f"the model {self.model} with a code of {self.code_size:,} does not fit into the "
                "memory; take a smaller code or smaller samples."
            ) from error


def model_row(name: str) -> Model:
    """Return the row of `MODELS`, or say which there are."""
    if name not in MODELS:
        raise SettingsError(f"there is no model {name!r}; there are {', '.join(MODELS)}.")
    return MODELS[name]


def specify(model: str | None, shape: Sequence[int], code_size: int | None = None) -> Spec:
    """Fill in what is left open: the model by the kind of sample, the code size by the model."""
    if model is None:
        model = "conv" if len(shape) == 3 else "conv1d"
    row = model_row(model)
    usual = row.code_size(shape) if callable(row.code_size) else row.code_size
    return Spec(model, tuple(shape), usual if code_size is None else code_size, row.activation)


def build(model: str, shape: Sequence[int], code_size: int | None = None) -> Autoencoder:
    """Build a model by name.

    Parameters
    ----------
    model : str
        A key of `MODELS`.
    shape : sequence of int
        Shape of one sample x: (C, H, W), or (C, L) for signals.
    code_size : int, optional
        By default the model's own.

    Examples
    --------
    >>> module = build("conv-pool", (1, 28, 28))
    >>> module.encode(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 128])
    """
    return specify(model, shape, code_size).build()
