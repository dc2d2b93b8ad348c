"""The counters of a training, and when it is over."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from isthmus.models.layers import Network
from isthmus.training.config import TrainingConfig


@dataclass
class State:
    """The counters that, with weights, optimizer and history, make up a checkpoint."""

    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0  # over the steps of the current epoch
    best_error: float = math.inf  # see `Meter.error`
    best_loss: float = math.inf  # on the validation split, at the same time
    best_step: int = 0

    @property
    def is_best(self) -> bool:
        """Whether the weights at this step are the best so far."""
        return 0 < self.step == self.best_step


@dataclass(frozen=True)
class Plan:
    """How long a training goes on.

    Parameters
    ----------
    per_epoch : int
        Steps of an epoch.
    epochs : int
    patience : int or None
        Epochs without a better one after which it ends early.
    """

    per_epoch: int
    epochs: int
    patience: int | None

    @classmethod
    def of(cls, config: TrainingConfig, count: int) -> "Plan":
        """Return the plan for so many samples to train on."""
        return cls(count // (config.batch_size or 1), config.epochs or 0, config.patience)

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.epochs * self.per_epoch

    def whole_epoch(self, state: State) -> int | None:
        """Return the epoch that has just ended; None within one, and before the first."""
        epoch, steps = divmod(state.step, self.per_epoch)
        return epoch if epoch and not steps else None

    def is_done(self, state: State) -> bool:
        """Return whether nothing is left to train; asked before each epoch, also the first one.

        It depends on counters alone, so that a run that was killed after its last epoch ends there.
        """
        return state.step >= self.steps or self.is_patience_over(state)

    def is_patience_over(self, state: State) -> bool:
        """Return whether there were as many epochs without a better one as are waited for."""
        without_best = (state.step - state.best_step) / self.per_epoch
        return self.patience is not None and without_best >= self.patience


def first_checkpoint(module: Network, optimizer: dict[str, Any] | None) -> dict[str, Any]:
    """Return the checkpoint of a run that starts from a module's weights.

    What the optimizer remembers of its last steps, if known, continues too. Its settings, such as
    the weight decay, are those of the new run.
    """
    state = None if optimizer is None else {"state": optimizer["state"]}
    return {"counters": asdict(State()), "module": module.state_dict(), "optimizer": state}
