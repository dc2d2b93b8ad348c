"""The table of models: a variant is a row, not a class.

A builder is a function from a sample's shape and a code size to a module. A preset with other
options is one more line, and the message about an unknown name lists the rows.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from isthmus.errors import ModelError, OptionError, require_known
from isthmus.models.autoencoders import (
    conv,
    conv_bn_2d,
    conv_pool,
    conv_pool_code_size,
    conv_transpose,
    dense,
    linear,
)
from isthmus.models.classifiers import alexnet, cnn, cnn_autoencoder, cnn_code_size, cnn_small
from isthmus.models.denoisers import denoiser, dncnn
from isthmus.models.layers import Autoencoder, Classifier, Network
from isthmus.models.segmenters import fcn, fcn_code_size
from isthmus.models.stylebank import stylebank
from isthmus.models.tasks import KINDS, Activation, Kind, Task
from isthmus.models.variational import variational_conv, variational_dense

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
    "softmax": partial(torch.softmax, dim=1),
}


@dataclass(frozen=True)
class ModelRow:
    """A row of `MODELS`.

    Parameters
    ----------
    build : callable
        Takes the shape of one sample x and the code size, for classifiers and segmenters also the
        number of classes and for style banks that of styles, and returns the module. Its
        keyword-only parameters are the row's options.
    description : str
        One line for people.
    shape : tuple of int
        The sample shape that the row is meant for: (C, H, W), or (C, L) for signals.
    code_size : int or callable
        The default; a callable computes it from the shape and the options.
    activation : str
        What follows the output; a key of `ACTIVATIONS`.
    kinds : tuple of str
        The kinds of samples: "images", "signals" or both.
    task : str
        A key of `TASKS`.
    classes : int
        The number of classes that the row is meant for; 0 for autoencoders.
    styles : int
        The number of styles that the row is meant for; 0 for all but style banks.
    min_side : int
        The smallest side that a sample may have.
    lr_scale : float
        Factor on an optimizer's default learning rate; below 1 for models without batch
        normalization, which would diverge or stop learning at the default.
    objective : str
        What training reduces; a key of `training.objectives.OBJECTIVES`.
    """

    build: Callable[..., Network]
    description: str
    shape: tuple[int, ...] = (1, 28, 28)
    code_size: int | Callable[..., int] = 32
    activation: Activation = "sigmoid"
    kinds: tuple[Kind, ...] = ("images",)
    task: Task = "reconstruct"
    classes: int = 0
    styles: int = 0
    min_side: int = 1
    lr_scale: float = 1.0
    objective: str = "output-loss"

    @property
    def class_names(self) -> tuple[str, ...]:
        """Placeholder names for the row's number of classes, to build the model without data."""
        return tuple(map(str, range(self.classes)))

    @property
    def style_names(self) -> tuple[str, ...]:
        """Placeholder names for the row's number of styles, to build the model without data."""
        return tuple(map(str, range(self.styles)))

    @property
    def options(self) -> dict[str, Any]:
        """The options with their defaults: the builder's keyword-only parameters."""
        # The signature of a partial would also list keywords that are no options, such as the
        # `hidden` of `dense-selu`.
        function, preset = self.build, {}
        if isinstance(self.build, partial):
            function, preset = self.build.func, self.build.keywords
        parameters = inspect.signature(function).parameters.values()
        keywords = [one for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
        return {one.name: preset.get(one.name, one.default) for one in keywords}


def linear_probe(
    shape: Sequence[int], code_size: int, classes: int, *, base: str = "conv"
) -> Classifier:
    """Return the encoder of an autoencoder followed by one linear layer.

    The parameters of the encoder have the same names as in the autoencoder, so that learned weights
    fit.
    """
    row = model_row(base)
    require_kind(base, shape)
    # A builder returns a whole model, of which the decoder is dropped.
    autoencoder = row.build(shape, code_size)
    if not isinstance(autoencoder, Autoencoder):
        raise OptionError(f"the model {base} is not an autoencoder; give base the name of one.")
    return Classifier(autoencoder.encoder, nn.Linear(code_size, classes))


def linear_probe_code_size(shape: Sequence[int], *, base: str = "conv") -> int:
    """Return the code size that the autoencoder has by default."""
    row = model_row(base)
    return default_code_size(row, shape, row.options)


# A slim VGG-16 trains from random weights on a laptop. Weights of a trained one (`load_vgg16`) need
# width 1, and batch normalization only if they have it.
SLIM: dict[str, Any] = {"width": 0.25, "batch_norm": True}
classifier = partial(ModelRow, activation="softmax", task="classify", classes=10)
segmenter = partial(
    ModelRow,
    shape=(3, 224, 224),
    code_size=fcn_code_size,
    activation="softmax",
    task="segment",
    classes=21,
)
of_images = partial(
    ModelRow,
    shape=(1, 64, 64),
    code_size=0,
    activation="identity",
    task="denoise",
    objective="denoising",
)

MODELS: dict[str, ModelRow] = {
    # The parameters of `conv` were chosen on validation data of Fashion-MNIST (code of 2) and LFW
    # (code of 32); see its docstring. The other autoencoders rebuild presets of the literature.
    "conv": ModelRow(conv, "our best for images: strided convolutions, GELU, linear code"),
    "conv1d": ModelRow(
        conv,
        "the same for signals",
        shape=(1, 128),
        activation="identity",
        kinds=("signals",),
    ),
    "linear": ModelRow(
        linear,
        "one matrix each way; learns what PCA finds",
        activation="identity",
        kinds=("images", "signals"),
    ),
    "dense": ModelRow(
        dense, "fully connected, 512-128 each way, GELU", kinds=("images", "signals")
    ),
    "dense-selu": ModelRow(
        partial(dense, hidden=(100,), activation=nn.SELU, code_activation=nn.SELU),
        "fully connected, 100 each way, SELU",
        code_size=30,
        kinds=("images", "signals"),
    ),
    "conv-pool": ModelRow(
        conv_pool, "small convolutions, max pooling and upsampling", code_size=conv_pool_code_size
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
    "vae": ModelRow(
        variational_conv,
        "`conv` as a variational autoencoder: codes to sample from",
        objective="variational",
    ),
    "dense-vae": ModelRow(
        variational_dense,
        "`dense` as a variational autoencoder",
        kinds=("images", "signals"),
        objective="variational",
    ),
    "cnn-autoencoder": ModelRow(
        cnn_autoencoder,
        "the encoder of `cnn` and a decoder, to learn from images without labels",
        shape=(3, 64, 64),
        code_size=cnn_code_size,
    ),
    "cnn": classifier(
        cnn,
        "our best classifier: convolutions, batch normalization, average pooling",
        shape=(3, 64, 64),
        code_size=cnn_code_size,
    ),
    "cnn-tiny": classifier(
        partial(cnn, width=16),
        "the same with fewer than 100,000 parameters",
        code_size=cnn_code_size,
    ),
    "cnn-small": classifier(
        cnn_small,
        "two convolutions and a dense layer",
        code_size=128,
        min_side=4,
        lr_scale=0.2,
    ),
    "alexnet": classifier(
        alexnet,
        "AlexNet, Krizhevsky et al. 2012, in one tower",
        shape=(3, 227, 227),
        code_size=4096,
        classes=1000,
        min_side=16,
        lr_scale=0.1,
    ),
    "encoder": classifier(
        linear_probe,
        "the encoder of an autoencoder and one linear layer",
        code_size=linear_probe_code_size,
        kinds=("images", "signals"),
    ),
    "encoder1d": classifier(
        partial(linear_probe, base="conv1d"),
        "the same for signals",
        shape=(1, 128),
        code_size=linear_probe_code_size,
        kinds=("signals",),
    ),
    "fcn32s": segmenter(
        partial(fcn, 0, **SLIM), "FCN-32s on a slim VGG-16, Long et al. 2015: no skips"
    ),
    "fcn16s": segmenter(partial(fcn, 1, **SLIM), "FCN-16s: one skip, from pool4"),
    "fcn8s": segmenter(partial(fcn, 2, **SLIM), "FCN-8s: two skips, from pool4 and pool3"),
    "stylebank": ModelRow(
        stylebank,
        "StyleBank, Chen et al. 2017: an autoencoder and a few layers for each style",
        shape=(3, 128, 128),
        code_size=96,
        activation="identity",
        task="stylize",
        styles=4,
        min_side=8,
        lr_scale=0.4,
        objective="stylebank",
    ),
    "denoiser": of_images(
        denoiser,
        "our best for noise: a small U-Net at any size",
        lr_scale=0.4,
    ),
    "dncnn": of_images(
        dncnn, "DnCNN, Zhang et al. 2017: 17 convolutions at full size", lr_scale=0.2
    ),
}
DEFAULT_MODELS: dict[tuple[Task, Kind], str] = {  # used if no model is given
    ("reconstruct", "images"): "conv",
    ("reconstruct", "signals"): "conv1d",
    ("classify", "images"): "cnn",
    ("classify", "signals"): "encoder1d",
    ("segment", "images"): "fcn8s",
    ("stylize", "images"): "stylebank",
    ("denoise", "images"): "denoiser",
}


def model_row(name: str) -> ModelRow:
    """Return the row of `MODELS`; an error lists the names."""
    require_known("model", name, MODELS)
    return MODELS[name]


def models_for(task: Task, kind: Kind | None = None) -> list[str]:
    """List the models of a task, for one kind of samples if given."""
    rows = [(name, row) for name, row in MODELS.items() if row.task == task]
    return [name for name, row in rows if kind is None or kind in row.kinds]


def default_code_size(row: ModelRow, shape: Sequence[int], options: Mapping[str, Any]) -> int:
    """Return the code size of a row for a shape and options."""
    return row.code_size(shape, **options) if callable(row.code_size) else row.code_size


def require_kind(model: str, shape: Sequence[int]) -> None:
    """Reject images for a model of signals, and the reverse."""
    row, kind = MODELS[model], KINDS[len(shape)]
    if kind in row.kinds:
        return
    others = models_for(row.task, kind)
    raise ModelError(
        f"the model {model} takes {' and '.join(row.kinds)}, not {kind}; "
        f"for {kind} there {'are ' + ', '.join(others) if others else 'is none'}."
    )
