"""The cache of decoded samples: made once, opened by memory map, whole or absent."""

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

import numpy as np
import platformdirs
from numpy.typing import NDArray

from isthmus.data.decode import Block, decode_blocks, format_size, warm_up
from isthmus.data.items import Items
from isthmus.data.manifest import Manifest
from isthmus.data.samples import VOID, Origin, Samples
from isthmus.errors import OptionError, SourceError
from isthmus.files import fingerprint, write_bytes

FORMAT = 3  # of the cached files; raise it when the same source would give other samples
ABOUT, VALUES, MASKS = "samples.json", "values.bin", "masks.npy"
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


def open_or_decode(
    origin: Origin,
    files: Sequence[Any],
    read: Callable[[], Manifest],
    *,
    allows_flip: bool = False,
    track: Track = untracked,
) -> Samples:
    """Open the samples kept for an origin and its files; read and decode them first if needed.

    Parameters
    ----------
    origin : Origin
    files : list of JSON values
        One says what each of the source's files is, so that others are not mistaken for them.
    read : callable
        Finds what the source holds.
    allows_flip : bool
        See `Samples`.
    track : Track
    """
    key = fingerprint(FORMAT, origin, json.dumps(files).encode())
    folder = cache_folder() / "samples" / key
    about = _about(folder)
    if about is None:
        warm_up(len(files))
        about = _keep(read(), origin, folder, track)
    samples = Samples(
        # Copy-on-write: torch wants writable memory, and nothing may write to the cache.
        np.memmap(folder / VALUES, about["dtype"], "c", shape=tuple(about["shape"])),
        Items.from_json({**about, "fingerprint": ""}),
        None if about["splits"] is None else np.array(about["splits"], np.uint8),
        origin,
        tuple((name, reason) for name, reason in about["skipped"]),
        allows_flip,
        np.load(folder / MASKS, "c") if about["masks"] else None,
    )
    vars(samples)["fingerprint"] = about["fingerprint"]  # known: spares a pass over the pixels
    return samples


def _about(folder: Path) -> dict[str, Any] | None:
    """Return what is said of the samples in a folder, or None unless all of it is there."""
    if not (folder / ABOUT).exists():
        return None
    about: dict[str, Any] = json.loads((folder / ABOUT).read_text())
    files = (VALUES, MASKS) if about["masks"] else (VALUES,)
    return about if all((folder / name).exists() for name in files) else None


def clear() -> int:
    """Delete all decoded samples; return how many bytes that frees."""
    folder = cache_folder() / "samples"
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    shutil.rmtree(folder, ignore_errors=True)
    return size


def _keep(found: Manifest, origin: Origin, folder: Path, track: Track) -> dict[str, Any]:
    """Decode what was found into a new folder of the cache, whole or not at all."""
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        partial.mkdir(parents=True)
        if found.values is None:
            samples = _store_pictures(found, origin, partial, track)
        else:
            samples = _store_array(found, found.values, origin, partial)
        about = _described(samples)
        write_bytes(partial / ABOUT, json.dumps(about).encode())
        if _about(folder) is None:  # another process may have been faster
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        return about
    except OSError as error:
        raise SourceError(
            f"the samples of {origin.source} cannot be kept in {folder.parent}: "
            f"{error.strerror or error}; free some space or set ISTHMUS_CACHE to another folder."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _described(samples: Samples) -> dict[str, Any]:
    return {
        "dtype": str(samples.values.dtype),
        "shape": samples.values.shape,
        **samples.items.to_json(),
        "splits": None if samples.splits is None else samples.splits.tolist(),
        "skipped": samples.skipped,
        "masks": samples.masks is not None,
        "fingerprint": samples.fingerprint,
    }


def _store_array(found: Manifest, values: NDArray[Any], origin: Origin, folder: Path) -> Samples:
    """Write an array of samples."""
    wanted = origin.preprocessing
    shape: tuple[int, ...] = values.shape[1:]
    if len(shape) == 2 and (wanted.crop or wanted.size or wanted.channels):
        raise OptionError(
            f"{origin.source} holds signals, which have no pixels to crop, resize or recolor."
        )
    fits = len(shape) == 2 or not wanted.would_change((shape[0], shape[1], shape[2]))
    with (folder / VALUES).open("wb") as file:
        for start in range(0, len(values), 4096):
            block = values[start : start + 4096]
            if not fits:
                block = np.stack([wanted.fit(image) for image in block])
                shape = block.shape[1:]
            file.write(np.ascontiguousarray(block).data)
    return _stored(found, origin, folder, shape, {})


def _store_pictures(found: Manifest, origin: Origin, folder: Path, track: Track) -> Samples:
    """Decode and write pictures and their masks."""
    name = origin.source
    with (folder / VALUES).open("w+b") as values, ExitStack() as stack:
        masks = None
        if found.masks is not None:
            masks = stack.enter_context((folder / MASKS).open("w+b"))
        writing = Writing(found, name, values, masks)
        decoded = stack.enter_context(closing(decode_blocks(found, origin.preprocessing)))
        for _ in track(writing.walk(decoded), len(found.names), f"Reading {name}"):
            pass
        if masks is not None:
            writing.complete_masks(masks)
            found = replace(found, class_names=found.class_names or writing.classes())
    return _stored(found, origin, folder, writing.shape, writing.broken)


def _stored(
    found: Manifest, origin: Origin, folder: Path, shape: tuple[int, ...], broken: dict[int, str]
) -> Samples:
    """Open what has just been written."""
    good = np.array([i for i in range(len(found.names)) if i not in broken], np.int64)
    if 0 in (len(good), *shape):
        raise SourceError(f"{origin.source} holds no samples.")
    kind = np.dtype(np.uint8 if len(shape) == 3 else np.float32)
    return Samples(
        np.memmap(folder / VALUES, kind, "r", shape=(len(good), *shape)),
        Items(found.names, found.labels, found.class_names).take(good),
        None if found.splits is None else found.splits[good],
        origin,
        tuple((found.names[i], reason) for i, reason in broken.items()),
        masks=None if found.masks is None else np.load(folder / MASKS, "r"),
    )


class Writing:
    """Pictures and masks on their way into files.

    Pictures are written gray for as long as all are gray; the first in color turns those
    before it into color too.

    Attributes
    ----------
    shape : (H, W, C)
        Of the pictures so far.
    broken : dict
        Reasons by the position of a picture.
    """

    def __init__(
        self, found: Manifest, name: str, values: BinaryIO, masks: BinaryIO | None = None
    ) -> None:
        self.found, self.name, self.values, self.masks = found, name, values, masks
        self.shape: tuple[int, ...] = ()
        self.broken: dict[int, str] = {}
        self._first = ""
        self._done = 0
        self._seen = np.zeros(256, np.bool_)

    def walk(self, decoded: Iterable[Block]) -> Iterator[int]:
        """Write what comes and yield the position of each picture."""
        for block in decoded:
            self._note_broken(block)
            if len(block.pixels):
                self._write(block)
            yield from range(self._done, self._done + len(block))
            self._done += len(block)

    def classes(self) -> tuple[str, ...]:
        """Return names for as many classes as the masks tell.

        Raises
        ------
        SourceError
            If the masks hold no number but 0 and void, as those of tools that draw in white.
        """
        values = np.flatnonzero(self._seen)
        if VOID in values and set(values) <= {0, VOID}:
            raise SourceError(
                f"the masks of {self.name} hold only {' and '.join(map(str, values))}, and "
                f"{VOID} stands for pixels of no class; write 0 and 1 for two classes."
            )
        return tuple(str(value) for value in range(1 + int(values[values != VOID].max(initial=0))))

    def complete_masks(self, file: BinaryIO) -> None:
        """Write how many masks there are to the beginning of their file."""
        file.seek(0)
        self._write_header(file, self._done - len(self.broken))

    def _note_broken(self, block: Block) -> None:
        for position, reason in block.broken.items():
            self.broken[self._done + position] = reason
            reject_too_many(self.broken, self.found, self.name, self._done + position + 1)

    def _write(self, block: Block) -> None:
        pixels = block.pixels
        shape: tuple[int, ...] = pixels.shape[1:]
        if not self.shape:
            self.shape, self._first = shape, self._name(block)
            if self.masks is not None:
                self._write_header(self.masks, 0)
        if shape[:2] != self.shape[:2]:
            raise SourceError(
                f"the pictures of {self.name} differ in size: {self._first} is "
                f"{format_size(self.shape)} but {self._name(block)} is {format_size(shape)}; "
                "give a size to bring all to."
            )
        if shape[2] > self.shape[2]:
            self.shape = shape
            _to_color(self.values)
        whole = np.broadcast_to(pixels, (len(pixels), *self.shape))
        self.values.write(np.ascontiguousarray(whole).data)
        if self.masks is not None and block.masks is not None and block.seen is not None:
            self.masks.write(block.masks.data)
            self._seen |= block.seen

    def _write_header(self, file: BinaryIO, count: int) -> None:
        """Begin an .npy file; its header leaves room for any count."""
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, *self.shape[:2])}
        np.lib.format.write_array_header_1_0(file, header)

    def _name(self, block: Block) -> str:
        """Return the name of the first picture in a block that could be decoded."""
        position = next(i for i in range(len(block)) if i not in block.broken)
        return self.found.names[self._done + position]


def reject_too_many(broken: dict[int, str], found: Manifest, name: str, done: int) -> None:
    """Stop once more than a tenth of all pictures are known to be broken.

    Parameters
    ----------
    broken : dict
        From the position of a picture to the reason.
    found : Manifest
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


def _to_color(file: BinaryIO) -> None:
    """Repeat each gray value of the file three times, from the end to the start."""
    block = 1 << 20
    for start in reversed(range(0, file.tell(), block)):
        file.seek(start)
        gray = np.frombuffer(file.read(block), np.uint8)
        file.seek(3 * start)
        file.write(gray.repeat(3).tobytes())
    file.seek(0, os.SEEK_END)
