"""`Entry`: decoded samples or images in a folder of the cache, as they are written and found."""

import math
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from isthmus.damage import DAMAGE
from isthmus.data.cache.checksums import Sums, count_blocks, sum_file
from isthmus.data.cache.folder import ALIAS, KEY, samples_folder
from isthmus.data.cache.sealed import read_sealed, seal
from isthmus.data.images import Images
from isthmus.data.items import Items, Names
from isthmus.data.samples import Samples
from isthmus.errors import SourceError, first_sentence
from isthmus.files import flush_tree, write_bytes

METADATA_FILE, VALUES_FILE, MASKS_FILE = "samples.json", "values.bin", "masks.npy"
CLEAN_FILE = "clean.bin"  # as the values; of pairs of noisy and clean images
MAX_PIXELS = 2**53  # of all images: as many are told apart as numbers
EARLY_BYTES = 2**24  # of samples that are flushed while something else is done
DTYPES = {3: "float32", 4: "uint8"}  # of signals (N, L, C) and images (N, H, W, C)

T = TypeVar("T")
C = TypeVar("C", bound=Samples | Images)  # what an entry holds


class DamagedEntryError(SourceError):
    """An entry is not as it was written; the reason is part of a sentence."""


@dataclass(frozen=True)
class Entry:
    """A complete entry.

    Parameters
    ----------
    folder : Path
    metadata : dict
        What its JSON says about the samples or images.
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
        return len(self.sides) if self.holds_images else self.shape[0]

    @property
    def holds_images(self) -> bool:
        """Whether it holds `Images` rather than `Samples`."""
        return "sides" in self.metadata

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all samples, (N, H, W, C) or (N, L, C)."""
        return tuple(self.metadata["shape"])

    @cached_property
    def sides(self) -> NDArray[np.int64]:
        """Height and width of each image (N, 2)."""
        return np.array(self.metadata["sides"], np.int64).reshape(-1, 2)


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


def trust(kind: type[T], **attributes: Any) -> T:
    """Build samples or images without the checks of their constructor.

    Those read all signals and masks: half of the time to open 100 MB of signals that are in
    memory, and far more where they must come from a disk. They have passed before the entry was
    stored. The fingerprint is known as well.
    """
    built = object.__new__(kind)
    vars(built).update(attributes)
    return built


def complete_entry(
    folder: Path, stored: C, key: str, describe: Callable[[C], dict[str, Any]]
) -> Entry:
    """Write the JSON of an entry, whose large files are in its folder, and flush all of it.

    While one thread computes the fingerprint, another one computes the checksums and a third one
    waits for the disk. So they cost little time, and large files are read once.
    """
    with ThreadPoolExecutor(2, "isthmus-cache") as pool:
        # Of little, it is done in a moment later.
        flushed = pool.submit(flush_tree, folder) if stored.values.nbytes >= EARLY_BYTES else None
        sums = pool.submit(_sum_files, folder)
        metadata = _describe(stored) | describe(stored)
    metadata |= {"key": key, "files": sums.result()}
    if flushed is not None:
        flushed.result()  # an error of the disk is told only once
    (folder / METADATA_FILE).write_bytes(seal(metadata))
    flush_tree(folder)
    return Entry(folder, metadata, sums.result())


def _sum_files(folder: Path) -> dict[str, Sums]:
    return {path.name: sum_file(path) for path in sorted(folder.iterdir())}


def _describe(stored: Samples | Images) -> dict[str, Any]:
    return {
        "source": stored.origin.source,
        "description": stored.describe(),
        **_describe_items(stored.items),
        "splits": None if stored.splits is None else stored.splits.tolist(),
        "skipped": stored.skipped,
        "report": stored.report and stored.report.to_json(),
        "fingerprint": stored.fingerprint,
    }


def require(value: Any, kind: type[T]) -> T:
    """Return a value of a JSON file that must be of a type."""
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is of another type")
    return value


def _describe_items(items: Items) -> dict[str, Any]:
    """Return items as JSON values: the names as one text, which is read in half of the time.

    Each letter of it is a byte of the names in UTF-8.
    """
    names = Names.of(items.names)
    text = {"text": names.text.tobytes().decode("latin-1"), "ends": names.ends.tolist()}
    labels = None if items.labels is None else items.labels.tolist()
    return {"names": text, "labels": labels, "class_names": list(items.class_names)}


def _check(entry: Entry) -> None:
    """Reject an entry whose parts do not fit each other."""
    if entry.metadata["key"] != entry.key:
        raise DamagedEntryError("it is the content of another entry")
    wanted = _files_of_images(entry) if entry.holds_images else _files_of_samples(entry)
    if entry.sums.keys() != wanted.keys():
        raise DamagedEntryError(f"{METADATA_FILE}: it names other files")
    for name, size in wanted.items():
        _check_size(entry.folder / name, entry.sums[name], size)


def _files_of_samples(entry: Entry) -> dict[str, int]:
    """Return the bytes that each large file of samples has at least."""
    metadata, shape = entry.metadata, entry.shape
    if metadata["dtype"] != DTYPES[len(shape)] or min(shape) < 1:
        raise DamagedEntryError(f"{METADATA_FILE}: the shape {shape} is not that of the samples")
    wanted = {VALUES_FILE: math.prod(shape) * np.dtype(metadata["dtype"]).itemsize}
    if require(metadata["masks"], bool):
        wanted[MASKS_FILE] = math.prod(shape[:3])  # and a header
    return wanted


def _files_of_images(entry: Entry) -> dict[str, int]:
    """Return the bytes of each large file of images."""
    sides, channels = entry.sides, require(entry.metadata["channels"], int)
    pixels = sides.prod(1, dtype=np.float64).sum()  # whose range nothing exceeds
    if not len(sides) or sides.min() < 1 or pixels > MAX_PIXELS or channels not in (1, 3):
        raise DamagedEntryError(f"{METADATA_FILE}: the sides are not those of images")
    names = [VALUES_FILE, *([CLEAN_FILE] if require(entry.metadata["clean"], bool) else [])]
    return dict.fromkeys(names, int(pixels) * channels)


def _check_size(path: Path, sums: Sums, at_least: int) -> None:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DamagedEntryError(f"{path.name} is no regular file")
    if status.st_size != sums.size or sums.size < at_least:
        raise DamagedEntryError(f"{path.name} has {status.st_size:,} of {sums.size:,} bytes")
    if len(sums.blocks) != count_blocks(sums.size):
        raise DamagedEntryError(f"{METADATA_FILE}: checksums of {path.name} are missing")
