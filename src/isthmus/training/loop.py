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
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.data.images import Images
from isthmus.data.random import FIXED_LATENT, LATENT, SampleRng, StepRng
from isthmus.data.samples import Samples
from isthmus.data.split import Split
from isthmus.errors import TrainingError
from isthmus.models.layers import require_encoder
from isthmus.models.registry import MODELS
from isthmus.training.batches import Batches, SampleTensors
from isthmus.training.freezing import freeze_parts
from isthmus.training.learner import Learner
from isthmus.training.objective import Moment, Objective
from isthmus.training.objectives import make_objective
from isthmus.training.optim import SCHEDULES, make_optimizer
from isthmus.training.padding import zero_unread_gradients
from isthmus.training.patches import PatchBatches, TiledPatches, make_patch_batches
from isthmus.training.processes import copy_buffers, first_says, gather
from isthmus.training.progress import Progress
from isthmus.training.run import Run
from isthmus.training.saving import Line, Saver, lines_of
from isthmus.training.shares import Share, blocks, size_of
from isthmus.training.shown import Shown
from isthmus.training.state import Plan, State
from isthmus.training.targets import Meter, class_counts, required_targets
from isthmus.training.waiting import ShortWaits
from isthmus.training.weights import initialize

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# Reading a loss waits for a GPU to finish all steps so far, so it is not done after every step.
SECONDS_BETWEEN_LOSS_CHECKS = 1.0
STEPS_BETWEEN_LOSS_CHECKS = 64  # of several processes, whose clocks differ


class Loop:
    """Model, optimizer, batches and counters of a run in training."""

    def __init__(self, run: Run, samples: Samples | Images, fabric: "Fabric") -> None:
        self.run, self.fabric = run, fabric
        self.config, self.model_config = run.record.training_config, run.record.model_config
        # Drawn on the CPU and then moved: a GPU would draw other weights for the same seed.
        self.module = initialize(self.model_config, self.config.seed).to(fabric.device)
        freeze_parts(self.module, run.record)
        zero_unread_gradients(self.module, self.model_config.shape)
        learning = [weight for weight in self.module.parameters() if weight.requires_grad]
        self.optimizer = make_optimizer(
            self.config.optimizer,
            learning,
            lr=self.config.lr or 0.0,
            weight_decay=self.config.weight_decay or 0.0,
            momentum=self.config.momentum,
        )
        split = run.split()
        self.plan = Plan.of(self.config, run.record.per_epoch)
        self.saver = self._restore()
        self.state = self.saver.state
        self.learner = Learner(fabric, self.module, self.optimizer, self.config)
        self.shares = self.learner.shares
        self.batches, self.validation_batches = self._make_batches(samples, split)
        self.objective = self._make_objective(samples, split)
        self.shown = Shown(run, samples, self.batches.tensors, fabric)
        self.waits = ShortWaits(fabric.device.type)
        self.start = replace(self.state)  # a copy, for the speed since this call

    def walk(
        self, deadline: float, write_events: Callable[[Line], None]
    ) -> Generator[Progress, None, None]:
        """Train until the last step, the deadline (seconds of training) or early stopping.

        What an earlier process left out is written first, also where nothing is left to train.
        """
        if self.fabric.is_global_zero:
            self.saver.complete(self._keep_answers)
        with self.waits:
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
        validation_loss, terms, meter = self._validate()
        self._reject_not_finite(validation_loss)
        is_best = self._update_best(meter.error(validation_loss), validation_loss)
        steps_of_epoch = (self.state.step - 1) % self.plan.per_epoch + 1
        mean_loss = torch.tensor(self.state.loss_sum / steps_of_epoch)
        progress = replace(
            self._progress(mean_loss),
            validation_loss=validation_loss,
            is_best=is_best,
            scores=meter.values(),
            terms=terms,
        )
        self._append_history(progress)
        return progress

    def _epoch(self, deadline: float) -> Iterator[Progress]:
        """Train from the current step to the end of its epoch, or to the deadline."""
        state, per_epoch = self.state, self.plan.per_epoch
        epoch, start = divmod(state.step, per_epoch)
        before = state.loss_sum if start else 0.0
        # The sum stays on the device: adding to it does not wait for a GPU, as reading it does.
        # Each process adds its part, and the first one begins with what all had before a stop. In
        # float64 sums of float32 are exact, so that it does not matter when they are added up.
        own = before if self.fabric.is_global_zero else 0.0
        dtype = torch.float64 if self.shares.processes > 1 else torch.float32
        loss_sum = torch.tensor(own, dtype=dtype, device=self.fabric.device)
        self.module.train()
        if self.config.freeze:
            # Its batch normalization keeps its statistics too.
            require_encoder(self.module).encoder.eval()
        mark = checked = time.perf_counter()
        # Where a step's time goes, on 2 cores in bfloat16: of `conv-bn-2d` 53% convolutions, 21%
        # batch normalization, 12% ReLU and pooling, 8% copies; of `conv` two thirds convolutions
        # and matrices, 14% GELU, 10% copies into bfloat16, 4% the optimizer; of `dense-selu` at a
        # batch of 32 (0.6 ms) 45% backward, 20% matrices, the rest calls of some 10 µs each. So
        # what this loop adds to a step matters: it is kept to a few such calls.
        batches = self.batches.epoch(epoch, start)
        for _ in range(start, per_epoch):
            self._set_lr()
            loss_sum += self.learner.step(batches, self.objective, self._moment, state.step)
            state.step += 1
            now = time.perf_counter()
            state.seconds += now - mark
            self.waits.look(now)
            if self._is_check_due(now - checked):
                self._reject_not_finite(float(self.learner.total(loss_sum)))
                checked = now
            if self._is_over(deadline):
                break
            if state.step % per_epoch:  # the last step is reported with its validation loss
                shown = self._extrapolate(loss_sum, before)
                yield self._progress(shown / (state.step - epoch * per_epoch))
            mark = time.perf_counter()  # after the yield: the caller's time is not training's
        mark = time.perf_counter()
        state.loss_sum = float(self.learner.total(loss_sum))  # waits until a GPU has done its work
        state.seconds += time.perf_counter() - mark
        self._reject_not_finite(state.loss_sum)

    def _extrapolate(self, loss_sum: Tensor, before: float) -> Tensor:
        """Return about what all processes have added up, if all others' parts are as this one's."""
        if self.shares.processes == 1:
            return loss_sum
        return before + (loss_sum - before) * self.shares.processes

    def _validate(self) -> tuple[float, dict[str, float], Meter]:
        """Return the mean loss over the validation split, its terms, and scores of classes.

        Each process measures its part of the batches.
        """
        copy_buffers(self.fabric, self.module)
        self.module.eval()
        meter = Meter(self.model_config)
        with torch.inference_mode():
            measured = list(self._measure(meter))
        parts = gather(self.fabric, (measured, meter.confusion))
        meter.confusion = torch.stack([confusion for _, confusion in parts]).sum(0)
        # In the order of the batches, on any number of processes. Python adds in float64.
        batches = sorted((batch for found, _ in parts for batch in found), key=lambda one: one[0])
        sums, total = defaultdict[str, float](float), 0.0
        for _, weight, values in batches:
            total += weight
            for name, value in values.items():
                sums[name] += value * weight
        means = {name: value / total for name, value in sums.items()}
        return means.pop("", math.nan), means, meter

    def _measure(self, meter: Meter) -> Iterator[tuple[int, float, dict[str, float]]]:
        """Yield of each validation batch of this process: its first row, its weight, its losses."""
        batches, part = self.validation_batches, self.shares.part
        rows = blocks(len(batches.indices), batches.size, part)
        for block, (x, targets) in zip(rows, batches.in_order(part), strict=True):
            moment = self._validation_moment(batches.indices[block])
            loss, output, terms = self.objective(self.learner.compute, x, targets, moment)
            meter.add(output, targets)
            if weight := float(self.objective.weigh(targets)):
                losses = {name: float(value) for name, value in {"": loss, **terms}.items()}
                yield block.start, weight, losses

    def _moment(self, share: Share) -> Moment:
        """Return where training stands, for a share of the next step."""
        state = self.state

        def make_rng() -> StepRng:
            epoch, batch = divmod(state.step, self.plan.per_epoch)
            return StepRng(self.config.seed, epoch, batch, self.batches.size, share, LATENT)

        return Moment(state.step, self.plan.steps, True, make_rng)

    def _validation_moment(self, indices: NDArray[np.int64]) -> Moment:
        make_rng = partial(SampleRng, self.config.seed, indices, FIXED_LATENT)
        return Moment(self.state.step, self.plan.steps, False, make_rng)

    def _make_batches(
        self, samples: Samples | Images, split: Split
    ) -> tuple[Batches | PatchBatches, Batches | TiledPatches]:
        """Return the batches to train on and those to validate on."""
        if isinstance(samples, Images):
            return make_patch_batches(self.run, samples, split, self.fabric.device, self.shares)
        config, fabric = self.config, self.fabric
        targets = required_targets(samples, self.model_config.task)
        preprocessing, size = self.run.record.preprocessing, config.batch_size or 1
        tensors = SampleTensors(samples.values, preprocessing, fabric.device, targets)
        training = Batches(
            tensors,
            split.train,
            size,
            config.seed,
            self.shares,
            flip=bool(config.flip),
            augmentation=config.augmentation,
            corruption=config.corruption,
        )
        at_once = size_of((0, self.shares.count), size)  # no more than in training
        validation = Batches(
            tensors, split.validation, at_once, config.seed, corruption=config.corruption
        )
        return training, validation

    def _make_objective(self, samples: Samples | Images, split: Split) -> Objective:
        counts = None
        if self.config.class_weights and isinstance(samples, Samples):
            targets = required_targets(samples, self.model_config.task)
            assert targets is not None
            counts = torch.from_numpy(class_counts(samples, targets, split.train))
            counts = counts.to(self.fabric.device)
        return make_objective(MODELS[self.model_config.model].objective, self.run, counts)

    def _update_best(self, error: float, loss: float) -> bool:
        """Note whether the model is the best so far, by error and then by loss; return it."""
        state = self.state
        if (error, loss) >= (state.best_error, state.best_loss):
            return False
        state.best_error, state.best_loss, state.best_step = error, loss, state.step
        return True

    def _append_history(self, progress: Progress) -> None:
        """Add the line of an epoch; one that the deadline ended has a fraction as its number."""
        epoch = self.state.step / self.plan.per_epoch  # exactly, of any number of epochs
        self.saver.history.append({**progress.facts(), "epoch": epoch})

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

    def _is_check_due(self, seconds: float) -> bool:
        """Return whether to look at the loss, so many seconds after the last time.

        All processes have to do so in the same step.
        """
        if self.shares.processes == 1:
            return seconds > SECONDS_BETWEEN_LOSS_CHECKS
        return self.state.step % STEPS_BETWEEN_LOSS_CHECKS == 0

    def _is_over(self, deadline: float) -> bool:
        """Return whether time is up.

        The first process decides for all: clocks differ, and one that stopped alone would leave
        the others waiting for its gradients.
        """
        if deadline == math.inf:
            return False
        return first_says(self.fabric, self.state.seconds >= deadline)

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
            seconds_held_up=self.waits.seconds,
        )
