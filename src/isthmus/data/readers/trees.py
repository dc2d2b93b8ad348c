"""Trees of files, in folders and in archives: their names, and how to get at their contents."""

import bz2
import gzip
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
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
LISTS = (  # small texts that say what pictures are
    "images.txt",
    "classes.txt",
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
        Of all files, with /, sorted.
    contents : callable
        Gives the files of some names in that order, each as a path, its content, or the reason
        why there is none.
    text : callable
        Gives the content of a file whose name ends as one of `LISTS`.
    top : str
        Folder that holds all pictures; names are told from there on.
    """

    path: Path
    names: Sequence[str]
    contents: Callable[[Sequence[str]], Iterable[Content]]
    text: Callable[[str], bytes]
    top: str = ""

    @cached_property
    def pictures(self) -> list[str]:
        """Names of the files that are pictures by their suffixes."""
        return [name for name in self.names if name.lower().endswith(PICTURE_SUFFIXES)]

    def display_name(self, name: str) -> str:
        """Return a name as people are told it: from the top on."""
        if not self.top and not name.startswith(("/", "./")):
            return name  # of most folders; a path takes long for what nothing changes
        return relative(name).relative_to(self.top).as_posix()


def relative(name: str) -> PurePosixPath:
    """Take a name as one within its tree, whatever it begins with."""
    return PurePosixPath(name.lstrip("/"))


def common_top(names: Sequence[str]) -> str:
    """Return the deepest folder that holds all files."""
    return os.path.commonpath([relative(name).parent for name in names]) if names else ""


def list_files(folder: Path) -> list[tuple[str, int, int]]:
    """List all files below a folder as (relative path with /, bytes, time), sorted by path.

    Hidden files and folders are left out.
    """
    found = []
    for name, entry in _entries(folder):
        with suppress(OSError):  # a dangling link is no file
            status = entry.stat()
            found.append((name, status.st_size, status.st_mtime_ns))
    return sorted(found)


def folder_tree(path: Path, names: Sequence[str] | None = None) -> Tree:
    """Return the tree of a folder, as deep as it is, with names that a walk has told before."""
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
        raise SourceError(f"{path} is no readable archive: {first_sentence(error)}.") from error
    return replace(tree, top=common_top(tree.pictures))


def joined_tree(path: Path, trees: Sequence[Tree]) -> Tree:
    """Return one tree of several, as if all were unpacked into one folder."""
    owners = {name: tree for tree in trees for name in tree.names}

    def contents(names: Sequence[str]) -> Iterator[Content]:
        parts = {
            tree: iter(tree.contents([name for name in names if owners[name] is tree]))
            for tree in trees
        }
        for name in names:
            yield next(parts[owners[name]])

    joined = Tree(path, sorted(owners), contents, lambda name: owners[name].text(name))
    return replace(joined, top=common_top(joined.pictures))


def _entries(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Walk through all files that are not hidden, with their relative names."""
    waiting = [("", str(folder))]
    while waiting:
        above, place = waiting.pop()
        with suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    waiting.append((f"{above}{entry.name}/", entry.path))
                else:
                    yield above + entry.name, entry


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _zip_tree(path: Path) -> Tree:
    with zipfile.ZipFile(path) as archive:
        members = [member.filename for member in archive.infolist() if not member.is_dir()]

    def text(name: str) -> bytes:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)

    names = sorted(name for name in members if not _hidden(name))
    return Tree(path, names, lambda chosen: _zip_contents(path, chosen), text)


def _zip_contents(path: Path, names: Sequence[str]) -> Iterator[Content]:
    with zipfile.ZipFile(path) as archive:
        for name in names:
            try:
                yield archive.read(name)
            except BROKEN_ZIP as error:  # RuntimeError: encrypted, or packed in an unknown way
                yield SourceError(str(error))


def _tar_tree(path: Path) -> Tree:
    names, texts = [], {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = PurePosixPath(member.name).as_posix()
            if member.isfile() and not _hidden(name):
                names.append(name)
                if name.endswith(LISTS):  # now: of a compressed tar, later means once more
                    texts[name] = _member(archive, member)
    return Tree(path, sorted(names), lambda chosen: _tar_contents(path, chosen), texts.__getitem__)


def _tar_contents(path: Path, names: Sequence[str]) -> Iterator[bytes]:
    """Yield members in the order of `names`, which for a compressed tar costs a second list."""
    with tarfile.open(path) as archive:
        members = {PurePosixPath(m.name).as_posix(): m for m in archive if m.isfile()}
        if not isinstance(archive.fileobj, gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile):
            for name in names:
                yield _member(archive, members[name])
            return
        # A compressed archive can only be read forwards: seeking back would unpack it again.
        wanted = set(names)
        forwards = sorted(wanted, key=lambda name: members[name].offset_data)
        held = {}
        position = 0
        for name in forwards:
            held[name] = _member(archive, members[name])
            while position < len(names) and names[position] in held:
                yield held.pop(names[position])
                position += 1


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file is not None else b""
