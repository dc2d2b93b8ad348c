"""Files as they were published: what they must hold, and what is wrong with a file that does not.

Every file that Isthmus downloads is known by the SHA-256 of its content. So it does not matter who
delivers it, and no answer of a server is ever trusted.
"""

import gzip
import hashlib
import json
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.errors import IsthmusError, first_sentence
from isthmus.files import fingerprint, write_json
from isthmus.state import state_folder
from isthmus.temporaries import sweep

BLOCK_BYTES = 1 << 20
PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<meta", b"<title")
HEAD_BYTES = 1024


@dataclass(frozen=True)
class Remote:
    """A file to download.

    Parameters
    ----------
    url : str
    name : str
        The file's name on this machine.
    sha256 : str
        Checksum of the content, of a .gz after decompression: mirrors compress MNIST's files
        differently.
    size : int
        Bytes of the same content. No more is received or decompressed.
    """

    url: str
    name: str
    sha256: str
    size: int

    @property
    def is_compressed(self) -> bool:
        """Whether size and checksum are those of the content after decompression."""
        return self.name.endswith(".gz")

    @property
    def most_bytes(self) -> int:
        """The most that the file itself can have."""
        # What gzip cannot make smaller it makes longer by 5 bytes in 16 KB and its own header.
        return self.size + self.size // 1000 + 1024 if self.is_compressed else self.size


def find_fault(path: Path, remote: Remote) -> str:
    """Return why a file does not hold what was published, or "" if it does.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    if not path.is_file():
        return "it is no file"
    with path.open("rb") as file:
        if is_page(file.read(HEAD_BYTES)):
            return "it is a web page, perhaps a login"
    size = path.stat().st_size
    if not remote.is_compressed and size != remote.size:
        return f"it has {size:,} bytes instead of {remote.size:,}"
    try:
        actual, count = _read_content(path, remote)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        return f"it is cut short or damaged: {first_sentence(error)}"
    if count > remote.size:
        return f"it unpacks to more than {remote.size:,} bytes"
    return "" if actual == remote.sha256 else "its SHA-256 differs"


def is_page(head: bytes) -> bool:
    """Return whether a file that begins so is a page of HTML, which many servers send as an error.

    Examples
    --------
    >>> is_page(b"  <!DOCTYPE html><title>Please log in</title>"), is_page(b"PK")
    (True, False)
    """
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(PAGE_STARTS)


def _read_content(path: Path, remote: Remote) -> tuple[str, int]:
    """Return the SHA-256 of a file's content and its size; no more than needed is read."""
    digest, count = hashlib.sha256(), 0
    with gzip.open(path) if remote.is_compressed else path.open("rb") as file:
        # A small file may unpack to any number of bytes.
        while count <= remote.size and (block := file.read(BLOCK_BYTES)):
            digest.update(block)
            count += len(block)
    return digest.hexdigest(), count


# -- what has been verified ---------------------------------------------------------------------


def is_verified(path: Path, remote: Remote) -> bool:
    """Return whether a file was found to hold what was published, and has not changed since.

    To hash the largest set takes seconds. So this user's state folder holds a file for each one
    that was verified; where it is missing or cannot be read, the file is verified again.
    """
    with suppress(OSError, ValueError):
        found = json.loads(_record(path).read_bytes())
        return bool(found == _identify(path, remote))
    return False


def remember(path: Path, remote: Remote) -> None:
    """Note that a file holds what was published."""
    record = _record(path)
    with suppress(OSError, IsthmusError):  # it only saves time
        sweep(record.parent)  # what killed processes left here
        write_json(record, _identify(path, remote))


def _record(path: Path) -> Path:
    return state_folder() / "verified" / f"{fingerprint(str(path.resolve()))}.json"


def _identify(path: Path, remote: Remote) -> dict[str, Any]:
    """Return what changes when a file does: the last also when its time of change is set back."""
    status = path.stat()
    return {
        "path": str(path.resolve()),
        "sha256": remote.sha256,
        "size": status.st_size,
        "modified": status.st_mtime_ns,
        "changed": status.st_ctime_ns,
    }
