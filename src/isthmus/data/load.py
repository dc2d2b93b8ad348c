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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.bands import format_bands, resolve_bands
from isthmus.data.cache import Track, open_or_decode, untracked
from isthmus.data.dataset import Dataset
from isthmus.data.decode import decode_blocks
from isthmus.data.items import Items
from isthmus.data.manifest import Manifest, evenly_spaced
from isthmus.data.pages import expand_pages
from isthmus.data.pictures.pixels import format_stretch
from isthmus.data.preprocess import Preprocessing
from isthmus.data.readers.arrays.axes import as_samples
from isthmus.data.reading import Reading
from isthmus.data.remote.addresses import is_address
from isthmus.data.remote.contents import open_path, read_each
from isthmus.data.remote.listing import list_source
from isthmus.data.remote.path import RemotePath
from isthmus.data.samples import Origin, Samples
from isthmus.data.sources import (
    Reader,
    choose_reader,
    is_picture,
    list_identities,
    locate,
    reject_special,
)
from isthmus.data.stretch import note_stretch, resolve_stretch, stretch_of_array
from isthmus.data.survey import survey_picture, survey_samples
from isthmus.errors import OptionError, SourceError, first_sentence
from isthmus.limits import names_limit

# Among what identifies a source that is read as `Images`, which reads other files of it.
AT_OWN_SIZE = "at their own sizes"


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
        folders, a picture, a tar or zip archive, a folder of WebDataset shards or a pattern such
        as train-{000000..000003}.tar, a CSV, a Parquet, an Arrow, an IDX, a .npy or a .npz file;
        any of these elsewhere, by an address that fsspec opens, such as s3://bucket/photos; or
        an array: images (N, H, W) or (N, H, W, C), signals (N, L, C) float. Folders and archives
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
    decode: Callable[..., Samples] | None = None,
) -> Samples:
    """Load a source with a given `Preprocessing`, such as a trained model's; see `load`.

    `decode` takes the place of `open_or_decode`, once it is clear what to decode.
    """
    if reading is not None and reading.areas is not None:
        raise OptionError("only the images of a denoiser are cut into areas; leave areas out.")
    if isinstance(source, np.ndarray):
        _require_limit(limit)
        reading = None if reading == Reading() else reading
        preprocessing = resolve_bands(preprocessing, reading)
        return _load_array(source, Origin("", preprocessing, limit, reading))
    plan = plan_loading(source, preprocessing, limit=limit, reading=reading)
    if plan.is_picture:
        return _load_picture(plan.location, plan.origin)
    return (decode or open_or_decode)(
        plan.origin, plan.files, plan.read, allows_flip=plan.allows_flip, track=track
    )


class Plan(NamedTuple):
    """What there is to read of a source, and how.

    Parameters
    ----------
    origin : Origin
    location : Path
    files : list of JSON values
        Identify the content of the source's files.
    read : callable
        Returns the manifest.
    is_picture : bool
        Whether the source is a single picture, which needs no manifest.
    allows_flip : bool
        See `Samples`.
    """

    origin: Origin
    location: Path
    files: Sequence[Any]
    read: Callable[[], Manifest]
    is_picture: bool
    allows_flip: bool


def plan_loading(
    source: str | Path,
    preprocessing: Preprocessing,
    *,
    limit: int | None = None,
    reading: Reading | None = None,
    at_own_size: bool = False,
) -> Plan:
    """Find out what there is to read of a source; nothing is decoded. See `load`.

    With `at_own_size`, it is read as `Images`.
    """
    _require_limit(limit)
    reading = None if reading == Reading() else reading
    preprocessing = resolve_bands(preprocessing, reading)
    dataset, name, location = locate(source)
    if dataset is not None and not at_own_size:
        preprocessing = _complete(preprocessing, dataset)
    # A set without files follows from the code: its name and the cache's format identify it.
    needs_no_file = dataset is not None and dataset.read is not None
    # A folder is listed once for the key and for the reader: with a million files it takes seconds.
    listing = list_source(location) if not needs_no_file and location.is_dir() else None
    files = [] if needs_no_file else list_identities(location, listing)
    files += [AT_OWN_SIZE] if at_own_size else []
    read = choose_reader(dataset, location, listing, at_own_size=at_own_size)
    origin = Origin(name, preprocessing, limit, reading)
    origin = resolve_stretch(origin, files, partial(read_manifest, origin, location, read))
    is_one = dataset is None and is_picture(location)
    return Plan(
        origin,
        location,
        files,
        partial(read_manifest, origin, location, read),
        is_one and (reading is None or reading.pages != "all"),
        dataset is not None and dataset.allows_flip,
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
    places = [open_path(path) for path in paths]
    for place in places:
        reject_special(place)
    names = [
        str(place if is_address(path) else path) for path, place in zip(paths, places, strict=True)
    ]
    manifest = Manifest(names, files=read_each(places))
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


def _require_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise OptionError(f"limit must be at least 1, not {limit}.")


def _complete(preprocessing: Preprocessing, dataset: Dataset) -> Preprocessing:
    """Add what the row of a set says, where the caller has asked for nothing else."""
    crop, size = preprocessing.crop or dataset.crop, preprocessing.size or dataset.size
    return replace(preprocessing, crop=crop, size=size)


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
        pixels, facts = origin.preprocessing.decode_and_measure(os.fspath(path))
    except SourceError as error:
        reason = first_sentence(error)
        # A reason that names an option or a bound is no damage.
        way_out = "" if " --" in reason or names_limit(reason) else "; give another picture"
        raise SourceError(f"{path} cannot be decoded ({reason}){way_out}.") from error
    samples = Samples(pixels[None], Items([path.name]), origin=origin)
    # A plain picture needs no report, which would take longer than decoding it. One elsewhere gets
    # it now, because a report that is asked for later would have to read the picture again.
    is_here = not isinstance(path, RemotePath)
    is_plain = facts.pages == 1 and math.isnan(facts.low) and is_here
    return samples if is_plain else replace(samples, report=survey_picture(samples, facts))


def _load_array(values: NDArray[Any], origin: Origin) -> Samples:
    preprocessing, limit, reading = origin.preprocessing, origin.limit, origin.reading
    if reading is not None and reading.stretch is not None and preprocessing.stretch is None:
        stretch = stretch_of_array(values, reading.stretch)
        preprocessing = replace(preprocessing, stretch=stretch)
        origin = replace(origin, preprocessing=preprocessing)
    values, findings = as_samples(values, "x", "the array", _tell_reader(origin), limit)
    values = values[evenly_spaced(len(values), limit)] if limit else values  # else no copy
    if values.dtype == np.uint8 and preprocessing.changes_shape(values.shape[1:]):
        values = np.stack([preprocessing.fit(image) for image in values])
    samples = Samples(values, Items([str(i) for i in range(len(values))]), origin=origin)
    if not findings.notes and preprocessing.stretch is None:
        return samples  # of an array that has one reading only, there is nothing to say
    return replace(samples, report=survey_samples(samples, findings))
