"""Arrays as samples: which axes are which, by the name, the type and the shape of an array."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.bands import parse_bands
from isthmus.data.pictures.pixels import TOLERANCE
from isthmus.data.pictures.scales import choose_bands
from isthmus.data.readers.arrays.ranges import measure, to_pixels
from isthmus.data.reading import Findings, Note, Reading, ValueFacts
from isthmus.errors import SourceError
from isthmus.runtime import reject_beyond_memory

MAX_SIGNAL_CHANNELS = 8  # of a float array (N, L, C); with more it is taken as (N, H, W)
MIN_SIGNAL_STEPS = 32  # of a float array (N, C, L), which with fewer is taken as (N, H, W)
LONG = 4  # how many times as long as wide signals are, whose numbers are no pixels
MAX_BANDS_FIRST = 16  # of an array (N, C, H, H) of any number of bands
LARGEST = float(np.finfo(np.float32).max)
COLORS = (1, 3, 4)  # numbers of channels that say by themselves that an axis is one of channels
IMAGE_KEYS = ("images", "image", "imgs", "img", "pictures", "pixels")
SIGNAL_KEYS = ("signals", "signal", "waves", "waveforms", "ecg", "eeg")
SAVE = "images are numbers (N, H, W) or (N, H, W, C), signals (N, L) or (N, L, C)"
OTHER_TYPES = {  # by the letter of NumPy's kind
    "O": "holds Python objects, such as arrays of different lengths; give one array of numbers",
    "V": "has named fields; give one array of numbers",
    "c": "holds complex numbers; give their magnitudes, or parts as channels",
    "U": "holds text; give numbers",
    "S": "holds text; give numbers",
    "M": "holds dates; give numbers",
    "m": "holds times; give numbers",
}


def as_samples(
    array: NDArray[Any],
    key: str,
    path: Path | str,
    reading: Reading | None = None,
    limit: int | None = None,
) -> tuple[NDArray[Any], Findings]:
    """Return an array as images (N, H, W, C) uint8 or as signals (N, L, C) float32.

    Parameters
    ----------
    array : array
    key : str
        Its name, which may say what it holds; see `read_numpy`.
    path : Path or str
        Where it comes from, for messages.
    reading : Reading, optional
        Where the channels are, and which values are black and white.
    limit : int, optional
        How many samples will be used, so that no more of a large file are looked at.

    Returns
    -------
    values : array
        All samples.
    findings : Findings
        What was guessed, and the range of the numbers.

    Raises
    ------
    SourceError
        If its type or shape is that of neither.
    """
    reading = reading or Reading()
    name = f"{path}: {key}"
    if array.dtype.kind not in "fiub":
        said = OTHER_TYPES.get(array.dtype.kind, "holds no numbers")
        raise SourceError(f"{name} is {array.dtype} {array.shape} and {said}.")
    if array.ndim not in ARRANGE:
        raise wrong_shape(array, name)
    if not array.size:
        raise SourceError(
            f"{name} is {array.shape}, so that it holds no samples; give at least one."
        )
    if array.dtype not in (np.uint8, np.float32):  # which become others, that are not mapped
        reject_beyond_memory(array.size, name)
    # Of bytes, the range decides nothing; of all others, it must not depend on the limit.
    facts = measure(array, limit if array.dtype == np.uint8 else None)
    arranged, notes = ARRANGE[array.ndim](array, key, name, reading, facts)
    arranged = _take_bands(arranged, name, reading)
    if arranged.ndim == 3:
        return _to_signals(arranged, path, facts), Findings(notes=tuple(notes), values=facts)
    pixels, more = to_pixels(arranged, name, reading.stretch, facts)
    return pixels, Findings(notes=(*notes, *more), values=facts)


def _to_signals(array: NDArray[Any], path: Path | str, facts: ValueFacts) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.asarray(array, np.float32)
    # Without a copy of all: NaN is in none of these relations.
    if not -LARGEST <= facts.low <= facts.high <= LARGEST:
        row = int(np.argmin(np.isfinite(values).all(axis=(1, 2))))
        raise SourceError(f"signal {row} of {path} holds NaN or infinity; repair it.")
    return values


def _take_bands(array: NDArray[Any], name: str, reading: Reading) -> NDArray[Any]:
    """Return the bands of images (N, H, W, C) that a reading asks for, by default all."""
    bands = parse_bands(reading.channels) if reading.channels else None
    if bands is None or array.ndim == 3:
        return array
    try:
        return choose_bands(array, bands)
    except SourceError as error:
        raise SourceError(f"{name}: {error}.") from error


def wrong_shape(array: NDArray[Any], name: str) -> SourceError:
    """Return the error that an array is of a shape that no samples have."""
    return SourceError(f"{name} is {array.dtype} {array.shape}; {SAVE}.")


def image_shape(count: int) -> tuple[int, int, int] | None:
    """Return the height, width and channels of a square image of so many numbers, gray or RGB.

    Examples
    --------
    >>> image_shape(784), image_shape(3072), image_shape(785)
    ((28, 28, 1), (32, 32, 3), None)
    """
    for channels in (1, 3):
        side = math.isqrt(count // channels)
        # A single pixel of a color is no picture.
        if side >= channels and side * side * channels == count:
            return side, side, channels
    return None


def turn_channels(array: NDArray[Any]) -> NDArray[Any]:
    """Move the channels from the second axis to the last; a file that is mapped stays so."""
    turned = np.moveaxis(array, 1, -1)
    return turned if isinstance(array, np.memmap) else np.ascontiguousarray(turned)


def _arrange_rows(
    array: NDArray[Any], key: str, name: str, reading: Reading, facts: ValueFacts
) -> tuple[NDArray[Any], list[Note]]:
    """Take (N, L) for signals, or for images whose rows are written one after the other."""
    length = array.shape[1]
    sides = image_shape(length)
    is_named_images = _is_called(key, IMAGE_KEYS)
    if is_named_images and sides is None:
        raise SourceError(
            f"{name} is {array.dtype} {array.shape}, and {length:,} pixels make no square; {SAVE}."
        )
    if sides and (is_named_images or array.dtype in (np.uint8, np.bool_)) and not _is_signal(key):
        return _fold_rows(array, sides, key, is_named_images, reading)
    notes = []
    if not _is_signal(key) and (array.dtype.kind != "f" or (sides and length >= 64)):
        notes.append(_signals_note(array, key, sides))
    return array[..., None], notes


def _fold_rows(
    array: NDArray[Any],
    sides: tuple[int, int, int],
    key: str,
    is_named: bool,
    reading: Reading,
) -> tuple[NDArray[Any], list[Note]]:
    height, width, channels = sides
    note = Note(
        "guess",
        "rows-as-images",
        f"{key} {array.shape} is taken for images of {height} × {width}"
        + (" × 3" if channels == 3 else "")
        + ", row by row",
        "for signals, save it under the key signals in an .npz",
    )
    folded = fold_images(array, sides, reading)
    return folded, [] if is_named else [note]


def fold_images(rows: NDArray[Any], sides: tuple[int, int, int], reading: Reading) -> NDArray[Any]:
    """Fold rows of pixels (N, F) into images (N, H, W, C)."""
    height, width, channels = sides
    if channels == 3 and is_planar(rows, sides, reading):
        return turn_channels(rows.reshape(-1, channels, height, width))
    return rows.reshape(-1, height, width, channels)


def is_planar(rows: NDArray[Any], sides: tuple[int, int, int], reading: Reading) -> bool:
    """Return whether rows of RGB hold all of red first, as in CIFAR; else each pixel's three.

    Neighbors in an image are more alike than pixels that only lie next to each other in a row.
    """
    if reading.channels in ("first", "last") or not len(rows):
        return reading.channels == "first"
    height, width, channels = sides
    some = rows[:: max(1, len(rows) // 100)].astype(np.float32)
    planes = some.reshape(-1, channels, height, width)
    pixels = some.reshape(-1, height, width, channels)
    steps = [np.abs(np.diff(planes, axis=axis)).mean() for axis in (2, 3)]
    others = [np.abs(np.diff(pixels, axis=axis)).mean() for axis in (1, 2)]
    return float(sum(steps)) <= float(sum(others))


def _signals_note(array: NDArray[Any], key: str, sides: tuple[int, int, int] | None) -> Note:
    length = array.shape[1]
    other = f"({len(array)}, {sides[0]}, {sides[1]})" if sides else "(N, H, W)"
    return Note(
        "guess",
        "rows-as-signals",
        f"{key} {array.shape} of {array.dtype} is taken for signals of {length:,} steps",
        f"for images, save it as {other}",
    )


def _arrange_planes(
    array: NDArray[Any], key: str, name: str, reading: Reading, facts: ValueFacts
) -> tuple[NDArray[Any], list[Note]]:
    """Take (N, A, B) for gray images (N, H, W), or signals (N, L, C) or (N, C, L)."""
    _, rows, columns = array.shape
    if _is_signal(key) or (not _is_called(key, IMAGE_KEYS) and _looks_like_signals(array, facts)):
        return _arrange_signals(array, key, reading)
    if columns in (3, 4) and rows > 2 * columns and array.dtype.kind != "f":
        raise SourceError(
            f"{name} is {array.dtype} {array.shape}, which is one picture (H, W, C) or "
            f"{len(array):,} gray images of {rows:,} × {columns}; give (1, H, W, C) or "
            "(N, H, W, 1)."
        )
    return array[..., None], []


def _looks_like_signals(array: NDArray[Any], facts: ValueFacts) -> bool:
    _, rows, columns = array.shape
    has_few = columns <= MAX_SIGNAL_CHANNELS
    has_few = has_few or (rows <= MAX_SIGNAL_CHANNELS and columns >= MIN_SIGNAL_STEPS)
    is_float = array.dtype.kind == "f"
    # Numbers below zero are no pixels, but what converters and recorders write; with 12 channels,
    # those of an electrocardiogram.
    is_no_image = facts.low < -TOLERANCE or (is_float and facts.high > 255)
    is_long = max(rows, columns) >= LONG * min(rows, columns)
    return (has_few and is_float) or (is_no_image and (has_few or is_long))


def _arrange_signals(
    array: NDArray[Any], key: str, reading: Reading
) -> tuple[NDArray[Any], list[Note]]:
    _, rows, columns = array.shape
    is_first = columns >= max(MIN_SIGNAL_STEPS, LONG * rows)
    if reading.channels in ("first", "last"):
        return (turn_channels(array) if reading.channels == "first" else array), []
    if is_first:
        text = (
            f"{key} {array.shape} is taken for signals (N, C, L) of {columns:,} steps and "
            f"{rows} channel{'s' * (rows > 1)}"
        )
        return turn_channels(array), [Note("guess", "channels-first", text, "--channels last")]
    is_usual = array.dtype.kind == "f" and columns <= MAX_SIGNAL_CHANNELS
    if _is_signal(key) or (is_usual and rows >= LONG * columns):
        return array, []
    text = f"{key} {array.shape} is taken for signals (N, L, C) of {rows:,} steps"
    way_out = "for gray images, save it as (N, H, W, 1) or under the key images in an .npz"
    return array, [Note("guess", "signals", text, way_out)]


def _arrange_pictures(
    array: NDArray[Any], key: str, name: str, reading: Reading, facts: ValueFacts
) -> tuple[NDArray[Any], list[Note]]:
    """Take (N, A, B, C) for images with the channels last, or first as PyTorch keeps them."""
    if reading.channels in ("first", "last"):
        return (turn_channels(array) if reading.channels == "first" else array), []
    first, last = array.shape[1], array.shape[3]
    if first in COLORS and last in COLORS and array.size:
        text = (
            f"{key} {array.shape} is taken for images (N, H, W, C) of {last} "
            f"channel{'s' * (last > 1)}, though it may be (N, C, H, W)"
        )
        return array, [Note("guess", "channels-last", text, "--channels first")]
    if not _is_channels_first(array.shape):
        return array, _bands_notes(array, key, reading)
    text = (
        f"{key} {array.shape} is taken for images (N, C, H, W) of {first} "
        f"channel{'s' * (first > 1)}, and its channels are moved to the end"
    )
    note = Note("guess", "channels-first", text, "--channels last")
    turned = turn_channels(array)
    return turned, [note, *_bands_notes(turned, key, reading)]


def _is_channels_first(shape: tuple[int, ...]) -> bool:
    _, first, height, width = shape
    if width <= max(COLORS):
        return False
    return first in COLORS or (first <= MAX_BANDS_FIRST < width and height == width)


def _bands_notes(array: NDArray[Any], key: str, reading: Reading) -> list[Note]:
    bands = array.shape[3]
    if bands <= max(COLORS) or reading.channels is not None:
        return []
    text = f"{key} {array.shape} has {bands} channels, and all of them are used"
    return [Note("guess", "bands", text, "--channels 3,2,1 for three of them")]


def _is_signal(key: str) -> bool:
    return _is_called(key, SIGNAL_KEYS)


def _is_called(key: str, names: Sequence[str]) -> bool:
    """Return whether one of the names is a word of a key, such as train_images."""
    words = re.split(r"[\W_]+|(?<=[a-z])(?=[A-Z])", key)
    return any(word.lower() in names for word in words)


ARRANGE = {2: _arrange_rows, 3: _arrange_planes, 4: _arrange_pictures}  # by dimensions
