"""Files that are whole or absent, fingerprints, and JSON to and from dataclasses."""

import dataclasses
import hashlib
import json
import os
import pickle
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from safetensors import SafetensorError

from isthmus.errors import IsthmusError, first_sentence

T = TypeVar("T")

DAMAGE = (
    AttributeError,
    EOFError,
    IsthmusError,
    LookupError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` once it is complete; its folder is made.

    The content goes to a temporary name in the same folder, is flushed to the disk and then
    renamed, so that a reader, a crash or a full disk meets the old file or the new one and
    never a part.

    Raises
    ------
    IsthmusError
        If the file cannot be written; what stood at `path` is untouched.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise IsthmusError(f"{path} cannot be written: {first_sentence(error)}.") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def reporting_damage(path: Path | str, kind: type[IsthmusError]) -> Iterator[None]:
    """Say in one sentence, as an error of `kind`, that a file that we wrote is damaged.

    Whatever its parser stumbles over means the same: some other program, a disk or a hand has
    changed the file since.
    """
    try:
        yield
    except DAMAGE as error:
        message = f"{path} is damaged and cannot be read: {first_sentence(error)}."
        raise kind(message) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with atomic_write(path) as file:
        file.write(content)


def write_json(path: Path, content: Any) -> None:
    """Write `content` (dataclasses included) as indented JSON, whole or not at all."""
    write_bytes(path, (json.dumps(to_json(content), indent=2, ensure_ascii=False) + "\n").encode())


def to_json(content: Any) -> Any:
    """Turn dataclasses, also nested ones, into what JSON knows.

    A field that came later, as its metadata say, is left out where it is empty: so fingerprints
    of what was there before stay what they were.

    Examples
    --------
    >>> import pathlib
    >>> to_json({"path": pathlib.PurePosixPath("a/b"), "sizes": (1, 2)})
    {'path': 'a/b', 'sizes': [1, 2]}
    """
    if dataclasses.is_dataclass(content) and not isinstance(content, type):
        fields = dataclasses.fields(content)
        values = [(field, getattr(content, field.name)) for field in fields]
        return {
            field.name: to_json(value)
            for field, value in values
            if value or "omit_empty" not in field.metadata
        }
    if isinstance(content, dict):
        return {str(key): to_json(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [to_json(value) for value in content]
    if isinstance(content, os.PathLike):
        return os.fspath(content)
    return content


def from_json(kind: type[T], content: dict[str, Any]) -> T:
    """Make the dataclass `kind` from the JSON object that `to_json` made of one.

    Lists become tuples, the only sequence our settings hold.

    Raises
    ------
    IsthmusError
        If a field is unknown or missing.
    """
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise IsthmusError(f"this is no {kind.__name__}: {first_sentence(error)}.") from error


def fingerprint(*parts: Any) -> str:
    """Return 16 hexadecimal digits that change when any part does.

    Parts are bytes, memory views of contiguous arrays, or anything JSON can say.

    Examples
    --------
    >>> fingerprint("a", 1) == fingerprint("a", 1)
    True
    >>> fingerprint("a", 1) == fingerprint("a", 2)
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        if not isinstance(part, bytes | memoryview):
            part = json.dumps(to_json(part)).encode()
        view = memoryview(part)
        digest.update(view.nbytes.to_bytes(8, "little"))
        digest.update(view)
    return digest.hexdigest()[:16]


def _flush_folder(folder: Path) -> None:
    """Flush the folder's entry of a rename; some systems cannot, and need not."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
