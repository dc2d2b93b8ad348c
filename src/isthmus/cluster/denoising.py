"""`denoise_on_cluster`: the pictures of a source without their noise, computed on many machines."""

from pathlib import Path

from isthmus.cluster.connection import joined
from isthmus.cluster.job import Job, count_threads
from isthmus.cluster.ranges import choose_files
from isthmus.cluster.tasks import FileTask
from isthmus.cluster.workload import Workload, locate, open_pictures, require_folder
from isthmus.data.cache import Track, untracked
from isthmus.denoising.formats import require_writable
from isthmus.denoising.ledger import Entry
from isthmus.denoising.sources import (
    EVERY_PICTURE,
    Denoised,
    denoise_part,
    describe_denoised,
    require_picture_model,
)
from isthmus.inference.load import load_model
from isthmus.inference.model import Model
from isthmus.places import require_inner_name


def denoise_on_cluster(
    model: Model | str | Path,
    source: str | Path,
    out: str | Path,
    *,
    on: str = "local",
    track: Track = untracked,
) -> Denoised:
    """Denoise the pictures of a source on many machines, by Ray, into a folder.

    The files have the same bytes as those of `isthmus.denoise` on this machine, if all machines
    have processors of the same kind. They wait in a folder next to the output until all are done,
    so that a job that was stopped continues when it is started again.

    Parameters
    ----------
    model : Model or path
        A denoiser or an autoencoder, or where `isthmus.load_model` finds it on this machine.
    source : str or Path
        A folder or archive of pictures, which all machines must find by the same path or name.
    out : path
        A new or empty folder, on a file system that all machines share.
    on : str
        See `isthmus.encode_on_cluster`.
    track : callable
        Shows progress, in pictures.

    Returns
    -------
    Denoised

    Raises
    ------
    OptionError
        If Ray is not installed, nothing answers at the address, the output is not free or lies in
        the source, or a format cannot be written.
    SourceError
        If the source is an array, a single picture or a packed archive, which `isthmus.denoise`
        takes, or more than a tenth of its pictures are broken.
    IsthmusError
        What a worker raises, in one sentence.

    Examples
    --------
    >>> denoise_on_cluster("runs/denoiser", "noisy/", "clean/")  # doctest: +SKIP
    """
    model = model if isinstance(model, Model) else load_model(model)
    model.require_task("denoise", "reconstruct")
    out = Path(out)
    found = locate(source, model.preprocessing, None, EVERY_PICTURE)
    require_folder(out, found)
    with joined(on):
        work = open_pictures(found)
        _require_writable(model, work)
        task = FileTask(model, denoise_part, Entry, "Denoising")
        job = plan_denoising(task, work, out)
        with job.completed(track):
            entries = [entry for part in job.results() for entry in task.files(part)]
            job.parts.publish(out, {entry.file for entry in entries})
    return describe_denoised(entries, job.skipped(work.items.names), work.pictures)


def plan_denoising(task: FileTask[Entry], work: Workload, out: Path) -> Job:
    """Plan a job on the cluster that this process has joined; nothing is computed or written."""
    rows = choose_files(len(work), share_batches=task.model.task != "denoise")
    return Job.plan(task, work, out, rows, count_threads(task.model))


def _require_writable(model: Model, work: Workload) -> None:
    require_picture_model(model, work.source)
    require_writable(work.items.names)
    for name in work.items.names:
        require_inner_name(name)
