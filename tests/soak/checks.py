"""What has to be true of the files that a command leaves, whenever it was ended."""

import gzip
import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TEMPORARY = re.compile(r"^\..*\.tmp")
IGNORED = ("home/", "data/.lock")
# What differs between two runs of the same command: when, how long, where.
VOLATILE = re.compile(
    r"^(at|created|date|seconds|minutes|environment|rate|samples_per_second|ms|version|mtime|"
    r"milliseconds|written|times?|modified)$|_(ms|seconds|minutes|at|bytes)$"
)


def files_of(folder: Path) -> dict[str, Path]:
    """Return the files of a workspace by their names in it, without hidden ones."""
    return {name: path for name, path in _walk(folder) if not _is_hidden(name)}


def leftovers(folder: Path) -> list[str]:
    """Return the names of temporary files and folders."""
    found = []
    for place, folders, files in os.walk(folder):
        names = [name for name in (*folders, *files) if TEMPORARY.match(name)]
        found += [Path(place, name).relative_to(folder).as_posix() for name in names]
        folders[:] = [name for name in folders if name not in names]
    return sorted(found)


def damaged(folder: Path) -> list[str]:
    """Return the names of files that cannot be opened, with the reason."""
    found = []
    for name, path in files_of(folder).items():
        try:
            content_of(path)
        except Exception as error:  # whatever a parser raises
            found.append(f"{name} cannot be opened: {type(error).__name__} {error}")
    return found


def differences(folder: Path, reference: Path) -> list[str]:
    """Return the names of what differs between two workspaces, as far as results go."""
    ours, theirs = files_of(folder), files_of(reference)
    found = [f"{name} is missing" for name in theirs.keys() - ours.keys()]
    found += [f"{name} should not be there" for name in ours.keys() - theirs.keys()]
    for name in sorted(ours.keys() & theirs.keys()):
        if content_of(ours[name]) != content_of(theirs[name]):
            found.append(f"{name} differs")
    return found


def content_of(path: Path) -> Any:
    """Return what has to be equal in two files of the same kind; raise an error if one is damaged.

    Of kinds that carry times, only that they are whole is looked at.
    """
    suffix = ".npy.gz" if path.name.endswith(".npy.gz") else path.suffix
    return READERS.get(suffix, Path.read_bytes)(path)


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    for place, _, files in os.walk(folder):
        for name in files:
            path = Path(place, name)
            yield path.relative_to(folder).as_posix(), path


def _is_hidden(name: str) -> bool:
    return name.startswith(IGNORED) or any(part.startswith(".") for part in name.split("/"))


def _read_weights(path: Path) -> Any:
    """Return the weights of a safetensors file: their bytes and what they are called."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    weights = content[8 + length :]
    if len(weights) != end:
        raise ValueError(f"{len(weights)} bytes of weights instead of {end}")
    return header, weights


def _read_json(path: Path) -> Any:
    return _without_times(json.loads(path.read_bytes()))


def _read_lines(path: Path) -> Any:
    return [_without_times(json.loads(line)) for line in path.read_bytes().splitlines()]


def _without_times(content: Any) -> Any:
    if isinstance(content, dict):
        return {k: _without_times(v) for k, v in content.items() if not VOLATILE.search(k)}
    return [_without_times(v) for v in content] if isinstance(content, list) else content


def _read_npz(path: Path) -> Any:
    with np.load(path) as arrays:
        return {name: _array(arrays[name]) for name in arrays.files}


def _read_npy(path: Path) -> Any:
    return _array(np.load(path))


def _read_packed(path: Path) -> Any:
    return _array(np.load(io.BytesIO(gzip.decompress(path.read_bytes()))))


def _array(values: np.ndarray) -> Any:
    return values.shape, str(values.dtype), values.tobytes()


def _read_picture(path: Path) -> Any:
    with Image.open(path) as picture:
        return picture.size, picture.mode, picture.tobytes()


def _read_state(path: Path) -> Any:
    """Return nothing but that a checkpoint is whole; what it resumes to is looked at elsewhere."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"{damaged} is damaged")


def _read_page(path: Path) -> Any:
    """Return nothing but that a page is whole."""
    if not path.read_text().rstrip().endswith("</html>"):
        raise ValueError("the page has no end")


def _read_network(path: Path) -> Any:
    import onnx

    onnx.checker.check_model(onnx.load(path))


READERS: dict[str, Callable[[Path], Any]] = {
    ".safetensors": _read_weights,
    ".json": _read_json,
    ".jsonl": _read_lines,
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".npy.gz": _read_packed,
    ".png": _read_picture,
    ".webp": _read_picture,
    ".pt": _read_state,
    ".html": _read_page,
    ".onnx": _read_network,
}
