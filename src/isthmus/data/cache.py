"""The cache of decoded samples: each source is decoded once and then opened by memory map.

Decoding is by far the slowest part of loading: 13,233 photographs take seconds, opening them
again takes milliseconds, whatever their number, and they may be larger than memory. In the folder
`samples` of the cache lie

KEY/
    An entry: the pixels or signals as one raw file, masks as another, the rest as JSON.
KEY.alias
    The key of the entry that answers this request as well.
.KEY.lock
    Held while an entry is being decoded.

An entry is whole or absent: it is written under a temporary name and renamed. Its key is a hash
of everything that its content depends on, including names, sizes and times of the source's files,
so a changed source has another key and nothing ever has to be invalidated.
"""

import json
import math
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import filelock
import numpy as np
import platformdirs
from numpy.typing import NDArray

from isthmus.data.decode import decode_blocks
from isthmus.data.items import Items
from isthmus.data.manifest import Manifest
from isthmus.data.preprocess import Preprocessing
from isthmus.data.report import ReadingReport
from isthmus.data.samples import Origin, Samples
from isthmus.data.survey import Read, Survey
from isthmus.data.writer import SampleWriter
from isthmus.errors import OptionError, SourceError
from isthmus.files import fingerprint, write_bytes

FORMAT = 5  # of the cached files; raise it when the same source would give other samples
METADATA_FILE, VALUES_FILE, MASKS_FILE = "samples.json", "values.bin", "masks.npy"
WRITE_ROWS = 4096  # samples of an array that are written at a time

T = TypeVar("T")


class Entry(NamedTuple):
    """A complete entry: its folder, and what its JSON says about the samples."""

    folder: Path
    metadata: dict[str, Any]


class Track(Protocol):
    """Shows progress: walks through `items`, of which there are `total`, under a title."""

    def __call__(self, items: Iterable[T], total: int, title: str) -> Iterable[T]:
        """Yield the items, one by one."""
        ...


def untracked(items: Iterable[T], total: int, title: str) -> Iterable[T]:
    """Walk through `items` and show nothing."""
    return items


def cache_folder() -> Path:
    """Return the folder of derived files: `ISTHMUS_CACHE`, or the user's cache."""
    return Path(os.environ.get("ISTHMUS_CACHE") or platformdirs.user_cache_dir("isthmus"))


def clear() -> int:
    """Delete all decoded samples; return how many bytes that frees."""
    folder = _samples_folder()
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    shutil.rmtree(folder, ignore_errors=True)
    return size


def open_or_decode(
    origin: Origin,
    files: Sequence[Any],
    read: Callable[[], Manifest],
    *,
    allows_flip: bool = False,
    track: Track = untracked,
) -> Samples:
    """Open the cached samples of an origin and its files; read and decode them first if needed.

    Of several processes or threads that ask for the same at the same time, one decodes; the
    others wait and open what it has made. So a run on several processes decodes once.

    Parameters
    ----------
    origin : Origin
    files : list of JSON values
        Identify the content of the source's files, such as by name, size and time.
    read : callable
        Reads what the source holds.
    allows_flip : bool
        See `Samples`.
    track : Track
        Shows the progress of decoding.

    Raises
    ------
    SourceError
        If the source cannot be decoded, or the cache cannot be written.
    """
    key = _key(origin, files)
    entry = _find(key)
    if entry is None:
        with _lock(key, origin):
            entry = _find(key)  # another one may have decoded it while this one waited
            if entry is None:
                # Read only now: to list an archive or parse a CSV may take seconds.
                entry = _decode(key, origin, files, read(), track)
    return _open(entry, origin, allows_flip)


def _samples_folder() -> Path:
    return cache_folder() / "samples"


def _key(origin: Origin, files: Sequence[Any]) -> str:
    """Return the name of the entry that a request has, or of its alias.

    `low` and `high` scale samples on their way into a model, long after they are cached.
    """
    preprocessing = replace(origin.preprocessing, low=Preprocessing.low, high=Preprocessing.high)
    content = json.dumps(files).encode()
    return fingerprint(FORMAT, replace(origin, preprocessing=preprocessing), content)


def _resolved_key(origin: Origin, files: Sequence[Any], shape: tuple[int, ...]) -> str:
    """Return the key of the request that names the size and channels that came out.

    A first load leaves them open, and a run's preprocessing names them. Both give the same
    pixels, so that one entry serves both:

    - Without a size, all pictures have the same sides after cropping, or none are cached; with
      those sides as the size nothing is resized. Nor is a JPEG then decoded at a reduced scale:
      that takes at least twice the sides that are wanted.
    - Channels that came out are those of every picture, except that gray ones among color became
      color. They then do so before resizing instead of after it, which treats channels alike.
    - Crop, background and limit always stand in the key as they were asked for.

    The opposite does not hold: what came out of a named size and channels does not tell what an
    open request would give. Such a request is decoded, and then shares the entry.
    """
    if len(shape) == 2:  # signals have no size to name
        return _key(origin, files)
    preprocessing = origin.preprocessing.resolve(shape)
    return _key(replace(origin, preprocessing=preprocessing), files)


def _find(key: str) -> Entry | None:
    """Return the entry that a key or its alias leads to, if there is one."""
    folder = _samples_folder()
    with suppress(OSError, ValueError):  # usually there is no alias
        key = (folder / f"{key}.alias").read_text()
    return _read_entry(folder / key)


def _read_entry(folder: Path) -> Entry | None:
    """Return an entry, or None unless all its files are there and of their sizes.

    Files are written whole, so one that is missing or cut short was changed by a person, another
    program or a disk. The entry is then decoded again.
    """
    try:
        metadata: dict[str, Any] = json.loads((folder / METADATA_FILE).read_bytes())
        shape = metadata["shape"]
        size = math.prod(shape) * np.dtype(metadata["dtype"]).itemsize
        is_whole = (folder / VALUES_FILE).stat().st_size == size
        if metadata["masks"]:  # one byte for each pixel, after a header
            is_whole &= (folder / MASKS_FILE).stat().st_size > math.prod(shape[:3])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return Entry(folder, metadata) if is_whole else None


def _open(entry: Entry, origin: Origin, allows_flip: bool) -> Samples:
    """Open an entry by memory map, without reading a pixel."""
    folder, metadata = entry
    splits = metadata["splits"]
    shape = tuple(metadata["shape"])
    return _trust(
        # Copy-on-write: torch wants writable memory, and nothing may write to the cache.
        values=np.memmap(folder / VALUES_FILE, metadata["dtype"], "c", shape=shape),
        items=Items.from_json({**metadata, "fingerprint": ""}),
        splits=None if splits is None else np.array(splits, np.uint8),
        origin=origin,
        skipped=tuple((name, reason) for name, reason in metadata["skipped"]),
        allows_flip=allows_flip,
        masks=np.load(folder / MASKS_FILE, "c") if metadata["masks"] else None,
        report=ReadingReport.from_json(metadata["report"]),
        fingerprint=metadata["fingerprint"],
    )


def _trust(**attributes: Any) -> Samples:
    """Build samples without the checks of their constructor.

    Those read all signals and masks: half of the time to open 100 MB of signals that are in
    memory, and far more where they must come from a disk. They have passed before the entry was
    stored. The fingerprint is known as well.
    """
    samples = object.__new__(Samples)
    vars(samples).update(attributes)
    return samples


@contextmanager
def _lock(key: str, origin: Origin) -> Iterator[None]:
    """Wait until no other process or thread decodes the entry of this key.

    The operating system holds the lock, so a killed process leaves none behind. The file is
    deleted in the end. Whoever then waits on the deleted one may run at the same time as one that
    holds a new one; they find the entry complete, or after an error both decode and one of two
    equal entries stays.
    """
    file = _samples_folder() / f".{key}.lock"
    lock = filelock.FileLock(file)
    with _reporting_unwritable_cache(origin):
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        # Deleted before the release: after it, the file may already be the lock of another one.
        with suppress(OSError):  # Windows deletes no open file
            file.unlink()
        lock.release()


@contextmanager
def _reporting_unwritable_cache(origin: Origin) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"the samples of {origin.source} cannot be cached in {_samples_folder()}: "
            f"{error.strerror or error}; free some space or set ISTHMUS_CACHE to another folder."
        ) from error


def _decode(
    key: str, origin: Origin, files: Sequence[Any], manifest: Manifest, track: Track
) -> Entry:
    """Decode a source into a new entry, whole or not at all."""
    folder = _samples_folder()
    # A name of its own: two requests with one outcome have two locks and may decode together.
    partial = folder / f".{key}.{uuid.uuid4().hex[:8]}.tmp"
    with _reporting_unwritable_cache(origin):
        try:
            partial.mkdir(parents=True)
            if manifest.values is None:
                samples = _store_pictures(manifest, origin, partial, track)
            else:
                samples = _store_array(manifest, manifest.values, origin, partial)
            metadata = _describe(samples)
            write_bytes(partial / METADATA_FILE, json.dumps(metadata).encode())
            entry_key = _resolved_key(origin, files, samples.shape)
            _publish(partial, folder / entry_key)
        finally:
            # After an error or Ctrl-C; otherwise the entry has left this place already.
            shutil.rmtree(partial, ignore_errors=True)
    if entry_key != key:  # last, as an alias must not lead to an entry that is not there yet
        write_bytes(folder / f"{key}.alias", entry_key.encode())
    return Entry(folder / entry_key, metadata)


def _publish(partial: Path, entry: Path) -> None:
    """Move a complete entry to its place, unless it is there already.

    It is when another request with the same outcome was decoded before, or at the same time: a
    lock is held for a request.
    """
    if _read_entry(entry) is None:
        # Leftovers of an entry that lost files: a folder can only replace an empty one.
        shutil.rmtree(entry, ignore_errors=True)
    try:
        partial.rename(entry)
    except OSError:
        if _read_entry(entry) is None:
            raise


def _describe(samples: Samples) -> dict[str, Any]:
    return {
        "dtype": str(samples.values.dtype),
        "shape": samples.values.shape,
        **samples.items.to_json(),
        "splits": None if samples.splits is None else samples.splits.tolist(),
        "skipped": samples.skipped,
        "masks": samples.masks is not None,
        "report": samples.report and samples.report.to_json(),
        "fingerprint": samples.fingerprint,
    }


def _store_array(manifest: Manifest, values: NDArray[Any], origin: Origin, folder: Path) -> Samples:
    """Fit and write an array of samples, block by block."""
    preprocessing = origin.preprocessing
    shape: tuple[int, ...] = values.shape[1:]
    if len(shape) == 2 and (preprocessing.crop or preprocessing.size or preprocessing.channels):
        raise OptionError(
            f"{origin.source} holds signals, which have no pixels to crop, resize or recolor."
        )
    needs_fitting = len(shape) == 3 and preprocessing.changes_shape(shape)
    survey = Survey()
    with (folder / VALUES_FILE).open("wb") as file:
        for start in range(0, len(values), WRITE_ROWS):
            block = values[start : start + WRITE_ROWS]
            if needs_fitting:
                block = np.stack([preprocessing.fit(image) for image in block])
                shape = block.shape[1:]
            block = np.ascontiguousarray(block)
            survey.add(block)
            file.write(block.data)
    return _check_stored(manifest, origin, folder, shape, {}, survey)


def _store_pictures(manifest: Manifest, origin: Origin, folder: Path, track: Track) -> Samples:
    """Decode and write pictures and their masks."""
    source, survey = origin.source, Survey()
    # Open for reading as well: the first picture in color turns the gray ones before it into color.
    with (folder / VALUES_FILE).open("w+b") as values, ExitStack() as stack:
        masks = None
        if manifest.masks is not None:
            masks = stack.enter_context((folder / MASKS_FILE).open("w+b"))
        writer = SampleWriter(manifest, source, values, masks)
        # Closed also after an error in `write`: otherwise threads would decode on for nobody.
        blocks = stack.enter_context(closing(decode_blocks(manifest, origin.preprocessing)))
        watched = writer.write(survey.watch(blocks))
        for _ in track(watched, len(manifest.names), f"Reading {source}"):
            pass
        if masks is not None:
            manifest = writer.finish_masks(masks)
    return _check_stored(manifest, origin, folder, writer.shape, writer.broken, survey)


def _check_stored(
    manifest: Manifest,
    origin: Origin,
    folder: Path,
    shape: tuple[int, ...],
    broken: dict[int, str],
    survey: Survey,
) -> Samples:
    """Open what has just been written, by the constructor of `Samples`, which checks it."""
    # Labels and splits have a row for each name of the source, also of pictures that are broken.
    good = np.array([i for i in range(len(manifest.names)) if i not in broken], np.int64)
    if 0 in (len(good), *shape):
        raise SourceError(f"{origin.source} holds no samples.")
    dtype = np.dtype(np.uint8 if len(shape) == 3 else np.float32)
    samples = Samples(
        np.memmap(folder / VALUES_FILE, dtype, "r", shape=(len(good), *shape)),
        Items(manifest.names, manifest.labels, manifest.class_names).take(good),
        None if manifest.splits is None else manifest.splits[good],
        origin,
        tuple((manifest.names[i], reason) for i, reason in broken.items()),
        masks=None if manifest.masks is None else np.load(folder / MASKS_FILE, "r"),
    )
    # Not by `replace`, which would check all samples a second time.
    return _trust(**{**vars(samples), "report": survey.report(Read.of(samples), manifest)})
