"""Reader of IDX files, and of folders of them: the format in which MNIST is published."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import Manifest, encode_labels, evenly_spaced
from isthmus.data.readers.arrays.axes import as_samples
from isthmus.data.readers.arrays.ranges import join_findings
from isthmus.data.readers.idx.files import IdxFile, find_idx_files, read_array, stem_of
from isthmus.data.reading import Note, Reading
from isthmus.errors import SourceError, list_names


def read_idx_folder(
    path: Path, limit: int | None = None, reading: Reading | None = None
) -> Manifest:
    """Read a folder of IDX files: train-… for training, t10k-… or test-… for testing.

    Of a file that is there compressed and uncompressed, the uncompressed one is read.

    Raises
    ------
    SourceError
        If it holds several data sets, or a file is damaged.
    """
    files, left_out = find_idx_files(path)
    images = _order_parts(path, [file for file in files if file.has_images])
    labels = {file.stem: file.path for file in files if not file.has_images}
    parts = [_read_pair(file.path, labels.get(file.stem), reading) for file in images]
    arrays = [part.values for part in parts if part.values is not None]
    if len({array.shape[1:] for array in arrays}) > 1:
        raise SourceError(
            f"{path} holds IDX files of images of different sizes; move one of them away."
        )
    splits = np.repeat(
        np.array([file.part or 0 for file in images], np.uint8), [len(array) for array in arrays]
    )
    names = [
        file.prefix + name for file, part in zip(images, parts, strict=True) for name in part.names
    ]
    values = np.concatenate(arrays)
    classes, encoded, notes = _join_labels(path, images, parts)
    rows = evenly_spaced(len(values), limit)
    findings = join_findings([part.findings for part in parts])
    findings = findings.add([*notes, *_emnist_notes(images)], left_out, "IDX files")
    return Manifest(
        [names[row] for row in rows],
        values[rows] if len(rows) < len(values) else values,
        labels=None if encoded is None else encoded[rows],
        class_names=classes,
        splits=splits[rows] if len(images) > 1 else None,
        findings=findings,
    )


def read_idx(path: Path, limit: int | None = None, reading: Reading | None = None) -> Manifest:
    """Read an IDX file of images, and its labels from the file of the same name, if there is one.

    The format is LeCun's: two zero bytes, the type, the number of dimensions, the dimensions as
    big-endian 32-bit numbers, then the values.

    Raises
    ------
    SourceError
        If it is damaged, or its labels are.
    """
    files, _ = find_idx_files(path.parent)
    stem = stem_of(path.name)
    labels = [one.path for one in files if one.stem == stem and not one.has_images]
    companion = next((label for label in labels if label != path), None)
    file = IdxFile(path, stem)
    manifest = _read_pair(path, companion, reading)
    is_missing = companion is None and "image" in path.name.lower()
    missing = [_labels_missing([file])] if is_missing else []
    rows = evenly_spaced(len(manifest.names), limit)
    classes, indices = manifest.class_names, manifest.labels
    if indices is not None:
        classes, indices = encode_labels(np.array(classes, np.int64)[indices[rows]], path)
    assert manifest.values is not None
    return Manifest(
        [str(row) for row in rows],
        manifest.values[rows],
        labels=indices,
        class_names=classes,
        findings=manifest.findings.add([*_emnist_notes([file]), *missing]),
    )


def _order_parts(path: Path, images: Sequence[IdxFile]) -> list[IdxFile]:
    """Return the files of one data set, training first.

    Raises
    ------
    SourceError
        If there are several sets, or none.
    """
    if not images:
        raise SourceError(f"{path} holds IDX files, but none with image in its name.")
    sets = {file.set_name: file.path.name for file in reversed(images)}
    if len(sets) > 1:
        names = [name or file for name, file in sorted(sets.items())]
        raise SourceError(
            f"{path} holds IDX files of {len(sets)} data sets ({list_names(names)}), which are not "
            "mixed; give a folder with one of them, or one file of images."
        )
    parts = [file.part for file in images]
    for part in set(parts):
        if parts.count(part) > 1:
            names = [file.path.name for file in images if file.part == part]
            raise SourceError(
                f"{path} holds {list_names(names)}, which are the same part of a data set; move "
                "one of them away."
            )
    return sorted(images, key=lambda file: 2 if file.part is None else file.part)


def _join_labels(
    path: Path, images: Sequence[IdxFile], parts: Sequence[Manifest]
) -> tuple[tuple[str, ...], NDArray[np.int64] | None, list[Note]]:
    """Return the classes and labels of all parts, if all have labels."""
    # Each file numbers the classes that occur in it; only their names mean the same in all.
    labels = [
        np.array(part.class_names, np.int64)[part.labels]
        for part in parts
        if part.labels is not None
    ]
    if len(labels) == len(parts):
        return *encode_labels(np.concatenate(labels), path), []
    missing = [file for file, part in zip(images, parts, strict=True) if part.labels is None]
    return (), None, [_labels_missing(missing)]


def _labels_missing(images: Sequence[IdxFile]) -> Note:
    names = list_names([file.path.name for file in images])
    text = f"no labels are next to {names}, so that no image gets one"
    return Note("warning", "labels-missing", text, "add the file of labels")


def _emnist_notes(images: Sequence[IdxFile]) -> list[Note]:
    """Say that EMNIST is turned; its authors wrote the images column by column."""
    if not any(file.stem.startswith("emnist") for file in images):
        return []
    text = "EMNIST stores its images transposed, so that letters lie on their side"
    way_out = "turn them before training, or use pictures that lie as well"
    return [Note("warning", "emnist-transposed", text, way_out)]


def _read_pair(path: Path, companion: Path | None, reading: Reading | None) -> Manifest:
    """Read a file of images and perhaps one of labels."""
    if reading is not None and reading.label_column == "none":
        companion = None
    array = read_array(path)
    if array.ndim not in (3, 4):
        raise SourceError(f"{path} holds {array.ndim}-dimensional values, not images (N, H, W).")
    pixels, findings = as_samples(array, "images", path, reading)
    labels = None if companion is None else read_array(companion)
    if companion is not None and labels is not None and labels.shape != (len(array),):
        raise SourceError(
            f"{path} holds {len(array):,} images but {companion.name} {len(labels):,} labels."
            if labels.ndim == 1
            else f"{companion} holds {labels.ndim}-dimensional values, not labels (N,)."
        )
    classes, indices = encode_labels(labels, path)
    names = [str(i) for i in range(len(array))]
    findings = findings.add(layout="IDX file")
    return Manifest(names, pixels, (), indices, classes, findings=findings)
