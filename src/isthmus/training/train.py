"""`train` and `resume`: start or continue a run, as an iterator of `Progress`."""

import math
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.data.cache import Track, untracked
from isthmus.data.images import Images
from isthmus.data.normal import keep_normal
from isthmus.data.reading import Note
from isthmus.data.samples import Samples
from isthmus.data.split import split_samples
from isthmus.errors import OptionError, RunError, require_name
from isthmus.inference.trained import TrainedModel
from isthmus.models.config import ModelConfig
from isthmus.models.layers import has_batch_norm
from isthmus.models.tasks import Task
from isthmus.progress import is_first_process
from isthmus.runtime import choose_device, choose_precision, process_count
from isthmus.training.beginning import NewRun, OldRun, Start
from isthmus.training.choosing import (
    as_needed,
    configure_as,
    configure_denoiser,
    configure_new,
)
from isthmus.training.config import TrainingConfig
from isthmus.training.division import split_notes
from isthmus.training.loop import Loop
from isthmus.training.machine import Machine
from isthmus.training.patches import count_patches
from isthmus.training.processes import reject_other_processes, reporting_lost_processes
from isthmus.training.progress import Progress
from isthmus.training.resuming import reject_finished, resuming_notes
from isthmus.training.run import Run
from isthmus.training.shares import reject_small_shares
from isthmus.training.store import require_free
from isthmus.training.style_plan import plan_styles
from isthmus.training.styles import Styles
from isthmus.training.targets import check_classes
from isthmus.training.tensorboard import event_writer, no_event_writer, require_tensorboard

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Training(Iterator[Progress]):
    """A training: walk through it, and it yields `Progress` after every step.

    Nothing is computed, read or written before the first step. It may be left at any time;
    `resume` continues from the last whole epoch. A training that is left frees its run when it is
    closed or garbage-collected.

    Examples
    --------
    >>> training = train(load("digits"), "dense", code_size=8)  # doctest: +SKIP
    >>> for progress in training:  # doctest: +SKIP
    ...     print(progress.epoch, progress.loss)
    >>> evaluate(training.run)["test"]["mse"]  # doctest: +SKIP
    """

    def __init__(self, job: "_Job", notes: tuple[Note, ...] = ()) -> None:
        self.notes = notes  # what to know about how the samples were divided
        self._job = job
        self._steps = job.walk()

    def __next__(self) -> Progress:
        return next(self._steps)

    def close(self) -> None:
        """Stop training and free the run for others."""
        self._steps.close()

    @property
    def run(self) -> Run:
        """The run, which exists from the first step on.

        Raises
        ------
        RunError
            Before the first step of a new run.
        """
        if self._job.run is None:
            raise RunError("there is no run before the first step; walk through the training.")
        return self._job.run


@dataclass
class _Job:
    """What a `Training` walks through.

    It is an object of its own so that the generator does not refer to its `Training`: that would
    be a cycle, and a training that is dropped would keep its run locked until Python's garbage
    collector finds it.
    """

    source: NewRun | OldRun
    machine: Machine
    max_minutes: float | None
    old: Run | None = None  # that is resumed, as it was read
    run: Run | None = None

    def walk(self) -> Generator[Progress, None, None]:
        """Train from the last checkpoint to the last epoch."""
        with reporting_lost_processes():
            machine = self.source.tune(self.machine)
            fabric = machine.launch()  # first: who writes depends on the rank
            yield from self._walk(fabric, machine.settle())

    def _walk(self, fabric: "Fabric", machine: Machine) -> Generator[Progress, None, None]:
        run, samples = self.source.begin(fabric, machine)
        self.run = run = replace(run, loaded=samples)
        is_first = fabric.is_global_zero  # of several processes, only this one writes
        with run.lock() if is_first else nullcontext():
            if self.old is not None and is_first:
                _reject_changed(self.old)
            with machine.computing():
                loop = Loop(run, samples, fabric)
            # After the checkpoint is read: a damaged run stays as it was.
            if self.old is not None and is_first and run.differs_from(self.old):
                run.write_record()
            deadline = math.inf
            # In seconds of training, which a resumed run continues to count; validation and saving
            # come on top.
            if self.max_minutes is not None:
                deadline = loop.state.seconds + 60 * self.max_minutes
            with (
                event_writer(run.path / "tensorboard", loop.saver.history)
                if run.record.training_config.tensorboard and is_first
                else no_event_writer() as write_events
            ):
                yield from machine.walk(loop.walk(deadline, write_events))


def train(
    samples: Samples | Images,
    model: str | None = None,
    *,
    out: str | Path | None = None,
    task: Task | None = None,
    code_size: int | None = None,
    options: dict[str, Any] | None = None,
    config: TrainingConfig | None = None,
    start: TrainedModel | Run | None = None,
    styles: Styles | None = None,
    max_minutes: float | None = None,
) -> Training:
    """Train a model on samples, into a new run.

    The call checks names, options and the shape of the samples. All else happens at the first
    step: pixels are read, noise is hashed, weights are drawn and the run is made.

    Parameters
    ----------
    samples : Samples or Images
        A denoiser takes images of any sizes; all other models take samples of one shape.
    model : str, optional
        A key of `MODELS`; by default "conv" for images and "conv1d" for signals, "cnn" to
        classify, "fcn8s" to segment and "denoiser" to denoise.
    out : path, optional
        The run folder to make; without, the run lives in memory.
    task : str, optional
        "reconstruct", "classify" (needs labels), "segment" (needs masks), "stylize" (needs styles)
        or "denoise"; by default the model's, and for `Images` "denoise".
    code_size : int, optional
        By default the model's own.
    options : dict, optional
        Options of the model, such as {"width": 0.25}; see `ModelRow.options`.
    config : TrainingConfig, optional
    start : TrainedModel or Run, optional
        Train this model further, on other samples: the new run has its config and preprocessing,
        and starts from its weights. Of a run, these are the best, and the optimizer continues with
        what it remembers of its last steps, unless `config` names another one.
    styles : Styles, optional
        For a style bank: what it learns to paint like; see `load_styles`. With the run of a style
        bank to start from, only these are learned, and all else stays as it is.
    max_minutes : float, optional
        Stop after this many minutes of training; `resume` continues.

    Returns
    -------
    Training
        An iterator of `Progress`: one after every step, and with a validation loss after every
        epoch. Its `run` is what was trained.

    Raises
    ------
    IsthmusError
        If the model does not fit the samples, a setting makes no sense or `out` exists. At the
        first step: if the encoder to start from does not fit, or the data cannot be learned from.
    TrainingError
        Later: if the loss becomes NaN or infinite. The best weights so far are kept.

    Examples
    --------
    >>> samples = load("digits")  # doctest: +SKIP
    >>> for progress in train(samples, code_size=8, out="runs/digits"):  # doctest: +SKIP
    ...     print(progress.epoch, progress.loss)
    """
    config = config or TrainingConfig()
    _require_samples(samples)
    _reject_no_time(max_minutes)
    if out is not None:
        require_name("the run folder", out, RunError)
    path = None if out is None else Path(out)
    if path is not None and is_first_process():  # which alone makes it
        require_free(path)
    elif path is None and config.tensorboard:
        raise OptionError(
            "event files of TensorBoard need a run folder; give out, or leave it out."
        )
    origin = None if start is None else Start.of(start, config)
    samples = as_needed(samples, model, task, None if origin is None else origin.model)
    plan = plan_styles(styles, start)
    if origin is None and isinstance(samples, Images):
        model_config = configure_denoiser(samples, model, code_size, options, config)
    elif origin is None:
        assert isinstance(samples, Samples)
        if plan is not None and model is None:
            task = task or "stylize"
        names = () if plan is None else plan.names
        model_config = configure_new(samples, model, task, code_size, options, config, names)
    else:
        origin = origin if plan is None else origin.with_styles(plan.names, config.seed)
        model_config = configure_as(origin.model, samples, model, task, code_size, options, config)
    # The split is needed now, as it says how many samples there are to choose a batch size by.
    split = split_samples(
        samples, config.seed, config.validation, config.test, group_by=config.group_by
    )
    if isinstance(samples, Images):
        count = count_patches(samples, split.train, model_config.shape[1])
    else:
        count = len(split.train)
        if config.normal is not None and model_config.task == "reconstruct":
            split = keep_normal(samples, split, config.normal)
            count = len(split.train)
        if model_config.task == "classify" and samples.labels is not None:
            check_classes(samples, samples.labels, split)
    config = config.resolve(model_config, count, samples.allows_flip)
    _reject_small_batch(model_config, config, count)
    machine = Machine.of(config)
    if config.tensorboard:
        require_tensorboard()
    new_run = NewRun(samples, split, model_config, config, path, origin, plan)
    notes = split_notes(samples, split, config, model_config.task)
    return Training(_Job(new_run, machine, max_minutes), notes)


def resume(
    run: Run | str | Path,
    samples: Samples | Images | None = None,
    *,
    epochs: int | None = None,
    patience: int | None = None,
    max_minutes: float | None = None,
    device: str | None = None,
    precision: str | None = None,
    track: Track = untracked,
) -> Training:
    """Continue a run from its last checkpoint, exactly as if it had not stopped.

    Of a run that was killed after its last epoch, what is missing is written, and the training
    yields nothing.

    Parameters
    ----------
    run : Run or path
        A run, or its folder.
    samples : Samples, optional
        Needed for a folder of a run on an array; otherwise the run's data is loaded again, at the
        first step.
    epochs : int, optional
        Epochs in all; more than planned stretch the schedule, whose remaining part is followed.
    patience : int, optional
        Stop after so many epochs without a better one; by default as many as before.
    max_minutes : float, optional
        Stop after this many more minutes of training.
    device, precision : str, optional
        As of `TrainingConfig`, if they are to be others than those that the run was begun with,
        which changes the weights a little. What the precision "auto" is on a CPU is chosen at the
        first step.
    track : callable
        Shows progress of loading the data.

    Returns
    -------
    Training
        As of `train`. Its `notes` say what differs from how the run was begun.

    Raises
    ------
    IsthmusError
        If there is no run, its data is missing, it has as many epochs already or its device is not
        there, or another number of processes is. At the first step: if its data has changed, or
        somebody else trains it now.
    """
    _reject_no_time(max_minutes)
    old = run.reload() if isinstance(run, Run) else Run.open(run)
    run = old.with_training(epochs=epochs, patience=patience, **_choose(old, device, precision))
    reject_finished(run)
    if samples is None and not run.record.origin.source:
        samples = run.data()  # says that they must be given, unless the run has them
    machine = Machine.of_run(run)
    reject_other_processes(run.name, run.record.environment.get("processes", 1))
    # What is fastest is measured, which is work for the first step.
    is_tuned = precision == "auto" and machine.is_open
    if is_tuned:
        machine = replace(machine, precision="auto")
    job = _Job(OldRun(run, samples, track, is_tuned), machine, max_minutes, old)
    return Training(job, resuming_notes(run, machine))


def _choose(run: Run, device: str | None, precision: str | None) -> dict[str, str | None]:
    """Return device and precision that a run is to have, "auto" replaced by what is usual here."""
    if device == "auto":
        device = choose_device(device)
    if precision == "auto":
        precision = choose_precision(device or Machine.of_run(run).device)
    return {"device": device, "precision": precision}


def _reject_changed(run: Run) -> None:
    """Reject a run whose record was written after it was read: what was decided by it is stale."""
    if run.reload().record != run.record:
        raise RunError(f"{run.name} was resumed in another way meanwhile; resume it again.")


def _reject_no_time(max_minutes: float | None) -> None:
    if max_minutes is not None and not max_minutes > 0:
        raise OptionError(f"max minutes must be above 0, not {max_minutes}.")


def _reject_small_batch(model_config: ModelConfig, config: TrainingConfig, count: int) -> None:
    """Reject a batch, or shares of one, with nothing to learn from or to normalize over."""
    size, processes = config.batch_size or 1, process_count()
    shares = processes * (config.accumulate or 1)
    if size >= 2 * shares:
        return
    is_normalized = has_batch_norm(model_config.build_on_meta())
    why = f"{model_config.model} normalizes over the batch"
    if is_normalized and count == 1:
        raise OptionError(f"{why}; give more than the one sample that there is to train on.")
    if is_normalized and shares == 1:
        raise OptionError(f"{why}; take a batch size of at least 2.")
    needed, why = (2, f", as {why}") if is_normalized else (1, "")
    reject_small_shares(size, processes, config.accumulate or 1, needed, why)


def _require_samples(samples: object) -> None:
    """Reject an array or the name of a source, which `train` seems to take at first sight."""
    if not isinstance(samples, Samples | Images):
        raise OptionError(
            f"train takes Samples, not {type(samples).__name__}; isthmus.load turns sources and "
            "arrays into them, and isthmus.load_images into Images."
        )
