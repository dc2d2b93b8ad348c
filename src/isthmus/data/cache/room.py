"""The limit of the cache's size, which applies by itself whenever an entry is made.

By default the cache takes at most as much room as it leaves free on its disk: half of what it could
have. So a disk is never filled by what can be made again, and the limit follows the disk.
"""

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from isthmus.data.cache.folder import samples_folder
from isthmus.data.cache.holdings import Holding, list_entries, list_leftovers
from isthmus.data.cache.removal import one_at_a_time, remove_unused, shrink
from isthmus.data.cache.units import parse_bytes
from isthmus.data.reading import Note
from isthmus.temporaries import remove, size_of
from isthmus.text import format_bytes

VARIABLE = "ISTHMUS_CACHE_LIMIT"
NONE = "none"  # its value for no limit
# Another version of Isthmus may still use what this one does not.
SECONDS_UNTIL_FORGOTTEN = 30 * 24 * 3600
# To look at 1,000 entries takes 0.2 s. A process that makes many of them looks again after so long,
# in which others may have filled the disk, or once what it makes exceeds the room that it found.
SECONDS_BETWEEN_LOOKS = 60.0

# By folder and limit: when a look is out of date, and the bytes of room that it leaves.
_looks: dict[tuple[Path, str | None], tuple[float, float]] = {}


def read_limit() -> float | None:
    """Return the bytes that `ISTHMUS_CACHE_LIMIT` allows; None if it leaves that open.

    Raises
    ------
    OptionError
        If it is no size.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if text.lower() == NONE:
        return float("inf")
    return parse_bytes(text, VARIABLE) if text else None


def current_limit(held: int) -> float:
    """Return the bytes that the cache may hold: as set, or half of what it could.

    Parameters
    ----------
    held : int
        Bytes that it holds.

    Raises
    ------
    OptionError
    """
    limit = read_limit()
    return (_free() + held) // 2 if limit is None else limit


def make_room(made: Path) -> list[Note]:
    """Remove what was least recently used, until the cache is below its limit.

    Left alone are what a living process uses, and the entry that was just made, also if it alone is
    above the limit. What killed processes left is removed as well, and what only an old version of
    Isthmus could open and none did for a month.

    Parameters
    ----------
    made : Path
        The folder of the entry that was just made.

    Returns
    -------
    list of Note
        A sentence for each entry that this version could have opened.
    """
    with one_at_a_time():
        look = samples_folder(), os.environ.get(VARIABLE)
        end, room = _looks.get(look, (0.0, 0.0))
        room -= size_of(made)
        if time.monotonic() < end and room >= 0:
            _looks[look] = end, room
            return []
        notes, room = _look(made)
        _looks[look] = time.monotonic() + SECONDS_BETWEEN_LOOKS, room
        return notes


def _look(made: Path) -> tuple[list[Note], float]:
    """Look at all entries, remove what is too much, and return what was, and the room left."""
    for path in list_leftovers():
        remove(path)
    entries = list_entries()
    gone = {entry for entry in entries if _is_forgotten(entry) and remove_unused(entry)}
    entries = [entry for entry in entries if entry not in gone]
    limit = current_limit(sum(entry.bytes for entry in entries))
    removed = shrink(entries, limit, lambda entry: entry.path != made and remove_unused(entry))
    room = limit - sum(entry.bytes for entry in entries if entry not in removed)
    return [_note_removed(entry, limit) for entry in removed if not entry.is_useless], room


def _is_forgotten(entry: Holding) -> bool:
    return entry.is_useless and time.time() - entry.last_use > SECONDS_UNTIL_FORGOTTEN


def _note_removed(entry: Holding, limit: float) -> Note:
    name, size = entry.source or entry.path.name, format_bytes(entry.bytes)
    return Note(
        "warning",
        "cache-limit",
        f"{name} ({size}) was deleted from the cache of decoded samples, which may hold "
        f"{format_bytes(int(limit))}",
        f"set {VARIABLE} to more, such as 20GB",
    )


def _free() -> int:
    for folder in (samples_folder(), *samples_folder().parents):
        with suppress(OSError):  # there is no such folder yet
            return shutil.disk_usage(folder).free
    return 0
