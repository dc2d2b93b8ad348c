"""Files that are written whole or not at all, fingerprints, and dataclasses as JSON.

`fields.from_json` is the way back from JSON.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from isthmus.errors import MAX_COMPARED, IsthmusError, find_nearest, first_sentence
from isthmus.temporaries import sweep_for, temporary_path
from isthmus.text import to_utf8

# A folder of more files is flushed together with all else that the system holds back, which takes
# less time than a call for each of them.
MAX_FLUSHED = 64


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` once it is complete; missing folders are created.

    The content is written to a temporary name in the same folder, flushed to the disk and then
    renamed. A reader, a crash or a full disk therefore finds the old file or the new one, never a
    part.

    Raises
    ------
    IsthmusError
        If the file cannot be written; `path` is then unchanged.
    """
    temporary = temporary_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else the rename may reach the disk before the content
        temporary.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        raise IsthmusError(f"{path} cannot be written: {first_sentence(error)}.") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes `path` once it is complete, and is removed otherwise.

    `path` does not exist or is an empty folder. Of a link, the target is replaced. All that is in
    the folder is flushed to the disk before it is renamed.

    Raises
    ------
    IsthmusError
        If the folder cannot be written.
    """
    path = path.resolve()
    sweep_for(path)
    # Next to it: a rename is only whole within a file system.
    with temporary_folder(path) as temporary:
        yield temporary
        flush_tree(temporary)
        if path.exists():
            path.rmdir()  # it is empty
        temporary.rename(path)
        flush_folder(path.parent)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Give a folder next to `path` that is removed at the end.

    Raises
    ------
    IsthmusError
        If it, or what is done meanwhile, cannot be written.
    """
    temporary = temporary_path(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
    except OSError as error:
        raise IsthmusError(f"{path} cannot be written: {first_sentence(error)}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def flush_tree(folder: Path) -> None:
    """Flush all files and folders in a folder to the disk, and the folder itself."""
    places = list(os.walk(folder))
    files = [Path(place, name) for place, _, names in places for name in names]
    if len(files) > MAX_FLUSHED and sys.platform == "linux":  # others do not wait for the disk
        os.sync()
        return
    for file in files:
        _flush(file, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    for place, _, _ in places:
        flush_folder(Path(place))


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder, such as of a rename; Windows cannot and need not."""
    if os.name == "posix":
        _flush(folder, os.O_RDONLY)


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_writable_place(path: Path) -> None:
    """Reject a path that no file can be written to, before the work that would fill it.

    Raises
    ------
    IsthmusError
        If something above it is not a folder, or it is a folder itself.
    """
    try:
        above = nearest_folder(path)
        is_folder = path.is_dir()
    except OSError as error:  # such as of a name that is too long
        raise IsthmusError(f"{path} cannot be written: {first_sentence(error)}.") from error
    if not above.is_dir():
        raise IsthmusError(f"{path} cannot be written: {above} is not a folder.")
    if is_folder:
        raise IsthmusError(f"{path} cannot be written: it is a folder.")
    if not os.access(above, os.W_OK):
        raise IsthmusError(f"{path} cannot be written: you may not write to {above}.")


def nearest_folder(path: Path) -> Path:
    """Return the nearest of what exists above a path, which need not be a folder."""
    return next(above for above in path.absolute().parents if above.exists())


def is_within(path: Path, folder: Path) -> bool:
    """Return whether a path leads into a folder, behind all links."""
    return path.resolve().is_relative_to(folder.resolve())


def suggest_path(path: str | Path, fits: Callable[[Path], bool] | None = None) -> str:
    """Return "; the nearest is …" for a path that does not exist, or "" without a similar name.

    Only the folder that the path names is looked at.

    Parameters
    ----------
    path : path
    fits : callable, optional
        Which paths to suggest, such as `training.store.is_run`; by default all.
    """
    path = Path(path)
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in islice(entries, MAX_COMPARED + 1)]
    except OSError:  # there is no such folder either
        return ""
    names = [name for name in names if not name.startswith(".")]
    if fits is not None:
        names = [name for name in names if fits(path.with_name(name))]
    near = find_nearest(path.name, names)
    return f"; the nearest is {path.with_name(near)}" if near else ""


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with atomic_write(path) as file:
        file.write(content)


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together, of which the last one makes the others count.

    All are on the disk before one gets its name. The last one has none while the others get
    theirs: so a crash leaves the old files, the new ones, or no last one, and never one of each.

    Raises
    ------
    IsthmusError
        If one cannot be written; all are then unchanged.
    """
    with ExitStack() as stack:
        for path, content in reversed(list(contents.items())):  # the stack ends with the first
            file = stack.enter_context(atomic_write(path))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        [*_, last] = contents
        try:
            last.unlink(missing_ok=True)
            flush_folder(last.parent)
        except OSError as error:
            raise IsthmusError(f"{last} cannot be written: {first_sentence(error)}.") from error


def put(path: Path, content: bytes) -> None:
    """Write a file into a folder of `atomic_folder`, which flushes all of them at its end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Write `content`, which may contain dataclasses, as indented JSON, whole or not at all."""
    sweep_for(path)
    write_bytes(path, to_utf8(json.dumps(to_json(content), indent=2, ensure_ascii=False) + "\n"))


def to_json(content: Any) -> Any:
    """Turn dataclasses, also nested ones, into JSON values.

    An empty field with the metadata "omit_empty" is left out. So a dataclass can get a new field
    without changing the fingerprints of files that were written before.

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


def fingerprint(*parts: Any) -> str:
    """Return 16 hexadecimal digits that change when any part does.

    Parts are bytes, memory views of contiguous arrays, or JSON values.

    Examples
    --------
    >>> fingerprint("a", 1) == fingerprint("a", 1)
    True
    >>> fingerprint("a", 1) == fingerprint("a", 2)
    False
    """
    digest = hashlib.sha256()  # fast enough: 1.6 GB/s; and stable across versions of Python
    for part in parts:
        if not isinstance(part, bytes | memoryview):
            part = json.dumps(to_json(part)).encode()
        view = memoryview(part)
        digest.update(view.nbytes.to_bytes(8, "little"))  # ("ab", "c") is not ("a", "bc")
        digest.update(view)
    return digest.hexdigest()[:16]
