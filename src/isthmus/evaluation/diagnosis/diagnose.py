"""`diagnose`: look at a run, and say what is wrong with it."""

from dataclasses import replace
from pathlib import Path

from isthmus.data.cache import Track, untracked
from isthmus.data.images import Images
from isthmus.data.samples import Samples
from isthmus.errors import IsthmusError, RunError
from isthmus.evaluation.diagnosis.checks import find
from isthmus.evaluation.diagnosis.course import Course
from isthmus.evaluation.diagnosis.denoising import measure_denoising
from isthmus.evaluation.diagnosis.facts import Facts
from isthmus.evaluation.diagnosis.findings import Diagnosis
from isthmus.evaluation.diagnosis.kept import keep
from isthmus.evaluation.diagnosis.measuring import (
    MIN_SAMPLES,
    measure_answers,
    measure_change,
    measure_reconstructions,
)
from isthmus.inference.trained import TrainedModel
from isthmus.models.registry import DEFAULT_MODELS, MODELS
from isthmus.models.tasks import KINDS
from isthmus.text import count_of
from isthmus.training.config import default_epochs_of
from isthmus.training.optim import OPTIMIZERS
from isthmus.training.record import Record
from isthmus.training.run import Run
from isthmus.training.variational import loss_scale

MIN_IMAGES = 2  # of the validation split of a denoiser, each of thousands of pixels
MIN_VARIANCE = 1e-9  # of pixels from 0 to 1; one of 255 grays in a picture of 64 pixels has 2e-7


def diagnose(
    run: Run | str | Path,
    samples: Samples | Images | None = None,
    *,
    data: str | Path | None = None,
    model: TrainedModel | None = None,
    track: Track = untracked,
) -> Diagnosis:
    """Look for what went wrong in a training: from its history, weights and validation samples.

    A run folder keeps what was found in diagnosis.json, which its studio shows.

    Parameters
    ----------
    run : Run or path
    samples : Samples or Images, optional
        The run's data; by default it is loaded again, unless it was trained just now.
    data : path or str, optional
        Where the run's data is now, if it has moved.
    model : TrainedModel, optional
        The model of the run; by default it is loaded.
    track : callable
        Shows progress of loading.

    Returns
    -------
    Diagnosis
        Without findings, if all is well. Where the data is gone, only history and weights are
        examined, and it says so.

    Raises
    ------
    IsthmusError
        If there is no run, it has no whole epoch yet, or the samples or `data` are not its own.

    Examples
    --------
    >>> for finding in diagnose("runs/mine").findings:  # doctest: +SKIP
    ...     print(finding.code, finding.text, finding.advice)
    """
    if not isinstance(run, Run):
        run = Run.open(run)
    if data is not None:
        run = run.with_data(data)
    facts = _course_facts(run)
    unexamined: tuple[str, ...] = ()
    if facts.course.history:
        facts, unexamined = _measure(run, model or run.model(), samples, facts, track)
    diagnosis = Diagnosis(run.name, find(facts), unexamined)
    keep(run.store, diagnosis)
    return diagnosis


def _course_facts(run: Run) -> Facts:
    """Return what record and history say."""
    record, history, failure = run.record, run.history(), run.failure()
    if not history and failure is None:
        raise RunError(f"{run.name} has no whole epoch yet; isthmus resume {run.name} continues.")
    config, model_config = record.training_config, record.model_config
    kind = KINDS[len(model_config.shape)]
    usual = OPTIMIZERS[config.optimizer].lr * MODELS[model_config.model].lr_scale
    return Facts(
        run=run.name,
        is_in_memory=run.is_in_memory,
        model=model_config.model,
        task=model_config.task,
        is_signal=kind == "signals",
        usual_model=DEFAULT_MODELS[model_config.task, kind],
        usual_lr=usual,
        usual_epochs=default_epochs_of(model_config.task, record.per_epoch),
        course=Course(config, history, len(model_config.class_names), failure, _loss_scale(record)),
    )


def _loss_scale(record: Record) -> float:
    """Return what the loss of a model that knows nothing is multiplied by."""
    if record.styles is None:
        return loss_scale(record)
    # The losses of content and style are 1 where a painting has nothing of either.
    return record.styles.content + record.styles.style + record.styles.rebuild


def _measure(
    run: Run, model: TrainedModel, samples: Samples | Images | None, facts: Facts, track: Track
) -> tuple[Facts, tuple[str, ...]]:
    """Add what weights and samples say, and return what could not be examined."""
    facts = replace(facts, change=measure_change(run, model))
    count = len(run.split().validation)
    if count < (MIN_IMAGES if facts.task == "denoise" else MIN_SAMPLES):
        few = count_of(count, "validation sample is", "validation samples are")
        return facts, (f"{few} too few to compare the model with anything.",)
    try:
        samples = _load(run, samples, track)
    except IsthmusError as error:
        if run.is_moved or samples is not None:
            raise
        return facts, (f"Only history and weights were examined: {error}",)
    return _measure_on(run, samples, model, facts)


def _load(run: Run, samples: Samples | Images | None, track: Track) -> Samples | Images:
    if samples is None:
        return run.data(track)
    run.check(samples)
    return samples


def _measure_on(
    run: Run, samples: Samples | Images, model: TrainedModel, facts: Facts
) -> tuple[Facts, tuple[str, ...]]:
    if isinstance(samples, Images):
        denoising = measure_denoising(run, samples, model)
        unexamined = (
            () if denoising else ("Without clean images it cannot be compared to filters.",)
        )
        return replace(facts, denoising=denoising), unexamined
    if facts.task == "stylize":
        return facts, ()
    if facts.task != "reconstruct":
        return replace(facts, answers=measure_answers(run, samples, model)), ()
    codes, errors = measure_reconstructions(run, samples, model)
    if errors.mean < MIN_VARIANCE:
        return facts, ("All validation samples are the same; there is nothing to compare.",)
    return replace(facts, codes=codes, errors=errors), ()
