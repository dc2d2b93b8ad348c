"""Patterns of shards: `train-{000000..000003}.tar`, as WebDataset has them, or `train-*.tar`."""

import re
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path

from isthmus.data.readers.files.kinds import ARCHIVE_SUFFIXES
from isthmus.data.readers.files.listing import Listing
from isthmus.data.readers.masks.class_lists import CLASS_LISTS
from isthmus.data.readers.shards.labels import CLASS_NAMES
from isthmus.data.remote.path import RemotePath
from isthmus.data.remote.store import identify
from isthmus.errors import SourceError

RANGE = re.compile(r"\{(\d{1,9})\.\.(\d{1,9})\}")
ANY = "*"
MAX_SHARDS = 1_000_000  # that a pattern names

Facts = tuple[int, int | str]  # bytes of a file, and its time or what else changes with its content


def is_pattern(path: Path) -> bool:
    """Return whether a path is no file but a pattern of archives."""
    name = path.name
    is_one = RANGE.search(name) is not None or ANY in name
    if not is_one or not name.lower().endswith(ARCHIVE_SUFFIXES):
        return False
    return not path.exists()


def expand_pattern(name: str) -> list[str]:
    """Return the names that a pattern stands for.

    Raises
    ------
    SourceError
        If there are none, or too many.

    Examples
    --------
    >>> expand_pattern("train-{08..10}.tar")
    ['train-08.tar', 'train-09.tar', 'train-10.tar']
    """
    texts = RANGE.split(name)  # text, first, last, text, …
    numbers, count = [], 1
    for first, last in zip(texts[1::3], texts[2::3], strict=True):
        count *= max(0, int(last) - int(first) + 1)
        if not 0 < count <= MAX_SHARDS:
            raise SourceError(
                f"{name} names {count:,} files; give a range such as {{000000..000003}}."
            )
        numbers.append([f"{n:0{len(first)}}" for n in range(int(first), int(last) + 1)])
    return [
        "".join(part for pair in zip(texts[::3], (*chosen, ""), strict=True) for part in pair)
        for chosen in product(*numbers)
    ]


def list_pattern(path: Path) -> Listing:
    """Return the listing of the files that a pattern names, and of the list of classes.

    Raises
    ------
    SourceError
        If one is missing.
    """
    names = _expand(path)
    found = _find(path.parent, [*names, CLASS_NAMES, *CLASS_LISTS])
    missing = [name for name in names if name not in found]
    if missing:
        raise SourceError(
            f"{path} names {len(names):,} files, of which {len(missing):,} are missing, such as "
            f"{missing[0]}."
        )
    return Listing([(name, *found[name]) for name in sorted(found)])


def _expand(path: Path) -> list[str]:
    """Return the names that a pattern stands for; those with * are of files that are there."""
    names = expand_pattern(path.name)
    if ANY not in path.name:
        return names
    there = sorted(one.name for one in path.parent.iterdir())
    names = [one for one in there if any(fnmatchcase(one, name) for name in names)]
    if not names:
        raise SourceError(f"{path} names no file; give the folder, or another pattern.")
    return names


def _find(folder: Path, names: Sequence[str]) -> dict[str, Facts]:
    """Return what is known of the files of these names that are there."""
    if isinstance(folder, RemotePath):
        return _find_remote(folder, {*names})
    files = {name: folder / name for name in names if (folder / name).is_file()}
    stats = {name: file.stat() for name, file in files.items()}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def _find_remote(folder: RemotePath, names: Collection[str]) -> dict[str, Facts]:
    """Find files elsewhere in one list, or one by one where there may be none, as on the web."""
    if folder.store.is_web:
        files = {name: folder / name for name in names}
        return {name: file.identity[1:] for name, file in files.items() if file.is_file()}
    listed = folder.store.list_folder(folder.key, folder)
    return {
        name: (int(info.get("size") or 0), identify(info))
        for name, info in listed.items()
        if name in names
    }
