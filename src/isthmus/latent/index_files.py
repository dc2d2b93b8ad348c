"""The files of an index, which take the place of older ones all at once.

index.json
    What there is to say about the index, and the names, sizes and checksums of its other files.
TOKEN.faiss
    The vectors, opened by memory map.
TOKEN.npz
    Names and labels.

Each version has a token of its own. Its large files are written first, then index.json is
replaced, then the files of older versions are deleted: whenever a process is killed, the folder
holds one whole index.
"""

import json
import re
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import numpy as np

from isthmus.data.items import Items
from isthmus.errors import RunError, first_sentence
from isthmus.files import DAMAGE, atomic_write, write_json
from isthmus.latent.vectors import Vectors

FORMAT = 2  # of the folder; raise it when an older program could misread it
FILE = "index.json"
WAIT = 60  # seconds for another process to finish writing
BLOCK = 2**24  # bytes that are read at once
OURS = re.compile(
    r"(?P<token>[0-9a-f]{8})\.(faiss|npz)|\.(index\.json|[0-9a-f]{8}\.(faiss|npz))\.\w+\.tmp"
)


def write(folder: Path, about: dict[str, Any], vectors: Vectors, items: Items) -> None:
    """Replace the index in a folder, or make it, whole or not at all.

    Raises
    ------
    RunError
        If another process keeps writing to it.
    IsthmusError
        If it cannot be written; an older index is untouched.
    """
    with _locked(folder):
        try:
            token = uuid.uuid4().hex[:8]
            large = _written(folder / f"{token}.faiss", vectors.write)
            large |= _written(
                folder / f"{token}.npz",
                lambda file: np.savez(file, allow_pickle=False, **items.to_arrays()),
            )
            search = {key: getattr(vectors, key) for key in ("kind", "nprobe", "recall")}
            content = {"format": FORMAT, **about, **search, "token": token}
            write_json(folder / FILE, {**content, "files": large})
        finally:
            _sweep(folder)


def read(folder: Path) -> tuple[dict[str, Any], Vectors, Items]:
    """Open the index in a folder: what index.json says, the vectors and the items.

    Raises
    ------
    RunError
        If there is none, it is damaged, or another version of Isthmus wrote it.
    """
    about = describe(folder)
    while True:
        try:
            return about, _vectors(folder, about), read_items(folder, about)
        except RunError:
            before, about = about, describe(folder)
            if about == before:  # else another process has replaced it in between
                raise


def read_items(folder: Path, about: dict[str, Any]) -> Items:
    """Read the items alone."""
    with (
        undamaged(folder),
        _verified(folder, about, ".npz").open("rb") as file,
        np.load(file) as arrays,
    ):
        return Items.from_arrays(arrays)


def describe(folder: Path) -> dict[str, Any]:
    """Return what index.json says.

    Raises
    ------
    RunError
        If there is none, it is damaged, or another version of Isthmus wrote it.
    """
    if not (folder / FILE).exists():
        raise RunError(f"there is no index at {folder}; isthmus index makes it.")
    with undamaged(folder):
        about: dict[str, Any] = json.loads((folder / FILE).read_text())
        written = about["format"]
    if written != FORMAT:
        raise RunError(
            f"the index at {folder} was written in format {written} and this Isthmus reads format "
            f"{FORMAT}; make it again with isthmus index."
        )
    return about


@contextmanager
def undamaged(folder: Path) -> Iterator[None]:
    """Say in one sentence that the index in a folder is damaged, whatever gave it away."""
    try:
        yield
    except DAMAGE as error:
        raise RunError(
            f"the index at {folder} is damaged ({first_sentence(error)}); make it again with isthmus index."
        ) from error


def _vectors(folder: Path, about: dict[str, Any]) -> Vectors:
    with undamaged(folder):
        file = _verified(folder, about, ".faiss")
        return Vectors.read(file, about["nprobe"], about["recall"])


def _verified(folder: Path, about: dict[str, Any], suffix: str) -> Path:
    """Return a file of the index if it is as it was written.

    faiss believes what it reads, and ends the process if that is nonsense.
    """
    name = f"{about['token']}{suffix}"
    size, checksum = about["files"][name]
    if (folder / name).stat().st_size != size or _checksum(folder / name) != checksum:
        raise RunError(f"{name} is not as it was written")
    return folder / name


def _written(path: Path, write: Callable[[BinaryIO], None]) -> dict[str, tuple[int, int]]:
    """Write a file; return, by its name, its size in bytes and its checksum."""
    with atomic_write(path) as file:
        write(file)
    return {path.name: (path.stat().st_size, _checksum(path))}


def _checksum(path: Path) -> int:
    """Return the CRC-32 of a file: a second for 3 GB."""
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _sweep(folder: Path) -> None:
    """Delete the files of other versions, and what killed processes left."""
    token = describe(folder)["token"] if (folder / FILE).exists() else None
    for file in folder.iterdir():
        match = OURS.fullmatch(file.name)
        if match and match["token"] != token:
            with suppress(OSError):  # Windows keeps a file that somebody has open, till next time
                file.unlink()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep every other process from writing to the folder, which is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lock", timeout=WAIT):
            yield
    except filelock.Timeout:
        raise RunError(
            f"{folder} is being written by another process; try again when it has ended."
        ) from None
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {first_sentence(error)}.") from error
