"""The training loop: a run's model is trained epoch by epoch and yields `Progress`.

The state of a training is small on purpose: weights, optimizer, the counters of `State`, and the
history so far. Everything else follows from the config and these counters (the order of samples,
noise, dropout, learning rate), so it is computed again instead of being saved, and a resumed run
gives the same weights to the bit, also when it was stopped within an epoch. The loop is a
generator, so the caller decides what to do with each step: draw a bar, stop, collect losses. There
are no callbacks.
"""

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from isthmus.data.random import DROPOUT
from isthmus.data.samples import Samples
from isthmus.data.split import Split
from isthmus.errors import TrainingError
from isthmus.progress import Step
from isthmus.training.batches import Batches, SampleTensors
from isthmus.training.objectives import Loss, make_loss
from isthmus.training.optim import SCHEDULES, make_optimizer
from isthmus.training.padding import zero_unread_gradients
from isthmus.training.run import Run
from isthmus.training.saving import Line, Saver, lines_of
from isthmus.training.shown import Shown
from isthmus.training.state import Plan, State
from isthmus.training.targets import Meter, Targets, class_counts, required_targets
from isthmus.training.weights import initialize

# Reading a loss waits for a GPU to finish all steps so far, so it is not done after every step.
SECONDS_BETWEEN_LOSS_CHECKS = 1.0
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

    def describe(self) -> str:
        """Return the rate and the training loss, for people."""
        return f"{self.images_per_second:,.0f}/s, loss {self.loss:.4f}"

    def results(self) -> str:
        """Return the validation loss and the scores, for people; empty within an epoch."""
        if self.validation_loss is None:
            return ""
        scores = [f"{name} {value:.2%}" for name, value in self.scores.items()]
        return ", ".join([f"validation {self.validation_loss:.4f}", *scores])


class Loop:
    """Model, optimizer, batches and counters of a run in training."""

    def __init__(self, run: Run, samples: Samples, fabric: Fabric) -> None:
        self.run, self.fabric = run, fabric
        self.config, self.model_config = run.record.training_config, run.record.model_config
        # Drawn on the CPU and then moved: a GPU would draw other weights for the same seed.
        self.module = initialize(self.model_config, self.config.seed).to(fabric.device)
        self.module.encoder.requires_grad_(not self.config.freeze)
        zero_unread_gradients(self.module, self.model_config.shape)
        learning = [weight for weight in self.module.parameters() if weight.requires_grad]
        self.optimizer = make_optimizer(
            self.config.optimizer,
            learning,
            lr=self.config.lr or 0.0,
            weight_decay=self.config.weight_decay or 0.0,
            momentum=self.config.momentum,
        )
        split, targets = run.split(), required_targets(samples, self.model_config.task)
        self.plan = Plan.of(self.config, len(split.train))
        self.saver = self._restore()
        self.state = self.saver.state
        self.has_dropout = any(isinstance(part, nn.Dropout) for part in self.module.modules())
        # A process that trains alone calls the module itself: Fabric's wrapper takes as long as
        # all of a small model's own work. Device and precision come from Fabric either way.
        self.model = fabric.setup_module(self.module) if fabric.world_size > 1 else self.module
        self.batches, self.validation_batches = self._make_batches(samples, targets, split)
        self.loss = self._make_loss(samples, targets, split)
        self.shown = Shown(run, samples, self.batches.tensors, fabric)
        self.start = replace(self.state)  # a copy, for the speed since this call

    def walk(
        self, deadline: float, write_events: Callable[[Line], None]
    ) -> Generator[Progress, None, None]:
        """Train until the last step, the deadline (seconds of training) or early stopping.

        What an earlier process left out is written first, also where nothing is left to train.
        """
        if self.fabric.is_global_zero:
            self.saver.complete(self._keep_answers)
        while not self.plan.is_done(self.state) and not self._is_over(deadline):
            yield from self._epoch(deadline)
            progress = self._end_epoch()
            if self.fabric.is_global_zero:
                self.saver.save(self._keep_answers, write_events)
            yield progress
        if self.fabric.is_global_zero:
            self.saver.finish()

    def _end_epoch(self) -> Progress:
        """Validate, note whether the model is the best so far, and add a line to the history."""
        validation_loss, meter = self._validate()
        self._reject_not_finite(validation_loss)
        is_best = self._update_best(meter.error(validation_loss), validation_loss)
        steps_of_epoch = (self.state.step - 1) % self.plan.per_epoch + 1
        mean_loss = torch.tensor(self.state.loss_sum / steps_of_epoch)
        progress = replace(
            self._progress(mean_loss),
            validation_loss=validation_loss,
            is_best=is_best,
            scores=meter.values(),
        )
        self._append_history(progress)
        return progress

    def _epoch(self, deadline: float) -> Iterator[Progress]:
        """Train from the current step to the end of its epoch, or to the deadline."""
        state, per_epoch = self.state, self.plan.per_epoch
        epoch, start = divmod(state.step, per_epoch)
        # The sum stays on the device: adding to it does not wait for a GPU, as reading it does.
        loss_sum = torch.tensor(state.loss_sum if start else 0.0, device=self.fabric.device)
        self.model.train()
        if self.config.freeze:
            self.module.encoder.eval()  # its batch normalization keeps its statistics too
        mark = checked = time.perf_counter()
        # Where a step's time goes, on 2 cores in bfloat16: of `conv-bn-2d` 53% convolutions, 21%
        # batch normalization, 12% ReLU and pooling, 8% copies; of `conv` two thirds convolutions
        # and matrices, 14% GELU, 10% copies into bfloat16, 4% the optimizer; of `dense-selu` at a
        # batch of 32 (0.6 ms) 45% backward, 20% matrices, the rest calls of some 10 µs each. So
        # what this loop adds to a step matters: it is kept to a few such calls.
        for x, targets in self.batches.epoch(epoch, start):
            self._set_lr()
            with self._seeded_dropout():
                loss, _ = self._loss(x, targets)
            self.fabric.backward(loss)
            self.optimizer.step()
            self.optimizer.zero_grad()
            loss_sum += loss.detach()
            state.step += 1
            now = time.perf_counter()
            state.seconds += now - mark
            if now - checked > SECONDS_BETWEEN_LOSS_CHECKS:
                self._reject_not_finite(float(loss_sum))
                checked = now
            if self._is_over(deadline):
                break
            if state.step % per_epoch:  # the last step is reported with its validation loss
                yield self._progress(loss_sum / (state.step - epoch * per_epoch))
            mark = time.perf_counter()  # after the yield: the caller's time is not training's
        mark = time.perf_counter()
        state.loss_sum = float(loss_sum)  # waits until a GPU has done its work
        state.seconds += time.perf_counter() - mark
        self._reject_not_finite(state.loss_sum)

    def _validate(self) -> tuple[float, Meter]:
        """Return the mean loss over the validation split, and the scores where there are classes.

        Every process does so for all of it: the split is small, and nothing has to be exchanged.
        """
        self.model.eval()
        total, meter = 0.0, Meter(self.model_config)
        # Weighted by the size of a batch, as the last one is shorter. Python adds in float64.
        with torch.inference_mode():
            for x, targets in self.validation_batches.in_order():
                loss, output = self._loss(x, targets)
                total += float(loss) * len(x)
                meter.add(output, targets)
        return total / len(self.validation_batches.indices), meter

    def _loss(self, x: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return a batch's mean loss and the model's output.

        The model computes in the chosen precision. The loss is float32: in bfloat16 (8 bits of
        significand) the steps of a loss late in training would be lost to rounding.
        """
        with self.fabric.autocast():
            output = self.model(x)
        return self.loss(output.float(), targets, self.model_config.activation), output

    @contextmanager
    def _seeded_dropout(self) -> Iterator[None]:
        """Let dropout follow from seed, step and rank, and leave torch's random numbers alone.

        torch draws dropout from a generator that has a state. Seeding it in every step makes
        dropout a function of the counters, like noise and augmentation.
        """
        if not self.has_dropout:
            yield
            return
        device = self.fabric.device
        counters = [self.config.seed, DROPOUT, self.state.step, self.fabric.global_rank]
        # `SeedSequence` mixes the counters into one seed; their sum would repeat between steps.
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(int(np.random.SeedSequence(counters).generate_state(1)[0]))
            yield

    def _make_batches(
        self, samples: Samples, targets: Targets | None, split: Split
    ) -> tuple[Batches, Batches]:
        """Return the batches to train on and those to validate on."""
        config, fabric = self.config, self.fabric
        preprocessing, size = self.run.record.preprocessing, config.batch_size or 1
        tensors = SampleTensors(samples.values, preprocessing, fabric.device, targets)
        training = Batches(
            tensors,
            split.train,
            size,
            config.seed,
            (fabric.global_rank, fabric.world_size),
            flip=bool(config.flip),
            augmentation=config.augmentation,
            corruption=config.corruption,
        )
        validation = Batches(
            tensors, split.validation, size, config.seed, corruption=config.corruption
        )
        return training, validation

    def _make_loss(self, samples: Samples, targets: Targets | None, split: Split) -> Loss:
        counts = None
        if self.config.class_weights and targets is not None:
            counts = torch.from_numpy(class_counts(samples, targets, split.train))
            counts = counts.to(self.fabric.device)
        return make_loss(self.config.loss or "mse", self.config.label_smoothing, counts)

    def _update_best(self, error: float, loss: float) -> bool:
        """Note whether the model is the best so far, by error and then by loss; return it."""
        state = self.state
        if (error, loss) >= (state.best_error, state.best_loss):
            return False
        state.best_error, state.best_loss, state.best_step = error, loss, state.step
        return True

    def _append_history(self, progress: Progress) -> None:
        """Add the line of an epoch; one that the deadline ended has a fraction as its number."""
        self.saver.history.append(
            {
                "epoch": self.state.step / self.plan.per_epoch,
                "step": progress.step,
                "loss": progress.loss,
                "validation_loss": progress.validation_loss,
                **{f"validation_{name}": value for name, value in progress.scores.items()},
                "is_best": progress.is_best,
                "lr": progress.lr,
                "seconds": progress.seconds,
                "images_per_second": progress.images_per_second,
            }
        )

    def _keep_answers(self) -> None:
        """Keep what the model makes of a few test samples now; no time is counted as training."""
        epochs = self.run.epochs
        epochs.begin(self.shown.inputs(), self.shown.rows)
        epochs.write(self.saver.whole_epoch or 0, self.shown.answers(self.module))

    def _restore(self) -> Saver:
        """Load weights, optimizer, counters and history from the checkpoint, if there is one.

        Without one, the weights are those of the seed, or with an encoder to start from those that
        the run was made with: they are in model.safetensors until a best model replaces it. They
        go into a first checkpoint at once, as the run may be resumed when that encoder is gone.
        """
        checkpoint = self.run.checkpoint()
        if checkpoint is not None:
            self.module.load_state_dict(checkpoint["module"])
            if checkpoint["optimizer"] is not None:
                # The first checkpoint of a run that starts from another has no settings.
                settings = self.optimizer.state_dict()
                self.optimizer.load_state_dict({**settings, **checkpoint["optimizer"]})
            return self._make_saver(State(**checkpoint["counters"]), lines_of(checkpoint, self.run))
        saver = self._make_saver(State(), [])
        if self.config.encoder_from:
            self.module.load_state_dict(self.run.model().module.state_dict())
            if self.fabric.is_global_zero:
                saver.write_checkpoint()
        return saver

    def _make_saver(self, state: State, history: list[Line]) -> Saver:
        return Saver(self.run, self.module, self.optimizer, state, self.plan, history)

    def _set_lr(self) -> None:
        """Set the learning rate of the next step."""
        share_done = min(self.state.step, self.plan.steps - 1) / self.plan.steps
        lr = (self.config.lr or 0.0) * SCHEDULES[self.config.schedule](share_done)
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    def _is_over(self, deadline: float) -> bool:
        """Return whether time is up.

        The first process decides for all: clocks differ, and one that stopped alone would leave
        the others waiting for its gradients.
        """
        if deadline == math.inf:
            return False
        return bool(self.fabric.broadcast(self.state.seconds >= deadline))

    def _reject_not_finite(self, loss: float) -> None:
        if math.isfinite(loss):
            return
        said = "NaN" if math.isnan(loss) else "infinite"
        if self.fabric.is_global_zero:  # the history ends before this epoch and cannot say it
            lr, step = self.optimizer.param_groups[0]["lr"], self.state.step
            failure = {"epoch": self._epoch_number(), "step": step, "loss": said, "lr": lr}
            self.run.write_failure(failure)
        kept = self.state.best_step / self.plan.per_epoch
        weights = f"those of epoch {kept:g}" if kept else "the untrained ones"
        raise TrainingError(
            f"the loss became {said} in epoch {self._epoch_number()}; {self.run.name} keeps the "
            f"last good weights, {weights}; train again with a lower lr than "
            f"{self.config.lr:g}, or with adamw."
        )

    def _epoch_number(self) -> int:
        return max(0, self.state.step - 1) // self.plan.per_epoch + 1

    def _progress(self, mean_loss: Tensor) -> Progress:
        seconds = self.state.seconds - self.start.seconds
        steps = self.state.step - self.start.step
        return Progress(
            epoch=self._epoch_number(),
            epochs=self.plan.epochs,
            step=self.state.step,
            steps=self.plan.steps,
            seconds=self.state.seconds,
            images_per_second=steps * self.batches.size / max(seconds, 1e-9),
            lr=self.optimizer.param_groups[0]["lr"],
            mean_loss=mean_loss,
        )
