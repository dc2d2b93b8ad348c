"""`Entry`: decoded samples in a folder of the cache, as they are written, found and opened."""

import math
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache.checksums import Sums, count_blocks, sum_file
from isthmus.data.cache.folder import ALIAS, KEY, samples_folder
from isthmus.data.cache.sealed import read_sealed, seal
from isthmus.data.cache.use import Use
from isthmus.data.items import Items, Names
from isthmus.data.report import ReadingReport
from isthmus.data.samples import Origin, Samples
from isthmus.errors import SourceError, first_sentence
from isthmus.files import DAMAGE, flush_tree, write_bytes

METADATA_FILE, VALUES_FILE, MASKS_FILE = "samples.json", "values.bin", "masks.npy"
DTYPES = {3: "float32", 4: "uint8"}  # of signals (N, L, C) and images (N, H, W, C)


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
    with suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
        content = read_sealed(samples_folder() / f"{key}{ALIAS}")
        if content["of"] == key and KEY.fullmatch(content["key"]):
            return str(content["key"])
    return None


def write_alias(key: str, entry: str) -> None:
    """Let a key lead to an entry, which is there already."""
    write_bytes(samples_folder() / f"{key}{ALIAS}", seal({"of": key, "key": entry}))


def read_entry(folder: Path) -> Entry | None:
    """Return the entry in a folder, None if there is no such folder.

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
    except DamagedEntryError:
        raise
    except (*DAMAGE, MemoryError) as error:
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
        splits = metadata["splits"]
        return trust(
            values=use.map(folder / VALUES_FILE, metadata["dtype"], entry.shape),
            items=_read_items(metadata),
            splits=None if splits is None else np.array(splits, np.uint8),
            origin=origin,
            skipped=tuple((name, reason) for name, reason in metadata["skipped"]),
            allows_flip=allows_flip,
            masks=_map_masks(entry, use) if metadata["masks"] else None,
            report=ReadingReport.from_json(metadata["report"]),
            fingerprint=metadata["fingerprint"],
        )
    except FileNotFoundError:
        raise
    except (*DAMAGE, MemoryError) as error:
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


def complete_entry(folder: Path, samples: Samples, key: str) -> None:
    """Write the JSON of an entry, whose large files are in its folder, and flush all of it.

    The checksums are made, and the disk is written, while the fingerprint is computed: each is
    one pass over the samples, which read them from memory together.
    """
    with ThreadPoolExecutor(2, "isthmus-cache") as pool:
        flushed = pool.submit(flush_tree, folder)
        names = [VALUES_FILE] if samples.masks is None else [VALUES_FILE, MASKS_FILE]
        sums = pool.submit(lambda: {name: sum_file(folder / name) for name in names})
        metadata = _describe(samples)  # with the fingerprint
        metadata |= {"key": key, "files": sums.result()}
        flushed.result()
    (folder / METADATA_FILE).write_bytes(seal(metadata))
    flush_tree(folder)


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


def _read_items(metadata: dict[str, Any]) -> Items:
    text, ends = metadata["names"]["text"].encode("latin-1"), metadata["names"]["ends"]
    labels = metadata["labels"]
    return Items(
        Names(np.frombuffer(text, np.uint8), np.array(ends, np.int64)),
        None if labels is None else np.array(labels, np.int64),
        tuple(metadata["class_names"]),
    )


def _check(entry: Entry) -> None:
    """Reject an entry whose parts do not fit each other."""
    metadata, shape = entry.metadata, entry.shape
    if metadata["key"] != entry.key:
        raise DamagedEntryError("it is the content of another entry")
    if (
        metadata["dtype"] != DTYPES[len(shape)]
        or min(shape) < 1
        or len(metadata["names"]["ends"]) != shape[0]
    ):
        raise DamagedEntryError(f"{METADATA_FILE}: the shape {shape} is not that of the samples")
    wanted = {VALUES_FILE: math.prod(shape) * np.dtype(metadata["dtype"]).itemsize}
    if metadata["masks"]:
        wanted[MASKS_FILE] = math.prod(shape[:3])  # and a header
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
