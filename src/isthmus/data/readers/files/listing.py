"""The files below a folder, and those that cannot be read, each with the reason."""

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from isthmus.data.readers.files.kinds import is_ignored
from isthmus.data.reading import LeftOut
from isthmus.errors import SourceError, first_sentence
from isthmus.places import OWN, UNFINISHED, is_figure, is_own_folder

IS_SPECIAL = (  # what has no content that ends: opening a pipe waits for a writer, for ever
    (stat.S_ISFIFO, "named pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)
DANGLING = "links to nothing"
LOOP = "links to folders above them, which are not followed"
AGAIN = "links to folders that are read already"
EMPTY = "empty folders"
ONE = {  # the same of one
    DANGLING: "link to nothing",
    LOOP: "link to a folder above it, which is not followed",
    AGAIN: "link to a folder that is read already",
    EMPTY: "empty folder",
    **{f"{kind}s": kind for _, kind in IS_SPECIAL},
}
CANNOT_READ = "cannot be read"
ALL_CAN_READ = 0o444

Identity = tuple[int, int]  # device and inode


class Listing(NamedTuple):
    """The files below a folder.

    Parameters
    ----------
    files : list of (str, int, int or str)
        Relative path with /, bytes and time, or what else changes with the content; sorted.
    left_out : tuple of LeftOut
        What is not read.
    unfinished : tuple of (str, str)
        Folders to which a command of Isthmus has not written all files: relative path, "" for the
        folder itself, and the command.
    """

    files: Sequence[tuple[str, int, int | str]]
    left_out: tuple[LeftOut, ...] = ()
    unfinished: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> list[str]:
        """Relative paths of the files."""
        return [name for name, _, _ in self.files]


class _Folder(NamedTuple):
    """A folder to list: what its names begin with, its path, and all folders above it."""

    prefix: str
    path: str
    above: frozenset[Identity]


def list_files(folder: Path) -> Listing:
    """List all files below a folder that are not hidden, nor pictures or runs of Isthmus.

    Links are followed, except one that leads back to a folder above itself or to a folder that
    has been listed already.

    Raises
    ------
    SourceError
        If the folder itself cannot be listed.
    """
    lister = _Lister()
    lister.list_below(str(folder))
    left_out = tuple(
        LeftOut.of(ONE.get(why, why), sorted(names), why) for why, names in lister.left_out.items()
    )
    return Listing(sorted(lister.files), left_out, tuple(sorted(lister.unfinished)))


def special_kind(mode: int) -> str | None:
    """Return what a path is, by its mode, if it can be neither read as a file nor listed."""
    return next((kind for is_kind, kind in IS_SPECIAL if is_kind(mode)), None)


def _may_read(path: str) -> bool:
    return os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)


class _Lister:
    """Walks through folders; `os.scandir` tells files from folders without asking for each one."""

    def __init__(self) -> None:
        self.files: list[tuple[str, int, int]] = []
        self.left_out: defaultdict[str, list[str]] = defaultdict(list)
        self.unfinished: list[tuple[str, str]] = []
        self._waiting: list[_Folder] = []
        self._links: list[_Folder] = []  # last, so that a folder is read under its own name
        self._seen: set[Identity] = set()

    def list_below(self, path: str) -> None:
        self._waiting.append(_Folder("", path, frozenset()))
        while self._waiting or self._links:
            folder = self._waiting.pop() if self._waiting else self._links.pop(0)
            try:
                self._list(folder)
            except OSError as error:
                if not folder.prefix:
                    raise SourceError(
                        f"{path} cannot be read ({first_sentence(error)}); allow yourself to read "
                        "it or give another folder."
                    ) from error
                self._leave_out_unread(folder.prefix, error)

    def _list(self, folder: _Folder) -> None:
        status = os.stat(folder.path)  # noqa: PTH116 - a Path for each folder takes longer
        identity = status.st_dev, status.st_ino
        if identity in folder.above or identity in self._seen:
            reason = LOOP if identity in folder.above else AGAIN
            self.left_out[reason].append(folder.prefix)
            return
        if folder.prefix and is_own_folder(folder.path):
            self.left_out[OWN].append(folder.prefix)
            return
        above = folder.above | {identity}
        is_empty = True
        with os.scandir(folder.path) as entries:
            self._seen.add(identity)
            for entry in entries:
                is_empty = False
                if not is_ignored(entry.name):
                    self._add(entry, folder.prefix + entry.name, above)
                elif entry.name in UNFINISHED:
                    self.unfinished.append((folder.prefix, UNFINISHED[entry.name]))
        if is_empty and folder.prefix:
            self.left_out[EMPTY].append(folder.prefix)

    def _add(self, entry: os.DirEntry[str], name: str, above: frozenset[Identity]) -> None:
        try:
            if entry.is_dir():
                waiting = self._links if entry.is_symlink() else self._waiting
                waiting.append(_Folder(f"{name}/", entry.path, above))
                return
            status = entry.stat()
        except OSError as error:
            self._leave_out_unread(name, error)
            return
        kind = None if stat.S_ISREG(status.st_mode) else special_kind(status.st_mode)
        if kind is not None:
            self.left_out[f"{kind}s"].append(name)
        # The mode is known already; to ask whether each of a million files may be read is not free.
        elif status.st_mode & ALL_CAN_READ != ALL_CAN_READ and not _may_read(entry.path):
            self._leave_out_unread(name, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
        elif is_figure(entry.path, status.st_size):
            self.left_out[OWN].append(name)
        else:
            self.files.append((name, status.st_size, status.st_mtime_ns))

    def _leave_out_unread(self, name: str, error: OSError) -> None:
        is_dangling = error.errno in (errno.ENOENT, errno.ELOOP)
        reason = DANGLING if is_dangling else f"{CANNOT_READ} ({first_sentence(error)})"
        self.left_out[reason].append(name)
