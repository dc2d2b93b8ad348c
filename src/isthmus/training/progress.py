"""`Progress`: what training yields."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from isthmus.progress import Step
from isthmus.training.variational import is_collapsed

EARLY = 0.25  # share of a training in which a variational model may not use its code yet
HELD_UP = 20.0  # seconds from which on people are told that other programs hold a training up
EPOCHS_IN_LOG = 10  # about as many epochs are reported in a log file


@dataclass(frozen=True, slots=True)
class Progress(Step):
    """Where training stands, after a step or, with a validation loss, after an epoch.

    Parameters
    ----------
    epoch, epochs : int
        The current epoch, from 1, and how many there will be.
    step, steps : int
        Steps done and to be done in all.
    seconds : float
        Time spent on training alone so far, without validation and saving.
    images_per_second : float
        Mean since this call of `train` or `resume`.
    lr : float
        Learning rate of the last step.
    mean_loss : Tensor
        Mean loss of the current epoch so far, perhaps still being computed on a GPU.
    validation_loss : float or None
        At the end of an epoch.
    is_best : bool
        Whether the model is the best so far: by validation loss, with labels by accuracy and with
        masks by mean IoU.
    scores : dict
        At the end of an epoch of a classifier, the validation split's `accuracy`; of a segmenter
        also its mean `iou`.
    terms : dict
        At the end of an epoch, the parts of the validation loss, if the objective has several.
    seconds_held_up : float
        How long other programs took the cores from the threads of this call of `train` or `resume`,
        where that is known: on Linux, on a CPU by several threads.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    seconds: float
    images_per_second: float
    lr: float
    mean_loss: Tensor
    validation_loss: float | None = None
    is_best: bool = False
    scores: dict[str, float] = field(default_factory=dict)
    terms: dict[str, float] = field(default_factory=dict)
    seconds_held_up: float = 0.0

    @property
    def loss(self) -> float:
        """The mean training loss of the current epoch so far; on a GPU, reading it waits."""
        return float(self.mean_loss)

    @property
    def title(self) -> str:
        """The epoch, for people; see `show_progress`."""
        return f"epoch {self.epoch}/{self.epochs}"

    @property
    def is_milestone(self) -> bool:
        """Whether a log file gets a line: after the last epoch, and after about ten others."""
        every = max(1, self.epochs // EPOCHS_IN_LOG)
        is_reported = self.epoch % every == 0 or self.step == self.steps
        return self.validation_loss is not None and is_reported

    def facts(self) -> dict[str, Any]:
        """Return the line of the history that this step would be, for machines."""
        return {
            "epoch": self.step * self.epochs / self.steps,
            "step": self.step,
            "loss": self.loss,
            "validation_loss": self.validation_loss,
            **{f"validation_{name}": one for name, one in {**self.terms, **self.scores}.items()},
            "is_best": self.is_best,
            "lr": self.lr,
            "seconds": self.seconds,
            "images_per_second": self.images_per_second,
        }

    @property
    def warnings(self) -> dict[str, str]:
        """What looks wrong at the end of an epoch, for people, by a name for it; mostly empty."""
        found = {}
        # A code begins by saying nothing.
        if self.step >= EARLY * self.steps and is_collapsed(self.terms):
            found["collapsed"] = (
                f"In epoch {self.epoch} the code says {self.terms['kl']:.2g} nats of a sample: it "
                "has collapsed, and the decoder ignores it. Options that help are --warm-up 0.3, "
                "--free-bits 0.1 and a lower --beta."
            )
        if self.seconds_held_up >= max(HELD_UP, self.seconds / 2):
            found["held-up"] = (
                "Other programs use the same cores, so the threads of this training mostly wait "
                "for each other. A training that is started with OMP_NUM_THREADS=1 may be several "
                "times as fast next to them."
            )
        return found

    def describe(self) -> str:
        """Return the rate and the training loss, for people."""
        return f"{self.images_per_second:,.0f}/s, loss {self.loss:.4f}"

    def results(self) -> str:
        """Return the validation loss, its terms and the scores, for people, at an epoch's end."""
        if self.validation_loss is None:
            return ""
        terms = [f"{name} {value:.4g}" for name, value in self.terms.items()]
        scores = [f"{name} {value:.2%}" for name, value in self.scores.items()]
        return ", ".join([f"validation {self.validation_loss:.4f}", *terms, *scores])
