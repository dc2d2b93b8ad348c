"""Decoding: a source's samples or images, written to the files of a new entry as they come."""

from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache.entry import CLEAN_FILE, MASKS_FILE, VALUES_FILE, trust
from isthmus.data.cache.tracking import Track
from isthmus.data.checks import IMAGE_CHECKS
from isthmus.data.decode import decode_blocks
from isthmus.data.images import Images, Ragged, SignalsError
from isthmus.data.items import Items
from isthmus.data.manifest import Manifest
from isthmus.data.reading import LeftOut
from isthmus.data.samples import Origin, Samples
from isthmus.data.survey import Read, Survey
from isthmus.data.writer import BlockWriter, ImageWriter, SampleWriter
from isthmus.errors import OptionError, SourceError

WRITE_ROWS = 4096  # samples of an array that are written at a time
UNUSED = "not used at these sizes"


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


def store_images(manifest: Manifest, origin: Origin, folder: Path, track: Track) -> Images:
    """Do as `store` for images at their own sizes, or for pairs of noisy and clean ones."""
    manifest = _without_masks(manifest)
    survey = Survey(checks=IMAGE_CHECKS)
    if manifest.values is not None:
        if manifest.values.ndim < 4:
            raise SignalsError(origin.source)
        shape = _write_array(manifest.values, origin, folder, survey)
        sides = np.tile(np.array(shape[:2], np.int64), (len(manifest.values), 1))
        return _check_images(manifest, origin, folder, sides, shape[2], {}, survey)
    with ExitStack() as stack:
        values = stack.enter_context((folder / VALUES_FILE).open("w+b"))
        clean = None
        if manifest.clean is not None:
            clean = stack.enter_context((folder / CLEAN_FILE).open("w+b"))
        writer = ImageWriter(manifest, origin.source, values, clean)
        _write_pictures(writer, origin, survey, track)
    sides = np.array(writer.sides, np.int64).reshape(-1, 2)
    return _check_images(manifest, origin, folder, sides, writer.channels, writer.broken, survey)


def store_array(manifest: Manifest, values: NDArray[Any], origin: Origin, folder: Path) -> Samples:
    """Fit and write an array of samples."""
    survey = Survey()
    shape = _write_array(values, origin, folder, survey)
    return _check_samples(manifest, origin, folder, shape, {}, survey)


def store_pictures(manifest: Manifest, origin: Origin, folder: Path, track: Track) -> Samples:
    """Decode and write pictures and their masks."""
    survey = Survey()
    # Open for reading as well: the first picture in color turns the gray ones before it into color.
    with (folder / VALUES_FILE).open("w+b") as values, ExitStack() as stack:
        masks = None
        if manifest.masks is not None:
            masks = stack.enter_context((folder / MASKS_FILE).open("w+b"))
        writer = SampleWriter(manifest, origin.source, values, masks)
        _write_pictures(writer, origin, survey, track)
        if masks is not None:
            manifest = writer.finish_masks(masks)
    return _check_samples(manifest, origin, folder, writer.shape, writer.broken, survey)


def _write_array(
    values: NDArray[Any], origin: Origin, folder: Path, survey: Survey
) -> tuple[int, ...]:
    """Fit and write an array, block by block, and return the shape of one sample of it."""
    preprocessing = origin.preprocessing
    shape: tuple[int, ...] = values.shape[1:]
    if len(shape) == 2 and (preprocessing.crop or preprocessing.size or preprocessing.channels):
        raise OptionError(
            f"{origin.source} holds signals, which have no pixels to crop, resize or recolor."
        )
    needs_fitting = len(shape) == 3 and preprocessing.changes_shape(shape)
    with (folder / VALUES_FILE).open("wb") as file:
        for start in range(0, len(values), WRITE_ROWS):
            block = values[start : start + WRITE_ROWS]
            if needs_fitting:
                block = np.stack([preprocessing.fit(image) for image in block])
                shape = block.shape[1:]
            block = np.ascontiguousarray(block)
            survey.add(block)
            file.write(block.data)
    return shape


def _write_pictures(writer: BlockWriter, origin: Origin, survey: Survey, track: Track) -> None:
    """Decode all pictures and write them as they come."""
    manifest = writer.manifest
    # Closed also after an error in `write`: otherwise threads would decode on for nobody.
    with closing(decode_blocks(manifest, origin.preprocessing)) as blocks:
        watched = writer.write(survey.watch(blocks))
        for _ in track(watched, len(manifest.names), f"Reading {origin.source}"):
            pass


def _without_masks(manifest: Manifest) -> Manifest:
    """Leave out what is of no use to those who want images, and say so."""
    classes = manifest.class_names if manifest.labels is not None else ()
    names = manifest.mask_names
    left_out = [LeftOut.of(f"mask, {UNUSED}", names, f"masks, {UNUSED}")] if names else []
    return replace(
        manifest,
        class_names=classes,
        masks=None,
        mask_names=(),
        findings=manifest.findings.add(left_out=left_out),
    )


def _check_samples(
    manifest: Manifest,
    origin: Origin,
    folder: Path,
    shape: tuple[int, ...],
    broken: dict[int, str],
    survey: Survey,
) -> Samples:
    """Open what has just been written, by the constructor of `Samples`, which checks it."""
    good = _list_good(manifest, broken)
    if 0 in (len(good), *shape):
        raise SourceError(f"{origin.source} holds no samples.")
    dtype = np.dtype(np.uint8 if len(shape) == 3 else np.float32)
    samples = Samples(
        np.memmap(folder / VALUES_FILE, dtype, "r", shape=(len(good), *shape)),
        *_describe_good(manifest, good),
        origin,
        _list_broken(manifest, broken),
        masks=None if manifest.masks is None else np.load(folder / MASKS_FILE, "r"),
    )
    # Not by `replace`, which would check all samples a second time.
    report = survey.report(Read.of(samples), manifest)
    return trust(Samples, **{**vars(samples), "report": report})


def _check_images(
    manifest: Manifest,
    origin: Origin,
    folder: Path,
    sides: NDArray[np.int64],
    channels: int,
    broken: dict[int, str],
    survey: Survey,
) -> Images:
    """Do as `_check_samples` for `Images`."""
    if not sides.size or not sides.all():
        raise SourceError(f"{origin.source} holds no images.")
    values, *clean = (
        Ragged(np.memmap(folder / name, np.uint8, "r"), sides, channels)
        for name in (VALUES_FILE, *([CLEAN_FILE] if manifest.clean is not None else []))
    )
    images = Images(
        values,
        *_describe_good(manifest, _list_good(manifest, broken)),
        origin,
        _list_broken(manifest, broken),
        clean=clean[0] if clean else None,
    )
    return replace(images, report=survey.report(Read.of(images), manifest))


def _list_good(manifest: Manifest, broken: dict[int, str]) -> NDArray[np.int64]:
    return np.array([i for i in range(len(manifest.names)) if i not in broken], np.int64)


def _describe_good(
    manifest: Manifest, good: NDArray[np.int64]
) -> tuple[Items, NDArray[np.uint8] | None]:
    """Return the items and the splits of what could be decoded.

    Labels and splits have a row for each name of the source, also of pictures that are broken.
    """
    items = Items(manifest.names, manifest.labels, manifest.class_names).take(good)
    return items, None if manifest.splits is None else manifest.splits[good]


def _list_broken(manifest: Manifest, broken: dict[int, str]) -> tuple[tuple[str, str], ...]:
    return tuple((manifest.names[i], reason) for i, reason in broken.items())
