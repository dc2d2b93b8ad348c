"""Packed files, unpacked only as far as their size explains."""

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from isthmus.limits import reject_disproportion

OPENERS: dict[str, Callable[[Any], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
STARTS: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
    b"\x5d\0\0": lzma.open,
}


class BoundedFile(io.RawIOBase):
    """A packed file that refuses to become more than its size explains.

    Parameters
    ----------
    path : Path
    opener : callable
        Opens it by its kind.
    share : int
        See `reject_disproportion`.
    """

    def __init__(self, path: Path, opener: Callable[[Any], Any], share: int = 1) -> None:
        super().__init__()
        self._share = share
        self._path, self._packed = path, path.stat().st_size
        self._file = opener(path)

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it can be read from any place."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read as much as a buffer holds.

        Raises
        ------
        SourceError
            If there is more than there should be.
        """
        count: int = self._file.readinto(buffer)
        reject_disproportion(self._file.tell(), self._packed, self._path, self._share)
        return count

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place; forward, all before it is unpacked."""
        if whence == io.SEEK_SET:
            reject_disproportion(offset, self._packed, self._path, self._share)
        place: int = self._file.seek(offset, whence)
        return place

    def tell(self) -> int:
        """Return the place."""
        place: int = self._file.tell()
        return place

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def open_packed(path: Path, share: int = 1) -> IO[bytes]:
    """Open a file, unpacked by the kind that its suffix names; see `reject_disproportion`."""
    opener = OPENERS.get(path.suffix.lower())
    return path.open("rb") if opener is None else _bounded(path, opener, share)


def open_by_content(path: Path) -> tuple[IO[bytes], bool]:
    """Open a file, unpacked by the kind that its first bytes tell, and return whether it is."""
    with path.open("rb") as file:
        start = file.read(8)
    for first, opener in STARTS.items():
        if start.startswith(first):
            return _bounded(path, opener), True
    return path.open("rb"), False


def _bounded(path: Path, opener: Callable[[Any], Any], share: int = 1) -> IO[bytes]:
    return io.BufferedReader(BoundedFile(path, opener, share), 2**16)
