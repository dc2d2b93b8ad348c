"""The table of models: a variant is a row."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from isthmus.errors import ModelError, OptionError
from isthmus.models.autoencoders import (
    conv,
    conv_bn_2d,
    conv_pool,
    conv_pool_code,
    conv_transpose,
    dense,
    linear,
)
from isthmus.models.classifiers import alexnet, cnn, cnn_autoencoder, cnn_code, cnn_small
from isthmus.models.layers import Autoencoder, Classifier, Network
from isthmus.models.segmenters import fcn8s, fcn16s, fcn32s, fcn_code

Activation = Literal["sigmoid", "identity", "softmax"]
Kind = Literal["images", "signals"]
Task = Literal["reconstruct", "classify", "segment"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
    "softmax": partial(torch.softmax, dim=1),
}
KINDS: dict[int, Kind] = {3: "images", 2: "signals"}
TASKS: dict[Task, str] = {  # task: its models in words
    "reconstruct": "autoencoder",
    "classify": "classifier",
    "segment": "segmenter",
}


@dataclass(frozen=True)
class ModelRow:
    """A row of `MODELS`.

    Parameters
    ----------
    build : callable
        From the shape of one sample x and the code size to the module; for classifiers and
        segmenters from shape, code size and number of classes. Its keyword-only parameters are
        the row's options.
    about : str
        One line for people.
    shape : tuple of int
        The sample shape that the row was made for: (C, H, W), or (C, L) for signals.
    code_size : int or callable
        Unless the user asks for another; a callable computes it from the shape and the options.
    activation : str
        What follows the output; a key of `ACTIVATIONS`.
    takes : tuple of str
        "images", "signals" or both.
    task : str
        "reconstruct", "classify" or "segment".
    classes : int
        The number of classes that the row was made for; 0 for autoencoders.
    smallest : int
        The smallest side that it takes.
    lr_scale : float
        Factor on an optimizer's usual learning rate; below 1 for models without batch
        normalization that would diverge or stand still at it.
    """

    build: Callable[..., Network]
    about: str
    shape: tuple[int, ...] = (1, 28, 28)
    code_size: int | Callable[..., int] = 32
    activation: Activation = "sigmoid"
    takes: tuple[Kind, ...] = ("images",)
    task: Task = "reconstruct"
    classes: int = 0
    smallest: int = 1
    lr_scale: float = 1.0

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names for as many classes as the row was made for, to look at it without data."""
        return tuple(map(str, range(self.classes)))

    @property
    def options(self) -> dict[str, Any]:
        """The options with their defaults: the builder's keyword-only parameters."""
        function, given = self.build, {}
        if isinstance(self.build, partial):
            function, given = self.build.func, self.build.keywords
        parameters = inspect.signature(function).parameters.values()
        keywords = [one for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
        return {one.name: given.get(one.name, one.default) for one in keywords}


def linear_probe(
    shape: Sequence[int], code_size: int, classes: int, *, base: str = "conv"
) -> Classifier:
    """Put one linear layer behind the encoder of an autoencoder.

    The parameters of the encoder have the names that they have in the autoencoder, so that
    learnt weights fit.
    """
    row = model_row(base)
    require_kind(base, shape)
    autoencoder = row.build(shape, code_size)
    if not isinstance(autoencoder, Autoencoder):
        raise OptionError(f"the model {base} is no autoencoder, whose encoder could be taken.")
    return Classifier(autoencoder.encoder, nn.Linear(code_size, classes))


def linear_probe_code(shape: Sequence[int], *, base: str = "conv") -> int:
    """Return the code size that the autoencoder has by default."""
    row = model_row(base)
    return default_code_size(row, shape, row.options)


# Trains from nothing on a laptop; VGG-16's own weights need width 1 and no batch normalization.
SLIM: dict[str, Any] = {"width": 0.25, "batch_norm": True}
classifier = partial(ModelRow, activation="softmax", task="classify", classes=10)
segmenter = partial(
    ModelRow,
    shape=(3, 224, 224),
    code_size=fcn_code,
    activation="softmax",
    task="segment",
    classes=21,
)

MODELS: dict[str, ModelRow] = {
    "conv": ModelRow(conv, "our best for images: strided convolutions, GELU, linear code"),
    "conv1d": ModelRow(
        conv,
        "the same for signals",
        shape=(1, 128),
        activation="identity",
        takes=("signals",),
    ),
    "linear": ModelRow(
        linear,
        "one matrix each way; learns what PCA finds",
        activation="identity",
        takes=("images", "signals"),
    ),
    "dense": ModelRow(
        dense, "fully connected, 512-128 each way, GELU", takes=("images", "signals")
    ),
    "dense-selu": ModelRow(
        partial(dense, hidden=(100,), activation=nn.SELU, code_activation=nn.SELU),
        "fully connected, 100 each way, SELU",
        code_size=30,
        takes=("images", "signals"),
    ),
    "conv-pool": ModelRow(
        conv_pool, "small convolutions, max pooling and upsampling", code_size=conv_pool_code
    ),
    "conv-bn-2d": ModelRow(
        conv_bn_2d, "wide convolutions, batch normalization, a code of 2", code_size=2
    ),
    "conv-transpose": ModelRow(
        conv_transpose,
        "convolutions, max pooling, transposed convolutions, ELU",
        shape=(3, 32, 32),
        activation="identity",
    ),
    "cnn-autoencoder": ModelRow(
        cnn_autoencoder,
        "the encoder of `cnn` and a decoder, to learn from images without labels",
        shape=(3, 64, 64),
        code_size=cnn_code,
    ),
    "cnn": classifier(
        cnn,
        "our best classifier: convolutions, batch normalization, average pooling",
        shape=(3, 64, 64),
        code_size=cnn_code,
    ),
    "cnn-tiny": classifier(
        partial(cnn, width=16),
        "the same with fewer than 100,000 parameters",
        code_size=cnn_code,
    ),
    "cnn-small": classifier(
        cnn_small,
        "two convolutions and a dense layer",
        code_size=128,
        smallest=4,
        lr_scale=0.2,
    ),
    "alexnet": classifier(
        alexnet,
        "AlexNet, Krizhevsky et al. 2012, in one tower",
        shape=(3, 227, 227),
        code_size=4096,
        classes=1000,
        smallest=16,
        lr_scale=0.1,
    ),
    "encoder": classifier(
        linear_probe,
        "the encoder of an autoencoder and one linear layer",
        code_size=linear_probe_code,
        takes=("images", "signals"),
    ),
    "encoder1d": classifier(
        partial(linear_probe, base="conv1d"),
        "the same for signals",
        shape=(1, 128),
        code_size=linear_probe_code,
        takes=("signals",),
    ),
    "fcn32s": segmenter(
        partial(fcn32s, **SLIM), "FCN-32s on a slim VGG-16, Long et al. 2015: no skips"
    ),
    "fcn16s": segmenter(partial(fcn16s, **SLIM), "FCN-16s: one skip, from pool4"),
    "fcn8s": segmenter(partial(fcn8s, **SLIM), "FCN-8s: two skips, from pool4 and pool3"),
}
DEFAULT_MODELS: dict[tuple[Task, Kind], str] = {  # the model where none is named
    ("reconstruct", "images"): "conv",
    ("reconstruct", "signals"): "conv1d",
    ("classify", "images"): "cnn",
    ("classify", "signals"): "encoder1d",
    ("segment", "images"): "fcn8s",
}


def model_row(name: str) -> ModelRow:
    """Return the row of `MODELS`, or say which there are."""
    if name not in MODELS:
        raise OptionError(f"there is no model {name!r}; there are {', '.join(MODELS)}.")
    return MODELS[name]


def models_for(task: Task, kind: Kind | None = None) -> list[str]:
    """List the models of a task, and of a kind of samples."""
    rows = [(name, row) for name, row in MODELS.items() if row.task == task]
    return [name for name, row in rows if kind is None or kind in row.takes]


def default_code_size(row: ModelRow, shape: Sequence[int], options: Mapping[str, Any]) -> int:
    """Return the code size of a row where none is asked for."""
    return row.code_size(shape, **options) if callable(row.code_size) else row.code_size


def require_kind(model: str, shape: Sequence[int]) -> None:
    """Refuse samples that the model does not take."""
    row, kind = MODELS[model], KINDS[len(shape)]
    if kind in row.takes:
        return
    others = models_for(row.task, kind)
    raise ModelError(
        f"the model {model} takes {' and '.join(row.takes)}, not {kind}; "
        f"for {kind} there {'are ' + ', '.join(others) if others else 'is none'}."
    )
