"""Pictures in files, folders and archives: which there are, and what their places tell."""

import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

import numpy as np

from isthmus.data.sources import Found, spread
from isthmus.errors import SourceError, reason

PICTURE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
ARCHIVE_SUFFIXES = (".tar", ".tar.bz2", ".tar.gz", ".tar.xz", ".tgz", ".zip")
BROKEN_TAR = (OSError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error)
BROKEN_ZIP = (OSError, EOFError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, RuntimeError)
PARTS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "test": 2, "testing": 2}


def walk(folder: Path) -> list[tuple[str, int, int]]:
    """List all files below a folder as (relative path with /, bytes, time), sorted by path.

    Hidden files and folders are left out.
    """
    found = []
    above = len(os.path.join(folder, ""))  # noqa: PTH118 - texts, as paths take too long by far
    for root, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = os.path.join(root, name)  # noqa: PTH118
            if not name.startswith("."):
                with suppress(OSError):  # a dangling link is no file
                    status = os.stat(path)  # noqa: PTH116
                    relative = path[above:].replace(os.sep, "/")
                    found.append((relative, status.st_size, status.st_mtime_ns))
    return sorted(found)


def read_picture(path: Path, limit: int | None = None) -> Found:
    """Find a single picture."""
    return Found(names=[path.name], files=[str(path)])


def read_folder(path: Path, limit: int | None = None) -> Found:
    """Find the pictures below a folder, at any depth.

    Folders called train, validation and test at the top are the source's own parts; the folders
    below them (or at the top) are the classes, if every picture is in one.

    Raises
    ------
    SourceError
        If there is no picture.
    """
    files = [name for name, _, _ in walk(path)]
    pictures = [name for name in files if name.lower().endswith(PICTURE_SUFFIXES)]
    if not pictures:
        others = f"{len(files):,} files of other kinds, such as {files[0]}" if files else "empty"
        raise SourceError(
            f"{path} holds no pictures ({others}); known are {', '.join(PICTURE_SUFFIXES)}."
        )
    chosen = [pictures[i] for i in spread(len(pictures), limit)]
    return _labelled(chosen, (str(path / name) for name in chosen), pictures)


def read_archive(path: Path, limit: int | None = None) -> Found:
    """Find the pictures in a tar or zip archive, laid out as a folder would be.

    Raises
    ------
    SourceError
        If the archive is broken or holds no picture.
    """
    is_zip = path.name.lower().endswith(".zip")
    try:
        members = sorted(_zip_names(path) if is_zip else _tar_names(path))
    except (*BROKEN_TAR, *BROKEN_ZIP) as error:
        raise SourceError(f"{path} is no readable archive: {reason(error)}.") from error
    pictures = [name for name in members if name.lower().endswith(PICTURE_SUFFIXES)]
    if not pictures:
        raise SourceError(
            f"{path} holds no pictures among its {len(members):,} files; "
            f"known are {', '.join(PICTURE_SUFFIXES)}."
        )
    chosen = [pictures[i] for i in spread(len(pictures), limit)]
    contents = _zip_contents(path, chosen) if is_zip else _tar_contents(path, chosen)
    top = os.path.commonpath([_relative(name).parent for name in pictures])
    pictures, chosen = (
        [_relative(name).relative_to(top).as_posix() for name in some]
        for some in (pictures, chosen)
    )
    return _labelled(chosen, contents, pictures)


def _labelled(
    names: list[str], files: Iterable[str | bytes | SourceError], among: list[str]
) -> Found:
    """Read the parts and classes from relative paths, chosen among those of all pictures."""
    folders = [PurePosixPath(name).parts[:-1] for name in names]
    splits = None
    tops = {name.split("/")[0].lower() if "/" in name else "" for name in among}
    if tops <= PARTS.keys() and any(PARTS[top] == 0 for top in tops):
        splits = np.array([PARTS[parts[0].lower()] for parts in folders], np.uint8)
        folders = [parts[1:] for parts in folders]
    if not all(folders):
        return Found(names, files=files, splits=splits)
    classes = tuple(sorted({parts[0] for parts in folders}))
    index = {name: i for i, name in enumerate(classes)}
    labels = np.array([index[parts[0]] for parts in folders], np.int64)
    return Found(names, files=files, labels=labels, class_names=classes, splits=splits)


def _relative(name: str) -> PurePosixPath:
    """Take a member's name as one within the archive, whatever it begins with."""
    return PurePosixPath(name.lstrip("/"))


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _zip_names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return [
            m.filename for m in archive.infolist() if not m.is_dir() and not _hidden(m.filename)
        ]


def _zip_contents(path: Path, names: list[str]) -> Iterator[bytes | SourceError]:
    with zipfile.ZipFile(path) as archive:
        for name in names:
            try:
                yield archive.read(name)
            except BROKEN_ZIP as error:  # RuntimeError: encrypted, or packed in an unknown way
                yield SourceError(str(error))


def _tar_names(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        names = [PurePosixPath(m.name).as_posix() for m in archive if m.isfile()]
    return [name for name in names if not _hidden(name)]


def _tar_contents(path: Path, names: list[str]) -> Iterator[bytes]:
    """Yield members in the order of `names`, which for a compressed tar costs a second list."""
    with tarfile.open(path) as archive:
        members = {PurePosixPath(m.name).as_posix(): m for m in archive if m.isfile()}
        if archive.fileobj is not None and path.suffix == ".tar":
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
