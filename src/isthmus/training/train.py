"""`train` and `resume`: a run begins, or goes on, and yields `Progress` while it works."""

import math
from collections.abc import Generator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric import Fabric

from isthmus.data.cache import Track, untracked
from isthmus.data.preprocess import Preprocessing
from isthmus.data.samples import Samples
from isthmus.data.split import Split, split_samples
from isthmus.errors import OptionError
from isthmus.inference import TrainedModel
from isthmus.models.config import ModelConfig, configure
from isthmus.models.layers import has_batch_norm
from isthmus.models.registry import Task, model_row
from isthmus.runtime import launch
from isthmus.training.batches import noise_fingerprint
from isthmus.training.config import TrainingConfig
from isthmus.training.loop import Loop, Progress
from isthmus.training.run import Record, Run, environment
from isthmus.training.targets import check_classes, required_targets
from isthmus.training.tensorboard import event_writer, no_event_writer, require_tensorboard
from isthmus.training.weights import config_on_encoder, initialize, load_encoder


def train(
    samples: Samples,
    model: str | None = None,
    *,
    out: str | Path,
    task: Task | None = None,
    code_size: int | None = None,
    options: dict[str, Any] | None = None,
    config: TrainingConfig | None = None,
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
    config : TrainingConfig, optional
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
    config = config or TrainingConfig()
    _reject_no_time(max_minutes)
    model_config = _specified(samples, model, task, code_size, options, config)
    truth = required_targets(samples, model_config.task)
    split = split_samples(samples, config.seed, config.validation, config.test)
    if truth is not None and model_config.task == "classify":
        check_classes(samples, truth, split)
    config = config.resolve(model_config, len(split.train), samples.allows_flip)
    module = initialize(model_config, config.seed)
    if config.encoder_from:
        load_encoder(module, model_config, Path(config.encoder_from))
    if has_batch_norm(module) and config.batch_size == 1:
        raise OptionError(
            f"{model_config.model} normalizes over the batch; take a batch size of at least 2."
        )
    if config.tensorboard:
        require_tensorboard()
    fabric = launch(config.device, config.precision)
    if fabric.is_global_zero:
        preprocessing = _preprocessing(samples, split)
        record = Record(
            model_config,
            preprocessing,
            config,
            samples.origin,
            _described(samples, split, preprocessing, config),
            environment(fabric.device, str(fabric.strategy.precision.precision)),
        )
        Run.create(out, record, split, TrainedModel(model_config, preprocessing, module))
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
    _reject_no_time(max_minutes)
    run = Run.open(out)
    if samples is None:
        samples = run.samples(track)
    run.check(samples)
    done = run.history()[-1]["epoch"] if run.history() else 0
    wanted = epochs or run.record.training_config.epochs or 0
    if wanted <= done:
        raise OptionError(
            f"{out} has trained {done:g} of {wanted} epochs; give a larger number to go on."
        )
    fabric = launch(run.record.training_config.device, run.record.training_config.precision)
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
        run = run.with_epochs(epochs)
        loop = Loop(run, samples, fabric)
        if epochs and fabric.is_global_zero:
            run.write_record()
        deadline = math.inf if max_minutes is None else loop.state.seconds + 60 * max_minutes
        watch = run.record.training_config.tensorboard and fabric.is_global_zero
        with (
            event_writer(run.path / "tensorboard", loop.state.step)
            if watch
            else no_event_writer() as write
        ):
            for progress in loop.walk(deadline):
                if progress.validation_loss is not None:
                    write(loop.history[-1])
                yield progress


def _reject_no_time(max_minutes: float | None) -> None:
    if max_minutes is not None and not max_minutes > 0:
        raise OptionError(f"max minutes must be above 0, not {max_minutes}.")


def _specified(
    samples: Samples,
    model: str | None,
    task: Task | None,
    code_size: int | None,
    options: dict[str, Any] | None,
    config: TrainingConfig,
) -> ModelConfig:
    """Specify the model; without a name but with an encoder to start from, one upon that."""
    shape, labelled = samples.input_shape, samples.class_names
    if model is None and task == "classify" and config.encoder_from:
        return config_on_encoder(Path(config.encoder_from), shape, labelled)
    row_task = task or (model_row(model).task if model else "reconstruct")
    if row_task != "reconstruct":
        required_targets(
            samples, row_task
        )  # refuses samples without, before the classes are missed
    return configure(
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
        return asked.resolve(samples.shape)
    low, high = math.inf, -math.inf
    for part in np.array_split(split.train, len(split.train) // 4096 + 1):
        values = samples.values[part]
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    if not low < high:
        raise OptionError(f"all signals are constant at {low:g}; there is nothing to learn.")
    return asked.with_range(low, high)


def _described(
    samples: Samples, split: Split, preprocessing: Preprocessing, config: TrainingConfig
) -> dict[str, Any]:
    about = {
        "fingerprint": samples.fingerprint,
        "description": samples.describe(),
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
        "skipped": [list(pair) for pair in samples.skipped],
    }
    if config.corruption is not None:
        about["noise"] = {
            part: noise_fingerprint(samples, getattr(split, part), preprocessing, config)
            for part in ("validation", "test")
        }
    return about
