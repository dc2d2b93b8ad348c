"""`predict_on_cluster` and `predict_masks_on_cluster`: what a model says of many samples."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from isthmus.cluster.connection import joined
from isthmus.cluster.job import Job, count_threads
from isthmus.cluster.ranges import choose_files, choose_rows
from isthmus.cluster.tasks import FileTask, SampleTask
from isthmus.cluster.workload import locate, open_pictures, open_workload, require_folder
from isthmus.data.cache import Track, untracked
from isthmus.data.readers.masks.class_lists import CLASSES_FILE
from isthmus.evaluation.predictions import compute_answers, describe_answers
from isthmus.evaluation.tables import Row, require_table, write_table
from isthmus.files import write_bytes
from isthmus.inference.load import load_model
from isthmus.inference.model import Model
from isthmus.segmenting import (
    MaskRow,
    PredictedMasks,
    list_classes,
    require_mask_names,
    write_masks,
)


def predict_on_cluster(
    model: Model | str | Path,
    source: str | Path,
    out: str | Path,
    *,
    on: str = "local",
    limit: int | None = None,
    track: Track = untracked,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Predict the class of each sample on many machines, by Ray, and write a table.

    The table is equal to what `isthmus predict --out` writes on this machine, if all machines have
    processors of the same kind. Answers that are there wait in a folder next to the output, so that
    a job that was stopped continues when it is started again.

    Parameters
    ----------
    model : Model or path
        A classifier, or a segmenter, of which the table has the share of the pixels of each class.
    source : str or Path
        All machines must find it by the same path, or by the same name; see `isthmus.load`.
    out : path
        A new .csv, .json or .parquet file, on a file system that all machines share.
    on : str
        See `isthmus.encode_on_cluster`.
    limit : int, optional
        At most as many samples, spread evenly over the source.
    track : callable
        Shows progress, in samples.
    say : callable
        Receives sentences about what was left out of the source, or guessed.

    Returns
    -------
    dict
        "table" : str
            The path.
        "n" : int
            Its rows.
        "model_fingerprint" : str
        "resumed" : int
            How many samples an earlier attempt had done.

    Raises
    ------
    OptionError
        If Ray is not installed, nothing answers at the address, or the output exists or lies in
        the source.
    ModelError
        If the model is neither a classifier nor a segmenter.
    IsthmusError
        What a worker raises, in one sentence.

    Examples
    --------
    >>> predict_on_cluster("runs/pets", "photos/", "classes.csv")  # doctest: +SKIP
    """
    model, out = _open_model(model, "classify", "segment"), Path(out)
    require_table(out)
    found = locate(source, model.preprocessing, limit)
    found.require_outside(out)
    with joined(on):
        work = open_workload(found, track)
        task = SampleTask(model, compute_answers, "Predicting", {})
        rows = choose_rows(model.batch_size, work.sample_bytes)
        job = Job.plan(task, work, out, rows, count_threads(model))
        with job.completed(track) as resumed:
            count = write_table(out, model, _list_rows(model, work.take(job.broken).names, job))
    work.say_report(job.broken, say)
    content = {"table": str(out), "n": count, "model_fingerprint": model.fingerprint}
    return {**content, "resumed": resumed}


def predict_masks_on_cluster(
    model: Model | str | Path,
    source: str | Path,
    out: str | Path,
    *,
    on: str = "local",
    limit: int | None = None,
    track: Track = untracked,
) -> PredictedMasks:
    """Predict the class of each pixel on many machines, by Ray, and write a mask for each picture.

    The files are those of `isthmus.predict_masks` on this machine; see `predict_on_cluster`.

    Parameters
    ----------
    model : Model or path
        A segmenter.
    source : str or Path
        A folder or archive of pictures, which all machines must find by the same path or name.
    out : path
        A new or empty folder, on a file system that all machines share.
    on, limit, track
        See `predict_on_cluster`.

    Returns
    -------
    PredictedMasks

    Raises
    ------
    OptionError
        If Ray is not installed, nothing answers at the address, the output is not free or lies in
        the source, or two masks would get the same name.
    SourceError
        If the source is an array, a single picture or a packed archive, or more than a tenth of its
        pictures are broken.
    IsthmusError
        What a worker raises, in one sentence.

    Examples
    --------
    >>> predict_masks_on_cluster("runs/streets", "frames/", "masks/")  # doctest: +SKIP
    """
    model, out = _open_model(model, "segment"), Path(out)
    found = locate(source, model.preprocessing, limit)
    require_folder(out, found)
    with joined(on):
        work = open_pictures(found)
        require_mask_names(work.items.names)
        task = FileTask(model, partial(write_masks, write=write_bytes), MaskRow, "Predicting")
        rows = choose_files(len(work), share_batches=True)
        job = Job.plan(task, work, out, rows, count_threads(model))
        with job.completed(track):
            masks = [mask for part in job.results() for mask in task.files(part)]
            write_bytes(job.parts.files / CLASSES_FILE, list_classes(model))
            job.parts.publish(out, {CLASSES_FILE, *(mask.file for mask in masks)})
    skipped = tuple(job.skipped(work.items.names))
    found_rows = [mask.describe(out) for mask in masks]
    return PredictedMasks(out, found_rows, skipped, work.pictures.findings.left_out)


def _open_model(model: Model | str | Path, *tasks: Any) -> Model:
    model = model if isinstance(model, Model) else load_model(model)
    model.require_task(*tasks)
    return model


def _list_rows(model: Model, names: Any, job: Job) -> Iterator[Row]:
    """Yield the rows of the table, part by part."""
    done = 0
    for part in job.results():
        answers = part.array(SampleTask.array, "f", 2)
        yield from describe_answers(model, names[done : done + len(answers)], answers)
        done += len(answers)
