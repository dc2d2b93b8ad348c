"""Loads the columns of a table, and says in which line of the file a fault is."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.data.readers.csv.columns import Plan, split_cell
from isthmus.data.readers.csv.text import Dialect, TableText
from isthmus.data.reading import Note
from isthmus.errors import SourceError

Table = NDArray[np.float32]
Converters = dict[int | str, Callable[[str], float]]
Words = dict[int, list[str]]


@dataclass(frozen=True)
class Opened:
    """A table of which the first lines are understood.

    Parameters
    ----------
    text : TableText
    dialect : Dialect
    skip : int
        Lines with content before the first row.
    plan : Plan
    notes : list of Note
    """

    text: TableText
    dialect: Dialect
    skip: int
    plan: Plan
    notes: list[Note]


def load_table(opened: Opened) -> tuple[Table, Words]:
    """Load the pixels (N, F), and the columns of labels and parts as words by their index.

    Raises
    ------
    SourceError
        If rows differ in length, or a pixel is no number.
    """
    return _load_columns(opened) if opened.plan.cell is None else _load_cells(opened)


def take_columns(table: Table, columns: Sequence[int]) -> Table:
    """Return some columns; if they are next to each other, without a copy."""
    first, last = columns[0], columns[-1]
    if last - first + 1 == len(columns):
        return table[:, first : last + 1]
    return table[:, columns]


def _load_columns(opened: Opened) -> tuple[Table, Words]:
    """Load the columns of pixels (N, F) as numbers, and those of labels and parts as words."""
    plan, dialect = opened.plan, opened.dialect
    words: Words = {i: [] for i in (plan.label, plan.part) if i is not None}
    # Columns that are not used are still counted, so that a row that lacks one is found.
    unused = set(range(plan.count)) - set(plan.pixels) - set(words)
    converters: Converters = {i: lambda cell: 0.0 for i in unused}
    converters |= {i: _collect(cells) for i, cells in words.items()}
    lines = opened.text.lines(opened.skip)
    if dialect.has_decimal_commas:
        lines = (line.replace(",", ".") for line in lines)
    table = _load(
        opened, lines, None if dialect.delimiter == " " else dialect.delimiter, converters
    )
    if table.shape[1] != plan.count:
        raise SourceError(
            f"{opened.text.path}: line {opened.text.line_number(opened.skip)} has "
            f"{table.shape[1]:,} values where {plan.count:,} are expected."
        )
    return take_columns(table, plan.pixels), words


def _collect(cells: list[str]) -> Callable[[str], float]:
    def keep(cell: str) -> float:
        cells.append(cell)
        return 0.0

    return keep


def _load_cells(opened: Opened) -> tuple[Table, Words]:
    """Load the pixels (N, F) that are all in one column, and the other columns as words."""
    plan = opened.plan
    words: Words = {i: [] for i in (plan.label, plan.part) if i is not None}

    def cells() -> Iterator[str]:
        for i, line in enumerate(opened.text.lines(opened.skip)):
            row = opened.dialect.split(line)
            if len(row) != plan.count:
                raise SourceError(
                    f"{opened.text.path}: line {opened.text.line_number(i + opened.skip)} has "
                    f"{len(row):,} values where {plan.count:,} are expected."
                )
            for column, kept in words.items():
                kept.append(row[column])
            # loadtxt passes over empty lines, and an empty picture is to be found.
            yield split_cell(row[plan.cell or 0]) or "empty"

    return _load(opened, cells(), None, {}), words


def _load(
    opened: Opened,
    lines: Iterator[str],
    delimiter: str | None,
    converters: Converters,
) -> Table:
    try:
        table: Table = np.loadtxt(
            lines,
            np.float32,  # not uint8: stretched values may be larger, and wrong ones are named later
            delimiter=delimiter,
            quotechar='"',
            converters=converters or None,
            comments=None,  # otherwise a # would hide the rest of its line
            ndmin=2,
            encoding=None,
        )
        return table
    except (ValueError, OverflowError, MemoryError) as error:
        raise SourceError(f"{opened.text.path}: {_explain(str(error), opened)}.") from error


def _explain(message: str, opened: Opened) -> str:
    """Translate an error of `np.loadtxt` and name the line of the file, counted from 1."""

    def line(row: str, first: int) -> int:
        return opened.text.line_number(int(row) - first + opened.skip)

    if match := re.search(r"columns changed from (\d+) to (\d+) at row (\d+)", message):
        expected, got = int(match[1]), int(match[2])
        return f"line {line(match[3], 1)} has {got:,} values where {expected:,} are expected"
    if match := re.search(r"string '(.*)' to \w+ at row (\d+), column (\d+)", message, re.S):
        cell = f"line {line(match[2], 0)}, column {match[3]}"
        if not match[1].strip():
            return f"{cell}, is empty; every pixel needs a value"
        return f"{cell}, holds {match[1][:40]!r}, which is not a number"
    return message.split("\n")[0].rstrip(".")
