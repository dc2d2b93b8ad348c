"""`clean`: removes decoded samples, all of them or the least recently used, and leftovers."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from isthmus.data.cache.downloads import list_cut_downloads, list_downloads
from isthmus.data.cache.folder import cache_folder
from isthmus.data.cache.holdings import (
    Holding,
    list_entries,
    list_leftovers,
    list_others,
    list_rest,
)
from isthmus.data.cache.removal import one_at_a_time, remove_entry, remove_unused, shrink
from isthmus.data.cache.room import current_limit
from isthmus.temporaries import remove, size_of

Remove = Callable[[Holding], bool]


@dataclass(frozen=True)
class Cleaning:
    """What was removed from the cache, and what stays.

    Parameters
    ----------
    removed, kept : tuple of Holding
        Entries, the least recently used first.
    leftovers : dict
        What else was removed, bytes by path: what killed processes left, downloads that were cut
        off, locks that nobody holds, and aliases that lead to nothing.
    others : dict
        What else is in the cache folder and stays, bytes by path.
    downloads : dict
        The data sets that were fetched and stay, bytes by folder.
    limit : float
        Bytes that the entries may have; see `ISTHMUS_CACHE_LIMIT`.
    is_dry : bool
        Whether nothing was removed, but would have been.
    """

    removed: tuple[Holding, ...]
    kept: tuple[Holding, ...]
    leftovers: dict[str, int]
    others: dict[str, int]
    downloads: dict[str, int]
    limit: float
    is_dry: bool = False

    @property
    def freed(self) -> int:
        """Bytes that were removed."""
        return sum(entry.bytes for entry in self.removed) + sum(self.leftovers.values())

    @property
    def held(self) -> int:
        """Bytes of the entries that stay."""
        return sum(entry.bytes for entry in self.kept)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "folder": str(cache_folder()),
            "removed": [entry.to_json() for entry in self.removed],
            "kept": [entry.to_json() for entry in self.kept],
            "leftovers": self.leftovers,
            "others": self.others,
            "downloads": self.downloads,
            "freed": self.freed,
            "held": self.held,
            "limit": None if math.isinf(self.limit) else int(self.limit),
            "dry_run": self.is_dry,
        }


def clean(
    *, older_than: float | None = None, max_size: float | None = None, dry_run: bool = False
) -> Cleaning:
    """Remove decoded samples from the cache; they are decoded again when they are needed.

    Without a condition, all are removed; processes of this machine that use them go on, as the
    system keeps what they have mapped. With one, those stay that a living process uses. Leftovers,
    and entries that are damaged or of older versions of Isthmus, are removed in any case.

    Parameters
    ----------
    older_than : float, optional
        Remove what was last used so many seconds ago, or earlier.
    max_size : float, optional
        Remove what was least recently used, until the others have at most so many bytes.
    dry_run : bool
        Remove nothing, and return what would be.

    Returns
    -------
    Cleaning

    Raises
    ------
    OptionError
        If `ISTHMUS_CACHE_LIMIT` is no size.

    Examples
    --------
    >>> cleaning = clean(older_than=30 * 24 * 3600, dry_run=True)
    >>> cleaning.is_dry
    True
    """
    with one_at_a_time():
        return _clean(older_than, max_size, dry_run)


def clear() -> int:
    """Remove all decoded samples; return how many bytes that frees."""
    return clean().freed


def _clean(older_than: float | None, max_size: float | None, dry_run: bool) -> Cleaning:
    entries = list_entries()
    limit = current_limit(sum(entry.bytes for entry in entries))
    takes_all = older_than is None and max_size is None
    remove_one = _choose_removal(takes_all, dry_run)
    latest = math.inf if takes_all else time.time() - _or_infinite(older_than)
    removed = [one for one in entries if _is_due(one, latest) and remove_one(one)]
    removed += shrink(
        [one for one in entries if one not in removed], _or_infinite(max_size), remove_one
    )
    # Last: of an entry that is gone, the aliases lead to nothing.
    leftovers = dict(_remove_leftovers(takes_all, dry_run))
    kept = tuple(one for one in entries if one not in removed)
    for entry in kept:
        entry.remember()
    return Cleaning(
        tuple(removed), kept, leftovers, list_others(), list_downloads(), limit, dry_run
    )


def _is_due(entry: Holding, latest: float) -> bool:
    return entry.last_use <= latest or entry.is_useless


def _choose_removal(takes_all: bool, is_dry: bool) -> Remove:
    """Return what removes an entry, or says whether it would."""
    if takes_all:
        return _would_remove_any if is_dry else _remove_any
    return _would_remove_unused if is_dry else remove_unused


def _would_remove_any(entry: Holding) -> bool:
    entry.remember()
    return True


def _remove_any(entry: Holding) -> bool:
    entry.remember()
    return remove_entry(entry.path)


def _would_remove_unused(entry: Holding) -> bool:
    entry.remember()
    return not entry.is_used


def _remove_leftovers(takes_all: bool, is_dry: bool) -> Iterator[tuple[str, int]]:
    """Remove what is no entry, and yield what it was and the bytes that it had."""
    paths = [*(list_rest() if takes_all else []), *list_leftovers(), *list_cut_downloads()]
    for path in dict.fromkeys(paths):
        yield str(path), size_of(path) if is_dry else remove(path)


def _or_infinite(number: float | None) -> float:
    return math.inf if number is None else number
