"""`load`: the one verb that turns any source into `Samples`.

A source is read and decoded once. What comes out is kept in the cache as a memory-mapped file,
under a key of everything that went in, so that the next start takes no time and a set may be
larger than the memory.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, open_or_decode, untracked
from isthmus.data.catalog import DATASETS, Dataset
from isthmus.data.manifest import Manifest, evenly_spaced
from isthmus.data.preprocess import Preprocessing
from isthmus.data.readers.images import read_archive, read_folder, read_picture
from isthmus.data.readers.tables import (
    is_idx,
    read_csv,
    read_idx,
    read_idx_folder,
    read_numpy,
    sample_array,
)
from isthmus.data.readers.trees import ARCHIVE_SUFFIXES, PICTURE_SUFFIXES, list_files
from isthmus.data.samples import Origin, Samples
from isthmus.errors import OptionError, SourceError

Reader = Callable[[Path, int | None], Manifest]


def load(
    source: str | Path | NDArray[Any],
    *,
    size: int | tuple[int, int] | None = None,
    crop: int | None = None,
    channels: int | None = None,
    background: str = "white",
    limit: int | None = None,
    track: Track = untracked,
) -> Samples:
    """Turn any source into `Samples`.

    Parameters
    ----------
    source : str, Path or array
        The name of a data set (`isthmus.DATASETS`), a folder of pictures with or without class
        folders, a picture, a tar or zip archive, a CSV, an IDX, a .npy or a .npz file; or an
        array: images (N, H, W) or (N, H, W, C), signals (N, L, C) float. Folders and archives
        with masks are known by their layouts; see `isthmus.data.layouts`.
    size : int or (int, int), optional
        Side, or height and width, to resize to.
    crop : int, optional
        Side of the central square to cut out before resizing.
    channels : int, optional
        1 for gray, 3 for RGB.
    background : str
        Color behind transparent pixels.
    limit : int, optional
        At most as many samples, spread evenly over the source.
    track : callable
        Shows progress; called as `track(items, total, title)`.

    Returns
    -------
    Samples

    Raises
    ------
    SourceError
        If the source is missing, empty, broken, of an unknown kind, its pictures differ in
        size and none is asked for, or its masks do not fit its pictures or classes.
    SettingsError
        If a size, crop, color or limit makes no sense.

    Examples
    --------
    >>> load("digits")
    Samples(1,797 images of 8 × 8, gray, 10 classes)
    """
    if channels not in (None, 1, 3):
        raise OptionError(f"channels must be 1 for gray or 3 for RGB, not {channels}.")
    if isinstance(size, int):
        size = (size, size)
    wanted = Preprocessing(crop=crop, size=size, channels=channels, background=background)
    return load_with(source, wanted, limit=limit, track=track)


def load_with(
    source: str | Path | NDArray[Any],
    preprocessing: Preprocessing,
    *,
    limit: int | None = None,
    track: Track = untracked,
) -> Samples:
    """Do as `load` does, with a `Preprocessing` (such as a trained model's) made before."""
    if limit is not None and limit < 1:
        raise OptionError(f"limit must be at least 1, not {limit}.")
    if isinstance(source, np.ndarray):
        return _from_array(source, preprocessing, limit)
    dataset, name, location = _located(source)
    if dataset is not None:
        preprocessing = replace(
            preprocessing,
            crop=preprocessing.crop or dataset.crop,
            size=preprocessing.size or dataset.size,
        )
    ships = dataset is not None and dataset.read is not None
    origin = Origin(name, preprocessing, limit)
    files = [] if ships else _identity(location)
    names = [file[0] for file in files[1:]] if files and location.is_dir() else None
    read = _reader(dataset, location, names)
    allows_flip = dataset is not None and dataset.allows_flip
    return open_or_decode(
        origin, files, lambda: read(location, limit), allows_flip=allows_flip, track=track
    )


def locate_source(source: str | Path) -> tuple[str, Path, Reader]:
    """Return the name of a source, the place of its files and what reads them.

    Raises
    ------
    SourceError
        If it is missing or of no known kind.
    """
    dataset, name, location = _located(source)
    return name, location, _reader(dataset, location)


def reader_for(path: Path, names: Sequence[str] | None = None) -> Reader:
    """Return the function that reads `path`; of a folder, whose files may be known already.

    Raises
    ------
    SourceError
        If it is of no known kind.
    """
    if path.is_dir():
        if any(is_idx(file) for file in path.iterdir()):
            return read_idx_folder
        return partial(read_folder, names=names)
    kinds: tuple[tuple[tuple[str, ...], Reader], ...] = (
        ((".csv", ".csv.gz"), read_csv),
        ((".npy", ".npz"), read_numpy),
        (ARCHIVE_SUFFIXES, read_archive),
        (PICTURE_SUFFIXES, read_picture),
    )
    for suffixes, read in kinds:
        if path.name.lower().endswith(suffixes):
            return read
    if is_idx(path):
        return read_idx
    raise SourceError(
        f"{path} is of no known kind; give a folder, a picture, an archive (tar or zip), "
        "a CSV, an IDX, a .npy or a .npz file."
    )


def _located(source: str | Path) -> tuple[Dataset | None, str, Path]:
    """Return the row of a named set, the name of a source, and the place of its files."""
    dataset = DATASETS.get(str(source))
    if dataset is not None:
        return dataset, dataset.name, dataset.locate()
    # Absolute, so that a run finds its data again from another folder.
    location = Path(os.path.abspath(os.path.expanduser(source)))  # noqa: PTH100, PTH111
    if not _exists(location):
        raise SourceError(
            f"there is no data set and no file or folder called {str(source)!r}; "
            f"the data sets are {', '.join(DATASETS)}."
        )
    return None, str(location), location


def _reader(dataset: Dataset | None, location: Path, names: Sequence[str] | None = None) -> Reader:
    """Return what reads a source; of a named set, only after holding it against its checksums."""
    if dataset is not None and dataset.read is not None:
        return dataset.read
    read = reader_for(location, names)
    if dataset is None:
        return read

    def verified(path: Path, limit: int | None) -> Manifest:
        dataset.verify()
        return dataset.complete(read(path, limit))

    return verified


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as a name that is too long
        return False


def _identity(location: Path) -> list[Any]:
    """Say what the files of a source are without reading them: names, sizes and times."""
    if location.is_dir():
        return [str(location.resolve()), *list_files(location)]
    companions = sorted(location.parent.iterdir()) if is_idx(location) else [location]
    return [
        (str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns)
        for file in companions
        if file.exists()
    ]


def _from_array(values: NDArray[Any], preprocessing: Preprocessing, limit: int | None) -> Samples:
    values = sample_array(values, "x", "the array")
    values = values[evenly_spaced(len(values), limit)] if limit else values
    if values.dtype == np.uint8 and preprocessing.changes_shape(values.shape[1:]):
        values = np.stack([preprocessing.fit(image) for image in values])
    origin = Origin("", preprocessing, limit)
    return Samples(values, [str(i) for i in range(len(values))], origin=origin)
