"""Zip archives as trees."""

import stat
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from isthmus.data.manifest import Content
from isthmus.data.readers.archives.members import (
    BROKEN_LINK,
    Members,
    explain,
    reporting_broken_archive,
    why_too_large,
)
from isthmus.data.readers.archives.names import follow_link
from isthmus.data.readers.archives.zipfiles import open_zip
from isthmus.data.readers.files.trees import Tree
from isthmus.errors import SourceError
from isthmus.limits import limit_of, reject_disproportion
from isthmus.places import OWN, is_figure_content

ENCRYPTED = "encrypted; unpack the archive with its password"
IS_ENCRYPTED, IS_UTF8 = 0x1, 0x800  # bits of a member's flags
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
BOUNDED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # unpacked by as much as is asked for
STEP_BYTES = 4096  # of others, that are unpacked at a time: it may become 80 MB
MAX_LINK_BYTES = 4096


def zip_tree(path: Path) -> Tree:
    """Return the tree in a zip archive.

    Names are paths with / also where a program for Windows wrote them with a backslash.

    Raises
    ------
    SourceError
        If the archive is broken, or pretends to hold more than it can.
    """
    with reporting_broken_archive(path), open_zip(path) as archive:
        members = _list_members(path, archive)

    def contents(names: Sequence[str]) -> Iterator[Content]:
        with open_zip(path) as archive:
            for name in names:
                try:
                    yield _read(archive, members.found[name])
                except Exception as error:  # of damaged members, `zipfile` raises almost anything
                    yield SourceError(explain(error))

    def read_list(name: str) -> bytes:
        with open_zip(path) as archive:
            return _read(archive, members.found[name])

    return Tree(
        path,
        sorted(members.found),
        contents,
        read_list,
        left_out=members.left_out,
        notes=tuple(members.notes),
    )


def _list_members(path: Path, archive: zipfile.ZipFile) -> Members[zipfile.ZipInfo]:
    members: Members[zipfile.ZipInfo] = Members(path)
    reject_disproportion(sum(map(_size, archive.infolist())), members.packed, path)
    links = {}
    for member in archive.infolist():
        raw = _decode_name(member).replace("\\", "/")
        name = members.clean(raw)
        if not name or raw.endswith("/"):
            continue
        if stat.S_ISLNK(member.external_attr >> 16) and member.file_size <= MAX_LINK_BYTES:
            links[name] = member
        else:
            members.add(name, member, _why_left_out(archive, member))
    for name, link in links.items():
        target = _read(archive, link).decode("utf-8", "surrogateescape")
        found = members.found.get(follow_link(name, target))
        if found is None:
            members.leave_out(name, BROKEN_LINK)
        else:
            members.add(name, found)
    return members


def _size(member: zipfile.ZipInfo) -> int:
    """Return how many bytes of a member may be unpacked."""
    return member.file_size if member.file_size <= limit_of("ISTHMUS_MAX_FILE") else 0


def _decode_name(member: zipfile.ZipInfo) -> str:
    """Return a name; many programs write UTF-8 without saying so, which is read as code page 437.

    Text in another code page is seldom valid UTF-8.
    """
    if member.filename.isascii() or member.flag_bits & IS_UTF8:
        return member.filename
    try:
        return member.filename.encode("cp437").decode()
    except UnicodeError:
        return member.filename


def _why_left_out(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str | None:
    if member.flag_bits & IS_ENCRYPTED:
        return ENCRYPTED
    if member.compress_type not in METHODS:
        return f"compressed by a method that Python cannot read (number {member.compress_type})"
    if why := why_too_large(member.file_size, member.filename):
        return why
    read = partial(_read, archive, member)
    return OWN if is_figure_content(member.filename, member.file_size, read) else None


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Return the content of a member, with no more memory than it says it needs.

    `ZipFile.read` unpacks all that is there, whatever size the list of members says.
    """
    with archive.open(member) as file:
        if member.compress_type in BOUNDED:
            return file.read(member.file_size)
        return b"".join(iter(lambda: file.read(STEP_BYTES), b""))
