"""`Tree`: the files of a folder or an archive, by name, and how to read their contents.

All readers of pictures work on trees, so that every layout is recognized in archives as well and
no archive is ever unpacked to the disk.
"""

import bz2
import gzip
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from isthmus.data.manifest import Content
from isthmus.errors import SourceError, first_sentence

PICTURE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
ARCHIVE_SUFFIXES = (".tar", ".tar.bz2", ".tar.gz", ".tar.xz", ".tgz", ".zip")
BROKEN_TAR = (OSError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error)
BROKEN_ZIP = (OSError, EOFError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, RuntimeError)
COMPRESSED_FILES = (gzip.GzipFile, bz2.BZ2File, lzma.LZMAFile)
LISTS = (  # small text files that say which picture is what
    "images.txt",
    "classes.txt",
    "label_colors.txt",
    "class_dict.csv",
    "class_dict_seg.csv",
    "labelmap.txt",
    "train_test_split.txt",
    "ImageSets/Segmentation/train.txt",
    "ImageSets/Segmentation/val.txt",
)


@dataclass(frozen=True, eq=False)
class Tree:
    """Files with relative names.

    Parameters
    ----------
    path : Path
        The folder or archive.
    names : sequence of str
        Names of all files, with /, sorted.
    contents : callable
        Takes names and yields the files in that order, each as a path, as bytes, or as the
        reason why it cannot be read.
    read_list : callable
        Returns the content of a file whose name ends in one of `LISTS`.
    top : str
        Deepest folder that holds all pictures; displayed names start below it.
    """

    path: Path
    names: Sequence[str]
    contents: Callable[[Sequence[str]], Iterable[Content]]
    read_list: Callable[[str], bytes]
    top: str = ""

    @cached_property
    def pictures(self) -> list[str]:
        """Names of the files that are pictures, by their suffixes."""
        return [name for name in self.names if name.lower().endswith(PICTURE_SUFFIXES)]

    def display_name(self, name: str) -> str:
        """Return the name that samples and messages show: the path below `top`."""
        if not self.top and not name.startswith(("/", "./")):
            return name  # the usual case: building a path for each of a million names takes long
        return make_relative(name).relative_to(self.top).as_posix()


def make_relative(name: str) -> PurePosixPath:
    """Return a name as a path within its tree; members of archives may start with / or ./."""
    return PurePosixPath(name.lstrip("/"))


def find_top(names: Sequence[str]) -> str:
    """Return the deepest folder that holds all files."""
    return os.path.commonpath([make_relative(name).parent for name in names]) if names else ""


def list_files(folder: Path) -> list[tuple[str, int, int]]:
    """List all files below a folder as (relative path with /, bytes, time), sorted by path.

    Hidden files and folders are left out.
    """
    files = []
    for name, entry in _entries(folder):
        with suppress(OSError):  # a dangling link is not a file
            status = entry.stat()
            files.append((name, status.st_size, status.st_mtime_ns))
    return sorted(files)


def folder_tree(path: Path, names: Sequence[str] | None = None) -> Tree:
    """Return the tree of a folder; `names` are all its files, if they are known already."""
    return Tree(
        path,
        [name for name, _, _ in list_files(path)] if names is None else names,
        lambda chosen: (f"{path}{os.sep}{name}" for name in chosen),
        lambda name: (path / name).read_bytes(),
    )


def archive_tree(path: Path) -> Tree:
    """Return the tree in a tar or zip archive.

    Raises
    ------
    SourceError
        If the archive is broken.
    """
    try:
        tree = _zip_tree(path) if path.name.lower().endswith(".zip") else _tar_tree(path)
    except (*BROKEN_TAR, *BROKEN_ZIP) as error:
        raise SourceError(f"{path} is not a readable archive: {first_sentence(error)}.") from error
    return replace(tree, top=find_top(tree.pictures))


def join_trees(path: Path, trees: Sequence[Tree]) -> Tree:
    """Return one tree of several, as if all archives were unpacked into one folder."""
    owners = {name: tree for tree in trees for name in tree.names}

    def contents(names: Sequence[str]) -> Iterator[Content]:
        # One stream for each archive, so that each is opened and read once.
        streams = {
            tree: iter(tree.contents([name for name in names if owners[name] is tree]))
            for tree in trees
        }
        for name in names:
            yield next(streams[owners[name]])

    joined = Tree(path, sorted(owners), contents, lambda name: owners[name].read_list(name))
    return replace(joined, top=find_top(joined.pictures))


def _entries(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield all files that are not hidden, with their relative names.

    `os.scandir` tells files from folders without asking for each one, unlike `Path.rglob`. Links
    are followed, except one that leads back to a folder above itself.
    """
    remaining: list[tuple[str, str, frozenset[tuple[int, int]]]] = [("", str(folder), frozenset())]
    while remaining:
        prefix, path, above = remaining.pop()
        with suppress(OSError), os.scandir(path) as entries:
            status = os.stat(path)  # noqa: PTH116 - a Path for each folder takes longer
            identity = status.st_dev, status.st_ino
            if identity in above:
                continue
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    remaining.append((f"{prefix}{entry.name}/", entry.path, above | {identity}))
                else:
                    yield prefix + entry.name, entry


def _is_hidden(name: str) -> bool:
    """Return whether a name is hidden, or what macOS adds to an archive."""
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _zip_tree(path: Path) -> Tree:
    with zipfile.ZipFile(path) as archive:
        members = [member.filename for member in archive.infolist() if not member.is_dir()]

    def read_list(name: str) -> bytes:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)

    names = sorted(name for name in members if not _is_hidden(name))
    return Tree(path, names, lambda chosen: _zip_contents(path, chosen), read_list)


def _zip_contents(path: Path, names: Sequence[str]) -> Iterator[Content]:
    with zipfile.ZipFile(path) as archive:
        for name in names:
            try:
                yield archive.read(name)
            except BROKEN_ZIP as error:  # RuntimeError: encrypted, or an unknown compression
                yield SourceError(str(error))


def _tar_tree(path: Path) -> Tree:
    names, lists, ranges = [], {}, {}
    with tarfile.open(path) as archive:
        is_plain = not isinstance(archive.fileobj, COMPRESSED_FILES)
        for member in archive:
            name = PurePosixPath(member.name).as_posix()
            if member.isfile() and not _is_hidden(name):
                names.append(name)
                ranges[name] = member.offset_data, member.size
                is_plain = is_plain and not member.issparse()  # stored in several pieces
                if name.endswith(LISTS):  # now, as later a compressed tar is unpacked again
                    lists[name] = _read_member(archive, member)

    def contents(chosen: Sequence[str]) -> Iterator[bytes]:
        return _read_ranges(path, ranges, chosen) if is_plain else _read_members(path, chosen)

    return Tree(path, sorted(names), contents, lists.__getitem__)


def _read_ranges(
    path: Path, ranges: Mapping[str, tuple[int, int]], names: Sequence[str]
) -> Iterator[bytes]:
    """Yield members of an uncompressed tar by their (start, length) in the file.

    To open it by `tarfile` would list all members again: a tenth of the time that it takes to
    load LFW.
    """
    with path.open("rb", buffering=0) as file:  # a buffer would only copy whole members again
        for name in names:
            start, length = ranges[name]
            file.seek(start)
            yield file.read(length)


def _read_members(path: Path, names: Sequence[str]) -> Iterator[bytes]:
    """Yield members of a compressed tar in the order of `names`.

    It is read from start to end, as seeking back would unpack it again from the start; members
    wait in memory for their turn.
    """
    with tarfile.open(path) as archive:
        members = {PurePosixPath(m.name).as_posix(): m for m in archive if m.isfile()}
        chosen = set(names)
        forwards = sorted(chosen, key=lambda name: members[name].offset_data)
        waiting = {}
        position = 0
        for name in forwards:
            waiting[name] = _read_member(archive, members[name])
            while position < len(names) and names[position] in waiting:
                yield waiting.pop(names[position])
                position += 1


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file is not None else b""
