"""Entries are removed whole: under another name first, so that nobody opens a part of one."""

from pathlib import Path

from isthmus.data.cache.entry import METADATA_FILE
from isthmus.data.cache.holdings import Holding
from isthmus.data.cache.use import excluding_use
from isthmus.temporaries import remove, temporary_path


def remove_entry(folder: Path) -> bool:
    """Remove an entry, if it is there; return whether it is gone.

    It may be in use. On Windows, it then stays.
    """
    temporary = temporary_path(folder)
    try:
        folder.rename(temporary)
    except FileNotFoundError:  # another process was faster
        return True
    except OSError:
        return False
    remove(temporary)
    return True


def remove_unused(entry: Holding) -> bool:
    """Remove an entry, unless a living process uses it; return whether it is gone."""
    entry.remember()
    with excluding_use(entry.path / METADATA_FILE) as is_free:
        return is_free and remove_entry(entry.path)
