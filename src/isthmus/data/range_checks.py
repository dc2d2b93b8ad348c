"""Checks of values: do they fill their scale, and that of a stretch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.known import Known
from isthmus.data.pictures.pixels import TOLERANCE, Stretch, format_stretch, suits
from isthmus.data.pictures.scales import bits_of
from isthmus.data.reading import Note, ValueFacts
from isthmus.data.report import format_value
from isthmus.text import count_of

MIN_FILLED = 0.25  # share of a scale that values fill, or pictures are dark or pale


def check_range(known: Known) -> Iterator[Note]:
    """Find values that fill little of their scale, as of a camera with 12 bits."""
    low, high, top = known.low, known.high, _top(known)
    if known.is_signal or low is None or high is None or not low < high:
        return
    if known.origin.preprocessing.stretch is not None:
        if known.kinds or known.values is not None:  # else these are stretched values
            yield from _check_stretch(known, known.origin.preprocessing.stretch, high)
    elif (high - low) / top < MIN_FILLED:
        # A source that is dark as a whole says so by its brightest pixel, a pale one by both ends.
        text = f"the brightest pixel is {format_value(high)} of {format_value(top)}"
        if low > MIN_FILLED * top:
            values = f"{format_value(low)} to {format_value(high)}"
            text = f"pixels are only from {values} of {format_value(top)}"
        yield Note("warning", "low-range", text, "--stretch auto")


def _check_stretch(known: Known, stretch: Stretch, high: float) -> Iterator[Note]:
    """Find values that a stretch was not chosen for."""
    text = format_stretch(stretch)
    count = _count_unsuited(known, stretch)
    if count:
        which = count_of(count, "picture keeps its", "pictures keep their")
        said = f"{which} own scale, as the stretch {text} is for numbers of another one"
        yield Note("warning", "unstretched", said)
    elif high < stretch[0] + MIN_FILLED * (stretch[1] - stretch[0]):
        said = f"the brightest pixel is {format_value(high)}, and the stretch is {text}"
        yield Note("warning", "low-range", said, "--stretch auto")


def _count_unsuited(known: Known, stretch: Stretch) -> int:
    """Count the samples that are not stretched; see `isthmus.data.pictures.pixels.suits`."""
    if known.values is not None:
        ends = np.array([known.values.low, known.values.high])
        return 0 if suits(stretch, ends.astype(known.values.dtype)) else len(known.items)
    if any("float" in kind for kind in known.kinds):
        return 0
    if stretch[0] >= 0 and stretch[1] <= 1:
        return int((known.highs > 1).sum())
    # Other integers of a wide type are of many scales.
    return sum(n for kind, n in known.kinds.items() if not suits(stretch, _ends_of_kind(kind)))


def _top(known: Known) -> float:
    """Return the largest value of the scale that the files have."""
    if known.values is not None:
        dtype = np.dtype(known.values.dtype)
        is_unit = dtype.kind == "f" and known.values.high <= 1 + TOLERANCE
        return 1.0 if is_unit or dtype.kind == "b" else _top_of_integers(known.values, dtype)
    return max((_top_of_kind(kind, known.highs) for kind in known.kinds), default=255.0)


def _top_of_kind(kind: str, highs: NDArray[np.float64]) -> float:
    """Return the white of files of a kind, such as "16-bit gray" or "32-bit float gray"."""
    bits = bits_of(kind)
    if "float" in kind:
        return 1.0 if highs.max() <= 1 + TOLERANCE else 255.0
    if bits > 16:  # no camera has so many; see `_top_of_integers`
        return 255.0 if highs.max() <= 255 else 65535.0
    return float(2 ** max(bits, 8) - 1)


def _ends_of_kind(kind: str) -> NDArray[Any]:
    """Return numbers of the type that files of a kind have."""
    if "integer" in kind:
        return np.zeros(1, np.int64)
    return np.zeros(1, np.uint8 if bits_of(kind) <= 8 else np.uint16)


def _top_of_integers(values: ValueFacts, dtype: np.dtype[np.generic]) -> float:
    # Integers of more than 16 bits are read as pixels of 8 bits, if they fit.
    return 65535.0 if dtype.itemsize == 2 and values.high > 255 else 255.0
