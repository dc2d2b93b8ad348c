"""Patterns of shards, as the WebDataset library has them: `train-{000000..000003}.tar`."""

import re
from itertools import product
from pathlib import Path

from isthmus.data.readers.files.kinds import ARCHIVE_SUFFIXES
from isthmus.data.readers.files.listing import Listing
from isthmus.data.readers.shards.labels import CLASS_NAMES
from isthmus.errors import SourceError

RANGE = re.compile(r"\{(\d{1,9})\.\.(\d{1,9})\}")
MAX_SHARDS = 1_000_000  # that a pattern names


def is_pattern(path: Path) -> bool:
    """Return whether a path is no file but a pattern of archives."""
    name = path.name
    if not RANGE.search(name) or not name.lower().endswith(ARCHIVE_SUFFIXES):
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
    names = expand_pattern(path.name)
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing:
        raise SourceError(
            f"{path} names {len(names):,} files, of which {len(missing):,} are missing, such as "
            f"{missing[0]}."
        )
    names += [CLASS_NAMES] if (path.parent / CLASS_NAMES).is_file() else []
    facts = [(name, (path.parent / name).stat()) for name in sorted(names)]
    return Listing([(name, stat.st_size, stat.st_mtime_ns) for name, stat in facts])
