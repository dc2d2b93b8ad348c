"""Decoding: the samples of a source, written to the files of a new entry as they come."""

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache.entry import MASKS_FILE, VALUES_FILE, trust
from isthmus.data.cache.tracking import Track
from isthmus.data.decode import decode_blocks
from isthmus.data.items import Items
from isthmus.data.manifest import Manifest
from isthmus.data.samples import Origin, Samples
from isthmus.data.survey import Read, Survey
from isthmus.data.writer import SampleWriter
from isthmus.errors import OptionError, SourceError

WRITE_ROWS = 4096  # samples of an array that are written at a time


def store(manifest: Manifest, origin: Origin, folder: Path, track: Track) -> Samples:
    """Write what a manifest holds to files in a folder, and return it.

    Raises
    ------
    SourceError
        If it cannot be decoded.
    OSError
        If it cannot be written.
    """
    if manifest.values is not None:
        return store_array(manifest, manifest.values, origin, folder)
    return store_pictures(manifest, origin, folder, track)


def store_array(manifest: Manifest, values: NDArray[Any], origin: Origin, folder: Path) -> Samples:
    """Fit and write an array of samples, block by block."""
    preprocessing = origin.preprocessing
    shape: tuple[int, ...] = values.shape[1:]
    if len(shape) == 2 and (preprocessing.crop or preprocessing.size or preprocessing.channels):
        raise OptionError(
            f"{origin.source} holds signals, which have no pixels to crop, resize or recolor."
        )
    needs_fitting = len(shape) == 3 and preprocessing.changes_shape(shape)
    survey = Survey()
    with (folder / VALUES_FILE).open("wb") as file:
        for start in range(0, len(values), WRITE_ROWS):
            block = values[start : start + WRITE_ROWS]
            if needs_fitting:
                block = np.stack([preprocessing.fit(image) for image in block])
                shape = block.shape[1:]
            block = np.ascontiguousarray(block)
            survey.add(block)
            file.write(block.data)
    return _check_stored(manifest, origin, folder, shape, {}, survey)


def store_pictures(manifest: Manifest, origin: Origin, folder: Path, track: Track) -> Samples:
    """Decode and write pictures and their masks."""
    source, survey = origin.source, Survey()
    # Open for reading as well: the first picture in color turns the gray ones before it into color.
    with (folder / VALUES_FILE).open("w+b") as values, ExitStack() as stack:
        masks = None
        if manifest.masks is not None:
            masks = stack.enter_context((folder / MASKS_FILE).open("w+b"))
        writer = SampleWriter(manifest, source, values, masks)
        # Closed also after an error in `write`: otherwise threads would decode on for nobody.
        blocks = stack.enter_context(closing(decode_blocks(manifest, origin.preprocessing)))
        watched = writer.write(survey.watch(blocks))
        for _ in track(watched, len(manifest.names), f"Reading {source}"):
            pass
        if masks is not None:
            manifest = writer.finish_masks(masks)
    return _check_stored(manifest, origin, folder, writer.shape, writer.broken, survey)


def _check_stored(
    manifest: Manifest,
    origin: Origin,
    folder: Path,
    shape: tuple[int, ...],
    broken: dict[int, str],
    survey: Survey,
) -> Samples:
    """Open what has just been written, by the constructor of `Samples`, which checks it."""
    # Labels and splits have a row for each name of the source, also of pictures that are broken.
    good = np.array([i for i in range(len(manifest.names)) if i not in broken], np.int64)
    if 0 in (len(good), *shape):
        raise SourceError(f"{origin.source} holds no samples.")
    dtype = np.dtype(np.uint8 if len(shape) == 3 else np.float32)
    samples = Samples(
        np.memmap(folder / VALUES_FILE, dtype, "r", shape=(len(good), *shape)),
        Items(manifest.names, manifest.labels, manifest.class_names).take(good),
        None if manifest.splits is None else manifest.splits[good],
        origin,
        tuple((manifest.names[i], reason) for i, reason in broken.items()),
        masks=None if manifest.masks is None else np.load(folder / MASKS_FILE, "r"),
    )
    # Not by `replace`, which would check all samples a second time.
    return trust(**{**vars(samples), "report": survey.report(Read.of(samples), manifest)})
