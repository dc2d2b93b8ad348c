"""`encode_on_cluster`: the codes of a source, computed on many machines."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.cluster.connection import joined
from isthmus.cluster.gathering import choose_output
from isthmus.cluster.job import Job, count_threads
from isthmus.cluster.ranges import choose_rows
from isthmus.cluster.tasks import SampleTask
from isthmus.cluster.workload import Workload, locate, open_workload
from isthmus.data.cache import Track, untracked
from isthmus.data.preprocess import Preprocessing
from isthmus.data.reading import Reading
from isthmus.inference.load import load_model
from isthmus.inference.model import CODE, Model
from isthmus.latent.codes import Codes


def encode_on_cluster(
    model: Model | str | Path,
    source: str | Path,
    out: str | Path,
    *,
    on: str = "local",
    layer: str = CODE,
    limit: int | None = None,
    preprocessing: Preprocessing | None = None,
    reading: Reading | None = None,
    track: Track = untracked,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Encode a source on many machines, by Ray, and write the codes to a file.

    The codes are equal to those of `isthmus.encode` on this machine to the last bit, if all
    machines have processors of the same kind. Codes that are done wait in a folder next to the
    output, so that a job that was stopped continues when it is started again.

    Parameters
    ----------
    model : Model or path
        The model, or where `isthmus.load_model` finds it on this machine.
    source : str or Path
        All machines must find it by the same path, or by the same name; see `isthmus.load`.
    out : path
        A .npy file as `isthmus.encode` writes it, a .parquet file or a .lance dataset, on a file
        system that all machines share.
    on : str
        "local" starts Ray on this machine; "auto" joins the cluster that this machine is in; an
        address joins another one. Where `ray.init` was called already, that cluster is used.
    layer : str
        "code", or the name of a layer.
    limit : int, optional
        At most as many samples, spread evenly over the source.
    preprocessing : Preprocessing, optional
        By default that of the model.
    reading : Reading, optional
        See `isthmus.load`.
    track : callable
        Shows progress, in samples.
    say : callable
        Receives sentences about what was left out of the source, or guessed.

    Returns
    -------
    dict
        "codes" : str
            The path.
        "n", "size" : int
            How many codes, and how many numbers each has.
        "layer", "shape", "model_fingerprint", "data_fingerprint"
            As codes have them. The last one is empty where no machine has seen all pixels.
        "resumed" : int
            How many samples an earlier attempt had encoded.

    Raises
    ------
    OptionError
        If Ray is not installed, nothing answers at the address, or the output may not be replaced
        or lies in the source.
    IsthmusError
        What a worker raises, in one sentence.

    Examples
    --------
    >>> encode_on_cluster("runs/mine", "photos/", "codes.npy", on="local")  # doctest: +SKIP
    """
    model = model if isinstance(model, Model) else load_model(model)
    output = choose_output(Path(out))
    model.feature_shape(layer)  # an unknown one should fail before any work
    found = locate(source, preprocessing or model.preprocessing, limit, reading)
    found.require_outside(output.path)
    with joined(on):
        work = open_workload(found, track)
        task = SampleTask(
            model, partial(compute_features, layer=layer), "Encoding", {"layer": layer}
        )
        rows = choose_rows(model.batch_size, work.sample_bytes)
        job = Job.plan(task, work, output.path, rows, count_threads(model))
        with job.completed(track) as resumed:
            codes = _describe(model, layer, work, work.take(job.broken))
            output.write(codes, _blocks(job), job.rows())
    work.say_report(job.broken, say)
    return _summarize(output.path, codes, resumed)


def compute_features(model: Model, values: NDArray[Any], layer: str) -> NDArray[np.float32]:
    """Return the output of a layer for samples, a row for each.

    Parameters
    ----------
    model : Model
    values : (n, …) array
        Samples as they are in memory, at least one.
    layer : str
        "code", or the name of a layer.

    Returns
    -------
    (n, D) float32
    """
    batches = model.features(values, layer)
    return np.concatenate([batch.reshape(len(batch), -1) for batch in batches])


def _blocks(job: Job) -> Iterator[NDArray[np.float32]]:
    return (part.array(SampleTask.array, "f", 2) for part in job.results())


def _describe(model: Model, layer: str, work: Workload, items: Any) -> Codes:
    """Return the codes without numbers."""
    shape = model.feature_shape(layer)
    no_z = np.empty((0, math.prod(shape)), np.float32)
    return Codes(no_z, items, layer, shape, model.fingerprint, work.origin)


def _summarize(path: Path, codes: Codes, resumed: int) -> dict[str, Any]:
    return {
        "codes": str(path),
        "n": len(codes.items),
        "size": codes.z.shape[1],
        "layer": codes.layer,
        "shape": list(codes.shape),
        "model_fingerprint": codes.model_fingerprint,
        "data_fingerprint": codes.items.fingerprint,
        "resumed": resumed,
    }
