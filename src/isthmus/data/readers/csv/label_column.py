"""Whether the first or the last column of a table without a header is the label."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isthmus.data.readers.arrays.axes import image_shape
from isthmus.data.readers.csv.columns import Plan
from isthmus.data.reading import Note
from isthmus.errors import SourceError

MIN_GRADE = 3  # of a column that looks like classes; see `rate_label`


def choose_end(plan: Plan, table: NDArray[np.float32], path: Path) -> Plan:
    """Decide by the numbers whether the first or the last column is the label.

    Raises
    ------
    SourceError
        If it may be either.
    """
    first, last = (rate_label(table[:, plan.pixels.index(end)]) for end in plan.ends)
    height, width, channels = image_shape(len(plan.pixels) - 1) or (0, 0, 0)
    sides = f"{height} × {width}" + (" × 3" if channels == 3 else "")
    both = f"{len(plan.pixels):,} columns are one more than {sides}"
    if first == last or max(first, last)[0] < MIN_GRADE:
        raise SourceError(
            f"{path} has no column called label, {both}, and either the first or the last may be "
            "the label; give --label-column first or --label-column last."
        )
    name = "first" if first > last else "last"
    label = plan.ends[0 if first > last else 1]
    other = "last" if first > last else "first"
    text = f"the {name} column is taken for the label, as {both}"
    note = Note("guess", "label-column", text, f"--label-column {other}, or none")
    pixels = tuple(i for i in plan.pixels if i != label)
    return replace(plan, label=label, pixels=pixels, ends=(), notes=(*plan.notes, note))


def rate_label(values: NDArray[np.float32]) -> tuple[int, float]:
    """Rate how much a column looks like classes: whole numbers of few kinds, without gaps."""
    kinds, counts = np.unique(values, return_counts=True)
    if not np.isfinite(kinds).all() or (kinds != np.floor(kinds)).any():
        return (0, 0)
    if kinds[0] < 0:  # as of classes -1 and 1, and never of pixels
        return (5, 0)
    # At the edge of a picture, pixels often are all the same.
    if len(kinds) == 1 or len(kinds) > len(values) / 2:
        return (1, 0)
    is_mostly_one = counts.max() > 0.9 * len(values)
    has_gaps = kinds[-1] - kinds[0] + 1 != len(kinds) or kinds[0] > 1
    grade = 2 if is_mostly_one else 3 if has_gaps else 4
    # Of two such columns, one of many fewer kinds.
    return grade, -float(round(np.log2(len(kinds)) / 2))
