"""`Entry`: decoded samples in a folder of the cache, as they are written, found and opened."""

import math
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from isthmus.damage import DAMAGE
from isthmus.data.cache.checksums import Sums, count_blocks, sum_file
from isthmus.data.cache.folder import ALIAS, KEY, samples_folder
from isthmus.data.cache.sealed import read_sealed, seal
from isthmus.data.cache.use import Use
from isthmus.data.items import Items, Names
from isthmus.data.report import ReadingReport
from isthmus.data.samples import SPLITS, Origin, Samples
from isthmus.errors import SourceError, first_sentence
from isthmus.files import flush_tree, write_bytes

METADATA_FILE, VALUES_FILE, MASKS_FILE = "samples.json", "values.bin", "masks.npy"
EARLY_BYTES = 2**24  # of samples that are flushed while something else is done
DTYPES = {3: "float32", 4: "uint8"}  # of signals (N, L, C) and images (N, H, W, C)

T = TypeVar("T")


class DamagedEntryError(SourceError):
    """An entry is not as it was written; the reason is part of a sentence."""


@dataclass(frozen=True)
class Entry:
    """A complete entry.

    Parameters
    ----------
    folder : Path
    metadata : dict
        What its JSON says about the samples.
    sums : dict
        The checksums of its large files by their names.
    """

    folder: Path
    metadata: dict[str, Any]
    sums: dict[str, Sums]

    @property
    def key(self) -> str:
        """The name of the entry."""
        return self.folder.name

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all samples, (N, H, W, C) or (N, L, C)."""
        return tuple(self.metadata["shape"])


def find(key: str) -> Entry | None:
    """Return the entry that a key or its alias leads to, if there is one.

    Raises
    ------
    DamagedEntryError
        If it is damaged, as far as that is seen without reading pixels.
    """
    return read_entry(samples_folder() / (read_alias(key) or key))


def read_alias(key: str) -> str | None:
    """Return the key of the entry that answers the request of another key as well.

    A damaged alias is none: the request is decoded, which writes it again.
    """
    with suppress(*DAMAGE):
        content = read_sealed(samples_folder() / f"{key}{ALIAS}")
        if content["of"] == key and KEY.fullmatch(content["key"]):
            return str(content["key"])
    return None


def write_alias(key: str, entry: str) -> None:
    """Let a key lead to an entry, which is there already."""
    write_bytes(samples_folder() / f"{key}{ALIAS}", seal({"of": key, "key": entry}))


def read_entry(folder: Path) -> Entry | None:
    """Return the entry in a folder, None if there is no such folder, or it may not be read.

    Raises
    ------
    DamagedEntryError
        If its JSON is damaged, or a file is missing or of another size.
    """
    try:
        content = read_sealed(folder / METADATA_FILE)
        entry = Entry(folder, content, {k: Sums(*v) for k, v in content["files"].items()})
        _check(entry)
    except FileNotFoundError as error:
        if not folder.exists():
            return None
        raise DamagedEntryError(f"{Path(error.filename).name} is missing") from error
    except (NotADirectoryError, PermissionError):  # no cache, or that of somebody else
        return None
    except DamagedEntryError:
        raise
    except DAMAGE as error:
        raise DamagedEntryError(f"{METADATA_FILE}: {first_sentence(error)}") from error
    return entry


def open_entry(entry: Entry, origin: Origin, allows_flip: bool) -> Samples:
    """Open an entry by memory map, without reading a pixel.

    Raises
    ------
    FileNotFoundError
        If another process has deleted it meanwhile.
    DamagedEntryError
        If its JSON is not as it was written.
    """
    folder, metadata = entry.folder, entry.metadata
    # Before the maps: nobody deletes the files from now on.
    use = Use(folder / METADATA_FILE)
    try:
        return trust(
            values=use.map(folder / VALUES_FILE, metadata["dtype"], entry.shape),
            items=_read_items(metadata, len(entry)),
            splits=_read_splits(entry),
            origin=origin,
            skipped=tuple((name, reason) for name, reason in metadata["skipped"]),
            allows_flip=allows_flip,
            masks=_map_masks(entry, use) if metadata["masks"] else None,
            report=ReadingReport.from_json(metadata["report"]),
            fingerprint=_require(metadata["fingerprint"], str),
        )
    except (FileNotFoundError, DamagedEntryError):
        raise
    except DAMAGE as error:
        raise DamagedEntryError(f"{METADATA_FILE}: {first_sentence(error)}") from error
    finally:
        use.close()


def trust(**attributes: Any) -> Samples:
    """Build samples without the checks of their constructor.

    Those read all signals and masks: half of the time to open 100 MB of signals that are in
    memory, and far more where they must come from a disk. They have passed before the entry was
    stored. The fingerprint is known as well.
    """
    samples = object.__new__(Samples)
    vars(samples).update(attributes)
    return samples


def complete_entry(folder: Path, samples: Samples, key: str) -> Entry:
    """Write the JSON of an entry, whose large files are in its folder, and flush all of it.

    While one thread computes the fingerprint, another one computes the checksums and a third one
    waits for the disk. So they cost little time, and large files are read once.
    """
    with ThreadPoolExecutor(2, "isthmus-cache") as pool:
        # Of little, it is done in a moment later.
        flushed = pool.submit(flush_tree, folder) if samples.values.nbytes >= EARLY_BYTES else None
        sums = pool.submit(_sum_files, folder, samples.masks is not None)
        metadata = _describe(samples)  # with the fingerprint
    metadata |= {"key": key, "files": sums.result()}
    if flushed is not None:
        flushed.result()  # an error of the disk is told only once
    (folder / METADATA_FILE).write_bytes(seal(metadata))
    flush_tree(folder)
    return Entry(folder, metadata, sums.result())


def _sum_files(folder: Path, has_masks: bool) -> dict[str, Sums]:
    names = (VALUES_FILE, MASKS_FILE) if has_masks else (VALUES_FILE,)
    return {name: sum_file(folder / name) for name in names}


def _describe(samples: Samples) -> dict[str, Any]:
    return {
        "source": samples.origin.source,
        "description": samples.describe(),
        "dtype": str(samples.values.dtype),
        "shape": samples.values.shape,
        **_describe_items(samples.items),
        "splits": None if samples.splits is None else samples.splits.tolist(),
        "skipped": samples.skipped,
        "masks": samples.masks is not None,
        "report": samples.report and samples.report.to_json(),
        "fingerprint": samples.fingerprint,
    }


def _describe_items(items: Items) -> dict[str, Any]:
    """Return items as JSON values: the names as one text, which is read in half of the time.

    Each letter of it is a byte of the names in UTF-8.
    """
    names = Names.of(items.names)
    text = {"text": names.text.tobytes().decode("latin-1"), "ends": names.ends.tolist()}
    labels = None if items.labels is None else items.labels.tolist()
    return {"names": text, "labels": labels, "class_names": list(items.class_names)}


def _read_items(metadata: dict[str, Any], count: int) -> Items:
    text = np.frombuffer(metadata["names"]["text"].encode("latin-1"), np.uint8)
    ends = np.array(metadata["names"]["ends"], np.int64)
    if ends.shape != (count,) or ends[-1] != len(text) or (np.diff(ends, prepend=0) < 0).any():
        raise DamagedEntryError(f"{METADATA_FILE}: the names are not those of the samples")
    labels = metadata["labels"]
    labels = None if labels is None else np.array(labels, np.int64).reshape(count)
    class_names = tuple(_require(name, str) for name in metadata["class_names"])
    return Items(Names(text, ends), labels, class_names)


def _read_splits(entry: Entry) -> NDArray[np.uint8] | None:
    if entry.metadata["splits"] is None:
        return None
    splits = np.array(entry.metadata["splits"], np.uint8).reshape(len(entry))
    if splits.max() >= len(SPLITS):
        raise DamagedEntryError(f"{METADATA_FILE}: there is no such split")
    return splits


def _require(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is of another type")
    return value


def _check(entry: Entry) -> None:
    """Reject an entry whose parts do not fit each other."""
    metadata, shape = entry.metadata, entry.shape
    if metadata["key"] != entry.key:
        raise DamagedEntryError("it is the content of another entry")
    if metadata["dtype"] != DTYPES[len(shape)] or min(shape) < 1:
        raise DamagedEntryError(f"{METADATA_FILE}: the shape {shape} is not that of the samples")
    wanted = {VALUES_FILE: math.prod(shape) * np.dtype(metadata["dtype"]).itemsize}
    if _require(metadata["masks"], bool):
        wanted[MASKS_FILE] = math.prod(shape[:3])  # and a header
    if entry.sums.keys() != wanted.keys():
        raise DamagedEntryError(f"{METADATA_FILE}: it names other files")
    for name, size in wanted.items():
        _check_size(entry.folder / name, entry.sums[name], size)


def _check_size(path: Path, sums: Sums, at_least: int) -> None:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DamagedEntryError(f"{path.name} is no regular file")
    if status.st_size != sums.size or sums.size < at_least:
        raise DamagedEntryError(f"{path.name} has {status.st_size:,} of {sums.size:,} bytes")
    if len(sums.blocks) != count_blocks(sums.size):
        raise DamagedEntryError(f"{METADATA_FILE}: checksums of {path.name} are missing")


def _map_masks(entry: Entry, use: Use) -> NDArray[np.uint8]:
    """Map the masks (N, H, W), which lie at the end of an .npy file."""
    shape = entry.shape[:3]
    offset = entry.sums[MASKS_FILE].size - math.prod(shape)
    masks: NDArray[np.uint8] = use.map(entry.folder / MASKS_FILE, "uint8", shape, offset)
    return masks
