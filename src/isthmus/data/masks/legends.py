"""Which class each value of a source's masks stands for.

All masks decide together: 255 is void among class numbers, and white where there is only black
besides. The rules, the first that fits:

1. Colors with names (see `isthmus.data.readers.masks.class_lists`) are classes in the order of
   their list; those that are called void, unlabeled or ignore are void.
2. Any color in any mask: the colors of Pascal VOC with its void have VOC's numbers; others become
   classes in the order of their #rrggbb, so black is the first. White is a class.
3. Only 0 and 255: two classes, unless names are those of one or of more than two.
4. Names without colors: values below the number of names are class numbers and 255 is void;
   otherwise, as many values as names are taken in their order.
5. Gray values that are at least `MIN_GAP` apart, such as 0, 127, 255: classes in their order.
6. Everything else is a class number, and 255 is void.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from isthmus.data.masks.checks import (
    LIST_OUT,
    MAX_COLORS,
    MIN_GAP,
    Found,
    explain_colors,
    reject_palettes,
    reject_smooth,
)
from isthmus.data.masks.mask import BIT, EQUAL, PALETTE, MaskValue, pack_color
from isthmus.data.reading import Note
from isthmus.data.samples import VOID
from isthmus.errors import SourceError

VOID_NAMES = ("void", "unlabeled", "unlabelled", "ignore", "ignored")
VOC_CLASSES = 21  # with the background
WHITE = 0xFFFFFF
MAX_SHOWN = 6  # classes in a note


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
    text = f"pixels of {' and '.join(void)}, as the list of classes calls them, count nowhere"
    note = Note("guess", "mask-void", text, "give it another name in the list to count it")
    return Legend(classes, tuple(names[i] for i in counted), (note,) if void else ())


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
    if _is_binary(found) and len(names) < 3:
        return _as_binary(found, source, names)
    beyond = [v for v in found if len(names) <= v.number != VOID]
    if not beyond:
        return Legend({value: value.number for value in found}, tuple(names))
    present = sorted({value.number for value in found})
    counted = [value for value in present if value != VOID]
    for values in (counted, present):  # 255 is void, or a class if there is a name for it
        if len(values) == len(names):
            return _in_order_of_names(found, values, names)
    reject_smooth(found, source)
    value = min(beyond, key=lambda value: value.number)
    raise SourceError(
        f"the mask {found[value].mask} of {source} holds the value {value.number}, but there are "
        f"only {len(names)} classes, 0 to {len(names) - 1}; repair it, or set what belongs to no "
        f"class to {VOID}."
    )


def _in_order_of_names(found: Found, values: list[int], names: Sequence[str]) -> Legend:
    text = f"the values of the masks become the named classes: {_list(values, names)}"
    way_out = f"save the masks with the numbers 0 to {len(names) - 1} for classes"
    return _in_order(found, values, tuple(names), Note("guess", "mask-values", text, way_out))


def _by_number(found: Found, source: str) -> Legend:
    """Take gray values or indices as classes."""
    reject_palettes(found, source)
    if _is_binary(found):
        return _as_binary(found, source)
    present = sorted({value.number for value in found})
    if present == [VOID]:
        raise SourceError(
            f"the masks of {source} hold only {VOID}, which stands for pixels of no class; write "
            "0 and 1 for two classes."
        )
    reject_smooth(found, source)
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
        way_out = f"a file classes.txt with {used} names takes the values in their order"
        notes = (Note("guess", "mask-values", text, way_out),)
    return Legend({v: v.number for v in found}, tuple(map(str, range(count))), notes)


def _as_binary(found: Found, source: str, names: Sequence[str] = ("0", "255")) -> Legend:
    if len(names) == 1:
        raise SourceError(
            f"the masks of {source} hold 0 and {VOID}, and {names[0]} is the only class with a "
            "name; name both, that of 0 first."
        )
    classes = {value: int(value.number > 0) for value in found}
    text = "the masks hold only 0 and 255, which become the classes 0 and 1"
    way_out = "save 1 instead of 255, and 255 where a pixel has no class"
    return Legend(classes, tuple(names), (Note("guess", "mask-values", text, way_out),))


def _in_order(found: Found, present: list[int], names: tuple[str, ...], note: Note) -> Legend:
    """Take the values that are present as classes; 255 is void unless it is one of them."""
    index = {VOID: VOID} | {value: i for i, value in enumerate(present)}
    return Legend({value: index[value.number] for value in found}, names, (note,))


def _is_binary(found: Found) -> bool:
    """Return whether there is nothing but 0 and 255, or the white of masks of 1 bit.

    255 looks white then: palettes show void in another color.
    """
    numbers = {value.number for value in found}
    whites = [value for value in found if value.number == VOID or value.kind == BIT]
    is_white = all(value.color == WHITE for value in whites if value.number > 0)
    has_one = any(value.number == 1 and value.kind != BIT for value in found)
    if VOID not in numbers or numbers == {VOID}:
        return False
    return numbers <= {0, 1, VOID} and is_white and not has_one


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
