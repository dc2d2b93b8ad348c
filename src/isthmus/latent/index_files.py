"""The files of an index, which take the place of older ones all at once.

index.json
    An `IndexRecord`: what the index is, and the sizes and SHA-256 of the other files.
TOKEN.vectors.safetensors
    The vectors: see `stored_vectors`.
TOKEN.items.safetensors
    Names and labels.

Each version has its own token. Its large files are written first, then index.json is replaced,
then the files of older versions are deleted: whenever a process is killed, the folder holds one
whole index. All of it is done under a lock, and so is a change from reading to writing. Who only
reads needs no lock.
"""

import hashlib
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from isthmus.damage import DAMAGE, describe_damage
from isthmus.data.items import Items
from isthmus.errors import RunError
from isthmus.fields import from_json, parse_json
from isthmus.files import atomic_write, fingerprint, write_json
from isthmus.latent.index_record import IndexRecord, StoredFile
from isthmus.latent.tensor_files import Tensor, Tensors, open_tensors, write_tensors
from isthmus.latent.vectors import Vectors
from isthmus.locks import LOCK, hold
from isthmus.temporaries import sweep

T = TypeVar("T")

FORMAT = 3  # of the folder; raise it when an older program could misread it
FILE = "index.json"
LOCK_TIMEOUT = 60  # seconds for another process to finish a change
VERSION_FILE = re.compile(r"(?P<token>[0-9a-f]{8})\.(faiss|npz|(vectors|items)\.safetensors)")
MADE_BY = ("metric", "layer", "model_fingerprint")  # without which vectors have no meaning


@dataclass(frozen=True)
class StoredIndex:
    """An index as it is stored.

    Parameters
    ----------
    record : IndexRecord
    vectors : Vectors
    items : Items
    """

    record: IndexRecord
    vectors: Vectors
    items: Items


def lock(folder: Path) -> AbstractContextManager[None]:
    """Make the folder if needed, and keep every other process from changing the index in it.

    Raises
    ------
    RunError
        If another process keeps changing it, or it cannot be written to.
    """
    busy = f"{folder} is being written by another process; try again when it has ended."
    return hold(folder / LOCK, busy=busy, timeout=LOCK_TIMEOUT, kind=RunError)


def write(folder: Path, described: Mapping[str, Any], vectors: Vectors, items: Items) -> str:
    """Replace the index in a folder, or make it, whole or not at all; only under its lock.

    Parameters
    ----------
    folder : Path
    described : dict
        What an `IndexRecord` has that neither vectors nor items know.
    vectors : Vectors
    items : Items

    Returns
    -------
    str
        The token of this version.

    Raises
    ------
    IsthmusError
        If it cannot be written; an older index is untouched.
    """
    token = uuid.uuid4().hex[:8]
    known = {key: getattr(vectors, key) for key in ("kind", "size", "nprobe", "recall")}
    facts = {key: described[key] for key in MADE_BY}
    try:
        content = {
            "format": FORMAT,
            **described,
            "count": len(vectors),
            **known,
            "token": token,
            "vectors": _write_file(_vectors_file(folder, token), vectors.to_tensors(), facts),
            "items": _write_file(_items_file(folder, token), *_stored_items(items)),
        }
        # Last: until this file is replaced, the older version is the one that counts.
        write_json(folder / FILE, {**content, "fingerprint": fingerprint(content)})
    except BaseException:
        for file in (_vectors_file(folder, token), _items_file(folder, token)):
            with suppress(OSError):
                file.unlink()
        raise
    _sweep(folder, token)
    return token


def read(folder: Path) -> StoredIndex:
    """Read the index in a folder.

    Raises
    ------
    RunError
        If there is no index, it is damaged, or another version of Isthmus wrote it.
    """
    record = read_record(folder)
    while True:
        try:
            return StoredIndex(record, _read_vectors(folder, record), read_items(folder, record))
        except RunError:
            before, record = record, read_record(folder)
            if record == before:  # else another process has replaced it in between
                raise


def read_items(folder: Path, record: IndexRecord) -> Items:
    """Read the items alone."""
    with reporting_damaged_index(folder):
        items = _read_file(_items_file(folder, record.token), record.items, _build_items)
        if len(items) != record.count:
            raise RunError(f"it has {record.count:,} codes and {len(items):,} names.")
        return items


def read_record(folder: Path) -> IndexRecord:
    """Return what index.json says.

    Raises
    ------
    RunError
        If there is no index, index.json is damaged, or another version of Isthmus wrote it.
    """
    if not (folder / FILE).exists():
        raise RunError(f"there is no index at {folder}; isthmus index makes it.")
    with reporting_damaged_index(folder):
        if not (folder / FILE).is_file():  # such as a pipe, on which reading waits for ever
            raise RunError(f"{FILE} is no file.")
        content = parse_json((folder / FILE).read_bytes())
        written = content["format"]
        if type(written) is not int:
            raise RunError("its format is no number.")
    if written != FORMAT:
        raise RunError(
            f"the index at {folder} was written in format {written} and this Isthmus reads format "
            f"{FORMAT}; make it again with isthmus index."
        )
    with reporting_damaged_index(folder):
        record = from_json(IndexRecord, content)
        if content.pop("fingerprint") != fingerprint(content):
            raise RunError("index.json is not as it was written.")
        return record


def current_token(folder: Path) -> str | None:
    """Return the token of the version in a folder; None if there is none that can be read."""
    try:
        return read_record(folder).token
    except RunError:
        return None


@contextmanager
def reporting_damaged_index(folder: Path) -> Iterator[None]:
    """Report any error that damaged files lead to as one sentence about the index."""
    try:
        yield
    except DAMAGE as error:
        raise RunError(
            f"the index at {folder} is damaged ({describe_damage(error)}); make it again with "
            "isthmus index."
        ) from error


def _read_vectors(folder: Path, record: IndexRecord) -> Vectors:
    def build(tensors: Tensors) -> Vectors:
        if tensors.facts != {key: getattr(record, key) for key in MADE_BY}:
            raise RunError("its vectors are those of another index.")
        return Vectors.from_tensors(tensors, record.nprobe, record.recall)

    with reporting_damaged_index(folder):
        vectors = _read_file(_vectors_file(folder, record.token), record.vectors, build)
        for key, value in (("kind", vectors.kind), ("count", len(vectors)), ("size", vectors.size)):
            if value != getattr(record, key):
                raise RunError(f"its {key} is {getattr(record, key)}, that of its vectors {value}.")
        return vectors


def _build_items(tensors: Tensors) -> Items:
    facts = tensors.facts
    arrays: dict[str, Any] = {
        "names": tensors.read("names", "|u1"),
        "name_ends": tensors.read("name_ends", "<i8"),
        "class_names": np.array(facts["class_names"], np.str_),
        "fingerprint": np.array(facts["fingerprint"], np.str_),
    }
    if "labels" in tensors.names:
        arrays["labels"] = tensors.read("labels", "<i8")
    return Items.from_arrays(arrays)


def _read_file(path: Path, stored: StoredFile, build: Callable[[Tensors], T]) -> T:
    """Return what is built of the arrays of a file, if the file is as it was written.

    A changed vector gives wrong answers. So the whole file is read for its checksum, by another
    thread, as nothing trusts the arrays: alone it takes 0.09 s for 1,000,000 × 32 (136 MB).
    """
    message = f"{path.name} is not as it was written."
    if path.stat().st_size != stored.size:
        raise RunError(message)
    with ThreadPoolExecutor(1) as thread:
        checksum = thread.submit(_checksum, path)
        try:
            with open_tensors(path) as tensors:
                built = build(tensors)
        except DAMAGE as error:
            if checksum.result() != stored.sha256:  # this says more than what followed from it
                raise RunError(message) from error
            raise
        if checksum.result() != stored.sha256:
            raise RunError(message)
        return built


def _stored_items(items: Items) -> tuple[dict[str, Tensor], dict[str, Any]]:
    arrays = items.to_arrays()
    facts = {"class_names": list(items.class_names), "fingerprint": items.fingerprint}
    numbers = ("name_ends", "labels", "names")  # the widest first, so that all are aligned
    return {name: Tensor.of(arrays[name]) for name in numbers if name in arrays}, facts


def _write_file(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Any:
    with atomic_write(path) as file:
        write_tensors(file, tensors, facts)
    return asdict(StoredFile(path.stat().st_size, _checksum(path)))


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sweep(folder: Path, token: str) -> None:
    """Delete the files of other versions and those that killed processes left behind."""
    sweep(folder)
    for file in folder.iterdir():
        match = VERSION_FILE.fullmatch(file.name)
        if match and match["token"] != token:
            with suppress(OSError):  # Windows: a process reads it; the next change tries again
                file.unlink()


def _vectors_file(folder: Path, token: str) -> Path:
    return folder / f"{token}.vectors.safetensors"


def _items_file(folder: Path, token: str) -> Path:
    return folder / f"{token}.items.safetensors"
