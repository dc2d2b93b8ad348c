"""Tar archives as trees, compressed or not."""

import tarfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from isthmus.data.manifest import Content
from isthmus.data.readers.archives.members import (
    BROKEN_LINK,
    SPECIAL,
    Members,
    reporting_broken_archive,
    why_too_large,
)
from isthmus.data.readers.archives.names import follow_link
from isthmus.data.readers.archives.tarfiles import OpenTar, open_tar
from isthmus.data.readers.archives.waiting import Waiting
from isthmus.data.readers.archives.zipfiles import reject_many_members
from isthmus.data.readers.files.trees import LISTS, Tree
from isthmus.data.reading import Note
from isthmus.errors import SourceError
from isthmus.limits import reject_disproportion
from isthmus.places import OWN, is_figure_content

NO_END = Note(
    "warning",
    "no-end-of-archive",
    "the archive has no end mark and may have been cut short",
    "compare its size with that of the original",
)
MAX_LINKS = 40  # that lead to each other, as Linux allows
CHUNK_BYTES = 2**16
MAX_PADDING = 2**28  # zeros at the end that are looked through
MEMBERS_BETWEEN = 1024  # two looks at how many there are


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
    with reporting_broken_archive(path), open_tar(path) as archive:
        members, has_sparse, count = _list_members(path, archive, lists)
        notes = _check_end(archive.archive, path, count)
    is_plain = not archive.is_packed and not has_sparse  # stored in several pieces

    def contents(chosen: Sequence[str]) -> Iterator[Content]:
        read = _read_ranges if is_plain else _read_members
        return read(path, members.found, chosen)

    return Tree(
        path,
        sorted(members.found),
        contents,
        lists.__getitem__,
        left_out=members.left_out,
        notes=(*members.notes, *notes),
        stored=list(members.found),
    )


def _list_members(
    path: Path, archive: OpenTar, lists: dict[str, bytes]
) -> tuple[Members[Member], bool, int]:
    """List the members of an archive; fill `lists`; tell whether any is sparse, and their number.

    Members count towards what is unpacked before they are passed over, which unpacks them.
    """
    members: Members[Member] = Members(path)
    links: dict[str, str] = {}
    has_sparse = False
    count = 0
    for number, member in enumerate(archive):
        count = number + 1
        _reject_bomb(members, member, count, archive.is_packed)
        name = members.clean(member.name)
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
            if name.endswith(LISTS) and name in members.found:
                lists[name] = archive.read(member)  # later a packed tar is unpacked again
    _resolve(links, members)
    total = sum(member.length for member in members.found.values())
    # Not the headers of links, which would explain any number of copies.
    own = members.packed - tarfile.BLOCKSIZE * len(links)
    reject_disproportion(total, own if links else members.packed, path)
    return members, has_sparse, count


def _reject_bomb(
    members: Members[Member], member: tarfile.TarInfo, count: int, is_packed: bool
) -> None:
    if count % MEMBERS_BETWEEN == 0:
        reject_many_members(members.path, count)
    if is_packed:
        reject_disproportion(member.offset_data, members.packed, members.path)


def _why_left_out(archive: OpenTar, member: tarfile.TarInfo) -> str | None:
    if why := why_too_large(member.size, member.name):
        return why
    is_own = is_figure_content(member.name, member.size, partial(archive.read, member))
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


def _check_end(archive: tarfile.TarFile, path: Path, count: int) -> tuple[Note, ...]:
    """Reject an archive that goes on where `tarfile` stopped to read it.

    It takes a damaged header for the end, and so loses all members behind it.
    """
    file = archive.fileobj
    assert file is not None
    file.seek(archive.offset)
    first = chunk = file.read(tarfile.BLOCKSIZE)
    passed = 0
    while chunk and passed < MAX_PADDING and chunk.count(0) == len(chunk):
        chunk = file.read(CHUNK_BYTES)
        passed += len(chunk)
    if passed >= MAX_PADDING:
        return ()
    if chunk:
        where = "behind its end mark there is more" if not any(first) else "it is damaged"
        raise SourceError(
            f"{path} is not a readable archive: {where}, after {count:,} "
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
    position = 0
    with reporting_broken_archive(path), open_tar(path) as archive, Waiting() as waiting:
        for number, member in enumerate(archive):
            if number not in wanted:
                continue
            content = archive.read(member)
            for name in wanted[number]:
                waiting.add(name, content)
            while position < len(names) and names[position] in waiting:
                yield waiting.pop(names[position])
                position += 1
