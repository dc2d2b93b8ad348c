"""`load`: turns any source into `Samples`.

A source is decoded once and then opened from the cache (see `isthmus.data.cache`). Two kinds
bypass it: arrays, which are in memory already, and single pictures, which a user asks a model
about. Decoding one takes a millisecond or two, less than a cache entry costs, and nobody would
ever delete that entry.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.bands import format_bands, resolve_bands
from isthmus.data.cache import Track, open_or_decode, untracked
from isthmus.data.catalog import DATASETS, Dataset
from isthmus.data.decode import decode_blocks
from isthmus.data.items import Items
from isthmus.data.manifest import Manifest, evenly_spaced
from isthmus.data.pages import expand_pages
from isthmus.data.pictures.pixels import format_stretch
from isthmus.data.preprocess import Preprocessing
from isthmus.data.readers.arrays.axes import as_samples
from isthmus.data.readers.csv.reader import read_csv
from isthmus.data.readers.csv.text import TABLE_SUFFIXES
from isthmus.data.readers.files.kinds import ARCHIVE_SUFFIXES, PICTURE_SUFFIXES, why_unread
from isthmus.data.readers.files.listing import Listing, list_files, special_kind
from isthmus.data.readers.folders.reader import read_archive, read_folder, read_picture
from isthmus.data.readers.idx.files import is_idx, is_idx_folder
from isthmus.data.readers.idx.reader import read_idx, read_idx_folder
from isthmus.data.readers.numpy.reader import read_numpy
from isthmus.data.reading import Reading
from isthmus.data.samples import Origin, Samples
from isthmus.data.stretch import note_stretch, resolve_stretch, stretch_of_array
from isthmus.data.survey import survey_picture, survey_samples
from isthmus.errors import OptionError, SourceError, first_sentence, require_name, suggest
from isthmus.files import suggest_path, to_json

Reader = Callable[[Path, int | None, Reading | None], Manifest]


def load(
    source: str | Path | NDArray[Any],
    *,
    size: int | tuple[int, int] | None = None,
    crop: int | None = None,
    channels: int | None = None,
    background: str = "white",
    limit: int | None = None,
    reading: Reading | None = None,
    track: Track = untracked,
) -> Samples:
    """Turn any source into `Samples`.

    Parameters
    ----------
    source : str, Path or array
        The name of a data set (`isthmus.DATASETS`), a folder of pictures with or without class
        folders, a picture, a tar or zip archive, a CSV, an IDX, a .npy or a .npz file; or an
        array: images (N, H, W) or (N, H, W, C), signals (N, L, C) float. Folders and archives
        with masks are recognized by their layout; see `isthmus.data.readers.masks.layouts`.
    size : int or (int, int), optional
        Side, or height and width, in pixels to resize to.
    crop : int, optional
        Side in pixels of the central square to cut out before resizing.
    channels : int, optional
        1 for gray, 3 for RGB.
    background : str
        Color behind transparent pixels, as a CSS name or #rrggbb.
    limit : int, optional
        At most as many samples, spread evenly over the source.
    reading : Reading, optional
        How to read a source that can be understood in several ways.
    track : callable
        Shows progress; called as `track(items, total, title)`.

    Returns
    -------
    Samples

    Raises
    ------
    SourceError
        If the source is missing, empty, broken or of an unknown kind, its pictures differ in
        size and no size is given, or its masks do not fit its pictures or classes.
    OptionError
        If a size, crop, color or limit is out of range.

    Examples
    --------
    >>> load("digits")
    Samples(1,797 images of 8 × 8, gray, 10 classes)
    """
    preprocessing = choose_preprocessing(size, crop, channels, background)
    return load_with(source, preprocessing, limit=limit, reading=reading, track=track)


def choose_preprocessing(
    size: int | tuple[int, int] | None, crop: int | None, channels: int | None, background: str
) -> Preprocessing:
    """Return the preprocessing that the arguments of `load` ask for."""
    if channels not in (None, 1, 3):
        raise OptionError(f"channels must be 1 for gray or 3 for RGB, not {channels}.")
    if isinstance(size, int):
        size = (size, size)
    return Preprocessing(crop=crop, size=size, channels=channels, background=background)


def load_with(
    source: str | Path | NDArray[Any],
    preprocessing: Preprocessing,
    *,
    limit: int | None = None,
    reading: Reading | None = None,
    track: Track = untracked,
    decode: Callable[..., Samples] = open_or_decode,
) -> Samples:
    """Load a source with a given `Preprocessing`, such as a trained model's; see `load`.

    `decode` is called as `open_or_decode` is, once it is clear what to decode.
    """
    if limit is not None and limit < 1:
        raise OptionError(f"limit must be at least 1, not {limit}.")
    reading = None if reading == Reading() else reading
    preprocessing = resolve_bands(preprocessing, reading)
    if isinstance(source, np.ndarray):
        if reading is not None and reading.stretch is not None and preprocessing.stretch is None:
            stretch = stretch_of_array(source, reading.stretch)
            preprocessing = replace(preprocessing, stretch=stretch)
        return _load_array(source, Origin("", preprocessing, limit, reading))
    dataset, name, location = _locate(source)
    if dataset is not None:
        # What the caller asks for takes precedence over the row of the set.
        preprocessing = replace(
            preprocessing,
            crop=preprocessing.crop or dataset.crop,
            size=preprocessing.size or dataset.size,
        )
    # A set without files follows from the code: its name and the cache's format identify it.
    needs_no_file = dataset is not None and dataset.read is not None
    # A folder is listed once for the key and for the reader: with a million files it takes seconds.
    listing = list_files(location) if not needs_no_file and location.is_dir() else None
    files = [] if needs_no_file else _list_identities(location, listing)
    read = _choose_reader(dataset, location, listing)
    origin = Origin(name, preprocessing, limit, reading)
    origin = resolve_stretch(origin, files, partial(read_manifest, origin, location, read))
    if dataset is None and is_picture(location) and (reading is None or reading.pages != "all"):
        return _load_picture(location, origin)
    return decode(
        origin,
        files,
        partial(read_manifest, origin, location, read),
        allows_flip=dataset is not None and dataset.allows_flip,
        track=track,
    )


def read_manifest(origin: Origin, location: Path, read: Reader) -> Manifest:
    """Return what a source holds, as its origin says that it is read."""
    told = _tell_reader(origin)
    if told is not None and told.pages == "all":
        manifest = expand_pages(partial(read, location, origin.limit, told), origin.limit)
    else:
        manifest = read(location, origin.limit, told)
    stretch = origin.preprocessing.stretch
    if stretch is None or origin.reading is None or origin.reading.stretch != "auto":
        return manifest
    # The user left open which values; now they are known.
    return replace(manifest, findings=manifest.findings.add([note_stretch(stretch)]))


def load_pictures(paths: Sequence[str | Path], preprocessing: Preprocessing) -> Samples:
    """Decode pictures given one by one, in their order and into memory; see `load`.

    Raises
    ------
    SourceError
        If one cannot be decoded, as none may be left out, or they differ in size or colors.
    """
    for path in paths:
        if _exists(Path(path)):  # a missing one gets the message of those that cannot be decoded
            _reject_special(Path(path))
    manifest = Manifest([str(path) for path in paths], files=[str(path) for path in paths])
    parts: list[NDArray[np.uint8]] = []
    for block in decode_blocks(manifest, preprocessing):
        done = sum(map(len, parts))
        if block.broken:
            i, reason = next(iter(block.broken.items()))
            raise SourceError(
                f"{manifest.names[done + i]} cannot be decoded ({reason}); leave it out or repair "
                "it."
            )
        if parts and block.pixels.shape[1:] != parts[0].shape[1:]:
            raise SourceError(
                f"{manifest.names[done]} has the shape {block.pixels.shape[1:]} and "
                f"{manifest.names[0]} {parts[0].shape[1:]}; give a height, a width and a number of "
                "channels for all."
            )
        parts.append(block.pixels)
    return Samples(np.concatenate(parts), Items(manifest.names), origin=Origin("", preprocessing))


def load_origin(origin: Origin, track: Track = untracked) -> Samples:
    """Load again what an origin describes; its source must not be an array."""
    return load_with(
        origin.source,
        origin.preprocessing,
        limit=origin.limit,
        reading=origin.reading,
        track=track,
    )


def locate_source(source: str | Path) -> tuple[str, Path, Reader]:
    """Return the name of a source, the path of its files and the function that reads them.

    Raises
    ------
    SourceError
        If it is missing or of no known kind.
    """
    dataset, name, location = _locate(source)
    return name, location, _choose_reader(dataset, location)


def reader_for(path: Path, listing: Listing | None = None) -> Reader:
    """Return the function that reads `path`.

    Parameters
    ----------
    path : Path
    listing : Listing, optional
        The files of a folder, where they have been listed already.

    Raises
    ------
    SourceError
        If it is of no known kind.
    """
    if path.is_dir():
        listing = listing or list_files(path)
        if is_idx_folder(path, listing.names):
            return read_idx_folder
        return partial(read_folder, listing=listing)
    kinds: tuple[tuple[tuple[str, ...], Reader], ...] = (
        (TABLE_SUFFIXES, read_csv),
        ((".npy", ".npz"), read_numpy),
        (ARCHIVE_SUFFIXES, read_archive),
        (PICTURE_SUFFIXES, read_picture),
    )
    for suffixes, read in kinds:
        if path.name.lower().endswith(suffixes):
            return read
    if is_idx(path):
        return read_idx
    if why := why_unread(path.name):
        raise SourceError(f"{path} is not read: it is {why}.")
    raise SourceError(
        f"{path} is of no known kind; give a folder, a picture, an archive (tar or zip), "
        "a CSV, an IDX, a .npy or a .npz file."
    )


def is_picture(path: Path) -> bool:
    """Return whether a path is that of a single picture, by its suffix."""
    return path.name.lower().endswith(PICTURE_SUFFIXES) and path.is_file()


def _locate(source: str | Path) -> tuple[Dataset | None, str, Path]:
    """Return the row of a named set, the name of a source, and the path of its files."""
    require_name("the source", source, SourceError)
    dataset = DATASETS.get(str(source))
    if dataset is not None:
        return dataset, dataset.name, dataset.locate()
    # Absolute, so that a run finds its data again from another folder.
    location = Path(os.path.abspath(os.path.expanduser(source)))  # noqa: PTH100, PTH111
    if not _exists(location):
        if location.is_symlink():
            raise SourceError(f"{location} is a link to nothing; give what it should lead to.")
        near = suggest(str(source), DATASETS) or suggest_path(os.path.expanduser(source))  # noqa: PTH111
        raise SourceError(
            f"there is no data set and no file or folder called {str(source)!r}{near}; "
            f"the data sets are {', '.join(DATASETS)}."
        )
    _reject_special(location)
    return None, str(location), location


def _reject_special(path: Path) -> None:
    """Reject pipes and devices: to open one may wait for ever, and some never end."""
    if kind := special_kind(path.stat().st_mode):
        raise SourceError(f"{path} is a {kind}, not a file or folder; give one with the samples.")


def _choose_reader(
    dataset: Dataset | None, location: Path, listing: Listing | None = None
) -> Reader:
    """Return the function that reads a source; that of a named set verifies its checksums first."""
    if dataset is not None and dataset.read is not None:
        return dataset.read
    read = reader_for(location, listing)
    if dataset is None:
        return read

    def verify_and_read(path: Path, limit: int | None, reading: Reading | None) -> Manifest:
        dataset.verify()
        return dataset.complete(read(path, limit, reading))

    return verify_and_read


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as a name that is too long
        return False


def _list_identities(location: Path, listing: Listing | None) -> list[Any]:
    """List what identifies the content of a source's files without reading it.

    As make and rsync do, it trusts names, sizes and times: hashing all bytes of a large set would
    take longer than the cache saves.
    """
    if listing is not None:
        # What cannot be read counts too: once it can be, there is more to decode.
        return [str(location.resolve()), *listing.files, *map(to_json, listing.left_out)]
    # The labels of an IDX file are in a file of their own, next to it.
    siblings = location.parent.iterdir() if is_idx(location) else ()
    companions = sorted(filter(is_idx, siblings)) or [location]
    return [
        (str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns)
        for file in companions
        if file.exists()
    ]


def _tell_reader(origin: Origin) -> Reading | None:
    """Return how a reader of arrays shall read, which makes pixels of numbers itself.

    What a model was trained with holds for other sources as well, also if nobody asks for it.
    """
    told, preprocessing = origin.reading or Reading(), origin.preprocessing
    if preprocessing.stretch is not None:
        told = replace(told, stretch=format_stretch(preprocessing.stretch))
    if preprocessing.bands is not None:
        told = replace(told, channels=format_bands(preprocessing.bands))
    return None if told == Reading() else told


def _load_picture(path: Path, origin: Origin) -> Samples:
    try:
        pixels, facts = origin.preprocessing.decode_and_measure(str(path))
    except SourceError as error:
        # A reason that names an option is no damage.
        way_out = "" if " --" in str(error) else "; give another picture"
        reason = first_sentence(error)
        raise SourceError(f"{path} cannot be decoded ({reason}){way_out}.") from error
    samples = Samples(pixels[None], Items([path.name]), origin=origin)
    # Of a plain picture there is nothing to say, and it would take longer than to decode it.
    is_plain = facts.pages == 1 and math.isnan(facts.low)
    return samples if is_plain else replace(samples, report=survey_picture(samples, facts))


def _load_array(values: NDArray[Any], origin: Origin) -> Samples:
    preprocessing, limit = origin.preprocessing, origin.limit
    values, findings = as_samples(values, "x", "the array", _tell_reader(origin), limit)
    values = values[evenly_spaced(len(values), limit)] if limit else values  # else no copy
    if values.dtype == np.uint8 and preprocessing.changes_shape(values.shape[1:]):
        values = np.stack([preprocessing.fit(image) for image in values])
    samples = Samples(values, Items([str(i) for i in range(len(values))]), origin=origin)
    if not findings.notes and preprocessing.stretch is None:
        return samples  # of an array that has one reading only, there is nothing to say
    return replace(samples, report=survey_samples(samples, findings))
