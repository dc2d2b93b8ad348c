"""`write_shards`: any source of pictures as WebDataset shards, which `load` reads as that source.

A shard is a tar of pictures, each with its label or its mask next to it: `cat/17.jpg` and
`cat/17.cls`, or `17.jpg` and `17.seg.png`.
Shards are called by their split, `train-000000.tar`; the names of the classes are in
`classnames.txt`, those of masks in `classes.txt` or `label_colors.txt`. Files are copied as they
are, so that nothing is lost.

Members are called as the samples where the order of these names is that of the samples, and the
WebDataset library would not take two of them for one sample. Otherwise they are numbered, and
`.json` has the name.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.decode import reject_too_many
from isthmus.data.load import Plan, load, plan_loading
from isthmus.data.manifest import Manifest
from isthmus.data.preprocess import Preprocessing
from isthmus.data.readers.shards.labels import CLASS_NAMES, format_class_names
from isthmus.data.reading import Reading
from isthmus.data.remote.addresses import name_source
from isthmus.data.shardlayout import ShardLayout
from isthmus.data.shardmasks import format_classes
from isthmus.data.shardwriter import Division, ShardWriter, WrittenShard
from isthmus.errors import OptionError, SourceError, first_sentence
from isthmus.files import atomic_folder, put
from isthmus.places import require_free, require_outside

SIZE_MB = 500.0  # of a shard; 1 MB is 1,000,000 bytes
SAMPLES_PER_SHARD = 100_000
MB = 1_000_000  # bytes


def write_shards(
    source: str | Path | NDArray[Any],
    out: str | Path,
    *,
    size_mb: float = SIZE_MB,
    samples_per_shard: int = SAMPLES_PER_SHARD,
    limit: int | None = None,
    reading: Reading | None = None,
    track: Track = untracked,
) -> dict[str, Any]:
    """Write a source of pictures as WebDataset shards: tar files, each with a part of the samples.

    To load the folder gives the samples, labels, class names, splits and the order of the source,
    and the same fingerprint. Files are copied byte by byte and not decoded; images of arrays and
    tables become PNG, and masks do where the source numbers its classes by other values. The same
    source gives the same bytes.

    Parameters
    ----------
    source : str, Path or array
        As for `load`, without signals.
    out : str or Path
        The folder to create. It is there once all shards are.
    size_mb : float
        The size in megabytes at which a shard ends; one sample may be larger.
    samples_per_shard : int
        At most so many samples are in a shard.
    limit : int, optional
        At most as many samples, spread evenly over the source.
    reading : Reading, optional
        How to read a source that can be understood in several ways.
    track : callable
        Shows progress; called as `track(items, total, title)`.

    Returns
    -------
    dict
        `out`; `samples`, how many; `shards`, each with `name`, `samples` and `bytes`;
        `class_names`; `skipped`, what could not be read, as (name, reason).

    Raises
    ------
    OptionError
        If the folder is not empty or lies in the source, a size or number is below what a shard
        needs, or what is read holds more than pictures with classes.
    SourceError
        If the source cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = write_shards("digits", f"{folder}/shards", limit=100)
    ...     load(f"{folder}/shards")
    Samples(100 images of 8 × 8, gray, 10 classes)
    """
    out = Path(out)
    division = plan_division(out, size_mb, samples_per_shard)
    if isinstance(source, np.ndarray):
        samples = load(source, limit=limit, reading=reading)
        name, manifest = "the array", Manifest(samples.names, samples.values)
        require_pictures(manifest, Preprocessing(), name)
    else:
        plan = plan_loading(source, Preprocessing(), limit=limit, reading=reading)
        name, manifest = name_source(source), read_pictures(plan, name_source(source), out)
    classes = list_classes(manifest, name)
    with atomic_folder(out) as folder:
        with ShardWriter(folder, division) as writer:
            broken = _write_samples(ShardLayout.of(manifest), name, writer, track)
        if classes is not None:
            put(folder / classes[0], classes[1])
    return summarize(out, writer.written, manifest, broken)


def plan_division(out: Path, size_mb: float, samples_per_shard: int) -> Division:
    """Return what divides samples into shards of a size in megabytes.

    Raises
    ------
    OptionError
        If the folder to write is not empty, or a size or number is below what a shard needs.
    """
    _require_sizes(size_mb, samples_per_shard)
    require_free(out)
    return Division(int(size_mb * MB), samples_per_shard)


def read_pictures(plan: Plan, name: str, out: Path) -> Manifest:
    """Return what a source holds, if shards in a folder can hold it.

    Raises
    ------
    OptionError
        If the folder lies in the source, or it holds more than pictures with classes.
    SourceError
        If the source cannot be read.
    """
    require_outside(out, plan.location)
    manifest = plan.read()
    require_pictures(manifest, plan.origin.preprocessing, name)
    return manifest


def summarize(
    out: Path, written: Sequence[WrittenShard], manifest: Manifest, broken: Mapping[int, str]
) -> dict[str, Any]:
    """Return what `write_shards` returns."""
    return {
        "out": str(out),
        "samples": sum(shard.samples for shard in written),
        "shards": [shard._asdict() for shard in sorted(written)],
        "class_names": list(manifest.class_names),
        "skipped": [(manifest.names[row], reason) for row, reason in sorted(broken.items())],
    }


def _require_sizes(size_mb: float, samples_per_shard: int) -> None:
    if not 0 < size_mb < float("inf"):
        raise OptionError(f"the size of a shard must be above 0 MB, not {size_mb:g}.")
    if samples_per_shard < 1:
        raise OptionError(f"a shard must have at least 1 sample, not {samples_per_shard:,}.")


def require_pictures(manifest: Manifest, asked: Preprocessing, name: str) -> None:
    """Reject what shards cannot hold.

    Raises
    ------
    OptionError
    """
    if manifest.values is not None:
        _require_images(manifest.values, name)
    elif manifest.pages is not None or asked.stretch is not None or asked.bands is not None:
        raise OptionError(
            "shards hold files as they are; leave --pages, --stretch and --channels out, and give "
            "them when the shards are read."
        )


def list_classes(manifest: Manifest, name: str) -> tuple[str, bytes] | None:
    """Return the list of classes to write next to the shards: its name and its content."""
    if manifest.masks is not None:
        return format_classes(manifest, name)
    _require_lines(manifest.class_names, name)
    if manifest.labels is None:
        return None
    return CLASS_NAMES, format_class_names(manifest.class_names)


def _require_images(values: NDArray[Any], name: str) -> None:
    if values.ndim != 4:
        raise OptionError(
            f"{name} holds signals, which are no pictures; isthmus data export writes an .npz file."
        )
    if values.shape[3] not in (1, 3):
        raise OptionError(
            f"{name} has images of {values.shape[3]} channels, which no PNG holds; give 1 or 3."
        )


def _require_lines(class_names: Sequence[str], name: str) -> None:
    for one in class_names:
        if "\n" in one or one.endswith("\r"):
            raise OptionError(
                f"{name} has the class {one!r}, whose name does not fit into a line of "
                f"{CLASS_NAMES}; rename it."
            )


def _write_samples(
    layout: ShardLayout, source: str, writer: ShardWriter, track: Track
) -> dict[int, str]:
    """Write all samples; return the rows of those that cannot be read, with the reason."""
    manifest = layout.manifest
    broken: dict[int, str] = {}
    total = len(manifest.names)
    samples = track(layout.list_samples(), total, f"Writing {writer.folder.name}")
    for row, sample in enumerate(samples):
        if isinstance(sample, SourceError):
            broken[row] = first_sentence(sample)
            reject_too_many(broken, manifest, source, row + 1)
        else:
            writer.add(layout.split_of(row), sample)
    return broken
