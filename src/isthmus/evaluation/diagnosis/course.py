"""`Course`: what the history of a run says about its training; it needs no torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from isthmus.training.config import TrainingConfig

# The loss of a model that knows nothing, by the loss's name: it answers 0.5 for every pixel. The
# squared error of that is at most 0.25; models whose outputs are plain numbers start below 1.
LOSSES_OF_NOTHING = {"bce": math.log(2), "mse": 1.0}


@dataclass(frozen=True, eq=False)
class Course:
    """The course of a training, epoch by epoch.

    Parameters
    ----------
    config : TrainingConfig
        With every default chosen.
    history : sequence of dict
        As `Run.history` returns it.
    class_count : int
        Of a classifier or segmenter; 0 of an autoencoder.
    failure : dict, optional
        As `Run.failure` returns it.
    scale : float
        What a mean loss is multiplied by: in a variational autoencoder, a loss is a sum.
    """

    config: TrainingConfig
    history: Sequence[dict[str, Any]]
    class_count: int = 0
    failure: dict[str, Any] | None = None
    scale: float = 1.0

    @cached_property
    def losses(self) -> list[float]:
        """The mean training loss of each epoch."""
        return [float(line["loss"]) for line in self.history]

    @property
    def comparable_losses(self) -> list[float]:
        """Losses that mean the same in every epoch: a warm-up changes that of training."""
        return self.validation_losses if self.config.warm_up else self.losses

    @cached_property
    def validation_losses(self) -> list[float]:
        """The validation loss after each epoch."""
        return [float(line["validation_loss"]) for line in self.history]

    @cached_property
    def accuracies(self) -> list[float]:
        """The accuracy on the validation split after each epoch; empty for an autoencoder."""
        lines = [line for line in self.history if "validation_accuracy" in line]
        return [float(line["validation_accuracy"]) for line in lines]

    @property
    def loss_of_nothing(self) -> float:
        """The loss of a model that knows nothing."""
        of_classes = math.log(max(self.class_count, 2))
        return self.scale * LOSSES_OF_NOTHING.get(self.config.loss or "", of_classes)

    @property
    def divergence(self) -> float | None:
        """The KL divergence on the validation split, in nats; None without a variational model."""
        return self.history[-1].get("validation_kl") if self.history else None

    @property
    def steps(self) -> int:
        """The steps of the optimizer so far."""
        return int(self.history[-1]["step"]) if self.history else 0

    @property
    def epochs_done(self) -> float:
        """The epochs so far; one that was stopped is a fraction."""
        return float(self.history[-1]["epoch"]) if self.history else 0.0

    @property
    def epochs_planned(self) -> int:
        """The epochs that were asked for."""
        return self.config.epochs or math.ceil(self.epochs_done)

    @property
    def lr(self) -> float:
        """The highest learning rate that was asked for."""
        return self.config.lr or 0.0

    @property
    def highest_lr(self) -> float:
        """The highest learning rate at the end of an epoch so far."""
        return max((float(line["lr"]) for line in self.history), default=0.0)

    @property
    def last_fall(self) -> float:
        """The share by which the validation loss fell in the last epoch; below 0 where it rose."""
        if len(self.history) < 2 or not self.validation_losses[-2]:
            return 0.0
        return 1 - self.validation_losses[-1] / self.validation_losses[-2]
