"""The training loop: a run's model goes through its epochs and yields `Progress`."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from isthmus.data.random import DROPOUT
from isthmus.data.samples import Samples
from isthmus.errors import TrainingError
from isthmus.inference import MODEL_FILE, TrainedModel
from isthmus.training.batches import Batches, SampleTensors
from isthmus.training.config import make_optimizer
from isthmus.training.objectives import make_loss
from isthmus.training.optim import SCHEDULES
from isthmus.training.run import Run
from isthmus.training.targets import Meter, class_counts, required_targets
from isthmus.training.weights import initialize

LOOK_EVERY = 1.0  # seconds between looks at whether the loss is still a number


@dataclass(frozen=True, slots=True)
class Progress:
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
        Over this call's training so far.
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
        At the end of an epoch of a classifier, the validation part's `accuracy`; of a segmenter
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
        """The mean training loss of the current epoch so far."""
        return float(self.mean_loss)


@dataclass
class State:
    """The counters that, with weights and optimizer, make up a checkpoint."""

    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0  # over the steps of the current epoch
    best_error: float = math.inf  # of the validation part: its loss, or what lacks to its score
    best_loss: float = math.inf  # at the same time
    best_step: int = 0


class Loop:
    """Model, optimizer, batches and counters of a run in training."""

    def __init__(self, run: Run, samples: Samples, fabric: Fabric) -> None:
        record, split, config = run.record, run.split(), run.record.training_config
        self.run, self.fabric, self.config, self.model_config = (
            run,
            fabric,
            config,
            record.model_config,
        )
        self.module = initialize(record.model_config, config.seed).to(fabric.device)
        self.module.encoder.requires_grad_(not config.freeze)
        learning = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(config, learning)
        self.state = self._restore()
        self.drops = any(isinstance(part, nn.Dropout) for part in self.module.modules())
        self.history = [line for line in run.history() if line["step"] <= self.state.step]
        # Alone, the module itself: Fabric's wrapper takes as long as a small model's own work.
        self.model = fabric.setup_module(self.module) if fabric.world_size > 1 else self.module
        truth = required_targets(samples, self.model_config.task)
        source = SampleTensors(samples.values, record.preprocessing, fabric.device, truth)
        size, share = config.batch_size or 1, (fabric.global_rank, fabric.world_size)
        self.batches = Batches(
            source,
            split.train,
            size,
            config.seed,
            share,
            flip=bool(config.flip),
            augmentation=config.augmentation,
            corruption=config.corruption,
        )
        self.held_out = Batches(
            source, split.validation, size, config.seed, corruption=config.corruption
        )
        weighted = config.class_weights and truth is not None
        frequent = (
            class_counts(samples, truth, split.train) if weighted and truth is not None else None
        )
        self.loss = make_loss(
            config.loss or "mse",
            config.label_smoothing,
            None if frequent is None else torch.from_numpy(frequent).to(fabric.device),
        )
        self.epochs = config.epochs or 0
        self.steps = self.epochs * len(self.batches)
        self.began = (self.state.seconds, self.state.step)

    def walk(self, deadline: float) -> Iterator[Progress]:
        """Train until the last step, the deadline or the end of patience."""
        per_epoch = len(self.batches)
        while self.state.step < self.steps and not self._over(deadline):
            yield from self._epoch(deadline)
            validation_loss, meter = self._validate()
            self._reject_not_finite(validation_loss)
            is_best = self._is_best(meter.error(validation_loss), validation_loss)
            steps_of_epoch = (self.state.step - 1) % per_epoch + 1
            mean_loss = torch.tensor(self.state.loss_sum / steps_of_epoch)
            progress = replace(
                self._progress(mean_loss, validation_loss, is_best), scores=meter.values()
            )
            self._note(progress)
            if self.fabric.is_global_zero:
                self._save(progress)
            yield progress
            epochs_without_best = (self.state.step - self.state.best_step) / per_epoch
            if self.config.patience and epochs_without_best >= self.config.patience:
                break
        if self.fabric.is_global_zero:
            self._trained().save(self.run.path / "last.safetensors")

    def _epoch(self, deadline: float) -> Iterator[Progress]:
        """Train from the current step to the end of its epoch, or to the deadline."""
        state, per_epoch = self.state, len(self.batches)
        epoch, start = divmod(state.step, per_epoch)
        loss_sum = torch.tensor(state.loss_sum if start else 0.0, device=self.fabric.device)
        self.model.train()
        if self.config.freeze:
            self.module.encoder.eval()
        mark = looked = time.perf_counter()
        for x, target in self.batches.epoch(epoch, start):
            self._set_lr()
            with self._chance():
                loss, _ = self._loss(x, target)
            self.fabric.backward(loss)
            self.optimizer.step()
            self.optimizer.zero_grad()
            loss_sum += loss.detach()
            state.step += 1
            now = time.perf_counter()
            state.seconds += now - mark
            if now - looked > LOOK_EVERY:
                self._reject_not_finite(float(loss_sum))
                looked = now
            if self._over(deadline):
                break
            if state.step % per_epoch:
                yield self._progress(loss_sum / (state.step - epoch * per_epoch))
            mark = time.perf_counter()
        mark = time.perf_counter()
        state.loss_sum = float(loss_sum)  # waits until a GPU has done its work
        state.seconds += time.perf_counter() - mark
        self._reject_not_finite(state.loss_sum)

    def _validate(self) -> tuple[float, Meter]:
        """Return the mean loss over the validation part, and the scores where there are classes."""
        self.model.eval()
        total, meter = 0.0, Meter(self.model_config)
        with torch.inference_mode():
            for x, target in self.held_out.in_order():
                loss, output = self._loss(x, target)
                total += float(loss) * len(x)
                meter.add(output, target)
        return total / len(self.held_out.indices), meter

    def _loss(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return a batch's mean loss and output: the model in the chosen precision, else in 32."""
        with self.fabric.autocast():
            output = self.model(x)
        return self.loss(output.float(), target, self.model_config.activation), output

    @contextmanager
    def _chance(self) -> Iterator[None]:
        """Let dropout follow from seed, step and process, and leave torch's own chance alone."""
        if not self.drops:
            yield
            return
        device = self.fabric.device
        where = [self.config.seed, DROPOUT, self.state.step, self.fabric.global_rank]
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(int(np.random.SeedSequence(where).generate_state(1)[0]))
            yield

    def _is_best(self, error: float, loss: float) -> bool:
        """Tell whether the model is the best so far, of equal ones the one with less loss."""
        state = self.state
        if (error, loss) >= (state.best_error, state.best_loss):
            return False
        state.best_error, state.best_loss, state.best_step = error, loss, state.step
        return True

    def _note(self, progress: Progress) -> None:
        """Make an epoch a line of the history."""
        self.history.append(
            {
                "epoch": self.state.step / len(self.batches),
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

    def _save(self, progress: Progress) -> None:
        """Write best weights, history and checkpoint, the last of which makes them count."""
        if progress.is_best:
            self._trained().save(self.run.path / MODEL_FILE)
        self.run.write_history(self.history)
        self._checkpoint(self.state)

    def _checkpoint(self, state: State) -> None:
        """Write what it takes to go on."""
        self.run.write_checkpoint(
            {
                "counters": asdict(state),
                "module": self.module.state_dict(),
                "optimizer": self.optimizer.state_dict(),
            }
        )

    def _restore(self) -> State:
        """Take weights, optimizer and counters from the checkpoint, if there is one."""
        checkpoint = self.run.checkpoint()
        if checkpoint is None:
            state = State()
            if self.config.encoder_from:  # in model.safetensors, until a best model replaces it
                self.module.load_state_dict(self.run.model().module.state_dict())
                if self.fabric.is_global_zero:
                    self._checkpoint(state)
            return state
        self.module.load_state_dict(checkpoint["module"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        return State(**checkpoint["counters"])

    def _set_lr(self) -> None:
        lr = self._lr()
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    def _lr(self) -> float:
        """Return the learning rate of the next step."""
        done = min(self.state.step, self.steps - 1) / self.steps
        return (self.config.lr or 0.0) * SCHEDULES[self.config.schedule](done)

    def _over(self, deadline: float) -> bool:
        """Tell whether time is up; several processes agree on it."""
        if deadline == math.inf:
            return False
        return bool(self.fabric.broadcast(self.state.seconds >= deadline))

    def _reject_not_finite(self, loss: float) -> None:
        if math.isfinite(loss):
            return
        kept = self.state.best_step / len(self.batches)
        weights = f"those of epoch {kept:g}" if kept else "the untrained ones"
        raise TrainingError(
            f"the loss became {loss} in epoch {self._epoch_number()}; {self.run.path} keeps the "
            f"last good weights, {weights}; train again with a lower lr than "
            f"{self.config.lr:g}, or with adamw."
        )

    def _epoch_number(self) -> int:
        return max(0, self.state.step - 1) // len(self.batches) + 1

    def _progress(
        self, mean_loss: Tensor, validation_loss: float | None = None, is_best: bool = False
    ) -> Progress:
        seconds, steps = self.state.seconds - self.began[0], self.state.step - self.began[1]
        return Progress(
            epoch=self._epoch_number(),
            epochs=self.epochs,
            step=self.state.step,
            steps=self.steps,
            seconds=self.state.seconds,
            images_per_second=steps * self.batches.size / max(seconds, 1e-9),
            lr=self.optimizer.param_groups[0]["lr"],
            mean_loss=mean_loss,
            validation_loss=validation_loss,
            is_best=is_best,
        )

    def _trained(self) -> TrainedModel:
        return TrainedModel(self.model_config, self.run.record.preprocessing, self.module)
