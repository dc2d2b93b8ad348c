"""From numbers of any range to pixels: what is kept, clipped, rounded, stretched or refused."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import evenly_spaced
from isthmus.data.pictures.pixels import TOLERANCE, as_pixels
from isthmus.data.reading import Findings, Note, ValueFacts
from isthmus.data.stretch import parse_stretch
from isthmus.errors import SourceError

MIN_ROUNDED = 128  # largest fraction from which on numbers are taken for pixels from 0 to 255


def measure(array: NDArray[Any], limit: int | None = None) -> ValueFacts:
    """Return type and shape of an array of numbers, and the range of all or of some samples."""
    some = array if limit is None else array[evenly_spaced(len(array), limit)]
    low, high = (float(some.min()), float(some.max())) if some.size else (0.0, 0.0)
    return ValueFacts(str(array.dtype), array.shape, low, high)


def join_findings(parts: Sequence[Findings]) -> Findings:
    """Return what is found in several arrays that are the parts of one; repeated notes once."""
    notes = {note.code: note for part in reversed(parts) for note in part.notes}
    facts = [part.values for part in parts if part.values is not None]
    return Findings(notes=tuple(notes.values()), values=_join_facts(facts))


def _join_facts(facts: Sequence[ValueFacts]) -> ValueFacts:
    shape = (sum(one.shape[0] for one in facts), *facts[0].shape[1:])
    low, high = min(one.low for one in facts), max(one.high for one in facts)
    return ValueFacts(facts[0].dtype, shape, low, high)


def to_pixels(
    values: NDArray[Any], name: str, stretch: str | None, facts: ValueFacts
) -> tuple[NDArray[np.uint8], list[Note]]:
    """Convert numbers of any type to eight bits, and say what that took.

    Parameters
    ----------
    values : array
    name : str
        What holds the numbers, for messages.
    stretch : str, optional
        Values that become black and white; see `Reading`.
    facts : ValueFacts
        Their range.

    Raises
    ------
    SourceError
        If the numbers are not pixels and no stretch is given.
    """
    low, high = facts.low, facts.high
    if not (math.isfinite(low) and math.isfinite(high)):
        raise SourceError(f"{name} holds NaN or infinity, which are not pixels; repair it.")
    if stretch is not None:
        ends = parse_stretch(stretch) or (low, high if low < high else low + 1)
        return as_pixels(values, name, ends), []
    if values.dtype.kind != "f":
        return as_pixels(values, name), []
    white = 1 if high <= 1 + TOLERANCE else 255
    if low < -TOLERANCE * white or high > white * (1 + TOLERANCE):
        return as_pixels(values, name), []  # says what is wrong
    return _floats_to_pixels(values, name, facts, white)


def _floats_to_pixels(
    values: NDArray[Any], name: str, facts: ValueFacts, white: int
) -> tuple[NDArray[np.uint8], list[Note]]:
    """Convert floats from black 0 to a white of 1 or 255, or slightly beyond."""
    low, high = facts.low, facts.high
    notes = []
    if low < 0 or high > white:
        values = np.clip(values, 0, white)
        text = f"values from {low:.9g} to {high:.9g} are clipped to 0 and {white}"
        notes.append(Note("guess", "clipped", text, f"--stretch {low:.9g}:{high:.9g}"))
    if white == 1:
        return as_pixels(values, name), notes
    rounded = np.rint(values)
    is_whole = bool(np.array_equal(rounded, values))
    if not is_whole and high < MIN_ROUNDED:
        return as_pixels(values, name), []  # says what is wrong
    if not (is_whole and notes):
        text = f"floats from {low:g} to {high:g} are taken for pixels of which 255 is white"
        notes.append(Note("guess", "float-pixels", text, f"--stretch {low:g}:{high:g}"))
    return rounded.astype(np.uint8), notes
