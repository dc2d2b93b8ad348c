"""What the cache holds: its entries, what was left over, and what others keep in it."""

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from isthmus.damage import DAMAGE
from isthmus.data.cache.entry import METADATA_FILE
from isthmus.data.cache.folder import ALIAS, FORMAT, KEY, LOCK, cache_folder, samples_folder
from isthmus.data.cache.sealed import read_sealed
from isthmus.data.cache.use import is_used
from isthmus.data.cache.verification import last_use
from isthmus.locks import MARK, is_held
from isthmus.temporaries import find_abandoned, is_temporary, size_of

OWN_FILE = re.compile(rf"\.?[0-9a-f]{{16}}\.(?:alias|stretch|lock(?:{re.escape(MARK)})?)")
HEAD = re.compile(rb'\{"format": (\d{1,6}), ')
OLD_HEAD = b'{"dtype": '  # before formats had a number in their files
HEAD_BYTES = 64
LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()  # that has a date; files may be later
BASELINES = "baselines"  # the folder of `isthmus.evaluation`
KEY_IN_FILE = re.compile(rb"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])")
MAX_ALIAS_BYTES = 1024
SECONDS_UNTIL_LEFT = 24 * 3600  # of a lock or an alias; younger ones may just be made


@dataclass(frozen=True)
class Holding:
    """An entry of the cache, as a person sees it.

    Parameters
    ----------
    path : Path
    bytes : int
    last_use : float
        When it was last opened, or made, in seconds since 1970.
    """

    path: Path
    bytes: int
    last_use: float

    def remember(self) -> None:
        """Read what is said of it, before it is removed."""
        _ = self.state, self._facts

    @cached_property
    def _facts(self) -> dict[str, Any]:
        with suppress(*DAMAGE):
            content = read_sealed(self.path / METADATA_FILE)
            if isinstance(content, dict):
                return content
        return {}

    @property
    def source(self) -> str:
        """The name of the set or the path that it was decoded from; empty if that is unknown."""
        return str(self._facts.get("source", ""))

    @property
    def description(self) -> str:
        """One line: how many samples, of what shape, of how many classes."""
        return str(self._facts.get("description", ""))

    @cached_property
    def format(self) -> int:
        """The format of its files: `FORMAT`, or that of another version; 0 if it is damaged."""
        head = _read_start(self.path / METADATA_FILE, HEAD_BYTES)
        found = HEAD.match(head)
        return int(found[1]) if found else FORMAT - 1 if head.startswith(OLD_HEAD) else 0

    @property
    def is_useless(self) -> bool:
        """Whether this version and later ones never open it."""
        return self.format < FORMAT

    @property
    def is_used(self) -> bool:
        """Whether a living process uses it."""
        return is_used(self.path / METADATA_FILE)

    @cached_property
    def state(self) -> str:
        """What is to be said of it: "in use", "of another version", "damaged" or nothing."""
        if self.format not in (0, FORMAT):
            return "of another version"
        if not self._facts:
            return "damaged"
        return "in use" if self.is_used else ""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        moment = min(max(self.last_use, 0.0), LATEST)
        return {
            "key": self.path.name,
            "source": self.source,
            "description": self.description,
            "bytes": self.bytes,
            "last_use": datetime.fromtimestamp(moment, UTC).isoformat("T", "seconds"),
            "state": self.state,
        }


def list_entries() -> list[Holding]:
    """Return the entries of the cache, the least recently used first."""
    folders = [path for path in _inside(samples_folder()) if KEY.fullmatch(path.name)]
    holdings = [Holding(path, size_of(path), last_use(path)) for path in folders if path.is_dir()]
    return sorted(holdings, key=lambda one: (one.last_use, one.path.name))


def list_leftovers() -> list[Path]:
    """Return what nobody needs: parts of killed processes, free locks, aliases to nothing."""
    # In no others: the cache may lie in a folder that holds more.
    folders = (samples_folder(), cache_folder() / BASELINES)
    abandoned = [path for folder in folders for path in find_abandoned(folder)]
    return [*abandoned, *filter(_is_left, _files_of_entries())]


def list_rest() -> list[Path]:
    """Return what is next to the entries and belongs to them, if nobody holds it."""
    return [path for path in _files_of_entries() if not _is_busy(path)]


def list_others() -> dict[str, int]:
    """Return what else is in the cache folder, such as results of baselines: bytes by path."""
    top = [path for path in _inside(cache_folder()) if path != samples_folder()]
    strange = [path for path in _inside(samples_folder()) if not _is_own(path.name)]
    return {str(path): size_of(path) for path in (*top, *strange)}


def _is_own(name: str) -> bool:
    return bool(KEY.fullmatch(name) or OWN_FILE.fullmatch(name) or is_temporary(name))


def _files_of_entries() -> Iterator[Path]:
    return (path for path in _inside(samples_folder()) if OWN_FILE.fullmatch(path.name))


def _is_left(path: Path) -> bool:
    if _age(path) < SECONDS_UNTIL_LEFT:
        return False
    if path.suffix == ALIAS:
        return _leads_nowhere(path)
    return _lock_of(path) is not None and not _is_busy(path)


def _is_busy(path: Path) -> bool:
    lock = _lock_of(path)
    return lock is not None and is_held(lock)


def _lock_of(path: Path) -> Path | None:
    """Return the lock that a file is, or marks; None if it is another file."""
    lock = path.with_name(path.name.removesuffix(MARK))
    return lock if lock.suffix == LOCK else None


def _leads_nowhere(alias: Path) -> bool:
    """Return whether an alias, of this format or of an older one, names no entry."""
    start = _read_start(alias, MAX_ALIAS_BYTES)
    keys = {found.decode() for found in KEY_IN_FILE.findall(start)}
    return not any(alias.with_name(key).is_dir() for key in keys - {alias.stem})


def _read_start(path: Path, count: int) -> bytes:
    """Return the first bytes of a file; none of what cannot be read, such as a pipe."""
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                return file.read(count)
    return b""


def _age(path: Path) -> float:
    with suppress(OSError):
        return time.time() - path.stat().st_mtime
    return 0.0


def _inside(folder: Path) -> Iterator[Path]:
    with suppress(OSError):  # there is no such folder
        yield from sorted(folder.iterdir())
