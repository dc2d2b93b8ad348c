"""Run folders of others, in which a link could lead what we write to another place.

Files are written under a temporary name and renamed, which replaces a link instead of following it.
A folder that is a link would be followed, and a lock is opened where it lies.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from isthmus.errors import RunError
from isthmus.locks import LOCK

# What we write into in a run folder. Other folders in it are the user's own, and left alone.
FOLDERS = ("card", "checkpoint", "encoders", "epochs", "index", "maps", "studio", "tensorboard")


def reject_links(folder: Path) -> None:
    """Reject a run folder in which a link leads a folder or a lock out of it, or a file is none.

    A file may be a link to a file, as in the cache of a hub. A pipe or a device is refused: reading
    it could take for ever.

    Raises
    ------
    RunError
    """
    root = os.path.realpath(folder)
    for entry in _entries(folder):
        if _is_link(entry):
            target = os.path.realpath(entry.path)
            is_inside = target.startswith(root + os.sep)
            if entry.name == LOCK or (not is_inside and not _is_harmless(target)):
                raise RunError(
                    f"{entry.path} is a link that leads out of {folder}; put what it leads to in "
                    "its place, or remove it."
                )
        elif not entry.is_dir() and not entry.is_file():
            raise RunError(f"{entry.path} is no regular file; remove it.")


def _entries(folder: Path | str, is_top: bool = True) -> Iterator["os.DirEntry[str]"]:
    """Yield what is in a run folder, and in the folders of it that we write into."""
    try:
        entries = list(os.scandir(folder))
    except OSError:  # there is none, or it cannot be read; who opens a file in it says why
        return
    for entry in entries:
        yield entry
        is_ours = not is_top or entry.name in FOLDERS
        if is_ours and not _is_link(entry) and entry.is_dir():
            yield from _entries(entry.path, False)


def _is_link(entry: "os.DirEntry[str]") -> bool:
    is_junction = getattr(entry, "is_junction", lambda: False)  # of Windows, since Python 3.12
    return entry.is_symlink() or is_junction()


def _is_harmless(target: str) -> bool:
    """Return whether a link leads to a file, or to nothing: one that is written replaces it."""
    return os.path.isfile(target) or not os.path.lexists(target)  # noqa: PTH113
