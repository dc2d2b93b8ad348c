"""Reader of tables of text: CSV and its relatives."""

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import Manifest, encode_labels, evenly_spaced
from isthmus.data.pictures.pixels import TOLERANCE, propose_stretch
from isthmus.data.readers.arrays.axes import fold_images, image_shape, is_planar
from isthmus.data.readers.arrays.ranges import measure, to_pixels
from isthmus.data.readers.csv.columns import (
    Plan,
    explain_no_picture,
    has_header,
    is_count,
    plan_columns,
)
from isthmus.data.readers.csv.label_column import choose_end
from isthmus.data.readers.csv.loading import Opened, Table, Words, load_table, take_columns
from isthmus.data.readers.csv.names import PART_VALUES, fold_name
from isthmus.data.readers.csv.text import (
    SAMPLE_CHARACTERS,
    SAMPLE_LINES,
    TableText,
    decode_leftover,
    describe_dialect,
    is_leftover,
    open_table,
    recognize_dialect,
)
from isthmus.data.reading import Findings, Note, Reading, ValueFacts
from isthmus.errors import SourceError

MAX_LABEL = 200  # letters


def read_csv(path: Path, limit: int | None = None, reading: Reading | None = None) -> Manifest:
    """Read square images, one a row, in the layout of Kaggle's digit-recognizer and its relatives.

    Values are separated by commas, semicolons, tabs, bars or spaces. A header names the columns;
    one called label, class or target (see `isthmus.data.readers.csv.names`) holds the class.
    Without a header, the first or the last column is the label, by its numbers, unless all columns
    together make a square. All pixels of a picture may be in one column, as in FER-2013.

    Raises
    ------
    SourceError
        If rows differ in length, a value is no pixel, the pixels of a row make no square, or it is
        not clear which column is the label.
    """
    reading = reading or Reading()
    opened = _open(path, reading)
    table, words = load_table(opened)
    plan = opened.plan
    if plan.ends:
        plan = choose_end(plan, table, path)
    labels = _take_labels(opened, plan, table, words)
    if plan.cell is None:
        kept = [i for i, column in enumerate(opened.plan.pixels) if column in plan.pixels]
        table = take_columns(table, kept)
    pixels, notes, facts = _to_pixels(table, path, reading)
    sides = image_shape(table.shape[1])
    if sides is None:
        raise SourceError(
            f"{path} has {table.shape[1]:,} pixels a row, {explain_no_picture(table.shape[1])}."
        )
    rows = evenly_spaced(len(table), limit)
    classes, indices = encode_labels(None if labels is None else labels[rows], path)
    parts = None if plan.part is None else _take_parts(opened, words[plan.part])
    images = fold_images(pixels[rows], sides, reading)
    notes = [*opened.notes, *plan.notes, *notes, *_color_notes(pixels, sides, reading)]
    return Manifest(
        [str(row + 1) for row in rows],
        images,
        labels=indices,
        class_names=classes,
        splits=None if parts is None else parts[rows],
        findings=Findings(_describe(plan), plan.left_out, tuple(notes), facts),
    )


def _describe(plan: Plan) -> str:
    """Say which columns are what."""
    said = "" if plan.cell is None else f", pixels in {plan.describe(plan.cell)}"
    said += ", no label" if plan.label is None else f", label in {plan.describe(plan.label)}"
    return "table" + said + ("" if plan.part is None else f", parts in {plan.describe(plan.part)}")


def _open(path: Path, reading: Reading) -> Opened:
    """Understand the first lines of a table."""
    text = open_table(path)
    lines = _first_lines(text)
    if not lines:
        raise SourceError(f"{path} is empty; give a file with samples.")
    skip = 0
    if re.fullmatch(r"sep=.", lines[0].strip(), re.I) and len(lines) > 1:
        skip, lines = 1, lines[1:]  # for Excel
    dialect = recognize_dialect(lines)
    rows = [dialect.split(line) for line in lines]
    rows[0][0] = re.sub(r"^#\s*", "", rows[0][0])  # as NumPy writes headers
    notes = describe_dialect(dialect, text.encoding)
    header: Sequence[str] = ()
    if has_header(rows, dialect):
        header, rows, skip = rows[0], rows[1:], skip + 1
        if is_count(header):
            told = f"the first line, which counts from {header[0]} to {header[-1]}, is a header"
            notes.append(Note("guess", "header", told, "remove it"))
    if not rows:
        raise SourceError(f"{path} has a header and no rows.")
    plan = plan_columns(header, rows, dialect, reading.label_column, path)
    return Opened(text, dialect, skip, plan, notes)


def _first_lines(text: TableText) -> list[str]:
    lines: list[str] = []
    characters = 0
    for line in islice(text.lines(), SAMPLE_LINES):
        lines.append(line)
        characters += len(line)
        if characters > SAMPLE_CHARACTERS and len(lines) > 2:
            break
    return lines


def _take_labels(opened: Opened, plan: Plan, table: Table, words: Words) -> NDArray[Any] | None:
    """Return the labels as numbers if all are, and else as words."""
    if plan.label is None:
        return None
    if plan.label not in words:
        return table[:, opened.plan.pixels.index(plan.label)]
    cells = _decode_words(opened, words[plan.label])
    for i, cell in enumerate(cells):
        if len(cell) > MAX_LABEL:  # of an array of words, each takes as much as the longest
            said = f"a label of {len(cell):,} letters, more than {MAX_LABEL}"
            raise _wrong_line(opened, i, f"{said}; if it is none, say --label-column none")
        if not cell or not cell.isprintable():
            said = f"the label {cell!r}, which is no text" if cell else "no label"
            raise _wrong_line(opened, i, f"{said}; give it one")
    is_number = [opened.dialect.is_number(cell) for cell in cells]
    if all(is_number):
        return np.array([float(cell.replace(",", ".")) for cell in cells])
    if any(is_number):
        number, word = cells[is_number.index(True)], cells[is_number.index(False)]
        text = f"labels are numbers and words, such as {number!r} and {word!r}"
        opened.notes.append(Note("warning", "mixed-labels", text, "correct what is misspelled"))
    return np.array(cells, np.str_)


def _decode_words(opened: Opened, cells: Sequence[str]) -> list[str]:
    cells = [cell.strip() for cell in cells]
    if not any(map(is_leftover, cells)):
        return cells
    text = "its words are not UTF-8 and are taken for Windows-1252"
    opened.notes.append(Note("guess", "encoding", text, "if not, save it in UTF-8"))
    return [decode_leftover(cell) if is_leftover(cell) else cell for cell in cells]


def _take_parts(opened: Opened, cells: Sequence[str]) -> NDArray[np.uint8]:
    folded = [fold_name(cell) for cell in cells]
    for i, name in enumerate(folded):
        if name not in PART_VALUES:
            said = f"the part {cells[i][:40]!r}; call it train, validation or test"
            raise _wrong_line(opened, i, said)
    return np.array([PART_VALUES[name] for name in folded], np.uint8)


def _wrong_line(opened: Opened, row: int, said: str) -> SourceError:
    line = opened.text.line_number(row + opened.skip)
    return SourceError(f"{opened.text.path}: line {line} has {said}.")


def _to_pixels(
    table: Table, path: Path, reading: Reading
) -> tuple[NDArray[np.uint8], list[Note], ValueFacts]:
    """Convert numbers to pixels; whole ones from 0 to 255 are what they are."""
    facts = measure(table)
    is_whole = bool((table == np.floor(table)).all())
    is_byte = is_whole and 0 <= facts.low <= facts.high <= 255
    facts = facts._replace(dtype="uint8" if is_byte else "int32" if is_whole else "float32")
    if is_byte and reading.stretch is None:
        return table.astype(np.uint8), [], facts
    try:
        pixels, notes = to_pixels(table, str(path), reading.stretch, facts)
    except SourceError as error:
        raise _name_pixel(table, path, facts) from error
    if reading.stretch is None and facts.high <= 1 + TOLERANCE:
        text = f"fractions from {facts.low:g} to {facts.high:g} are taken for black 0 and white 1"
        notes = [Note("guess", "fractions", text, "--stretch 0:255"), *notes]
    return pixels, notes, facts


def _name_pixel(table: Table, path: Path, facts: ValueFacts) -> SourceError:
    """Return the error that names the first value that is no pixel."""
    wrong = ~((table >= 0) & (table <= 255) & (table == np.floor(table)))
    row, column = np.argwhere(wrong)[0]
    said = "pixels are whole numbers from 0 to 255, or all fractions from 0 to 1"
    if np.isfinite(facts[2:]).all():
        said += f"; for others, give --stretch {propose_stretch(facts.low, facts.high)}"
    return SourceError(
        f"{path}, row {row + 1} of the data, holds the pixel {table[row, column]:g}; {said}."
    )


def _color_notes(
    pixels: NDArray[np.uint8], sides: tuple[int, int, int], reading: Reading
) -> list[Note]:
    if sides[2] != 3 or reading.channels in ("first", "last"):
        return []
    is_first = is_planar(pixels, sides, reading)
    order = "all of red, then green, then blue" if is_first else "red, green and blue of each pixel"
    text = f"{pixels.shape[1]:,} numbers a row are {sides[0]} × {sides[1]} × 3: {order}"
    return [Note("guess", "colors", text, f"--channels {'last' if is_first else 'first'}")]
