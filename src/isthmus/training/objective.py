"""`Objective`: from a model and a batch to what a step of training reduces.

A loss compares an output with its target. An objective decides what is computed for it: which
parts of the model, with which random numbers, in which step. It knows the model only as a function
and keeps no state, so that a resumed training computes the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from isthmus.data.random import Rng

# The module's `forward`, with whatever arguments that takes, in the precision of the training. It
# returns float32: in bfloat16 (8 bits of significand) the steps of a loss late in training would
# be lost to rounding. Always called as a whole, so that several processes exchange its gradients.
Forward = Callable[..., Any]


@dataclass(frozen=True)
class Moment:
    """Where training stands: all that an objective and its random numbers may depend on.

    Parameters
    ----------
    step, steps : int
        Steps done, and to be done in all.
    is_training : bool
        False on the validation split, where epochs are compared: what changes during training,
        such as a warm-up, has its last value there.
    make_rng : callable
        Returns the random numbers of the batch: in training those of the step, on the validation
        split always the same for a sample.
    """

    step: int
    steps: int
    is_training: bool
    make_rng: Callable[[], Rng]


class Outcome(NamedTuple):
    """What an objective computes for a batch.

    Parameters
    ----------
    loss : () float32
        To be reduced; a mean over the samples of the batch.
    output : (N, ...) float32
        Of the model, before its activation.
    terms : dict
        Parts of the loss by their names, each () float32 and a mean over the samples; the history
        has those of the validation split, as `validation_<name>`.
    """

    loss: Tensor
    output: Tensor
    terms: dict[str, Tensor]


class MeanOverSamples:
    """An objective whose loss is a mean over samples."""

    def weigh(self, targets: Tensor) -> Tensor | int:
        """See `Objective`."""
        return len(targets)


class Objective(Protocol):
    """From a model and a batch to what is reduced."""

    def weigh(self, targets: Tensor) -> Tensor | int:
        """Return what the loss of a batch with these targets is a mean over, such as samples.

        By it, the losses of parts of a batch make up that of the whole.
        """
        ...

    def __call__(self, forward: Forward, x: Tensor, targets: Tensor, moment: Moment) -> Outcome:
        """Compute the objective for inputs x (N, C, H, W) or (N, C, L) and their targets."""
        ...
