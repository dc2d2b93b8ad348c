"""Zip files, opened only if their lists of members are not too long."""

import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from isthmus.errors import SourceError
from isthmus.limits import limit_of, reject_beyond, reject_disproportion
from isthmus.text import format_bytes

END, END_64, LOCATOR_64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
END_BYTES, LOCATOR_BYTES, END_64_BYTES = 22, 20, 56
MAX_COMMENT = 2**16
ENTRY = b"PK\1\2"  # that a member begins with in the list
BLOCK_BYTES = 2**20
MAX_LIST_BYTES = 256  # of the list, for each member that there may be


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip file.

    Raises
    ------
    SourceError
        If it has too many members, of which each takes memory as soon as it is opened.
    zipfile.BadZipFile
        If it is none.
    """
    with path.open("rb") as file:
        reject_many_members(path, _count_members(path, file))
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            yield archive


def reject_many_members(path: Path, count: int) -> None:
    """Refuse an archive of too many members."""
    try:
        reject_beyond("ISTHMUS_MAX_MEMBERS", count, f"{path} has {count:,} members or more")
    except SourceError as error:
        raise SourceError(f"{error}, or unpack it and give the folder.") from None


def reject_large_array(path: Path, member: zipfile.ZipInfo, count: int) -> None:
    """Refuse an array of so many bytes, in a member that is far smaller."""
    reject_disproportion(count, min(member.compress_size, path.stat().st_size), path)


def _count_members(path: Path, file: IO[bytes]) -> int:
    """Count the members as the list of them has them; whatever number the end claims."""
    size = file.seek(0, 2)
    file.seek(max(0, size - MAX_COMMENT - END_BYTES))
    tail = file.read()
    end = tail.rfind(END)
    if end < 0 or len(tail) - end < END_BYTES:
        return 0  # `zipfile` says what is wrong
    length = struct.unpack_from("<L", tail, end + 12)[0]
    where = size - len(tail) + end
    if tail[end - LOCATOR_BYTES : end - LOCATOR_BYTES + 4] == LOCATOR_64:
        where -= LOCATOR_BYTES + END_64_BYTES
        start = end - LOCATOR_BYTES - END_64_BYTES
        if start >= 0 and tail[start : start + 4] == END_64:
            length = struct.unpack_from("<Q", tail, start + 40)[0]
    most = MAX_LIST_BYTES * limit_of("ISTHMUS_MAX_MEMBERS")
    if length > max(most, BLOCK_BYTES):
        raise SourceError(
            f"{path} has a list of members of {format_bytes(length)}; set ISTHMUS_MAX_MEMBERS to "
            "read it, or unpack it and give the folder."
        )
    file.seek(max(0, where - length))
    return file.read(min(length, size)).count(ENTRY)
