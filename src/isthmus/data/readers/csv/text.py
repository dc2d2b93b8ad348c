"""`TableText`: a table of values separated by commas or other signs, line by line."""

import codecs
import io
import lzma
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from isthmus.data.readers.packed import OPENERS, open_packed
from isthmus.data.reading import Note
from isthmus.errors import SourceError, first_sentence
from isthmus.limits import limit_of

TABLE_SUFFIXES = tuple(
    kind + packed
    for kind in (".csv", ".tsv", ".txt", ".data", ".dat", ".tra", ".tes")
    for packed in ("", *OPENERS)
)
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
SAMPLE_LINES, SAMPLE_CHARACTERS = 20, 2**20  # by which the dialect is recognized
MEMORY_SHARE = 4  # of a packed table: a number of two letters takes four bytes, or eight
BROKEN_TEXT = (OSError, EOFError, UnicodeError, zlib.error, lzma.LZMAError)
MARKS = {  # at the start of a file, with the encoding that reads and drops them
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*|\s*[-+]?(nan|inf)\s*", re.I)
DECIMAL_COMMA = re.compile(r"\s*[-+]?\d+(,\d+)?([eE][-+]?\d+)?\s*")


@dataclass(frozen=True)
class Dialect:
    """How the values of a line are separated.

    Parameters
    ----------
    delimiter : str
        One of `DELIMITERS`; a space stands for any number of spaces and tabs.
    has_decimal_commas : bool
        Whether 0,5 is one half.
    """

    delimiter: str
    has_decimal_commas: bool = False

    def split(self, line: str) -> list[str]:
        """Return the values of a line without spaces around them; quotes are as in RFC 4180."""
        line = line.rstrip("\r\n")
        if self.delimiter == " ":
            return [cell.strip('"') for cell in line.split()]
        if '"' in line:
            return [cell.strip() for cell in _split_quoted(line, self.delimiter)]
        return [cell.strip() for cell in line.split(self.delimiter)]

    def is_number(self, cell: str) -> bool:
        """Return whether a value is a number."""
        pattern = DECIMAL_COMMA if self.has_decimal_commas and "." not in cell else NUMBER
        return pattern.fullmatch(cell) is not None


@dataclass
class TableText:
    """A text file, opened again for each pass.

    Parameters
    ----------
    path : Path
    encoding : str
    blanks : Counter of int
        How many empty lines of the last pass follow so many lines with content.
    """

    path: Path
    encoding: str
    blanks: Counter[int] = field(default_factory=Counter)

    def lines(self, skip: int = 0) -> Iterator[str]:
        """Yield the lines that are not empty, but for the first ones.

        Raises
        ------
        SourceError
            If the file is damaged.
        """
        self.blanks = Counter()
        count = 0
        for line in self._read():
            if line.isspace():
                self.blanks[count] += 1
                continue
            count += 1
            if count > skip:
                yield line

    def line_number(self, index: int) -> int:
        """Return the number from 1 in the file of a line that is not empty, counted from 0."""
        return index + 1 + sum(n for before, n in self.blanks.items() if before <= index)

    def _read(self) -> Iterator[str]:
        most = limit_of("ISTHMUS_MAX_LINE")
        try:
            with (
                open_packed(self.path, MEMORY_SHARE) as binary,
                _decode(binary, self.encoding) as file,
            ):
                while line := file.readline(most + 1):
                    if len(line) > most:
                        raise SourceError(
                            f"{self.path} has a line of over {most:,} characters, which is no row "
                            "of a table; give one line for each image, or set ISTHMUS_MAX_LINE to "
                            "read it."
                        )
                    yield line
        except BROKEN_TEXT as error:
            raise _unreadable(self.path, error) from error


def open_table(path: Path) -> TableText:
    """Recognize the encoding of a text file.

    Raises
    ------
    SourceError
        If it is damaged or no text.
    """
    try:
        with open_packed(path) as file:
            start = file.read(1024)
    except BROKEN_TEXT as error:
        raise _unreadable(path, error) from error
    for mark, encoding in MARKS.items():
        if start.startswith(mark):
            return TableText(path, encoding)
    if b"\0" not in start:
        return TableText(path, "utf-8")
    if not any(start[1::2]):
        return TableText(path, "utf-16-le")
    if not any(start[::2]):
        return TableText(path, "utf-16-be")
    raise SourceError(f"{path} is not a readable CSV file: it holds bytes that are no text.")


def recognize_dialect(lines: Sequence[str]) -> Dialect:
    """Return the dialect that splits most lines into equally many values, most of them numbers."""
    dialects = [Dialect(sign, commas) for sign in DELIMITERS for commas in (False, True)]
    dialects = [one for one in dialects if not (one.delimiter == "," and one.has_decimal_commas)]
    best = max(dialects, key=lambda one: _rate(one, lines))
    return best if _rate(best, lines) > (0, 0, 0) else Dialect(",")


def describe_dialect(dialect: Dialect, encoding: str) -> list[Note]:
    """Say what is not as usual: commas, points and UTF-8."""
    told = []
    if dialect.delimiter != ",":
        told.append(f"its values are separated by {DELIMITERS[dialect.delimiter]}")
    if dialect.has_decimal_commas:
        told.append("its decimal signs are commas")
    if not encoding.startswith("utf-8"):
        told.append(f"its encoding is {encoding.upper()}")
    text = " and ".join(told)
    return [Note("guess", "dialect", text, "if not, save it as CSV in UTF-8")] if told else []


def is_leftover(text: str) -> bool:
    """Return whether a text holds bytes that are not UTF-8, as `TableText` passes them on."""
    return not text.isascii() and any("\udc80" <= letter <= "\udcff" for letter in text)


def decode_leftover(text: str) -> str:
    """Return a text with the bytes that are not UTF-8 taken for Windows' Latin letters."""
    return text.encode("utf-8", "surrogateescape").decode("cp1252", "replace")


def _rate(dialect: Dialect, lines: Sequence[str]) -> tuple[float, float, float]:
    """Rate a dialect: how many lines have the usual number of values, and how many are numbers."""
    rows = [dialect.split(line) for line in lines]
    counts = [len(row) for row in rows]
    usual = max(set(counts), key=lambda count: (counts.count(count), count), default=0)
    if usual < 2 or (dialect.delimiter == " " and _holds_delimiters(dialect, rows)):
        return (0, 0, 0)
    cells = [cell for row in rows[-10:] for cell in row]
    numbers = sum(map(dialect.is_number, cells)) / len(cells)
    # Where no number has a comma, points are the usual reading.
    return counts.count(usual) / len(counts), numbers, usual - 0.5 * dialect.has_decimal_commas


def _holds_delimiters(dialect: Dialect, rows: Sequence[Sequence[str]]) -> bool:
    """Return whether words between spaces hold other delimiters, as a cell of many pixels does."""
    return any(
        any(sign in cell for sign in ",;|") and not dialect.is_number(cell)
        for row in rows[-3:]
        for cell in row
    )


def _split_quoted(line: str, delimiter: str) -> list[str]:
    try:  # not by the module csv, which refuses long cells
        cells = np.loadtxt(
            [line],
            object,
            delimiter=delimiter,
            quotechar='"',
            comments=None,
            ndmin=1,
            encoding=None,
        )
    except ValueError:  # a quote that is never closed
        return line.split(delimiter)
    return list(map(str, cells))


def _decode(binary: IO[bytes], encoding: str) -> IO[str]:
    """Decode a stream; lines may end in CR, LF or both."""
    # What is not UTF-8 stays, so that a number or a word that it damages is named later.
    errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
    return io.TextIOWrapper(binary, encoding, errors, newline=None)


def _unreadable(path: Path, error: Exception) -> SourceError:
    return SourceError(f"{path} is not a readable CSV file: {first_sentence(error)}.")
