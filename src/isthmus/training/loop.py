"""The training loop: `train` and `resume` yield `Progress` while they work."""

import math
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from isthmus.data.cache import Track, untracked
from isthmus.data.draws import DROPOUT
from isthmus.data.preprocessing import Preprocessing
from isthmus.data.samples import Samples, Split, divide
from isthmus.errors import SettingsError, TrainingError
from isthmus.models.blocks import normalises_over_batch
from isthmus.models.zoo import Spec, Task, model_row, specify
from isthmus.trained import FILE, Trained
from isthmus.training.batches import Batches, Source, noise_fingerprint
from isthmus.training.devices import launch
from isthmus.training.events import events, no_events, require_tensorboard
from isthmus.training.objectives import objective
from isthmus.training.optimization import SCHEDULES
from isthmus.training.run import Record, Run, circumstances
from isthmus.training.settings import Settings, make_optimizer
from isthmus.training.start import above_encoder, fresh, take_encoder
from isthmus.training.tally import Tally
from isthmus.training.targets import check_classes, counts, truth_of

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
    """The counters that, with weights and optimiser, make up a checkpoint."""

    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0  # over the steps of the current epoch
    best_error: float = math.inf  # of the validation part: its loss, or what lacks to its score
    best_loss: float = math.inf  # at the same time
    best_step: int = 0


def train(
    samples: Samples,
    model: str | None = None,
    *,
    out: str | Path,
    task: Task | None = None,
    code_size: int | None = None,
    options: dict[str, Any] | None = None,
    settings: Settings | None = None,
    max_minutes: float | None = None,
) -> Generator[Progress, None, None]:
    """Train a model on samples, into a new run folder.

    Nothing is computed until the iterator is walked through; it may be left at any time, and
    `resume` goes on from the last whole epoch.

    Parameters
    ----------
    samples : Samples
    model : str, optional
        A key of `MODELS`; by default "conv" for images and "conv1d" for signals, "cnn" to
        classify and "fcn8s" to segment.
    out : path
        The run folder to make.
    task : str, optional
        "reconstruct", "classify" (needs labels) or "segment" (needs masks); by default the
        model's.
    code_size : int, optional
        By default the model's own.
    options : dict, optional
        Of the model, such as {"width": 0.25}; see `Model.options`.
    settings : Settings, optional
    max_minutes : float, optional
        Stop after as many minutes of training; `resume` can go on.

    Returns
    -------
    generator of Progress
        One after every step, and with a validation loss after every epoch.

    Raises
    ------
    IsthmusError
        If the model does not fit the samples, a setting makes no sense or `out` exists.
    TrainingError
        While walking: if the loss becomes NaN or infinite. The best weights so far are kept.

    Examples
    --------
    >>> samples = load("digits")  # doctest: +SKIP
    >>> for progress in train(samples, code_size=8, out="runs/digits"):  # doctest: +SKIP
    ...     print(progress.epoch, progress.loss)
    """
    settings = settings or Settings()
    _refuse_no_time(max_minutes)
    spec = _specified(samples, model, task, code_size, options, settings)
    truth = truth_of(samples, spec.task)
    split = divide(samples, settings.seed, settings.validation, settings.test)
    if truth is not None and spec.task == "classify":
        check_classes(samples, truth, split)
    settings = settings.resolved(spec, len(split.train), samples.mirrors)
    module = fresh(spec, settings.seed)
    if settings.encoder_from:
        take_encoder(module, spec, Path(settings.encoder_from))
    if normalises_over_batch(module) and settings.batch_size == 1:
        raise SettingsError(
            f"{spec.model} normalises over the batch; take a batch size of at least 2."
        )
    if settings.tensorboard:
        require_tensorboard()
    fabric = launch(settings)
    if fabric.is_global_zero:
        preprocessing = _preprocessing(samples, split)
        record = Record(
            spec,
            preprocessing,
            settings,
            samples.origin,
            _described(samples, split, preprocessing, settings),
            circumstances(fabric.device, str(fabric.strategy.precision.precision)),
        )
        Run.create(out, record, split, Trained(spec, preprocessing, module))
    fabric.barrier()
    return _advance(Run.open(out), samples, fabric, max_minutes)


def resume(
    out: str | Path,
    samples: Samples | None = None,
    *,
    epochs: int | None = None,
    max_minutes: float | None = None,
    track: Track = untracked,
) -> Generator[Progress, None, None]:
    """Go on with a run from its last checkpoint, exactly as if it had not stopped.

    Parameters
    ----------
    out : path
        The run folder.
    samples : Samples, optional
        Needed for a run on an array; otherwise the run's data is loaded again.
    epochs : int, optional
        Epochs in all; more than planned stretch the schedule, whose remaining part is followed.
    max_minutes : float, optional
        Stop after as many more minutes of training.
    track : callable
        Shows progress of loading.

    Raises
    ------
    IsthmusError
        If there is no run, its data has changed, or it has as many epochs already.
    """
    _refuse_no_time(max_minutes)
    run = Run.open(out)
    if samples is None:
        samples = run.samples(track)
    run.check(samples)
    done = run.history()[-1]["epoch"] if run.history() else 0
    wanted = epochs or run.record.settings.epochs or 0
    if wanted <= done:
        raise SettingsError(
            f"{out} has trained {done:g} of {wanted} epochs; give a larger number to go on."
        )
    fabric = launch(run.record.settings)
    return _advance(run, samples, fabric, max_minutes, epochs)


def _advance(
    run: Run,
    samples: Samples,
    fabric: Fabric,
    max_minutes: float | None,
    epochs: int | None = None,
) -> Generator[Progress, None, None]:
    """Train from the last checkpoint to the last epoch."""
    with run.lock() if fabric.is_global_zero else nullcontext():
        run = run.extended(epochs)
        loop = _Loop(run, samples, fabric)
        if epochs and fabric.is_global_zero:
            run.write_record()
        deadline = math.inf if max_minutes is None else loop.state.seconds + 60 * max_minutes
        watch = run.record.settings.tensorboard and fabric.is_global_zero
        with events(run.path / "tensorboard", loop.state.step) if watch else no_events() as write:
            for progress in loop.walk(deadline):
                if progress.validation_loss is not None:
                    write(loop.history[-1])
                yield progress


class _Loop:
    """Model, optimiser, batches and counters of a run in training."""

    def __init__(self, run: Run, samples: Samples, fabric: Fabric) -> None:
        record, split, settings = run.record, run.split(), run.record.settings
        self.run, self.fabric, self.settings, self.spec = run, fabric, settings, record.spec
        self.module = fresh(record.spec, settings.seed).to(fabric.device)
        self.module.encoder.requires_grad_(not settings.freeze)
        learning = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(settings, learning)
        self.state = self._restore()
        self.drops = any(isinstance(part, nn.Dropout) for part in self.module.modules())
        self.history = [line for line in run.history() if line["step"] <= self.state.step]
        # Alone, the module itself: Fabric's wrapper takes as long as a small model's own work.
        self.model = fabric.setup_module(self.module) if fabric.world_size > 1 else self.module
        truth = truth_of(samples, self.spec.task)
        source = Source(samples.values, record.preprocessing, fabric.device, truth)
        size, share = settings.batch_size or 1, (fabric.global_rank, fabric.world_size)
        self.batches = Batches(
            source,
            split.train,
            size,
            settings.seed,
            share,
            mirror=bool(settings.mirror),
            augmentation=settings.augmentation,
            corruption=settings.corruption,
        )
        self.held_out = Batches(
            source, split.validation, size, settings.seed, corruption=settings.corruption
        )
        weighted = settings.class_weights and truth is not None
        frequent = counts(samples, truth, split.train) if weighted and truth is not None else None
        self.loss = objective(
            settings.loss or "mse",
            settings.label_smoothing,
            None if frequent is None else torch.from_numpy(frequent).to(fabric.device),
        )
        self.epochs = settings.epochs or 0
        self.steps = self.epochs * len(self.batches)
        self.began = (self.state.seconds, self.state.step)

    def walk(self, deadline: float) -> Iterator[Progress]:
        """Train until the last step, the deadline or the end of patience."""
        per_epoch = len(self.batches)
        while self.state.step < self.steps and not self._over(deadline):
            yield from self._epoch(deadline)
            validation_loss, tally = self._validate()
            self._refuse_not_finite(validation_loss)
            is_best = self._is_best(tally.error(validation_loss), validation_loss)
            steps_of_epoch = (self.state.step - 1) % per_epoch + 1
            mean_loss = torch.tensor(self.state.loss_sum / steps_of_epoch)
            progress = replace(
                self._progress(mean_loss, validation_loss, is_best), scores=tally.values()
            )
            self._note(progress)
            if self.fabric.is_global_zero:
                self._save(progress)
            yield progress
            epochs_without_best = (self.state.step - self.state.best_step) / per_epoch
            if self.settings.patience and epochs_without_best >= self.settings.patience:
                break
        if self.fabric.is_global_zero:
            self._trained().save(self.run.path / "last.safetensors")

    def _epoch(self, deadline: float) -> Iterator[Progress]:
        """Train from the current step to the end of its epoch, or to the deadline."""
        state, per_epoch = self.state, len(self.batches)
        epoch, start = divmod(state.step, per_epoch)
        loss_sum = torch.tensor(state.loss_sum if start else 0.0, device=self.fabric.device)
        self.model.train()
        if self.settings.freeze:
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
                self._refuse_not_finite(float(loss_sum))
                looked = now
            if self._over(deadline):
                break
            if state.step % per_epoch:
                yield self._progress(loss_sum / (state.step - epoch * per_epoch))
            mark = time.perf_counter()
        mark = time.perf_counter()
        state.loss_sum = float(loss_sum)  # waits until a GPU has done its work
        state.seconds += time.perf_counter() - mark
        self._refuse_not_finite(state.loss_sum)

    def _validate(self) -> tuple[float, Tally]:
        """Return the mean loss over the validation part, and the scores where there are classes."""
        self.model.eval()
        total, tally = 0.0, Tally(self.spec)
        with torch.inference_mode():
            for x, target in self.held_out.in_order():
                loss, output = self._loss(x, target)
                total += float(loss) * len(x)
                tally.add(output, target)
        return total / len(self.held_out.indices), tally

    def _loss(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return a batch's mean loss and output: the model in the chosen precision, else in 32."""
        with self.fabric.autocast():
            output = self.model(x)
        return self.loss(output.float(), target, self.spec.activation), output

    @contextmanager
    def _chance(self) -> Iterator[None]:
        """Let dropout follow from seed, step and process, and leave torch's own chance alone."""
        if not self.drops:
            yield
            return
        device = self.fabric.device
        where = [self.settings.seed, DROPOUT, self.state.step, self.fabric.global_rank]
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
            self._trained().save(self.run.path / FILE)
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
        """Take weights, optimiser and counters from the checkpoint, if there is one."""
        checkpoint = self.run.checkpoint()
        if checkpoint is None:
            state = State()
            if self.settings.encoder_from:  # in model.safetensors, until a best model replaces it
                self.module.load_state_dict(self.run.trained().module.state_dict())
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
        return (self.settings.lr or 0.0) * SCHEDULES[self.settings.schedule](done)

    def _over(self, deadline: float) -> bool:
        """Tell whether time is up; several processes agree on it."""
        if deadline == math.inf:
            return False
        return bool(self.fabric.broadcast(self.state.seconds >= deadline))

    def _refuse_not_finite(self, loss: float) -> None:
        if math.isfinite(loss):
            return
        kept = self.state.best_step / len(self.batches)
        weights = f"those of epoch {kept:g}" if kept else "the untrained ones"
        raise TrainingError(
            f"the loss became {loss} in epoch {self._epoch_number()}; {self.run.path} keeps the "
            f"last good weights, {weights}; train again with a lower lr than "
            f"{self.settings.lr:g}, or with adamw."
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

    def _trained(self) -> Trained:
        return Trained(self.spec, self.run.record.preprocessing, self.module)


def _refuse_no_time(max_minutes: float | None) -> None:
    if max_minutes is not None and not max_minutes > 0:
        raise SettingsError(f"max minutes must be above 0, not {max_minutes}.")


def _specified(
    samples: Samples,
    model: str | None,
    task: Task | None,
    code_size: int | None,
    options: dict[str, Any] | None,
    settings: Settings,
) -> Spec:
    """Specify the model; without a name but with an encoder to start from, one upon that."""
    shape, labelled = samples.input_shape, samples.class_names
    if model is None and task == "classify" and settings.encoder_from:
        return above_encoder(Path(settings.encoder_from), shape, labelled)
    row_task = task or (model_row(model).task if model else "reconstruct")
    if row_task != "reconstruct":
        truth_of(samples, row_task)  # refuses samples without, before the classes are missed
    return specify(
        model,
        shape,
        code_size,
        task=task,
        class_names=labelled if row_task != "reconstruct" else (),
        options=options,
    )


def _preprocessing(samples: Samples, split: Split) -> Preprocessing:
    """Leave nothing open: the size and channels that came out, the range of signals."""
    asked = samples.origin.preprocessing
    if not samples.is_signal:
        height, width, channels = samples.shape
        return replace(asked, size=(height, width), channels=channels)
    low, high = math.inf, -math.inf
    for part in np.array_split(split.train, len(split.train) // 4096 + 1):
        values = samples.values[part]
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    if not low < high:
        raise SettingsError(f"all signals are constant at {low:g}; there is nothing to learn.")
    return asked.scaled(low, high)


def _described(
    samples: Samples, split: Split, preprocessing: Preprocessing, settings: Settings
) -> dict[str, Any]:
    about = {
        "fingerprint": samples.fingerprint,
        "description": samples.describe(),
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
        "skipped": [list(pair) for pair in samples.skipped],
    }
    if settings.corruption is not None:
        about["noise"] = {
            part: noise_fingerprint(samples, getattr(split, part), preprocessing, settings)
            for part in ("validation", "test")
        }
    return about
