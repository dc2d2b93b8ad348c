"""The files of an index, which take the place of older ones all at once.

index.json
    Metadata, and the names, sizes and checksums of the other files.
TOKEN.faiss
    The vectors, opened by memory map.
TOKEN.npz
    Names and labels.

Each version has its own token. Its large files are written first, then index.json is replaced,
then the files of older versions are deleted: whenever a process is killed, the folder holds one
whole index. A process that has an older version open keeps reading its deleted files.
"""

import json
import re
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from isthmus.data.items import Items
from isthmus.errors import RunError, first_sentence
from isthmus.files import DAMAGE, atomic_write, write_json
from isthmus.latent.vectors import Vectors
from isthmus.locks import hold
from isthmus.temporaries import sweep

FORMAT = 2  # of the folder; raise it when an older program could misread it
FILE = "index.json"
LOCK_TIMEOUT = 60  # seconds for another process to finish writing
BLOCK_BYTES = 2**24  # bytes that are read at once
VERSION_FILE = re.compile(r"(?P<token>[0-9a-f]{8})\.(faiss|npz)")


def write(folder: Path, metadata: dict[str, Any], vectors: Vectors, items: Items) -> None:
    """Replace the index in a folder, or make it, whole or not at all.

    Raises
    ------
    RunError
        If another process keeps writing to it.
    IsthmusError
        If it cannot be written; an older index is untouched.
    """
    with _lock(folder):
        try:
            token = uuid.uuid4().hex[:8]
            large = _write_file(folder / f"{token}.faiss", vectors.write)
            large |= _write_file(
                folder / f"{token}.npz",
                lambda file: np.savez(file, allow_pickle=False, **items.to_arrays()),
            )
            search = {key: getattr(vectors, key) for key in ("kind", "nprobe", "recall")}
            content = {"format": FORMAT, **metadata, **search, "token": token}
            # Last: until this file is replaced, the older version is the one that counts.
            write_json(folder / FILE, {**content, "files": large})
        finally:
            _sweep(folder)  # after a failure, the new large files are those without an owner


def read(folder: Path) -> tuple[dict[str, Any], Vectors, Items]:
    """Open the index in a folder: its metadata, the vectors and the items.

    Raises
    ------
    RunError
        If there is no index, it is damaged, or another version of Isthmus wrote it.
    """
    metadata = read_metadata(folder)
    while True:
        try:
            return metadata, _read_vectors(folder, metadata), read_items(folder, metadata)
        except RunError:
            before, metadata = metadata, read_metadata(folder)
            if metadata == before:  # else another process has replaced it in between
                raise


def read_items(folder: Path, metadata: dict[str, Any]) -> Items:
    """Read the items alone."""
    with (
        reporting_damaged_index(folder),
        _verify(folder, metadata, ".npz").open("rb") as file,
        np.load(file) as arrays,
    ):
        return Items.from_arrays(arrays)


def read_metadata(folder: Path) -> dict[str, Any]:
    """Return the metadata in index.json.

    Raises
    ------
    RunError
        If there is no index, it is damaged, or another version of Isthmus wrote it.
    """
    if not (folder / FILE).exists():
        raise RunError(f"there is no index at {folder}; isthmus index makes it.")
    with reporting_damaged_index(folder):
        metadata: dict[str, Any] = json.loads((folder / FILE).read_text())
        written = metadata["format"]
    if written != FORMAT:
        raise RunError(
            f"the index at {folder} was written in format {written} and this Isthmus reads format "
            f"{FORMAT}; make it again with isthmus index."
        )
    return metadata


@contextmanager
def reporting_damaged_index(folder: Path) -> Iterator[None]:
    """Report any error that damaged files lead to as one sentence about the index."""
    try:
        yield
    except DAMAGE as error:
        raise RunError(
            f"the index at {folder} is damaged ({first_sentence(error)}); make it again with "
            "isthmus index."
        ) from error


def _read_vectors(folder: Path, metadata: dict[str, Any]) -> Vectors:
    with reporting_damaged_index(folder):
        file = _verify(folder, metadata, ".faiss")
        return Vectors.read(file, metadata["nprobe"], metadata["recall"])


def _verify(folder: Path, metadata: dict[str, Any], suffix: str) -> Path:
    """Return the path of a file of the index, if the file is as it was written.

    faiss trusts what it reads: sizes and numbers of lists that make no sense end the process, and
    a changed vector gives wrong answers. So the whole file is read once for its checksum. This
    costs less than it saves: 0.05 s for 1,000,000 × 32 (136 MB), of 0.1 s to open the index, and
    leaves the file in the system's memory for the searches that follow.
    """
    name = f"{metadata['token']}{suffix}"
    size, checksum = metadata["files"][name]
    if (folder / name).stat().st_size != size or _checksum(folder / name) != checksum:
        raise RunError(f"{name} is not as it was written")
    return folder / name


def _write_file(path: Path, write: Callable[[BinaryIO], None]) -> dict[str, tuple[int, int]]:
    """Write a file; return its size in bytes and its checksum, by its name."""
    with atomic_write(path) as file:
        write(file)
    return {path.name: (path.stat().st_size, _checksum(path))}


def _checksum(path: Path) -> int:
    """Return the CRC-32 of a file."""
    # Against accidents, not attacks: SHA-256 would take two and a half times as long.
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _sweep(folder: Path) -> None:
    """Delete the files of other versions and those that killed processes left behind."""
    sweep(folder)
    token = read_metadata(folder)["token"] if (folder / FILE).exists() else None
    for file in folder.iterdir():
        match = VERSION_FILE.fullmatch(file.name)
        if match and match["token"] != token:
            with suppress(OSError):  # Windows: a process has it open; the next save tries again
                file.unlink()


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Make the folder if needed, and keep every other process from writing to it."""
    busy = f"{folder} is being written by another process; try again when it has ended."
    with hold(folder / ".lock", busy=busy, timeout=LOCK_TIMEOUT, kind=RunError):
        yield
