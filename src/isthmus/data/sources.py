"""Sources: where their files are, what identifies these, and which function reads them."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from isthmus.data.catalog import DATASETS
from isthmus.data.dataset import Dataset
from isthmus.data.manifest import Manifest
from isthmus.data.readers.csv.reader import read_csv
from isthmus.data.readers.csv.text import TABLE_SUFFIXES
from isthmus.data.readers.files.kinds import (
    ARCHIVE_SUFFIXES,
    PARQUET_SUFFIXES,
    PICTURE_SUFFIXES,
    why_unread,
)
from isthmus.data.readers.files.listing import Listing, special_kind
from isthmus.data.readers.folders.reader import read_archive, read_folder, read_picture
from isthmus.data.readers.idx.files import is_idx, is_idx_folder
from isthmus.data.readers.idx.reader import read_idx, read_idx_folder
from isthmus.data.readers.masks.class_lists import CLASS_LISTS
from isthmus.data.readers.numpy.reader import read_numpy
from isthmus.data.readers.parquet.reader import (
    is_parquet_folder,
    read_parquet,
    read_parquet_folder,
)
from isthmus.data.readers.shards.labels import CLASS_NAMES
from isthmus.data.readers.shards.patterns import is_pattern, list_pattern
from isthmus.data.reading import Reading
from isthmus.data.remote.addresses import find_local, is_address
from isthmus.data.remote.listing import list_source
from isthmus.data.remote.path import RemotePath, open_remote
from isthmus.errors import SourceError, require_name, suggest
from isthmus.files import suggest_path, to_json

Reader = Callable[[Path, int | None, Reading | None], Manifest]


def locate_source(source: str | Path) -> tuple[str, Path, Reader]:
    """Return the name of a source, the path of its files and the function that reads them.

    Raises
    ------
    SourceError
        If it is missing or of no known kind.
    """
    dataset, name, location = locate(source)
    return name, location, choose_reader(dataset, location)


def locate(source: str | Path) -> tuple[Dataset | None, str, Path]:
    """Return the row of a named set, the name of a source, and the path of its files.

    Raises
    ------
    SourceError
        If it is missing, or neither a file nor a folder.
    """
    require_name("the source", source, SourceError)
    dataset = DATASETS.get(str(source))
    if dataset is not None:
        return dataset, dataset.name, dataset.locate()
    if is_address(source):
        local = find_local(str(source))
        if local is None:
            return None, *_locate_remote(str(source))
        source = local
    # Absolute, so that a run finds its data again from another folder.
    location = Path(os.path.abspath(os.path.expanduser(source)))  # noqa: PTH100, PTH111
    if is_pattern(location):
        return None, str(location), location
    if not _exists(location):
        if location.is_symlink():
            raise SourceError(f"{location} is a link to nothing; give what it should lead to.")
        near = suggest(str(source), DATASETS) or suggest_path(os.path.expanduser(source))  # noqa: PTH111
        raise SourceError(
            f"there is no data set and no file or folder called {str(source)!r}{near}; "
            f"the data sets are {', '.join(DATASETS)}."
        )
    reject_special(location)
    return None, str(location), location


def choose_reader(
    dataset: Dataset | None,
    location: Path,
    listing: Listing | None = None,
    *,
    at_own_size: bool = False,
) -> Reader:
    """Return the function that reads a source; that of a named set verifies its checksums first.

    For `at_own_size`, see `isthmus.data.readers.folders.reader.read_folder`.
    """
    if dataset is not None and dataset.read is not None:
        return dataset.read
    read = reader_for(location, listing, at_own_size=at_own_size)
    if dataset is None:
        return read

    def verify_and_read(path: Path, limit: int | None, reading: Reading | None) -> Manifest:
        dataset.verify()
        return dataset.complete(read(path, limit, reading))

    return verify_and_read


def reader_for(path: Path, listing: Listing | None = None, *, at_own_size: bool = False) -> Reader:
    """Return the function that reads `path`.

    Parameters
    ----------
    path : Path
    listing : Listing, optional
        The files of a folder, where they have been listed already.
    at_own_size : bool
        See `choose_reader`.

    Raises
    ------
    SourceError
        If it is of no known kind.
    """
    if path.is_dir():
        listing = listing or list_source(path)
        if is_idx_folder(path, listing.names):
            return read_idx_folder
        if is_parquet_folder(listing.names):
            return partial(read_parquet_folder, listing=listing)
        return partial(read_folder, listing=listing, at_own_size=at_own_size)
    if is_pattern(path):
        return partial(_read_pattern, at_own_size=at_own_size)
    kinds: tuple[tuple[tuple[str, ...], Reader], ...] = (
        (TABLE_SUFFIXES, read_csv),
        (PARQUET_SUFFIXES, read_parquet),
        ((".npy", ".npz"), read_numpy),
        (ARCHIVE_SUFFIXES, partial(read_archive, at_own_size=at_own_size)),
        (PICTURE_SUFFIXES, read_picture),
    )
    for suffixes, read in kinds:
        if path.name.lower().endswith(suffixes):
            return _copy_first(read) if isinstance(path, RemotePath) else read
    if is_idx(path):
        return _copy_first(read_idx) if isinstance(path, RemotePath) else read_idx
    if why := why_unread(path.name):
        raise SourceError(f"{path} is not read: it is {why}.")
    raise SourceError(
        f"{path} is of no known kind; give a folder, a picture, an archive (tar or zip), "
        "a CSV, a Parquet, an Arrow, an IDX, a .npy or a .npz file."
    )


def is_there(source: str) -> bool:
    """Return whether there is anything where a source is: also a data set that was not fetched.

    Of an address, only loading it tells.
    """
    return (
        is_address(source)
        or source in DATASETS
        or is_pattern(Path(source))
        or Path(source).exists()
    )


def list_identities(location: Path, listing: Listing | None) -> list[Any]:
    """List what identifies the content of a source's files without reading it.

    As make and rsync do, it trusts names, sizes and times: hashing all bytes of a large set would
    take longer than the cache saves.
    """
    if listing is not None:
        # What cannot be read counts too: once it can be, there is more to decode.
        facts = [*map(to_json, listing.left_out), *listing.unfinished]
        return [str(location.resolve()), *listing.files, *facts]
    if is_pattern(location):
        return [str(location.parent.resolve()), *list_pattern(location).files]
    # The labels of an IDX file are in a file of their own, next to it; so are names of classes.
    siblings = location.parent.iterdir() if is_idx(location) else ()
    companions = sorted(filter(is_idx, siblings)) or [location]
    if location.name.lower().endswith(ARCHIVE_SUFFIXES):
        companions += [location.parent / name for name in (CLASS_NAMES, *CLASS_LISTS)]
    return [_identify(file) for file in companions if file.exists()]


def _identify(file: Path) -> tuple[str, int, int | str]:
    if isinstance(file, RemotePath):
        return file.identity
    return str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns


def _locate_remote(source: str) -> tuple[str, Path]:
    location = open_remote(source)
    if not is_pattern(location) and not location.exists():
        raise SourceError(f"there is nothing at {location}; check the address.")
    return str(location), location


def _copy_first(read: Reader) -> Reader:
    """Return a reader that copies a file elsewhere before it reads it.

    Else it could take what is wrong with the network for a damaged file.
    """

    def copy_and_read(path: Path, limit: int | None, reading: Reading | None) -> Manifest:
        os.fspath(path)
        return read(path, limit, reading)

    return copy_and_read


def _read_pattern(
    path: Path, limit: int | None, reading: Reading | None, *, at_own_size: bool
) -> Manifest:
    listing = list_pattern(path)
    return read_folder(path.parent, limit, reading, listing, at_own_size=at_own_size)


def is_picture(path: Path) -> bool:
    """Return whether a path is that of a single picture, by its suffix."""
    return path.name.lower().endswith(PICTURE_SUFFIXES) and path.is_file()


def reject_special(path: Path) -> None:
    """Reject pipes and devices: to open one may wait for ever, and some never end.

    What is missing passes: it gets the message of what cannot be read.
    """
    if isinstance(path, RemotePath):
        return
    if _exists(path) and (kind := special_kind(path.stat().st_mode)):
        raise SourceError(f"{path} is a {kind}, not a file or folder; give one with the samples.")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as a name that is too long
        return False
