"""Reader of .npy and .npz files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import Manifest, encode_labels, evenly_spaced
from isthmus.data.readers.arrays.axes import as_samples
from isthmus.data.readers.arrays.ranges import join_findings
from isthmus.data.readers.numpy.files import ArrayFile, open_arrays
from isthmus.data.readers.numpy.names import Roles, assign_roles
from isthmus.data.reading import Findings, LeftOut, Note, Reading
from isthmus.data.samples import SPLITS
from isthmus.errors import SourceError, list_names

Labels = NDArray[Any]


def read_numpy(path: Path, limit: int | None = None, reading: Reading | None = None) -> Manifest:
    """Read images or signals from .npy or .npz.

    An .npz holds samples under a name such as images, signals, x or data (see
    `isthmus.data.readers.numpy.names`), or a single array; perhaps labels, class_names, and parts
    such as x_train, y_train, x_test and y_test, or train_images and val_images.

    Integers and booleans are images (N, H, W) or (N, H, W, C), or signals (N, L). Fractions are
    images if called images or 4-dimensional, and signals if called signals or (N, L). Fractions
    (N, A, B) are signals (N, L, C) up to 8 channels and gray images (N, H, W) above.

    Raises
    ------
    SourceError
        If there is no array of samples, or the file is damaged.
    """
    file = open_arrays(path)
    roles = assign_roles(file.headers, reading.label_column if reading else None)
    if not roles.samples:
        raise _no_samples(file)
    parts = list(roles.samples)
    arrays, findings = _read_samples(file, roles, reading, limit)
    counts = [len(array) for array in arrays]
    splits = np.repeat(np.array([part or 0 for part in parts], np.uint8), counts)
    names = [f"{SPLITS[part]}/" if part is not None else "" for part in parts]
    rows = evenly_spaced(sum(counts), limit)
    labels, more = _read_labels(file, roles, counts)
    classes, indices, unnamed = _name_classes(file, roles, labels, rows)
    values = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return Manifest(
        _take_names(names, counts, rows),
        # All rows are taken as they are: by index, a mapped file would be read into memory.
        values if len(rows) == len(values) else values[rows],
        labels=indices,
        class_names=classes,
        splits=splits[rows] if None not in parts and len(parts) > 1 else None,
        findings=findings.add(
            [*more, *unnamed, *_rival_notes(roles)],
            _left_out(file, roles),
            "array" if list(file.headers) == ["x"] else f"arrays {', '.join(roles.used)}",
        ),
    )


def _take_names(
    prefixes: Sequence[str], counts: Sequence[int], rows: NDArray[np.int64]
) -> list[str]:
    names = [f"{prefix}{i}" for prefix, n in zip(prefixes, counts, strict=True) for i in range(n)]
    return [names[row] for row in rows]


def _no_samples(file: ArrayFile) -> SourceError:
    held = [f"{key} {header.shape}" for key, header in file.headers.items()]
    held += list(file.others)
    return SourceError(
        f"{file.path} has no array of images or signals (it holds {', '.join(held) or 'nothing'}); "
        "save one as images (N, H, W, C) or signals (N, L, C)."
    )


def _read_samples(
    file: ArrayFile, roles: Roles, reading: Reading | None, limit: int | None
) -> tuple[list[NDArray[Any]], Findings]:
    """Read the samples of each part, which must be of one shape."""
    read = {
        key: as_samples(file.load(key), key, file.path, reading, limit)
        for key in roles.samples.values()
    }
    arrays = {key: values for key, (values, _) in read.items()}
    first = next(iter(arrays))
    for key, values in arrays.items():
        if values.shape[1:] != arrays[first].shape[1:] or values.dtype != arrays[first].dtype:
            raise SourceError(
                f"{file.path} has {first} of {arrays[first].shape} but {key} of {values.shape}; "
                "give samples of one shape."
            )
    return list(arrays.values()), join_findings([found for _, found in read.values()])


def _read_labels(
    file: ArrayFile, roles: Roles, counts: Sequence[int]
) -> tuple[Labels | None, list[Note]]:
    """Read the labels of all parts, one for each sample; None if a part has none."""
    missing = [key for part, key in roles.samples.items() if part not in roles.labels]
    if missing and roles.labels:
        text = f"{', '.join(missing)} has no labels, so that no sample gets one"
        return None, [Note("warning", "labels-missing", text, "save labels for each part")]
    if missing:
        return None, []
    labels, notes = [], {}
    for (part, samples), count in zip(roles.samples.items(), counts, strict=True):
        key = roles.labels[part]
        one, note = _flatten(file, key, samples, count)
        labels.append(one)
        notes.update({note.code: note} if note else {})
    return np.concatenate(labels), list(notes.values())


def _flatten(file: ArrayFile, key: str, samples: str, count: int) -> tuple[Labels, Note | None]:
    """Return labels as (N,): those of (N, 1), or the classes of one-hot rows (N, K)."""
    labels = file.load(key)
    if labels.dtype.kind not in "biufUS":
        raise SourceError(
            f"{file.path}: {key} is {labels.dtype}, which are not labels; give numbers or words."
        )
    if labels.shape in ((count, 1), (1, count)):
        labels = labels.ravel()
    elif labels.ndim == 2 and len(labels) == count and _is_one_hot(labels):
        text = f"{key} {labels.shape} holds a 1 for the class of each sample and 0 for the others"
        return labels.argmax(axis=1), Note("guess", "one-hot", text, "save labels as (N,)")
    if labels.shape != (count,):
        raise SourceError(
            f"{file.path} has {count:,} samples in {samples} but labels of shape {labels.shape} "
            f"in {key}; give one label a sample, or --label-column none."
        )
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    return labels, None


def _is_one_hot(labels: Labels) -> bool:
    if labels.dtype.kind not in "biuf" or not labels.shape[1]:
        return False
    is_binary = bool(((labels == 0) | (labels == 1)).all())
    return is_binary and bool((labels.sum(axis=1, dtype=np.float64) == 1).all())


def _name_classes(
    file: ArrayFile, roles: Roles, labels: Labels | None, rows: NDArray[np.int64]
) -> tuple[tuple[str, ...], NDArray[np.int64] | None, list[Note]]:
    """Return the class names, the labels of the chosen rows, and what is wrong with the names."""
    classes, indices = encode_labels(None if labels is None else labels[rows], file.path)
    key = roles.class_names
    if labels is None or key is None:
        return classes, indices, []
    if file.headers[key].is_pickled:
        text = f"{key} holds Python objects, which are not opened, so that classes are numbers"
        return classes, indices, [Note("warning", "class-names", text, "save them as text")]
    names = tuple(map(str, np.asarray(file.load(key), np.str_)))
    if labels.dtype.kind in "US" and set(classes) <= set(names):
        return names, np.array([names.index(name) for name in classes], np.int64)[indices], []
    if labels.dtype.kind not in "biuf" or not set(labels.tolist()) <= set(range(len(names))):
        raise SourceError(
            f"{file.path} has labels that are not indices of its {len(names):,} {key}; "
            "count them from 0."
        )
    return names, labels[rows].astype(np.int64), []


def _rival_notes(roles: Roles) -> list[Note]:
    if not roles.rivals:
        return []
    taken, rivals = ", ".join(roles.samples.values()), list_names(roles.rivals)
    text = f"{taken} is taken for the samples, and {rivals} is not used"
    return [Note("guess", "several-arrays", text, "save the one that you mean as .npy")]


def _left_out(file: ArrayFile, roles: Roles) -> list[LeftOut]:
    unused = [
        f"{key} {header.dtype} {header.shape}"
        for key, header in file.headers.items()
        if key not in roles.used
    ]
    left_out = [
        LeftOut.of(one, names, many)
        for names, one, many in (
            (
                unused,
                "array that is neither samples nor labels",
                "arrays that are neither samples nor labels",
            ),
            (list(file.others), "member that is no array", "members that are no arrays"),
        )
        if names
    ]
    if file.surplus:
        left_out.append(LeftOut("bytes behind the array", file.surplus, (file.path.name,)))
    return left_out
