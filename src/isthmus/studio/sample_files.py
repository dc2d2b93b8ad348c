"""The files of a page that depend on the samples alone: names, labels, thumbnails, masks."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.items import NO_CLASS, Items
from isthmus.data.preprocess import Preprocessing
from isthmus.data.samples import Samples
from isthmus.errors import SourceError
from isthmus.studio import columns
from isthmus.studio.choice import SPLIT_TITLES, Shown, safe_names
from isthmus.studio.storage import Storage
from isthmus.studio.thumbnails import MASK_SUFFIX, PER_SHEET, Layout, sheet_count
from isthmus.viz.masks import colors

NAMES_PER_FILE = 4096
MASKS, PREDICTED = f"masks/{{n}}.{MASK_SUFFIX}", f"predicted/{{n}}.{MASK_SUFFIX}"
MAX_SIGNAL_BYTES = 2**26  # of all signals in one file, which a page holds in memory
MAX_BYTE, MAX_SHORT = 255, 65535  # "no class" in a column of one or two bytes

Column = dict[str, Any]


def category(values: NDArray[Any], classes: int) -> NDArray[Any]:
    """Return classes (N,) as the smallest kind that holds them; -1 becomes its largest value."""
    kind, missing = (np.uint8, MAX_BYTE) if classes < MAX_BYTE else (np.uint16, MAX_SHORT)
    return np.where(values == NO_CLASS, missing, values).astype(kind)


def write_category(
    storage: Storage, name: str, title: str, values: NDArray[Any], names: Sequence[str]
) -> Column:
    """Write a column of classes (N,) as `category` gives them, and describe it."""
    file = f"{name}.bin"
    storage.write(file, columns.pack(values))
    return {"name": name, "title": title, "kind": "category", "file": file, "names": list(names)}


def write_number(storage: Storage, name: str, title: str, values: NDArray[Any]) -> Column:
    """Write a column of numbers (N,), of which some may be NaN, and describe it."""
    file, values = f"{name}.bin", values.astype(np.float32)
    storage.write(file, columns.pack(values))
    low, high = np.nanquantile(values, [0.01, 0.99]).tolist()
    range_ = {"low": low, "high": high}
    return {"name": name, "title": title, "kind": "number", "file": file, **range_}


def write_sample_files(storage: Storage, shown: Shown, preprocessing: Preprocessing) -> Column:
    """Write names, labels and splits, and describe them; sheets are drawn when they are needed.

    Returns
    -------
    dict
        The parts of a manifest that depend on the samples alone.
    """
    samples = shown.samples
    for number in range(names_count(len(samples))):
        start = number * NAMES_PER_FILE
        names = safe_names(samples.names[start : start + NAMES_PER_FILE])
        storage.write(f"names/{number}.json", json.dumps(names).encode())
    layout = Layout.of(samples.shape)
    return {
        "sample": _describe_sample(samples, preprocessing),
        "count": len(samples),
        "note": shown.note,
        "columns": [*_write_labels(storage, samples), *_write_splits(storage, shown)],
        "names": {"pattern": "names/{n}.json", "per_file": NAMES_PER_FILE},
        "thumbs": layout.to_json("thumbs"),
        "signals": _write_signals(storage, samples),
        "masks": None if samples.masks is None else describe_masks(samples.class_names, MASKS),
        "fingerprint": samples.fingerprint,
        "has_labels": samples.labels is not None,
    }


def draw_sheet(name: str, samples: Samples, preprocessing: Preprocessing) -> bytes:
    """Return the content of "thumbs/3.webp" or "masks/3.png"."""
    folder, file = name.split("/")
    layout, rows = Layout.of(samples.shape), rows_of_sheet(int(file.split(".")[0]))
    if folder == "masks":
        assert samples.masks is not None
        return layout.mask_sheet(np.asarray(samples.masks[rows]), len(samples.class_names))
    values = np.asarray(samples.values[rows])
    if samples.is_signal:
        return layout.signal_sheet(values, *signal_range(preprocessing, samples))
    return layout.sheet(values)


def rows_of_sheet(number: int) -> slice:
    """Return the rows of the samples in a sheet."""
    return slice(number * PER_SHEET, (number + 1) * PER_SHEET)


def sheet_names(pattern: str, count: int) -> list[str]:
    """Return the names of all sheets of so many samples."""
    return [pattern.format(n=number) for number in range(sheet_count(count))]


def names_count(count: int) -> int:
    """Return how many files hold the names of so many samples."""
    return math.ceil(count / NAMES_PER_FILE)


def describe_masks(
    class_names: Sequence[str], pattern: str | None = None, predicted: str | None = None
) -> Column:
    """Return what a manifest says of sheets of masks: the samples' own, and those predicted."""
    return {
        "pattern": pattern,
        "predicted": predicted,
        "names": safe_names(class_names),
        "colors": ["#{:02x}{:02x}{:02x}".format(*color) for color in colors(len(class_names))],
    }


def items_of(samples: Samples) -> Items:
    """Return the items of samples as those of their codes; class names of masks are left out."""
    classes = samples.class_names if samples.labels is not None else ()
    return replace(samples.items, class_names=classes, fingerprint=samples.fingerprint)


def signal_range(preprocessing: Preprocessing, samples: Samples) -> tuple[float, float]:
    """Return the values of signals at the bottom and the top of a picture."""
    if (preprocessing.low, preprocessing.high) != (Preprocessing.low, Preprocessing.high):
        return preprocessing.low, preprocessing.high
    low, high = float(samples.values.min()), float(samples.values.max())
    return (low, high) if low < high else (low - 1, high + 1)


def _describe_sample(samples: Samples, preprocessing: Preprocessing) -> Column:
    shape = list(samples.shape)
    if not samples.is_signal:
        return {"kind": "image", "shape": shape}
    low, high = signal_range(preprocessing, samples)
    return {"kind": "signal", "shape": shape, "low": low, "high": high}


def _write_labels(storage: Storage, samples: Samples) -> Iterable[Column]:
    if samples.labels is None:
        return
    names = safe_names(samples.class_names)
    yield write_category(storage, "class", "Class", category(samples.labels, len(names)), names)


def _write_splits(storage: Storage, shown: Shown) -> Iterable[Column]:
    if shown.splits is None:
        return
    yield write_category(storage, "split", "Split", shown.splits, SPLIT_TITLES)


def _write_signals(storage: Storage, samples: Samples) -> Column | None:
    numbers = math.prod(samples.shape)
    too_many = samples.values.nbytes > MAX_SIGNAL_BYTES or numbers > columns.MAX_COLUMNS
    if not samples.is_signal or too_many:
        return None
    storage.write("signals.bin", columns.pack(np.asarray(samples.values)))
    return {"file": "signals.bin"}


def require_fitting(shown: Shown, shape: tuple[int, ...]) -> Shown:
    """Return samples of the shape that a model takes (C, *sides).

    Raises
    ------
    SourceError
        If they are of another.
    """
    samples = shown.samples
    if samples.input_shape == shape:
        return shown
    if samples.is_signal or len(shape) != 3:
        raise SourceError(f"the model takes samples of {shape}, not {samples.describe()}.")
    fitting = Preprocessing().resolve((*shape[1:], shape[0]))
    values = np.stack([fitting.fit(image) for image in samples.values])
    return replace(shown, samples=replace(samples, values=values, masks=None))
