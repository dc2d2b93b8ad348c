"""`OBJECTIVES`: what a step of training reduces, by name. A row of `MODELS` names its objective."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from isthmus.models.tasks import Activation
from isthmus.training.denoising import make_denoising
from isthmus.training.losses import Loss, class_weights, make_loss, sum_weights
from isthmus.training.objective import Forward, Moment, Objective, Outcome
from isthmus.training.style_objective import make_style_objective
from isthmus.training.variational import make_variational

if TYPE_CHECKING:
    from isthmus.training.run import Run


@dataclass(frozen=True)
class OutputLoss:
    """The loss between the model's output and the targets, and nothing else.

    Parameters
    ----------
    loss : callable
    activation : str
        Of the model's output.
    weights : (K,) float32, optional
        Of the classes, where classes are weighted.
    """

    loss: Loss
    activation: Activation
    weights: Tensor | None = None

    def __call__(self, forward: Forward, x: Tensor, targets: Tensor, moment: Moment) -> Outcome:
        """See `Objective`."""
        output = forward(x)
        return Outcome(self.loss(output, targets, self.activation), output, {})

    def weigh(self, targets: Tensor) -> Tensor | int:
        """See `Objective`; of masks it is the number of pixels that are not void."""
        if targets.is_floating_point() or (targets.ndim == 1 and self.weights is None):
            return len(targets)
        return sum_weights(targets, self.weights)


def make_output_loss(run: "Run", counts: Tensor | None) -> OutputLoss:
    """Return the objective of autoencoders, classifiers and segmenters; see `make_objective`."""
    config = run.record.training_config
    weights = None if counts is None else class_weights(counts)
    loss = make_loss(config.loss or "mse", config.label_smoothing, weights)
    return OutputLoss(loss, run.record.model_config.activation, weights)


OBJECTIVES: dict[str, Callable[["Run", Tensor | None], Objective]] = {
    "denoising": make_denoising,
    "output-loss": make_output_loss,
    "stylebank": make_style_objective,
    "variational": make_variational,
}


def make_objective(name: str, run: "Run", counts: Tensor | None = None) -> Objective:
    """Return what to train a run by.

    Parameters
    ----------
    name : str
        A key of `OBJECTIVES`.
    run : Run
    counts : (K,) int64, optional
        Of the classes to train on, on the device of the training, where classes are weighted; see
        `make_loss`.
    """
    return OBJECTIVES[name](run, counts)
