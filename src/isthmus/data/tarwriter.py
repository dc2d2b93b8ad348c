"""Tar files whose bytes follow from their members alone: no times, owners or rights of files."""

import io
import tarfile
from pathlib import Path
from typing import Any


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
            path, "w", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape"
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


def size_in_tar(content: bytes) -> int:
    """Return how many bytes a file takes in a tar, with its header.

    Examples
    --------
    >>> size_in_tar(b"7"), size_in_tar(b"")
    (1024, 512)
    """
    blocks = -(-len(content) // tarfile.BLOCKSIZE)
    return tarfile.BLOCKSIZE * (1 + blocks)
