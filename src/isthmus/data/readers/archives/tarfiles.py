"""Tar files, unpacked no further than their size explains, and with headers of usual size."""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from isthmus.data.readers.packed import open_by_content
from isthmus.errors import SourceError

MAX_HEADER_BYTES = 2**20  # of a long name or of the attributes of a member


class TarBytes:
    """What `tarfile` reads from; it reads a header whole, however large that claims to be.

    Parameters
    ----------
    path : Path
    file : file
        Unpacked.
    """

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path, self._file = path, file
        self.most = MAX_HEADER_BYTES
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, count: int = -1) -> bytes:
        """Read so many bytes.

        Raises
        ------
        SourceError
            If a header claims to have more than any has.
        """
        if not 0 <= count <= self.most:
            raise SourceError(
                f"{self._path} has a header of {count:,} bytes among its members, more than "
                f"{self.most:,}; unpack it and give the folder."
            )
        return self._file.read(count)


class OpenTar:
    """An opened tar file, of which one member at a time is in memory.

    Parameters
    ----------
    archive : TarFile
    bytes_ : TarBytes
        What it reads from.
    is_packed : bool
    """

    def __init__(self, archive: tarfile.TarFile, bytes_: TarBytes, is_packed: bool) -> None:
        self.archive, self._bytes, self.is_packed = archive, bytes_, is_packed

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        archive: Any = self.archive  # its types leave out the list of members
        while (member := archive.next()) is not None:
            yield member
            # Else each stays, with its names and attributes: 1 kB for each of a million members.
            archive.members.clear()

    def read(self, member: tarfile.TarInfo) -> bytes:
        """Return the content of a member, whose size has been looked at."""
        self._bytes.most = max(member.size, tarfile.BLOCKSIZE)
        try:
            file: Any = self.archive.extractfile(member)
            return bytes(file.read()) if file is not None else b""
        finally:
            self._bytes.most = MAX_HEADER_BYTES


@contextmanager
def open_tar(path: Path) -> Iterator[OpenTar]:
    """Open a tar file, packed or not; its content tells which.

    Raises
    ------
    SourceError
        If it unpacks to more than its size explains, then or later.
    tarfile.ReadError
        If it is none.
    """
    file, is_packed = open_by_content(path)
    with file:
        raw: Any = TarBytes(path, file)
        try:
            # Not `tarfile.open`, which would unpack again what is packed twice.
            archive = tarfile.TarFile(fileobj=raw)
        except tarfile.ReadError as error:
            raise tarfile.ReadError("it could not be opened") from error
        with archive:
            yield OpenTar(archive, raw, is_packed)
