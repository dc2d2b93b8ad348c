"""Which class each value of a source's masks stands for.

All masks decide together: 255 is void among class numbers, and white where there is only black
besides. The rules, the first that fits:

1. Colors with names (see `isthmus.data.readers.pairs`) are classes in the order of their list;
   those that are called void, unlabeled or ignore are void.
2. Any color in any mask: the colors of Pascal VOC with its void have VOC's numbers; others become
   classes in the order of their #rrggbb, so black is the first. White is a class.
3. Names without colors: values below the number of names are class numbers and 255 is void;
   otherwise, as many values as names are taken in their order.
4. Only 0 and 255: two classes.
5. Gray values that are at least `MIN_GAP` apart, such as 0, 127, 255: classes in their order.
6. Everything else is a class number, and 255 is void.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from isthmus.data.masks import (
    BIT,
    EQUAL,
    MAX_VALUES,
    PALETTE,
    MaskValue,
    pack_color,
)
from isthmus.data.reading import Note
from isthmus.data.samples import VOID
from isthmus.errors import SourceError

MAX_COLORS = 64  # without a list; more come from smoothing
VOID_NAMES = ("void", "unlabeled", "unlabelled", "ignore", "ignored")
VOC_CLASSES = 21  # with the background
MIN_GAP = 25  # class numbers lie closer: VOC's objects end at 20
MAX_GRAY_VALUES = 200  # without names; data sets of numbered classes have fewer
# Smoothing leaves two values in most pixels and many rare ones between them, of which the upper
# half is far from any class number.
SMOOTH_SHARE, SMOOTH_VALUES, SMOOTH_UPPER = 0.60, 8, 0.25
WHITE = 0xFFFFFF
MAX_SHOWN = 6  # classes in a note
LIST_OUT = "list the names and colors of the classes in label_colors.txt next to the masks"


@dataclass
class Seen:
    """How many pixels have a value, and the first mask that holds it."""

    count: int
    mask: str


Found = Mapping[MaskValue, Seen]


class Legend(NamedTuple):
    """The classes of values: their indices, or `VOID`; their names; what people should know."""

    classes: dict[MaskValue, int]
    names: tuple[str, ...]
    notes: tuple[Note, ...] = ()


def find_legend(
    found: Found, source: str, names: Sequence[str] = (), colors: Sequence[int] = ()
) -> Legend:
    """Return the legend of all values of a source by the rules above.

    Raises
    ------
    SourceError
        If the values cannot be those of classes.
    """
    if colors and all(value.color in colors for value in found):
        return _by_list(found, names, colors)
    if any(value.number < 0 for value in found):
        return _by_color(found, source, names, colors)
    equal = [seen.mask for value, seen in found.items() if value.kind == EQUAL]
    notes = (_note_equal(equal[0]),) if equal else ()
    legend = _by_name(found, source, names) if names else _by_number(found, source)
    return legend._replace(notes=notes + legend.notes)


def _by_list(found: Found, names: Sequence[str], colors: Sequence[int]) -> Legend:
    """Take the classes of a list, without those that are void."""
    counted = [i for i, name in enumerate(names) if name.lower() not in VOID_NAMES]
    index = {colors[i]: number for number, i in enumerate(counted)}
    classes = {value: index.get(value.color, VOID) for value in found}
    void = [name for name in names if name.lower() in VOID_NAMES]
    text = f"the colors of the masks are those of the {len(names)} classes in their list"
    text += f"; {' and '.join(void)} counts nowhere" if void else ""
    note = Note("guess", "mask-colors-listed", text)
    return Legend(classes, tuple(names[i] for i in counted), (note,))


def _by_color(found: Found, source: str, names: Sequence[str], colors: Sequence[int]) -> Legend:
    """Take colors as classes: those of Pascal VOC by their numbers, others in their order."""
    present = sorted({value.color for value in found})
    if len(present) > MAX_COLORS:
        raise explain_colors(found, source, _first_mask(found, present[-1]))
    voc = {pack_voc_color(i): i for i in (*range(VOC_CLASSES), VOID)}
    if pack_voc_color(VOID) in present and voc.keys() >= {*present}:
        return _by_voc_color(found, voc, names)
    if names:
        unknown = next(color for color in present if color not in colors)
        raise SourceError(
            f"{_first_mask(found, unknown)} of {source} holds the color #{unknown:06x}, which "
            f"belongs to none of the {len(names)} classes; add it to their list, as a name and "
            "its red, green and blue in a line."
        )
    order = {color: i for i, color in enumerate(present)}
    legend = tuple(f"#{color:06x}" for color in present)
    text = f"the {len(present)} colors of the masks become classes: {_list(legend)}"
    note = Note("guess", "mask-colors", text, LIST_OUT)
    return Legend({value: order[value.color] for value in found}, legend, (note,))


def _by_voc_color(found: Found, voc: Mapping[int, int], names: Sequence[str]) -> Legend:
    text = "the colors of the masks are those of Pascal VOC and get its class numbers"
    numbers = tuple(map(str, range(VOC_CLASSES)))
    return Legend(
        {value: voc[value.color] for value in found},
        tuple(names) if len(names) == VOC_CLASSES else numbers,
        (Note("guess", "mask-colors", text, LIST_OUT),),
    )


def _by_name(found: Found, source: str, names: Sequence[str]) -> Legend:
    """Take numbers as those of the named classes, or as many values as names in their order."""
    beyond = [v for v in found if len(names) <= v.number != VOID]
    present = sorted({value.number for value in found})
    is_binary = present == [0, VOID] and len(names) == 2 and _is_white(found)
    if present == [0, VOID] and len(names) == 1 and _is_white(found):
        raise SourceError(
            f"the masks of {source} hold 0 and {VOID}, and {names[0]} is the only class with a "
            "name; name both, that of 0 first."
        )
    if not beyond and not is_binary:
        return Legend({value: value.number for value in found}, tuple(names))
    if len(present) == len(names):
        text = f"the values of the masks become the named classes: {_list(present, names)}"
        way_out = f"save the masks with the numbers 0 to {len(names) - 1} for classes"
        note = Note("guess", "mask-values", text, way_out)
        return _in_order(found, present, tuple(names), note)
    value = min(beyond, key=lambda value: value.number)
    raise SourceError(
        f"the mask {found[value].mask} holds the value {value.number}, but there are only "
        f"{len(names)} classes, 0 to {len(names) - 1}; repair it, or set what belongs to no class "
        f"to {VOID}."
    )


def _by_number(found: Found, source: str) -> Legend:
    """Take gray values or indices as classes."""
    reject_palettes(found, source)
    values = {value.number for value in found}
    if any(value.number == VOID for value in found) and _has_white_bits(found):
        values -= {1}
        values |= {0, VOID}
    if values == {0, VOID} and _is_white(found):
        return _as_binary(found)
    if values == {VOID}:
        raise SourceError(
            f"the masks of {source} hold only {VOID}, which stands for pixels of no class; write "
            "0 and 1 for two classes."
        )
    _reject_smooth(found, source)
    present = sorted(values)
    is_gray = all(value.kind != PALETTE for value in found)
    if is_gray and len(present) > 1 and min(b - a for a, b in pairwise(present)) >= MIN_GAP:
        names = tuple(map(str, present))
        text = f"the gray values of the masks become classes: {_list(names)}"
        way_out = "save class numbers 0, 1, 2 and so on, and 255 for pixels of no class"
        return _in_order(found, present, names, Note("guess", "mask-values", text, way_out))
    return _as_numbers(found, present)


def _as_numbers(found: Found, present: list[int]) -> Legend:
    count = 1 + max((value for value in present if value != VOID), default=0)
    used = sum(value != VOID for value in present)
    notes: tuple[Note, ...] = ()
    if used * 2 < count:
        text = f"the masks hold {used} of the class numbers 0 to {count - 1}; the others are empty"
        way_out = f"a file classes.txt with {len(present)} names takes the values in their order"
        notes = (Note("guess", "mask-values", text, way_out),)
    return Legend({v: v.number for v in found}, tuple(map(str, range(count))), notes)


def _as_binary(found: Found) -> Legend:
    classes = {value: int(value.number > 0) for value in found}
    text = "the masks hold only 0 and 255, which become the classes 0 and 1"
    way_out = "save 0 for the class and 255 for void together with a class 1 if 255 is void"
    return Legend(classes, ("0", "255"), (Note("guess", "mask-values", text, way_out),))


def _in_order(found: Found, present: list[int], names: tuple[str, ...], note: Note) -> Legend:
    return Legend({value: present.index(value.number) for value in found}, names, (note,))


def _is_white(found: Found) -> bool:
    """Return whether 255 looks white: palettes show void in another color."""
    return all(value.color == WHITE for value in found if value.number == VOID)


def _has_white_bits(found: Found) -> bool:
    """Return whether 1 is only the white of 1-bit masks, which is 255 in masks of 8 bits."""
    kinds = {value.kind for value in found if value.number == 1}
    return kinds == {BIT} and {value.number for value in found} <= {0, 1, VOID}


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


def _reject_smooth(found: Found, source: str) -> None:
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


def _first_mask(found: Found, color: int) -> str:
    return next(seen.mask for value, seen in found.items() if value.color == color)


def _note_equal(mask: str) -> Note:
    text = f"masks of equal red, green and blue are read as gray, such as {mask}"
    return Note("guess", "mask-gray", text, LIST_OUT)


def _list(values: Iterable[object], names: Sequence[str] = ()) -> str:
    """Return "0 → 0, 255 → 1" for the first values."""
    pairs = [f"{value} → {names[i] if names else i}" for i, value in enumerate(values)]
    return ", ".join(pairs[:MAX_SHOWN]) + (", …" if len(pairs) > MAX_SHOWN else "")


def pack_voc_color(index: int) -> int:
    """Return the color of a class in Pascal VOC's palette, as 0xRRGGBB.

    Bit by bit from the lowest, three bits of the index are the highest ones left of red, green
    and blue: `VOClabelcolormap` of the development kit.
    """
    channels = [0, 0, 0]
    for shift in range(7, -1, -1):
        for channel in range(3):
            channels[channel] |= (index >> channel & 1) << shift
        index >>= 3
    return pack_color(*channels)
