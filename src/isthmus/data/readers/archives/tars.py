"""Tar archives as trees, compressed or not."""

import bz2
import gzip
import lzma
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from isthmus.data.manifest import Content
from isthmus.data.readers.archives.members import (
    BROKEN_LINK,
    MAX_MEMBER_BYTES,
    SPECIAL,
    TOO_LARGE,
    Members,
    clean_path,
    follow_link,
    reporting_broken_archive,
)
from isthmus.data.readers.files.trees import LISTS, Tree
from isthmus.data.reading import Note
from isthmus.errors import SourceError
from isthmus.places import OWN, is_figure_content

COMPRESSED_FILES = (gzip.GzipFile, bz2.BZ2File, lzma.LZMAFile)
NO_END = Note(
    "warning",
    "no-end-of-archive",
    "the archive has no end mark and may have been cut short",
    "compare its size with that of the original",
)
MAX_LINKS = 40  # that lead to each other, as Linux allows
CHUNK_BYTES = 2**16


class Member(NamedTuple):
    """Where a file is in a tar: its number among all members, and its bytes if uncompressed."""

    number: int
    start: int
    length: int


def tar_tree(path: Path) -> Tree:
    """Return the tree in a tar archive.

    Links are followed to the member that they lead to.

    Raises
    ------
    SourceError
        If the archive is broken, also behind its first members.
    """
    lists: dict[str, bytes] = {}
    with reporting_broken_archive(path), tarfile.open(path) as archive:
        is_plain = not isinstance(archive.fileobj, COMPRESSED_FILES)
        members, has_sparse = _list_members(archive, lists)
        notes = _check_end(archive, path)
    is_plain = is_plain and not has_sparse  # stored in several pieces

    def contents(chosen: Sequence[str]) -> Iterator[Content]:
        read = _read_ranges if is_plain else _read_members
        return read(path, members.found, chosen)

    return Tree(
        path,
        sorted(members.found),
        contents,
        lists.__getitem__,
        left_out=members.left_out,
        notes=notes,
    )


def _list_members(
    archive: tarfile.TarFile, lists: dict[str, bytes]
) -> tuple[Members[Member], bool]:
    """List the members of an archive; fill `lists`; tell whether any member is sparse."""
    members: Members[Member] = Members()
    links: dict[str, str] = {}
    has_sparse = False
    for number, member in enumerate(archive):
        name = clean_path(member.name)
        if not name or member.isdir():
            continue
        if member.issym() or member.islnk():
            links[name] = _target(name, member)
        elif not member.isfile():
            members.leave_out(name, SPECIAL)
        else:
            found = Member(number, member.offset_data, member.size)
            members.add(name, found, _why_left_out(archive, member))
            links.pop(name, None)
            has_sparse |= member.issparse()
            if name.endswith(LISTS):  # now, as later a compressed tar is unpacked again
                lists[name] = _read_member(archive, member)
    _resolve(links, members)
    return members, has_sparse


def _why_left_out(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str | None:
    if member.size > MAX_MEMBER_BYTES:
        return TOO_LARGE
    is_own = is_figure_content(member.name, member.size, partial(_read_member, archive, member))
    return OWN if is_own else None


def _target(name: str, member: tarfile.TarInfo) -> str:
    """Return the name that a link leads to: a hard link by its path in the archive."""
    return follow_link(name if member.issym() else "", member.linkname)


def _resolve(links: Mapping[str, str], members: Members[Member]) -> None:
    for name, target in links.items():
        for _ in range(MAX_LINKS):
            if target not in links or target in members.found:
                break
            target = links[target]
        if target in members.found:
            members.add(name, members.found[target])
        else:
            members.leave_out(name, BROKEN_LINK)


def _check_end(archive: tarfile.TarFile, path: Path) -> tuple[Note, ...]:
    """Reject an archive that goes on where `tarfile` stopped to read it.

    It takes a damaged header for the end, and so loses all members behind it.
    """
    file = archive.fileobj
    assert file is not None
    file.seek(archive.offset)
    first = chunk = file.read(tarfile.BLOCKSIZE)
    while chunk and not any(chunk):
        chunk = file.read(CHUNK_BYTES)
    if chunk:
        where = "behind its end mark there is more" if not any(first) else "it is damaged"
        raise SourceError(
            f"{path} is not a readable archive: {where}, after {len(archive.getmembers()):,} "
            "members; unpack it by tar --ignore-zeros and give the folder."
        )
    return () if first else (NO_END,)


def _read_ranges(
    path: Path, members: Mapping[str, Member], names: Sequence[str]
) -> Iterator[Content]:
    """Yield members of an uncompressed tar by their places in the file.

    To open it by `tarfile` would list all members again: a tenth of the time that it takes to
    load LFW.
    """
    with path.open("rb", buffering=0) as file:  # a buffer would only copy whole members again
        for name in names:
            _, start, length = members[name]
            file.seek(start)
            yield file.read(length)


def _read_members(
    path: Path, members: Mapping[str, Member], names: Sequence[str]
) -> Iterator[Content]:
    """Yield members of a compressed tar in the order of `names`.

    It is read from start to end, as seeking back would unpack it again from the start; members
    wait in memory for their turn.
    """
    wanted = defaultdict(list)
    for name in names:
        wanted[members[name].number].append(name)
    waiting: dict[str, bytes] = {}
    position = 0
    with reporting_broken_archive(path), tarfile.open(path) as archive:
        for number, member in enumerate(archive):
            if number not in wanted:
                continue
            waiting.update(dict.fromkeys(wanted[number], _read_member(archive, member)))
            while position < len(names) and names[position] in waiting:
                yield waiting.pop(names[position])
                position += 1


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file is not None else b""
