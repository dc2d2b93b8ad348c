"""What has to be equal in two files of the same kind, and how a damaged one is told."""

import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

# What differs between two runs of the same command: when and how fast it was.
VOLATILE = re.compile(
    r"^(at|created|date|seconds|minutes|environment|rate|ms|mtime|milliseconds|written|times?)$|"
    r"_(ms|seconds|minutes|at|bytes|per_second)$"
)
# Keys and checksums of decoded samples depend on the times of files, and those of an index are
# drawn at random.
TOKEN = re.compile(r"(?<![0-9a-fA-F])(?:[0-9a-f]{8}|[0-9a-f]{16}|[0-9a-f]{64})(?![0-9a-fA-F])")


def content_of(path: Path, folder: Path) -> bytes:
    """Return what has to be equal in two files of the same kind; of some only that it is whole.

    Parameters
    ----------
    path : Path
    folder : Path
        The workspace, whose name may be in the file.

    Raises
    ------
    Exception
        Whatever the parser raises for a file that is damaged.
    """
    suffix = ".npy.gz" if path.name.endswith(".npy.gz") else path.suffix
    content = READERS.get(suffix, Path.read_bytes)(path)
    return content if isinstance(content, bytes) else mask(json.dumps(content), folder).encode()


def mask(text: str, folder: Path | None = None) -> str:
    """Return a text without what is drawn at random in it, and without the workspace."""
    return TOKEN.sub("*", text if folder is None else text.replace(str(folder), ""))


def _read_weights(path: Path) -> bytes:
    """Return the weights of a safetensors file: what they are called, and their bytes."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    weights = content[8 + length :]
    if len(weights) != end:
        raise ValueError(f"{len(weights)} bytes of weights instead of {end}")
    return json.dumps(header, sort_keys=True).encode() + weights


def _read_json(path: Path) -> Any:
    return _without_times(json.loads(path.read_bytes()))


def _read_lines(path: Path) -> Any:
    return [_without_times(json.loads(line)) for line in path.read_bytes().splitlines()]


def _without_times(content: Any) -> Any:
    if isinstance(content, dict):
        return {k: _without_times(v) for k, v in content.items() if not VOLATILE.search(k)}
    return [_without_times(v) for v in content] if isinstance(content, list) else content


def _read_npz(path: Path) -> bytes:
    with np.load(path) as arrays:
        return b"".join(name.encode() + _bytes_of(arrays[name]) for name in arrays.files)


def _read_npy(path: Path) -> bytes:
    return _bytes_of(np.load(path))


def _read_packed(path: Path) -> bytes:
    return _bytes_of(np.load(io.BytesIO(gzip.decompress(path.read_bytes()))))


def _bytes_of(values: np.ndarray) -> bytes:
    return f"{values.shape} {values.dtype} ".encode() + values.tobytes()


def _read_picture(path: Path) -> bytes:
    with Image.open(path) as picture:
        return f"{picture.size} {picture.mode} ".encode() + picture.tobytes()


def _read_state(path: Path) -> bytes:
    """Return nothing but that a checkpoint is whole; what it resumes to is looked at elsewhere."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"{damaged} is damaged")
    return b""


def _read_page(path: Path) -> bytes:
    """Return nothing but that a page is whole."""
    if not path.read_text().rstrip().endswith("</html>"):
        raise ValueError("the page has no end")
    return b""


def _read_network(path: Path) -> bytes:
    import onnx

    onnx.checker.check_model(onnx.load(path))
    return b""


READERS: dict[str, Callable[[Path], Any]] = {
    ".alias": lambda path: b"",  # the name of an entry
    ".html": _read_page,
    ".json": _read_json,
    ".jsonl": _read_lines,
    ".md": lambda path: mask(path.read_text()),
    ".npy": _read_npy,
    ".npy.gz": _read_packed,
    ".npz": _read_npz,
    ".onnx": _read_network,
    ".png": _read_picture,
    ".pt": _read_state,
    ".safetensors": _read_weights,
    ".webp": _read_picture,
}
