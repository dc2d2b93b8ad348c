"""`IndexRecord`: what index.json says of an index and of the files next to it."""

import re
from dataclasses import dataclass
from typing import Literal

from isthmus.data.samples import Origin
from isthmus.errors import RunError

TOKEN = re.compile(r"[0-9a-f]{8}")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class IndexSource:
    """Where samples of an index came from, so that the index can be built again.

    Parameters
    ----------
    origin : Origin
    fingerprint : str
        Of the samples.
    """

    origin: Origin
    fingerprint: str


@dataclass(frozen=True)
class StoredFile:
    """What a file must be: its size in bytes and the SHA-256 of its content."""

    size: int
    sha256: str

    def __post_init__(self) -> None:
        if self.size < 0 or not SHA256.fullmatch(self.sha256):
            raise RunError("its files have no size or no SHA-256.")


@dataclass(frozen=True)
class IndexRecord:
    """The content of index.json.

    Parameters
    ----------
    format : int
    metric, kind, count, size, layer, model_fingerprint, nprobe, recall
        See `Index` and `Vectors`.
    sources : tuple of IndexSource
    removed : tuple of str
    token : str
        Eight hexadecimal digits, with which the names of the files begin.
    vectors, items : StoredFile
    fingerprint : str
        Of all that stands before it.

    Raises
    ------
    RunError
        If a number is outside its range.
    """

    format: int
    metric: Literal["euclidean", "cosine"]
    kind: Literal["exact", "ivf"]
    count: int
    size: int
    layer: str
    model_fingerprint: str
    nprobe: int
    recall: float
    sources: tuple[IndexSource, ...]
    removed: tuple[str, ...]
    token: str
    vectors: StoredFile
    items: StoredFile
    fingerprint: str

    def __post_init__(self) -> None:
        if min(self.count, self.size, self.nprobe) < 1 or not 0 <= self.recall <= 1:
            raise RunError("its numbers are outside their range.")
        # File names are made of it, and must not lead out of the folder.
        if not TOKEN.fullmatch(self.token):
            raise RunError("its token is not eight hexadecimal digits.")
