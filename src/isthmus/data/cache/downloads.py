"""Data sets that were fetched, and downloads that were cut off.

What was fetched is shown and never removed: it may have been put there by hand, or come from a
server that is gone.
"""

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from isthmus.temporaries import SECONDS_UNTIL_ABANDONED, find_abandoned, size_of

POOCH_NAME = re.compile(r"tmp[a-z0-9_]{8}")  # of a file that pooch downloads to


def list_downloads() -> dict[str, int]:
    """Return the data sets that are on this machine: bytes by folder."""
    return {str(folder): size_of(folder) for folder in _folders()}


def list_cut_downloads() -> list[Path]:
    """Return the parts of downloads whose processes are gone, or which have not grown for a day."""
    return [path for folder in _folders() for path in _cut_downloads_in(folder)]


def _cut_downloads_in(folder: Path) -> Iterator[Path]:
    yield from find_abandoned(folder)
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            age = time.time() - path.lstat().st_mtime
            if POOCH_NAME.fullmatch(path.name) and path.is_file() and age > SECONDS_UNTIL_ABANDONED:
                yield path


def _folders() -> list[Path]:
    """Return the folders of named data sets that exist."""
    from isthmus.data.catalog import DATASETS

    folders = [dataset.folder for dataset in DATASETS.values() if dataset.files]
    return [folder for folder in folders if folder.is_dir()]
