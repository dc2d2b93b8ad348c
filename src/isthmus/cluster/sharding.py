"""`shard_on_cluster`: a source as WebDataset shards, each written by some machine.

In which shard a sample is depends on the sizes of those before it. So there are two jobs: the first
one measures the samples, and the second one writes each shard.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.cluster.connection import joined
from isthmus.cluster.job import Job
from isthmus.cluster.pictures import Pictures
from isthmus.cluster.ranges import choose_rows
from isthmus.cluster.shard_tasks import Measured, MeasureSamples, Shards, WriteShard, read_written
from isthmus.cluster.workload import locate
from isthmus.data.cache import Track, untracked
from isthmus.data.preprocess import Preprocessing
from isthmus.data.reading import Reading
from isthmus.data.shards import (
    SAMPLES_PER_SHARD,
    SIZE_MB,
    list_classes,
    plan_division,
    summarize,
)
from isthmus.files import put

THREADS = 1  # of a process: files are read, nothing is computed
SIZES = ".sizes"  # behind the name of the output, for the parts of the first job


def shard_on_cluster(
    source: str | Path,
    out: str | Path,
    *,
    on: str = "local",
    size_mb: float = SIZE_MB,
    samples_per_shard: int = SAMPLES_PER_SHARD,
    limit: int | None = None,
    reading: Reading | None = None,
    track: Track = untracked,
) -> dict[str, Any]:
    """Write a source of pictures as WebDataset shards on many machines, by Ray.

    The files are those of `isthmus.write_shards`, byte by byte. Shards that are done wait in a
    folder next to the output, so that a job that was stopped continues when it is started again.

    Parameters
    ----------
    source : str or Path
        All machines must find it by the same path, or by the same name; see `isthmus.load`.
    out : str or Path
        The folder to create, on a file system that all machines share.
    on : str
        See `isthmus.encode_on_cluster`.
    size_mb, samples_per_shard, limit, reading
        See `isthmus.write_shards`.
    track : callable
        Shows progress: of samples that are measured, and of shards that are written.

    Returns
    -------
    dict
        As `isthmus.write_shards`, and `resumed`: how many shards an earlier attempt had written.

    Raises
    ------
    OptionError
        If Ray is not installed, nothing answers at the address, or `isthmus.write_shards` would
        refuse.
    IsthmusError
        What a worker raises, in one sentence.

    Examples
    --------
    >>> shard_on_cluster("photos/", "shards", on="local")  # doctest: +SKIP
    """
    out = Path(out)
    division = plan_division(out, size_mb, samples_per_shard)
    found = locate(source, Preprocessing(), limit, reading)
    pictures = Pictures.read(found, out)
    manifest = pictures.layout.manifest
    classes = list_classes(manifest, pictures.source)
    with joined(on), _measured(pictures, out, track) as measured:
        work = Shards.divide(pictures, measured, division)
        job = Job.plan(WriteShard(), work, out, 1, THREADS)
        with job.completed(track) as resumed:
            written = [read_written(part) for part in job.results()]
            names = {shard.name for shard in written}
            if classes is not None:
                put(job.parts.files / classes[0], classes[1])
                names.add(classes[0])
            job.parts.publish(out, names)
    return summarize(out, written, manifest, measured.broken) | {"resumed": resumed}


@contextmanager
def _measured(pictures: Pictures, out: Path, track: Track) -> Iterator[Measured]:
    """Give the sizes of all samples, which are kept until the shards are there."""
    rows = choose_rows(1, 1)
    job = Job.plan(MeasureSamples(), pictures, Path(f"{out}{SIZES}"), rows, THREADS)
    with job.completed(track):
        sizes = [part.array(MeasureSamples.array, "i", 1) for part in job.results()]
        yield Measured(np.concatenate(sizes), job.broken)
