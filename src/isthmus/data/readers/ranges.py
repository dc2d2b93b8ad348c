"""From numbers of any range to pixels: what is kept, clipped, rounded, stretched or refused."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.preprocess import as_pixels
from isthmus.data.reading import Note, ValueFacts
from isthmus.errors import SourceError

HAIR = 1e-3  # how far, in parts of the scale, a number may lie outside it and be clipped
MIN_ROUNDED = 128  # largest fraction from which on numbers are taken for pixels from 0 to 255
LEVELS = (255, 1023, 4095, 16383, 65535)  # white of 8 to 16 bits, to suggest one


def measure(array: NDArray[Any]) -> ValueFacts:
    """Return type, shape and range of an array of numbers."""
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    return ValueFacts(str(array.dtype), array.shape, low, high)


def to_pixels(
    values: NDArray[Any], name: str, stretch: str | None = None, facts: ValueFacts | None = None
) -> tuple[NDArray[np.uint8], list[Note]]:
    """Convert numbers of any type to eight bits, and say what that took.

    Parameters
    ----------
    values : array
    name : str
        What holds the numbers, for messages.
    stretch : str, optional
        Values that become black and white; see `Reading`.
    facts : ValueFacts, optional
        Their range, where it is known already.

    Raises
    ------
    SourceError
        If the numbers are not pixels and no stretch is given.
    """
    low, high = (facts or measure(values))[2:]
    if not (math.isfinite(low) and math.isfinite(high)):
        raise SourceError(f"{name} holds NaN or infinity, which are not pixels; repair it.")
    if stretch is not None:
        return _stretch(values, _parse_stretch(stretch, low, high)), []
    if values.dtype.kind == "f":
        return _fractions_to_pixels(values, name, low, high)
    if values.dtype.itemsize > 1 and values.dtype != np.uint16 and not 0 <= low <= high <= 255:
        raise _wrong_range(values, name, low, high)
    return as_pixels(values, name), []


def _fractions_to_pixels(
    values: NDArray[Any], name: str, low: float, high: float
) -> tuple[NDArray[np.uint8], list[Note]]:
    for white in (1.0, 255.0):
        if -HAIR * white <= low and high <= white * (1 + HAIR):
            break
    else:
        raise _wrong_range(values, name, low, high)
    notes = []
    if low < 0 or high > white:
        values = np.clip(values, 0, white)
        notes = [_clipped(low, high, white)]
    if white == 1:
        return as_pixels(values, name), notes
    rounded = np.rint(values)
    if high < MIN_ROUNDED and not np.array_equal(rounded, values):
        raise _wrong_range(values, name, low, high)
    if notes and np.array_equal(rounded, values):
        return rounded.astype(np.uint8), notes
    text = f"floats from {low:g} to {high:g} are taken for pixels of which 255 is white"
    note = Note("guess", "float-pixels", text, f"--stretch {low:g}:{high:g}")
    return rounded.astype(np.uint8), [note, *notes]


def _clipped(low: float, high: float, white: float) -> Note:
    text = f"values from {low:.9g} to {high:.9g} are clipped to 0 and {white:g}"
    return Note("guess", "clipped", text, f"--stretch {low:.9g}:{high:.9g}")


def _wrong_range(values: NDArray[Any], name: str, low: float, high: float) -> SourceError:
    return SourceError(
        f"{name} holds {values.dtype} values from {low:g} to {high:g}, which are not pixels from 0 "
        f"to 255 or fractions from 0 to 1; say which values are black and white, such as "
        f"--stretch {suggest_stretch(low, high)}."
    )


def suggest_stretch(low: float, high: float) -> str:
    """Return the range that numbers were probably written for.

    Examples
    --------
    >>> suggest_stretch(0, 3970), suggest_stretch(-0.98, 1), suggest_stretch(-1024, 3071)
    ('0:4095', '-1:1', '-1024:3071')
    """
    if -1 <= low < 0 and high <= 1:
        return "-1:1"
    white = next((level for level in LEVELS if high <= level), None)
    return f"0:{white}" if low >= 0 and high > 1 and white else f"{low:g}:{high:g}"


def _parse_stretch(text: str, low: float, high: float) -> tuple[float, float]:
    if text == "auto":
        return low, high
    black, _, white = text.partition(":")
    return float(black), float(white)


def _stretch(values: NDArray[Any], ends: tuple[float, float]) -> NDArray[np.uint8]:
    black, white = ends
    scaled: NDArray[np.float32] = (np.asarray(values, np.float32) - black) * (
        255 / ((white - black) or 1)
    )
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
