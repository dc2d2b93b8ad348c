"""`Plan`: which columns of a table are pixels, which one is the label, and which are not used."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from isthmus.data.readers.arrays.axes import image_shape
from isthmus.data.readers.csv.names import (
    EXTRA_NAMES,
    LABEL_NAMES,
    PART_NAMES,
    PART_VALUES,
    clean_name,
    fold_name,
    is_pixel_name,
)
from isthmus.data.readers.csv.text import Dialect
from isthmus.data.reading import LeftOut, Note
from isthmus.errors import OptionError, SourceError, describe_unknown

MIN_PIXEL_NAMES = 0.9  # share of columns with numbers in their names, or names say nothing
MIN_COUNT = 16  # columns whose numbers, in the first line, are their names
MIN_CELL_PIXELS = 4  # numbers in one value that is a picture


@dataclass(frozen=True)
class Plan:
    """What the columns of a table are for, by their index from 0.

    Parameters
    ----------
    names : tuple of str
        Of the columns; empty without a header.
    count : int
        How many columns there are.
    is_open : bool
        Whether the label is still to be found.
    pixels : tuple of int
    cell : int, optional
        Column that holds all pixels of a picture, separated by spaces.
    label, part : int, optional
        Columns that hold the classes, and the parts of the data set.
    ends : tuple of int
        Two columns of which one is the label: the numbers tell which.
    notes : tuple of Note
    left_out : tuple of LeftOut
    """

    names: tuple[str, ...]
    count: int
    is_open: bool = False
    pixels: tuple[int, ...] = ()
    cell: int | None = None
    label: int | None = None
    part: int | None = None
    ends: tuple[int, ...] = ()
    notes: tuple[Note, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def free(self) -> list[int]:
        """Columns that are neither label nor part."""
        return [i for i in range(self.count) if i not in (self.label, self.part)]

    def describe(self, column: int) -> str:
        """Return what a message calls a column."""
        return f"the column {self.names[column]!r}" if self.names else f"column {column + 1}"


def has_header(rows: Sequence[Sequence[str]], dialect: Dialect) -> bool:
    """Return whether the first row holds names.

    It does if a value is no number where one is below, or all values are no numbers; or if it only
    counts, as pandas names the columns of an array.
    """
    first, below = rows[0], rows[1:]
    words = [i for i, cell in enumerate(first) if cell and not dialect.is_number(cell)]
    if not words:
        # The first name is empty where pandas has written the index of the rows too.
        return bool(below) and is_count(first if first[0] else first[1:])
    numbers = [cell for cell in first if dialect.is_number(cell)]
    if len(words) == len(first) or is_count(numbers):
        return True
    usual = [_is_number_column(i, below, dialect) for i in words]
    return any(usual) if below else len(words) > 1


def is_count(cells: Sequence[str]) -> bool:
    """Return whether the values are whole numbers from 0 or 1 upwards, without a gap."""
    if len(cells) < MIN_COUNT or cells[0] not in ("0", "1"):
        return False
    start = int(cells[0])
    return list(cells) == [str(start + i) for i in range(len(cells))]


def plan_columns(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    dialect: Dialect,
    label_column: str | None,
    path: Path,
) -> Plan:
    """Decide by names and by the first rows what the columns are for.

    Raises
    ------
    SourceError
        If no columns make a square picture.
    OptionError
        If there is no column of the given name or number.
    """
    count = Counter(map(len, rows)).most_common(1)[0][0]
    if len(header) == count - 1:
        header = ["", *header]  # R leaves out the name of the column that names the rows
    names = tuple(map(clean_name, header)) if len(header) == count else ()
    plan = Plan(names, count, is_open=label_column is None)
    if label_column is None:
        plan = _set_label(plan, _named(plan, LABEL_NAMES))
    elif label_column != "none":
        plan = _set_label(plan, find_column(plan, label_column))
    words = [i for i in range(count) if not _is_number_column(i, rows, dialect)]
    plan = replace(plan, part=_find_part(plan, rows, words), cell=_find_cell(rows, words, dialect))
    if plan.cell is not None:
        return _plan_cell(plan)
    return _open_ends(_plan_pixels(plan, rows, words), path)


def find_column(plan: Plan, text: str) -> int:
    """Return the index of a column given by its name, its number from 1, first or last.

    Raises
    ------
    OptionError
        If there is no such column.
    """
    if text in plan.names:
        return plan.names.index(text)
    folded = [fold_name(name) for name in plan.names]
    if fold_name(text) in folded:
        return folded.index(fold_name(text))
    if text in ("first", "last"):
        return 0 if text == "first" else plan.count - 1
    if text.isdecimal() and 1 <= int(text) <= plan.count:
        return int(text) - 1
    said = describe_unknown("column", text, plan.names or [f"1 to {plan.count:,}"], most=12)
    raise OptionError(f"{said}; give its name, its number from 1, first, last or none.")


def _set_label(plan: Plan, column: int | None, is_guess: bool = False) -> Plan:
    """Return a plan with a label, if there is a column for it."""
    if column is None:
        return plan
    notes = plan.notes
    if is_guess:
        text = f"{plan.describe(column)} is taken for the label"
        notes += (Note("guess", "label-column", text, "--label-column NAME, or none"),)
    return replace(plan, label=column, is_open=False, notes=notes)


def _plan_cell(plan: Plan) -> Plan:
    """Plan a table that has all pixels of a picture in one column."""
    others = [i for i in plan.free if i != plan.cell]
    if plan.is_open and len(others) == 1 and not _is_extra(plan, others[0]):
        plan = _set_label(plan, others.pop(), is_guess=True)
    return _leave_out(plan, others)


def _plan_pixels(plan: Plan, rows: Sequence[Sequence[str]], words: Sequence[int]) -> Plan:
    """Plan a table that has a column for each pixel."""
    unused = [i for i in plan.free if _is_extra(plan, i) or _is_trailing(plan, i, rows)]
    texts = [i for i in plan.free if i in words and i not in unused]
    if plan.is_open and len(texts) == 1 and _repeats(rows, texts[0]):
        plan = _set_label(plan, texts.pop(), is_guess=True)
    unused += texts
    numbers = [i for i in plan.free if i not in unused]
    odd = _find_odd(plan, numbers)
    if plan.is_open and len(odd) == 1 and image_shape(len(numbers) - 1):
        plan = _set_label(plan, odd[0], is_guess=True)
    elif odd and not image_shape(len(numbers)):
        unused += odd
    pixels = tuple(i for i in plan.free if i not in unused)
    return _leave_out(replace(plan, pixels=pixels), sorted(unused))


def _open_ends(plan: Plan, path: Path) -> Plan:
    """Accept a number of pixels that makes a picture, or leave open which end is the label."""
    count = len(plan.pixels)
    sides = image_shape(count)
    if sides and plan.is_open and not plan.names:
        text = f"all {count:,} columns are taken for pixels, as they make {sides[0]} × {sides[1]}"
        note = Note("guess", "no-label", text, "--label-column first or last")
        return replace(plan, notes=(*plan.notes, note))
    if sides:
        return plan
    if plan.is_open and count > 1 and image_shape(count - 1):
        return replace(plan, ends=(plan.pixels[0], plan.pixels[-1]))
    raise SourceError(f"{path} has {count:,} pixels a row, {explain_no_picture(count)}.")


def explain_no_picture(count: int) -> str:
    """Say which numbers of pixels near this one make a picture."""
    if count < 2:
        return "which make no picture; give one picture a row, as numbers"
    side = math.isqrt(count)
    return (
        f"which make no square; {side}×{side} would be {side * side:,} and {side + 1}×{side + 1} "
        f"{(side + 1) ** 2:,}; save other shapes, and signals, as .npy"
    )


def _named(plan: Plan, table: Sequence[str]) -> int | None:
    """Return the column whose name comes first in a table."""
    folded = [fold_name(name) for name in plan.names]
    found = [i for i, name in enumerate(folded) if name in table]
    return min(found, key=lambda i: table.index(folded[i]), default=None)


def _find_part(plan: Plan, rows: Sequence[Sequence[str]], words: Sequence[int]) -> int | None:
    named = _named(plan, PART_NAMES)
    for column in words:
        if column != plan.label and (column == named or not plan.names):
            values = {fold_name(row[column]) for row in rows if len(row) > column}
            if values <= set(PART_VALUES):
                return column
    return None


def _find_cell(rows: Sequence[Sequence[str]], words: Sequence[int], dialect: Dialect) -> int | None:
    """Return the column whose values hold many numbers each."""
    for column in words:
        cells = [row[column] for row in rows if len(row) > column]
        if all(_is_picture(cell, dialect) for cell in cells):
            return column
    return None


def _is_picture(cell: str, dialect: Dialect) -> bool:
    numbers = split_cell(cell).split()
    return len(numbers) >= MIN_CELL_PIXELS and all(map(dialect.is_number, numbers[:8]))


def split_cell(cell: str) -> str:
    """Return the numbers in one value separated by spaces alone, as in [0, 12, 255]."""
    return cell.strip("[]() \"'").replace(",", " ").replace(";", " ")


def _is_number_column(column: int, rows: Sequence[Sequence[str]], dialect: Dialect) -> bool:
    """Return whether at least half of a column are numbers; empty values count as such."""
    cells = [row[column] for row in rows if len(row) > column]
    return 2 * sum(not cell or dialect.is_number(cell) for cell in cells) >= len(cells)


def _is_extra(plan: Plan, column: int) -> bool:
    """Return whether a column only numbers or names the rows, by its name."""
    return bool(plan.names) and fold_name(plan.names[column]) in EXTRA_NAMES


def _is_trailing(plan: Plan, column: int, rows: Sequence[Sequence[str]]) -> bool:
    """Return whether a column is there only because each line ends in a delimiter."""
    is_last = not plan.names and column == plan.count - 1
    return is_last and not any(row[column] for row in rows if len(row) > column)


def _find_odd(plan: Plan, numbers: Sequence[int]) -> list[int]:
    """Return columns whose names are not those of pixels, where nearly all others' are."""
    odd = [i for i in numbers if plan.names and not is_pixel_name(plan.names[i])]
    return odd if len(odd) <= (1 - MIN_PIXEL_NAMES) * len(numbers) else []


def _repeats(rows: Sequence[Sequence[str]], column: int) -> bool:
    cells = [row[column] for row in rows if len(row) > column]
    return len(cells) < 4 or len(set(cells)) < len(cells)


def _leave_out(plan: Plan, columns: Sequence[int]) -> Plan:
    if not columns:
        return plan
    names = [(plan.names[i] if plan.names else "") or f"column {i + 1}" for i in columns]
    left_out = LeftOut.of(
        "column that is neither pixels nor label",
        names,
        "columns that are neither pixels nor label",
    )
    return replace(plan, left_out=(*plan.left_out, left_out))
