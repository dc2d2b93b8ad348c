"""The cache of decoded samples: made once, opened by memory map, whole or absent."""

import json
import os
import shutil
import uuid
import warnings
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

import joblib
import numpy as np
import platformdirs
from numpy.typing import NDArray

from isthmus.data.preprocessing import Preprocessing
from isthmus.data.samples import Origin, Samples
from isthmus.data.sources import Found
from isthmus.errors import SettingsError, SourceError, reason
from isthmus.files import fingerprint, write_bytes

FORMAT = 2  # of the cached files; raise it when the same source would give other pixels
CHUNK = 64  # pictures decoded by one task
ALONE = 256  # below as many pictures, starting other processes costs more than it brings
TOLERATED = 0.10  # share of pictures that may be broken

T = TypeVar("T")


class Track(Protocol):
    """Shows progress: walks through `items`, of which there are `total`, under a title."""

    def __call__(self, items: Iterable[T], total: int, title: str) -> Iterable[T]:
        """Yield the items, one by one."""
        ...


def untracked(items: Iterable[T], total: int, title: str) -> Iterable[T]:
    """Walk through `items` without a word."""
    return items


def cache_folder() -> Path:
    """Return the folder of derived files: `ISTHMUS_CACHE`, or the user's cache."""
    return Path(os.environ.get("ISTHMUS_CACHE") or platformdirs.user_cache_dir("isthmus"))


def kept(
    origin: Origin,
    files: Any,
    read: Callable[[], Found],
    *,
    mirrors: bool = False,
    track: Track = untracked,
) -> Samples:
    """Open the samples kept for an origin and its files; read and decode them first if needed.

    Parameters
    ----------
    origin : Origin
    files : JSON value
        Says what the source's files are, so that others are not mistaken for them.
    read : callable
        Finds what the source holds.
    mirrors : bool
        See `Samples`.
    track : Track
    """
    folder = cache_folder() / "samples" / fingerprint(FORMAT, origin, files)
    if not _complete(folder):
        _keep(read(), origin, folder, track)
    about = json.loads((folder / "samples.json").read_text())
    samples = Samples(
        # Copy-on-write: torch wants writable memory, and nothing may write to the cache.
        np.memmap(folder / "values.bin", about["dtype"], "c", shape=tuple(about["shape"])),
        about["names"],
        None if about["labels"] is None else np.array(about["labels"], np.int64),
        tuple(about["class_names"]),
        None if about["splits"] is None else np.array(about["splits"], np.uint8),
        origin,
        tuple((name, reason) for name, reason in about["skipped"]),
        mirrors,
    )
    vars(samples)["fingerprint"] = about["fingerprint"]  # known: spares a pass over the pixels
    return samples


def _complete(folder: Path) -> bool:
    return (folder / "samples.json").exists() and (folder / "values.bin").exists()


def clear() -> int:
    """Delete all decoded samples; return how many bytes that frees."""
    folder = cache_folder() / "samples"
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    shutil.rmtree(folder, ignore_errors=True)
    return size


def _keep(found: Found, origin: Origin, folder: Path, track: Track) -> None:
    """Decode what was found into a new folder of the cache, whole or not at all."""
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        partial.mkdir(parents=True)
        broken: dict[int, str] = {}
        with (partial / "values.bin").open("w+b") as file:
            if found.values is not None:
                shape = _store_array(found.values, origin, file)
            else:
                shape = _store_pictures(found, origin, file, broken, track)
        good = np.array([i for i in range(len(found.names)) if i not in broken], np.int64)
        if 0 in (len(good), *shape):
            raise SourceError(f"{origin.source} holds no samples.")
        kind = np.dtype(np.uint8 if len(shape) == 3 else np.float32)
        samples = Samples(
            np.memmap(partial / "values.bin", kind, "r", shape=(len(good), *shape)),
            [found.names[i] for i in good],
            None if found.labels is None else found.labels[good],
            found.class_names,
            None if found.splits is None else found.splits[good],
            origin,
            tuple((found.names[i], reason) for i, reason in broken.items()),
        )
        _describe(samples, partial / "samples.json")
        if not _complete(folder):  # another process may have been faster
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
    except OSError as error:
        raise SourceError(
            f"the samples of {origin.source} cannot be kept in {folder.parent}: "
            f"{error.strerror or error}; free some space or set ISTHMUS_CACHE to another folder."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _describe(samples: Samples, file: Path) -> None:
    about = {
        "dtype": str(samples.values.dtype),
        "shape": samples.values.shape,
        "names": samples.names,
        "labels": None if samples.labels is None else samples.labels.tolist(),
        "class_names": samples.class_names,
        "splits": None if samples.splits is None else samples.splits.tolist(),
        "skipped": samples.skipped,
        "fingerprint": samples.fingerprint,
    }
    write_bytes(file, json.dumps(about).encode())


def _store_array(values: NDArray[Any], origin: Origin, file: BinaryIO) -> tuple[int, ...]:
    """Write an array of samples; return the shape of one."""
    wanted = origin.preprocessing
    shape: tuple[int, ...] = values.shape[1:]
    if len(shape) == 2 and (wanted.crop or wanted.size or wanted.channels):
        raise SettingsError(
            f"{origin.source} holds signals, which have no pixels to crop, resize or recolour."
        )
    fits = len(shape) == 2 or not wanted.changes((shape[0], shape[1], shape[2]))
    for start in range(0, len(values), 4096):
        block = values[start : start + 4096]
        if not fits:
            block = np.stack([wanted.fit(image) for image in block])
            shape = block.shape[1:]
        file.write(np.ascontiguousarray(block).data)
    return shape


def _store_pictures(
    found: Found, origin: Origin, file: BinaryIO, broken: dict[int, str], track: Track
) -> tuple[int, ...]:
    """Decode and write pictures; return the shape of one, and note broken ones with reasons.

    Pictures are written grey for as long as all are grey; the first in colour turns those
    before it into colour too.
    """
    name = origin.source
    shape: tuple[int, ...] = ()
    first = ""
    with closing(_decoded(found.files, origin.preprocessing, len(found.names))) as pictures:
        for i, pixels in enumerate(track(pictures, len(found.names), f"Reading {name}")):
            if isinstance(pixels, str):
                broken[i] = pixels
                refuse_too_many(broken, found, name, done=i + 1)
                continue
            if not shape:
                shape, first = pixels.shape, found.names[i]
            if pixels.shape[:2] != shape[:2]:
                raise SourceError(
                    f"the pictures of {name} differ in size: {first} is {_size(shape)} but "
                    f"{found.names[i]} is {_size(pixels.shape)}; give a size to bring all to."
                )
            if pixels.shape[2] > shape[2]:
                shape = pixels.shape
                _to_colour(file)
            file.write(np.broadcast_to(pixels, shape).tobytes())
    return shape


def _decoded(
    files: Iterable[str | bytes | SourceError], wanted: Preprocessing, count: int
) -> Generator[NDArray[np.uint8] | str, None, None]:
    """Decode pictures in their order, by several processes if they are many."""
    files = iter(files)
    chunks = iter(lambda: list(islice(files, CHUNK)), [])
    # loky starts its processes without running the caller's script again, as spawning would.
    workers = joblib.Parallel(
        n_jobs=1 if count < ALONE else joblib.cpu_count(),
        return_as="generator",
        pre_dispatch="3*n_jobs",
        batch_size=1,
    )
    decoded = workers(joblib.delayed(_decode)(chunk, wanted) for chunk in chunks)
    try:
        for chunk in decoded:
            yield from chunk
    finally:
        with warnings.catch_warnings(action="ignore"):  # joblib's, of work done for nothing
            decoded.close()


def _decode(
    files: list[str | bytes | SourceError], wanted: Preprocessing
) -> list[NDArray[np.uint8] | str]:
    decoded: list[NDArray[np.uint8] | str] = []
    for file in files:
        try:
            if isinstance(file, SourceError):
                raise file
            decoded.append(wanted.image(file))
        except SourceError as error:
            decoded.append(reason(error))
    return decoded


def refuse_too_many(broken: dict[int, str], found: Found, name: str, done: int) -> None:
    """Stop once more than a tenth of all pictures are known to be broken.

    Parameters
    ----------
    broken : dict
        From the position of a picture to the reason.
    found : Found
    name : str
        Of the source.
    done : int
        Pictures looked at so far.

    Raises
    ------
    SourceError
    """
    if len(broken) <= TOLERATED * len(found.names):
        return
    i, reason = next(iter(broken.items()))
    raise SourceError(
        f"{len(broken):,} of the first {done:,} pictures of {name} cannot be decoded, such as "
        f"{found.names[i]} ({reason}); repair or remove them."
    )


def _to_colour(file: BinaryIO) -> None:
    """Repeat each grey value of the file three times, from the end to the start."""
    block = 1 << 20
    for start in reversed(range(0, file.tell(), block)):
        file.seek(start)
        gray = np.frombuffer(file.read(block), np.uint8)
        file.seek(3 * start)
        file.write(gray.repeat(3).tobytes())
    file.seek(0, os.SEEK_END)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} × {shape[1]}"
