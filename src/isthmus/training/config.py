"""How to train: frozen, checked when made, filled in once the data is known."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from isthmus.data.augmentation import Augmentation
from isthmus.data.corruption import Corruption
from isthmus.errors import OptionError
from isthmus.models.config import ModelConfig
from isthmus.models.registry import MODELS
from isthmus.training.objectives import LOSSES
from isthmus.training.optim import OPTIMIZERS, SCHEDULES

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "32", "bf16")
IMAGES_SEEN = 1_600_000  # by default: few epochs of a large set, many of a small one
EPOCHS = (10, 30)
EPOCHS_LABELLED = 100  # at most, as augmented samples do not repeat
BATCH = (32, 256)
BATCH_NUMBERS = 2**22  # numbers in a batch at most, unless the user says otherwise
STEPS_PER_EPOCH = 64  # at least, unless the user says otherwise
PHOTOGRAPHS = {  # changes to photographs with labels or masks, unless the user says otherwise
    "classify": "shift:0.1,zoom:0.3,color:0.2",
    "segment": "zoom:0.3,color:0.2",
}


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained. What is None is chosen by `resolved`.

    Parameters
    ----------
    epochs : int, optional
        By default as many as make 1.6 million samples seen, from 10 to 30, or 100 with
        labels or masks.
    batch_size : int, optional
        By default a power of two from 32 to 256 that leaves 64 steps an epoch and fits in memory.
    optimizer : str
        A key of `OPTIMIZERS`.
    lr : float, optional
        Highest learning rate of the schedule; by default the optimizer's usual one, for a few
        models a part of it (`Model.pace`).
    momentum : float
        Of SGD; the others have their own.
    weight_decay : float
        Decoupled for AdamW, an L2 penalty for the others.
    schedule : str
        A key of `SCHEDULES`.
    loss : str, optional
        A key of `LOSSES`; by default "bce" after a sigmoid, "cross-entropy" where there are
        classes, and "mse" otherwise.
    flip : bool, optional
        Mirror half of the training images from left to right, other ones each epoch; by default
        where the data set says that mirrored samples are as likely.
    corrupt : str, optional
        Noise to undo, as `Corruption.parse` reads it, such as "gaussian:0.5": fresh on the inputs
        of every epoch, frozen on those of the validation and the test part.
    augment : str, optional
        Changes to the images of every epoch, as `Augmentation.parse` reads them, such as
        "shift:0.1,color:0.2"; "none" for none. By default photographs with classes are changed
        and all else is not.
    label_smoothing : float
        The share of each label that all classes divide among them.
    class_weights : bool
        Weigh classes in the loss by the inverse of how frequent they are.
    encoder_from : str, optional
        A run whose encoder to start with, or for a segmenter a file of VGG-16's weights.
    freeze : bool
        Leave that encoder as it is and train the rest.
    patience : int, optional
        Stop after as many epochs without a better one by validation: of its loss, with labels of
        the accuracy, with masks of the mean IoU. None never stops early.
    validation, test : float
        Fractions of the data to hold out where the source has no such part itself.
    seed : int
        Decides the division of the data, the first weights, the order of samples.
    device : str
        One of `DEVICES`.
    precision : str
        One of `PRECISIONS`; "auto" is bfloat16 where the processor computes in it.
    tensorboard : bool
        Write event files for TensorBoard too.

    Raises
    ------
    SettingsError
        If a value is outside its range or a name is unknown.
    """

    epochs: int | None = None
    batch_size: int | None = None
    optimizer: str = "adamw"
    lr: float | None = None
    momentum: float = 0.0
    weight_decay: float | None = None
    schedule: str = "one-cycle"
    loss: str | None = None
    flip: bool | None = None
    corrupt: str | None = None
    augment: str | None = None
    label_smoothing: float = 0.0
    class_weights: bool = False
    encoder_from: str | None = None
    freeze: bool = False
    patience: int | None = None
    validation: float = 0.1
    test: float = 0.1
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    tensorboard: bool = False

    def __post_init__(self) -> None:
        tables: dict[str, Any] = {
            "optimizer": OPTIMIZERS,
            "schedule": SCHEDULES,
            "loss": LOSSES,
            "device": DEVICES,
            "precision": PRECISIONS,
        }
        for name, table in tables.items():
            value = getattr(self, name)
            if value is not None and value not in table:
                raise OptionError(f"there is no {name} {value!r}; there are {', '.join(table)}.")
        for name, low, high in (
            ("epochs", 1, math.inf),
            ("batch_size", 1, math.inf),
            ("patience", 1, math.inf),
            ("seed", 0, 2**63 - 1),
            ("momentum", 0, 0.9999),
            ("weight_decay", 0, math.inf),
            ("label_smoothing", 0, 0.9999),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                limit = f"at least {low}" if high == math.inf else f"from {low} to {high}"
                raise OptionError(f"{name.replace('_', ' ')} must be {limit}, not {value}.")
        _ = self.corruption, self.augmentation  # refuse what cannot be read
        if self.lr is not None and not 0 < self.lr < math.inf:
            raise OptionError(f"lr must be a number above 0, not {self.lr}.")
        if self.freeze and not self.encoder_from:
            raise OptionError("freeze needs an encoder to keep as it is; give encoder from too.")

    @property
    def corruption(self) -> Corruption | None:
        """The noise on the inputs, if any."""
        return Corruption.parse(self.corrupt) if self.corrupt else None

    @property
    def augmentation(self) -> Augmentation | None:
        """The changes to images, if any."""
        return Augmentation.parse(self.augment) if self.augment not in (None, "none") else None

    def resolve(
        self, model_config: ModelConfig, count: int, allows_flip: bool = False
    ) -> "TrainingConfig":
        """Fill in what was left open.

        Parameters
        ----------
        model_config : ModelConfig
            The model to train.
        count : int
            Samples to train on.
        allows_flip : bool
            Whether mirrored samples are as likely; see `Samples`.

        Raises
        ------
        SettingsError
            If the loss does not go with the model's output, or a batch would exceed the samples.
        """
        loss = self._loss(model_config)
        if len(model_config.shape) == 2 and (self.flip or self.augmentation):
            raise OptionError("signals have no left and right; leave flip and augment out.")
        if model_config.task == "reconstruct" and (self.label_smoothing or self.class_weights):
            raise OptionError(
                f"{model_config.model} is an autoencoder and has no classes; leave label smoothing and "
                "class weights out."
            )
        if model_config.task != "reconstruct" and self.corrupt:
            raise OptionError(
                f"{model_config.model} is no autoencoder and undoes no noise; leave corrupt out, or give "
                "augment."
            )
        photographs = allows_flip and model_config.task != "reconstruct" and not self.freeze
        if self.batch_size is not None and self.batch_size > count:
            raise OptionError(
                f"a batch of {self.batch_size:,} exceeds the {count:,} samples to train on; "
                "take a smaller batch size."
            )
        most = EPOCHS[1] if model_config.task == "reconstruct" else EPOCHS_LABELLED
        epochs = min(max(math.ceil(IMAGES_SEEN / count), EPOCHS[0]), most)
        batch = min(
            count // STEPS_PER_EPOCH, BATCH_NUMBERS // math.prod(model_config.shape), BATCH[1]
        )
        batch = min(max(2 ** int(math.log2(max(batch, 1))), BATCH[0]), count)
        usual = OPTIMIZERS[self.optimizer]
        return replace(
            self,
            epochs=self.epochs or epochs,
            batch_size=self.batch_size or batch,
            lr=usual.lr * MODELS[model_config.model].lr_scale if self.lr is None else self.lr,
            weight_decay=(usual.weight_decay if self.weight_decay is None else self.weight_decay),
            loss=loss,
            flip=allows_flip if self.flip is None else self.flip,
            corrupt=str(self.corruption) if self.corruption else None,
            augment=self.augment or (PHOTOGRAPHS[model_config.task] if photographs else "none"),
        )

    def _loss(self, model_config: ModelConfig) -> str:
        """Return the loss, if it goes with the model's output."""
        usual = {"sigmoid": "bce", "softmax": "cross-entropy", "identity": "mse"}
        loss = self.loss or usual[model_config.activation]
        if (loss == "cross-entropy") != (model_config.activation == "softmax"):
            raise OptionError(
                f"the loss {loss} does not go with {model_config.model}, whose answer is "
                f"{'a class' if model_config.class_names else 'a sample'}; take "
                f"{usual[model_config.activation]}."
            )
        if loss == "bce" and model_config.activation != "sigmoid":
            raise OptionError(
                "the loss bce needs outputs in [0, 1] and this model's are plain numbers; take mse."
            )
        return loss


def make_optimizer(
    config: TrainingConfig, parameters: Iterable[nn.Parameter]
) -> torch.optim.Optimizer:
    """Build the optimizer of resolved settings; momentum is SGD's alone."""
    row = OPTIMIZERS[config.optimizer]
    options = dict(row.options)
    if config.optimizer == "sgd":
        options["momentum"] = config.momentum
    return row.build(list(parameters), lr=config.lr, weight_decay=config.weight_decay, **options)
