"""Entries are removed whole: under another name first, so that nobody opens a part of one."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from isthmus.data.cache.entry import METADATA_FILE
from isthmus.data.cache.folder import samples_folder
from isthmus.data.cache.holdings import Holding
from isthmus.data.cache.use import excluding_use
from isthmus.errors import IsthmusError
from isthmus.locks import hold
from isthmus.state import lock_path
from isthmus.temporaries import remove, temporary_path

SECONDS_TO_WAIT = 10  # for another one that makes room


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let nobody else choose what to remove meanwhile.

    What another one is just removing cannot be told from what is in use, and so two that make room
    at once would remove more than they need. That is all that happens without the lock, where it
    cannot be had.
    """
    with ExitStack() as stack:
        with suppress(IsthmusError):
            stack.enter_context(hold(lock_path(samples_folder()), timeout=SECONDS_TO_WAIT))
        yield


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


def shrink(
    entries: Iterable[Holding], limit: float, remove: Callable[[Holding], bool]
) -> list[Holding]:
    """Remove entries until the others are below a limit, the least recently used first.

    Parameters
    ----------
    entries : iterable of Holding
    limit : float
        Bytes.
    remove : callable
        Removes an entry; returns whether it did.

    Returns
    -------
    list of Holding
        Those that were removed.
    """
    entries, removed = list(entries), []
    held = sum(entry.bytes for entry in entries)
    for entry in sorted(entries, key=lambda one: (not one.is_useless, one.last_use)):
        if held <= limit:
            break
        if remove(entry):
            held -= entry.bytes
            removed.append(entry)
    return removed
