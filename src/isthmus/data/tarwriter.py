"""Tar files whose bytes follow from their members alone: no times, owners or rights of files."""

import io
import tarfile
from pathlib import Path
from typing import Any

TEXT = ("utf-8", "surrogateescape")  # how names are written
MAX_PLAIN_SIZE = 8**11  # bytes; a larger size needs a header of its own


class TarWriter:
    """An uncompressed tar that is being written.

    Parameters
    ----------
    path : Path
        A file that is replaced.
    """

    def __init__(self, path: Path) -> None:
        # Names of any length and bytes, as POSIX has them; short ones are as in every tar.
        self._archive: Any = tarfile.open(  # noqa: SIM115 - closed by `close`
            path, "w", format=tarfile.PAX_FORMAT, encoding=TEXT[0], errors=TEXT[1]
        )

    @property
    def size(self) -> int:
        """In bytes, so far."""
        return int(self._archive.offset)

    def add(self, name: str, content: bytes) -> None:
        """Add a file."""
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._archive.addfile(member, io.BytesIO(content))
        self._archive.members.clear()  # else 1 kB of each of a million stays in memory

    def close(self) -> None:
        """Write the end mark and close the file."""
        self._archive.close()


def size_in_tar(name: str, size: int) -> int:
    """Return how many bytes a file of a size takes in a tar, with its headers.

    Examples
    --------
    >>> size_in_tar("7.cls", 1), size_in_tar("7.cls", 0), size_in_tar("ä.cls", 0)
    (1024, 512, 1536)
    """
    blocks = -(-size // tarfile.BLOCKSIZE)
    return tarfile.BLOCKSIZE * blocks + _header_size(name, size)


def _header_size(name: str, size: int) -> int:
    if name.isascii() and len(name) <= tarfile.LENGTH_NAME and size < MAX_PLAIN_SIZE:
        return tarfile.BLOCKSIZE
    member = tarfile.TarInfo(name)
    member.size = size
    return len(member.tobuf(tarfile.PAX_FORMAT, *TEXT))
