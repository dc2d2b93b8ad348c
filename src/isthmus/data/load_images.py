"""`load_images`: turns a source of pictures into `Images`, each at its own size."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.areas import cut_into_areas
from isthmus.data.cache import Track, open_or_decode_images, untracked
from isthmus.data.images import Images, Ragged, SignalsError
from isthmus.data.load import choose_preprocessing, load_with, plan_loading
from isthmus.data.preprocess import Preprocessing
from isthmus.data.reading import Reading
from isthmus.data.samples import Origin, Samples


def load_images(
    source: str | Path | NDArray[Any],
    *,
    channels: int | None = None,
    background: str = "white",
    limit: int | None = None,
    reading: Reading | None = None,
    track: Track = untracked,
) -> Images:
    """Load images at their own sizes, to train a model that denoises; nothing is resized.

    Parameters
    ----------
    source, channels, background, limit, reading, track
        As for `load`. Folders with `noisy` and `clean` images of the same names are pairs. Folders
        are no classes, unless `reading` says so by `classes_from`.

    Returns
    -------
    Images
        All gray, or all RGB if one is in color.

    Raises
    ------
    SourceError
        If the source is missing, empty, broken or of an unknown kind, holds signals, or the images
        of a pair differ in size.
    OptionError
        If a color or limit is out of range.

    Examples
    --------
    >>> load_images("digits", limit=10)
    Images(10 images of 8 × 8, gray)
    """
    preprocessing = choose_preprocessing(None, None, channels, background)
    return load_images_with(source, preprocessing, limit=limit, reading=reading, track=track)


def load_images_with(
    source: str | Path | NDArray[Any],
    preprocessing: Preprocessing,
    *,
    limit: int | None = None,
    reading: Reading | None = None,
    track: Track = untracked,
) -> Images:
    """Load images with a given `Preprocessing`, such as a trained model's; see `load_images`.

    Its size and crop do not count.
    """
    if reading is not None and reading.areas is not None:
        whole = replace(reading, areas=None)
        images = load_images_with(source, preprocessing, limit=limit, reading=whole, track=track)
        return cut_into_areas(images, reading.areas)
    preprocessing = replace(preprocessing, crop=None, size=None)
    if isinstance(source, np.ndarray):
        return as_images(load_with(source, preprocessing, limit=limit, reading=reading))
    plan = plan_loading(source, preprocessing, limit=limit, reading=reading, at_own_size=True)
    if plan.is_picture:  # which bypasses the cache, as in `load`
        return as_images(load_with(source, preprocessing, limit=limit, reading=reading))
    return open_or_decode_images(plan.origin, plan.files, plan.read, track=track)


def load_images_of(origin: Origin, track: Track = untracked) -> Images:
    """Load again what an origin describes."""
    return load_images_with(
        origin.source,
        origin.preprocessing,
        limit=origin.limit,
        reading=origin.reading,
        track=track,
    )


def as_images(samples: Samples) -> Images:
    """Return samples as images, which share their memory.

    Raises
    ------
    SignalsError
    """
    if samples.is_signal:
        raise SignalsError(samples.origin.source or "the array")
    *sides, channels = samples.shape
    values = np.ascontiguousarray(samples.values).reshape(-1)
    return Images(
        Ragged(values, np.tile(np.array(sides, np.int64), (len(samples), 1)), channels),
        samples.items,
        samples.splits,
        samples.origin,
        samples.skipped,
        report=samples.report,
    )
