"""What the values of masks cannot be: those of classes, if they come from smoothing or differ."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isthmus.data.masks.mask import MAX_VALUES, PALETTE, MaskValue
from isthmus.errors import SourceError

MAX_COLORS = 64  # without a list; more come from smoothing
MIN_GAP = 25  # class numbers lie closer: VOC's objects end at 20
MAX_GRAY_VALUES = 200  # without names; data sets of numbered classes have fewer
# Smoothing leaves two values in most pixels and many rare ones between them, of which the upper
# half is far from any class number.
SMOOTH_SHARE, SMOOTH_VALUES, SMOOTH_UPPER = 0.60, 8, 0.25
LIST_OUT = "list the names and colors of the classes in label_colors.txt next to the masks"


@dataclass
class Seen:
    """How many pixels have a value, and the first mask that holds it."""

    count: int
    mask: str


Found = Mapping[MaskValue, Seen]


def reject_palettes(found: Found, source: str) -> None:
    """Reject indices that have one color here and another there."""
    shown: dict[int, MaskValue] = {}
    for value in found:
        if value.kind != PALETTE:
            continue
        other = shown.setdefault(value.number, value)
        if other.color != value.color:
            raise SourceError(
                f"the palettes of the masks of {source} differ: {value.number} is "
                f"#{other.color:06x} in {found[other].mask} and #{value.color:06x} in "
                f"{found[value].mask}; save RGB if the color is the class, or name the classes in "
                "classes.txt if the number is."
            )


def reject_smooth(found: Found, source: str) -> None:
    """Reject the many values that smoothing makes between two others."""
    counts = np.zeros(MAX_VALUES, np.int64)
    for value, seen in found.items():
        counts[value.number] += seen.count
    low, high = sorted(np.argsort(-counts, kind="stable")[:2].tolist())
    between = np.flatnonzero(counts[low + 1 : high]) + low + 1
    is_smooth = (
        len(between) >= SMOOTH_VALUES
        and high - low >= MIN_GAP
        and counts[[low, high]].sum() >= SMOOTH_SHARE * counts.sum()
        and (between > (low + high) / 2).mean() >= SMOOTH_UPPER
    )
    total = np.count_nonzero(counts)
    if is_smooth or total > MAX_GRAY_VALUES:
        example = next(seen.mask for v, seen in found.items() if v.number not in (low, high))
        raise SourceError(
            f"the masks of {source} hold {total} gray values, such as {example}, as smoothing or "
            "lossy compression makes them; save them without, one value for each class."
        )


def explain_colors(found: Found, source: str, mask: str) -> SourceError:
    """Return the error about masks of too many colors, such as a mask that is named."""
    return SourceError(
        f"the masks of {source} hold more than {min(len(found), MAX_COLORS)} colors, such as "
        f"{mask}, and a mask has one for each class; save them without antialiasing and without "
        f"loss, or {LIST_OUT}."
    )
