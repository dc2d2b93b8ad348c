"""Readers of tables and arrays: CSV, IDX and NumPy files."""

import codecs
import csv
import gzip
import math
import re
import zipfile
import zlib
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import Manifest, encode_labels, evenly_spaced
from isthmus.data.pixels import as_pixels
from isthmus.data.reading import Reading
from isthmus.data.samples import SPLITS
from isthmus.errors import SourceError, first_sentence

IDX_DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
MAX_SIGNAL_CHANNELS = 8  # of a float array (N, L, C); with more it is taken as (N, H, W)


def read_csv(path: Path, limit: int | None = None, reading: Reading | None = None) -> Manifest:
    """Read square gray images, one a row, in the layout of Kaggle's digit-recognizer.

    A header names the columns; one called label, class or target holds the class. Without a
    header, the first column is the label unless all columns together are a square number.

    Raises
    ------
    SourceError
        If rows differ in length, a value is not a whole number from 0 to 255, or the pixels of a
        row make no square.
    """
    header = _csv_header(path)
    table = _csv_table(path, skip=1 if header else 0)
    columns = table.shape[1]
    label = [i for i, name in enumerate(header) if name.lower() in ("label", "class", "target")]
    # Columns that make a square are all pixels: one more or less would not make another square.
    if not header and math.isqrt(columns) ** 2 != columns:
        label = [0]
    pixels = np.delete(table, label, axis=1) if label else table
    side = math.isqrt(pixels.shape[1])
    if not side or side * side != pixels.shape[1]:
        raise SourceError(
            f"{path} has {pixels.shape[1]:,} pixels a row, which make no square; "
            f"{side}×{side} would be {side * side:,}."
        )
    wrong = ~((pixels >= 0) & (pixels <= 255) & (pixels == np.floor(pixels)))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise SourceError(
            f"{path}, row {row + 1} of the data, holds the pixel {pixels[row, column]:g}; "
            "pixels are whole numbers from 0 to 255."
        )
    rows = evenly_spaced(len(table), limit)
    images = pixels[rows].astype(np.uint8).reshape(-1, side, side, 1)
    classes, labels = encode_labels(table[rows, label[0]] if label else None, path)
    return Manifest([str(row + 1) for row in rows], images, labels=labels, class_names=classes)


def _csv_header(path: Path) -> list[str]:
    """Return the names in the first line, or none if it holds numbers."""
    try:
        with _open(path) as file:
            first = next(csv.reader([file.readline().decode("utf-8-sig")]), [])
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise SourceError(f"{path} is not a readable CSV file: {error}.") from error
    if not first:
        raise SourceError(f"{path} is empty.")
    return [] if all(re.fullmatch(r"\s*-?[\d.]+\s*", cell) for cell in first) else first


def _csv_table(path: Path, skip: int) -> NDArray[np.float32]:
    try:
        with _open(path) as file:
            lines = (line for line in islice(file, skip, None) if line.strip())
            first = next(lines, None)
            if first is None:
                raise SourceError(f"{path} has a header and no rows.")
            return np.loadtxt(
                chain([first.removeprefix(codecs.BOM_UTF8)], lines),
                np.float32,  # not uint8: labels may be larger, and wrong pixels are named later
                delimiter=",",
                ndmin=2,
                comments=None,  # otherwise a # would hide the rest of its line
            )
    except ValueError as error:
        raise SourceError(f"{path}: {_explain_csv_error(str(error), skip)}.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path} is not a readable CSV file: {error}.") from error


def _explain_csv_error(message: str, skip: int) -> str:
    """Translate an error of `np.loadtxt` and name the line of the file, counted from 1."""
    if match := re.search(r"columns changed from (\d+) to (\d+) at row (\d+)", message):
        expected, got, row = map(int, match.groups())
        return f"line {row + skip} has {got:,} values where {expected:,} are expected"
    if match := re.search(r"string '(.*)' to \w+ at row (\d+), column (\d+)", message):
        text, row, column = match[1], int(match[2]), int(match[3])
        return f"line {row + skip + 1}, column {column}, holds {text!r}, which is not a number"
    return message.rstrip(".")


def read_idx_folder(
    path: Path, limit: int | None = None, reading: Reading | None = None
) -> Manifest:
    """Read a folder of IDX files: train-… for training, t10k-… or test-… for testing.

    Of a file that is there compressed and uncompressed, the uncompressed one is read.
    """
    files = {file.name for file in path.iterdir() if is_idx(file) and "image" in file.name}
    images = [
        path / name for name in sorted(files) if name.removesuffix(".gz") not in files - {name}
    ]
    if not images:
        raise SourceError(f"{path} holds IDX files, but none with image in its name.")
    parts = [(0 if file.name.startswith("train") else 2, read_idx(file)) for file in images]
    parts.sort(key=lambda part: part[0])  # by name, t10k would come before train
    splits = np.concatenate([np.full(len(part.names), split, np.uint8) for split, part in parts])
    names = [f"{SPLITS[split]}/{name}" for split, part in parts for name in part.names]
    arrays = [part.values for _, part in parts if part.values is not None]
    if len({array.shape[1:] for array in arrays}) > 1:
        raise SourceError(
            f"{path} holds IDX files of images of different sizes; move one of them away."
        )
    values = np.concatenate(arrays)
    # Each file numbers the classes that occur in it; only their names mean the same in all.
    labels = [
        np.array(part.class_names, np.int64)[part.labels]
        for _, part in parts
        if part.labels is not None
    ]
    is_labeled = len(labels) == len(parts)
    classes, indices = encode_labels(np.concatenate(labels) if is_labeled else None, path)
    rows = evenly_spaced(len(values), limit)
    return Manifest(
        [names[row] for row in rows],
        values[rows] if len(rows) < len(values) else values,
        labels=None if indices is None else indices[rows],
        class_names=classes,
        splits=splits[rows] if len(set(splits)) > 1 else None,
    )


def read_idx(path: Path, limit: int | None = None, reading: Reading | None = None) -> Manifest:
    """Read an IDX file of images, and its labels from the file of the same name, if there is one.

    The format is LeCun's: two zero bytes, the type, the number of dimensions, the dimensions as
    big-endian 32-bit numbers, then the values.
    """
    values = as_pixels(_idx_array(path), str(path))
    if values.ndim != 3:
        raise SourceError(f"{path} holds {values.ndim}-dimensional values, not images (N, H, W).")
    rows = evenly_spaced(len(values), limit)
    labels = None
    companion = re.sub(r"images([-.])idx3", r"labels\1idx1", path.name)
    for name in (companion, companion.removesuffix(".gz"), companion + ".gz"):
        if name != path.name and (path.parent / name).exists():
            labels = _idx_array(path.parent / name)
            if len(labels) != len(values):
                raise SourceError(
                    f"{path} holds {len(values):,} images but {name} {len(labels):,} labels."
                )
            labels = labels[rows]
            break
    classes, indices = encode_labels(labels, path)
    names = [str(row) for row in rows]
    return Manifest(names, values[rows][..., None], labels=indices, class_names=classes)


def _idx_array(path: Path) -> NDArray[Any]:
    try:
        with _open(path) as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path} is cut short or damaged: {error}.") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in IDX_DTYPES:
        raise SourceError(f"{path} is not an IDX file.")
    start = 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    kind = np.dtype(IDX_DTYPES[content[2]])
    expected = start + kind.itemsize * math.prod(shape)
    if len(content) != expected:
        raise SourceError(
            f"{path} is cut short or damaged: {len(content):,} bytes where {expected:,} "
            "are expected; fetch or copy it again."
        )
    return np.frombuffer(content, kind, offset=start).reshape(shape)


def is_idx(path: Path) -> bool:
    """Return whether a file is of LeCun's IDX format, by its name."""
    name = path.name.lower()
    known = re.search(r"[-.]idx\d-ubyte(\.gz)?$|\.idx\d?(\.gz)?$", name)
    return known is not None and not name.startswith(".")


def _open(path: Path) -> Any:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def read_numpy(path: Path, limit: int | None = None, reading: Reading | None = None) -> Manifest:
    """Read images or signals from .npy or .npz.

    An .npz holds `images` or `signals` (or `x`, `data`, or a single array) and perhaps `labels`
    (or `y`) and `class_names`; or `x_train`, `y_train`, `x_test` and `y_test`, as Keras saves
    data sets.

    Integers and booleans are images (N, H, W) or (N, H, W, C). Fractions are images if called
    `images` or 4-dimensional, and signals if called `signals` or (N, L). Fractions (N, A, B) are
    signals (N, L, C) up to 8 channels and gray images (N, H, W) above.

    Raises
    ------
    SourceError
        If there is no array of samples.
    """
    try:
        arrays = dict(_read_arrays(path))
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise SourceError(
            f"{path} is not a readable NumPy file: {first_sentence(error)}."
        ) from error
    if "x_train" in arrays and "x_test" in arrays:
        return _read_keras(path, arrays, limit)
    keys = [key for key in arrays if key in ("images", "signals", "x", "X", "data")]
    candidates = [key for key, array in arrays.items() if array.ndim > 1]
    if not keys and len(candidates) == 1:
        keys = candidates
    if not keys:
        content = ", ".join(f"{key} {array.shape}" for key, array in arrays.items()) or "nothing"
        raise SourceError(
            f"{path} has no array of images or signals (it holds {content}); "
            "save one as images (N, H, W, C) or signals (N, L, C)."
        )
    values = as_samples(arrays[keys[0]], keys[0], path)
    rows = evenly_spaced(len(values), limit)
    classes, labels = _take_labels(path, arrays, len(values), rows)
    # All rows are taken as they are: by index, a memory-mapped file would be read into memory.
    values = values if len(rows) == len(values) else values[rows]
    return Manifest([str(row) for row in rows], values, labels=labels, class_names=classes)


def _take_labels(
    path: Path, arrays: dict[str, NDArray[Any]], count: int, rows: NDArray[np.int64]
) -> tuple[tuple[str, ...], NDArray[np.int64] | None]:
    """Return the class names of an .npz, and the labels of the chosen ones of `count` samples."""
    labels = next((arrays[key] for key in ("labels", "y", "target") if key in arrays), None)
    if labels is None:
        return (), None
    if labels.shape != (count,):
        raise SourceError(
            f"{path} has {count:,} samples but labels of shape {labels.shape}; "
            "give one label a sample."
        )
    classes, indices = encode_labels(labels[rows], path)
    if "class_names" not in arrays:
        return classes, indices
    classes = tuple(map(str, arrays["class_names"]))
    if not set(labels.tolist()) <= set(range(len(classes))):
        raise SourceError(
            f"{path} has labels that are not indices of its {len(classes):,} class_names; "
            "count them from 0."
        )
    return classes, labels[rows].astype(np.int64)


def _read_arrays(path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    with path.open("rb") as file:
        if file.read(2) != b"PK":  # not a zip file and so not .npz, whatever the name says
            # No pickles, here and below: to load one runs the code in it.
            yield "x", np.load(path, mmap_mode="r", allow_pickle=False)
            return
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            for key in arrays.files:
                yield key, arrays[key]


def _read_keras(path: Path, arrays: dict[str, NDArray[Any]], limit: int | None) -> Manifest:
    images = [as_samples(arrays[f"x_{split}"], f"x_{split}", path) for split in ("train", "test")]
    if images[0].shape[1:] != images[1].shape[1:]:
        raise SourceError(
            f"{path} has x_train of {images[0].shape} but x_test of {images[1].shape}; "
            "give samples of one shape."
        )
    values = np.concatenate(images)
    splits = np.repeat(np.array([0, 2], np.uint8), [len(x) for x in images])
    names = [
        f"{split}/{i}"
        for split, x in zip(("train", "test"), images, strict=True)
        for i in range(len(x))
    ]
    rows = evenly_spaced(len(values), limit)
    labels = None
    if "y_train" in arrays and "y_test" in arrays:
        given = [arrays[f"y_{split}"].ravel() for split in ("train", "test")]
        for split, x, y in zip(("train", "test"), images, given, strict=True):
            if len(x) != len(y):
                raise SourceError(
                    f"{path} has {len(x):,} samples in x_{split} but {len(y):,} labels in "
                    f"y_{split}; give one label a sample."
                )
        labels = np.concatenate(given)[rows]
    classes, indices = encode_labels(labels, path)
    return Manifest(
        [names[i] for i in rows],
        values[rows],
        labels=indices,
        class_names=classes,
        splits=splits[rows],
    )


def as_samples(array: NDArray[Any], key: str, path: Path | str) -> NDArray[Any]:
    """Return an array as images (N, H, W, C) uint8 or as signals (N, L, C) float32.

    Parameters
    ----------
    array : array
    key : str
        Its name, which may say what it holds; see `read_numpy`.
    path : Path or str
        Where it comes from, for messages.

    Raises
    ------
    SourceError
        If its type or shape is that of neither.
    """
    is_fractional = array.dtype.kind == "f"
    is_signal = key == "signals" or (
        is_fractional
        and key != "images"
        and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] <= MAX_SIGNAL_CHANNELS))
    )
    if array.dtype.kind not in "fiub" or array.ndim not in ((2, 3) if is_signal else (3, 4)):
        raise SourceError(
            f"{path}: {key} is {array.dtype} {array.shape}; images are numbers (N, H, W) or "
            "(N, H, W, C), signals (N, L) or (N, L, C)."
        )
    if is_signal:
        return np.asarray(array if array.ndim == 3 else array[..., None], np.float32)
    return as_pixels(array if array.ndim == 4 else array[..., None], f"{path}: {key}")
