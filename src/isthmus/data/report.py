"""`ReadingReport`: what was read from a source, and how, for people and for programs."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import groupby
from typing import Any

from isthmus.damage import describe_damage
from isthmus.data.reading import MAX_EXAMPLES, LeftOut, Note, ValueFacts
from isthmus.display import Displayed
from isthmus.errors import IsthmusError
from isthmus.fields import from_json
from isthmus.files import to_json
from isthmus.text import printable

MAX_COUNTS = 40  # sizes or folders that a report keeps, the most common ones
MAX_SHOWN = 12  # of them in a line
MAX_SIZES = 4  # in a line
MAX_REASONS = 6  # why something was left out
MAX_LINES = 5  # of a summary
OTHERS = "other"  # all that are not among the most common
BROKEN = "broken"  # how the reason begins why a file that cannot be decoded is left out

Counts = Mapping[str, int]


@dataclass(frozen=True, eq=False, repr=False)
class ReadingReport(Displayed):
    """What was read from a source: found, left out, understood and guessed.

    Parameters
    ----------
    source : str
        A set's name or a path; empty for arrays.
    description : str
        One line: how many samples, of what shape, of how many classes.
    count : int
        Samples that were read.
    limit : int, optional
        As `load` was asked for.
    layout : str
        How the source is laid out.
    suffixes, mask_suffixes : counts
        Files of pictures and of masks by their suffix.
    folders : counts
        Pictures by the folder at the top that they lie in.
    left_out : tuple of LeftOut
        What was not read and why; files that are broken are among them.
    classes, splits : counts
        Samples by class and by the source's own split.
    masks : tuple of int
        Values that occur in the masks.
    mask_classes : tuple of str
        Names of the classes of pixels.
    kinds, sizes : counts
        Files by bits and channels, and by height and width before cropping and resizing.
    size_range : tuple of str
        The smallest and the largest size, if there are several.
    values : ValueFacts, optional
        The numbers in the file of an array.
    low, high : float, optional
        Smallest and largest value, on the scale of the files.
    turned : int
        Pictures that EXIF turned.
    notes : tuple of Note
        Guesses and warnings, each with the option that mends it.
    """

    source: str
    description: str
    count: int
    limit: int | None = None
    layout: str = ""
    suffixes: Counts = field(default_factory=dict)
    mask_suffixes: Counts = field(default_factory=dict)
    folders: Counts = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    classes: Counts = field(default_factory=dict)
    splits: Counts = field(default_factory=dict)
    masks: tuple[int, ...] = ()
    mask_classes: tuple[str, ...] = ()
    kinds: Counts = field(default_factory=dict)
    sizes: Counts = field(default_factory=dict)
    size_range: tuple[str, ...] = ()
    values: ValueFacts | None = None
    low: float | None = None
    high: float | None = None
    turned: int = 0
    notes: tuple[Note, ...] = ()

    def __repr__(self) -> str:
        return f"ReadingReport({self.description}; {len(self.notes)} notes)"

    def __str__(self) -> str:
        return "\n".join(self.lines())

    @property
    def guesses(self) -> tuple[Note, ...]:
        """The notes that say how something was understood that has another reading as well."""
        return tuple(note for note in self.notes if note.kind == "guess")

    @property
    def warnings(self) -> tuple[Note, ...]:
        """The notes that say what looks wrong."""
        return tuple(note for note in self.notes if note.kind == "warning")

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object, from which `from_json` rebuilds the report."""
        content: dict[str, Any] = to_json(self)
        if self.values is not None:  # a tuple with names
            content["values"] = to_json(self.values._asdict())
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ReadingReport":
        """Rebuild a report from what `to_json` returned, also that of another version.

        Raises
        ------
        IsthmusError
            If it is not the content of a report.
        """
        try:
            names = {one.name for one in fields(cls)}
            return from_json(cls, {name: content[name] for name in content if name in names})
        except (IsthmusError, TypeError) as error:
            raise IsthmusError(
                f"this is not the content of a reading report: {describe_damage(error)}."
            ) from error

    def rows(self) -> list[tuple[str, str]]:
        """Return what was found, left out and understood: (title, text), without the notes."""
        rows = [
            ("found", self._found()),
            *self._left_out(),
            ("read as", self.layout),
            ("folders", format_counts(self.folders) if self._shows_folders() else ""),
            ("classes", format_classes(self.classes)),
            ("splits", format_counts(self.splits)),
            ("masks", self._masks()),
            ("files", format_counts(self.kinds)),
            ("sizes", self._sizes()),
            ("values", self._values()),
            ("turned", f"{self.turned:,} upright, as their EXIF data says" if self.turned else ""),
        ]
        return [(title, text) for title, text in rows if text]

    def lines(self) -> list[str]:
        """Return the whole report as lines of text."""
        rows = self.rows()
        for note in self.notes:
            rows.append((note.kind, note.text))
            if note.way_out:
                rows.append(("", note.way_out))
        width = max((len(title) for title, _ in rows), default=0)
        lines = [f"  {title:{width}}  {text}" for title, text in rows]
        # Names of files may break lines.
        return [printable(line) for line in (self.description, *lines)]

    def summary(self) -> list[str]:
        """Return at most five lines, the first one of which describes the samples."""
        lines = [self.description + describe_broken(self.left_out)]
        others = [one for one in self.left_out if not is_broken(one)]
        if others:
            lines.append("left out: " + "; ".join(map(describe_left_out, others[:3])))
        notes = self._by_importance()
        room = MAX_LINES - len(lines)
        hidden = len(notes) - room + 1 if len(notes) > room else 0
        lines += [describe_note(note) for note in notes[: len(notes) - hidden]]
        if hidden or len(others) > 3:
            more = f"{hidden} more" if hidden else "more was left out"
            lines.append(f"{more}; isthmus data check {shlex.quote(self.source)} shows all")
        return [printable(line) for line in lines[:MAX_LINES]]

    def _by_importance(self) -> list[Note]:
        """Return the notes with a guess and a warning first, then the others in turn."""
        ranked = [
            (rank, note.kind, note)
            for notes in (self.guesses, self.warnings)
            for rank, note in enumerate(notes)
        ]
        return [note for _, _, note in sorted(ranked, key=lambda one: one[:2])]

    def _found(self) -> str:
        texts = [f"{count:,} {suffix}" for suffix, count in self.suffixes.items()]
        texts += [f"{count:,} masks {suffix}" for suffix, count in self.mask_suffixes.items()]
        if self.limit and self.limit <= self.count:
            texts.append(f"at most {self.limit:,}, spread evenly")
        return ", ".join(texts)

    def _left_out(self) -> list[tuple[str, str]]:
        texts = [describe_left_out(one) for one in self.left_out[:MAX_REASONS]]
        if len(self.left_out) > MAX_REASONS:
            texts.append(f"… {len(self.left_out) - MAX_REASONS:,} more reasons")
        return [("" if number else "left out", text) for number, text in enumerate(texts)]

    def _shows_folders(self) -> bool:
        """Return whether the folders say more than the classes and the splits do."""
        names = {name.removesuffix("/") for name in self.folders} - {OTHERS}
        are_splits = sorted(self.folders.values()) == sorted(self.splits.values())
        return len(names) > 1 and not are_splits and not names <= set(self.classes)

    def _masks(self) -> str:
        if not self.mask_classes:
            return ""
        text = f"values {format_ranges(self.masks)}" if self.masks else "colors"
        if self.masks and all(name.isdigit() for name in self.mask_classes):
            return text  # the names would say no more
        more = ", …" if len(self.mask_classes) > MAX_SHOWN else ""
        return f"{text}; classes {', '.join(self.mask_classes[:MAX_SHOWN])}{more}"

    def _sizes(self) -> str:
        if len(self.sizes) <= MAX_SIZES:
            return format_counts(self.sizes)
        (first, count), (second, other) = list(self.sizes.items())[:2]
        smallest, largest = self.size_range
        return f"from {smallest} to {largest}; {first}: {count:,}, {second}: {other:,}, …"

    def _values(self) -> str:
        if self.low is None or self.high is None:
            return ""
        low, high = format_value(self.low), format_value(self.high)
        text = f"{low} to {high}" if low != high else f"all {low}"
        if self.values is None:
            return text
        shape = " × ".join(f"{side:,}" for side in self.values.shape)
        return f"{text}, {self.values.dtype}, {shape}"


def count_values(values: Iterable[str]) -> dict[str, int]:
    """Count values, the most common first; of very many different ones, only so many."""
    from collections import Counter

    counter = Counter(values)
    counts = dict(counter.most_common(MAX_COUNTS))
    others = counter.total() - sum(counts.values())
    return {**counts, OTHERS: others} if others else counts


def format_counts(counts: Counts) -> str:
    """Return counts for people, the first few of many.

    Examples
    --------
    >>> format_counts({"cat": 1200, "dog": 3}), format_counts({"32 × 32": 7})
    ('cat: 1,200, dog: 3', 'all 32 × 32')
    """
    if len(counts) == 1:
        return f"all {next(iter(counts))}"
    shown = list(counts.items())[:MAX_SHOWN]
    text = ", ".join(f"{name}: {count:,}" for name, count in shown)
    return text + (f", … {len(counts) - MAX_SHOWN:,} more" if len(counts) > MAX_SHOWN else "")


def format_value(value: float) -> str:
    """Return a value of a pixel or a signal for people.

    Examples
    --------
    >>> format_value(65535.0), format_value(0.099938)
    ('65,535', '0.09994')
    """
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def format_classes(counts: Counts) -> str:
    """Return the samples of each class for people; of many classes, the largest and the smallest.

    Examples
    --------
    >>> format_classes({f"{i}": i for i in range(1, 101)})
    '100: 100, 99: 99, 98: 98, … 96 more, 1: 1'
    """
    if len(counts) <= MAX_SHOWN:
        return format_counts(counts)
    *largest, smallest = sorted(counts, key=lambda name: -counts[name])
    shown = [f"{name}: {counts[name]:,}" for name in (*largest[:MAX_EXAMPLES], smallest)]
    shown.insert(-1, f"… {len(counts) - len(shown):,} more")
    return ", ".join(shown)


def format_ranges(values: Sequence[int]) -> str:
    """Return sorted whole numbers with those in a row as ranges.

    Examples
    --------
    >>> format_ranges([0, 1, 2, 5, 255])
    '0 to 2, 5, 255'
    """
    return ", ".join(
        f"{start} to {end}" if end > start else f"{start}" for start, end in _ranges(values)
    )


def describe_note(note: Note) -> str:
    """Return a note as one line: its kind, its sentence and the option that mends it."""
    return f"{note.kind}: {note.text}" + (f" ({note.way_out})" if note.way_out else "")


def describe_left_out(one: LeftOut) -> str:
    """Return a line on files that were not read.

    Examples
    --------
    >>> describe_left_out(LeftOut(".txt", 3, ("a.txt", "b.txt")))
    '3 .txt, such as a.txt'
    """
    such = f", such as {one.examples[0]}" if one.examples else ""
    return f"{one.count:,} {one.reason}{such}"


def leave_out_broken(skipped: Sequence[tuple[str, str]]) -> tuple[LeftOut, ...]:
    """Return the files (name, reason) that could not be decoded, by their reasons."""
    return LeftOut.by_reason((f"{BROKEN} ({why})", name) for name, why in skipped)


def describe_broken(left_out: Sequence[LeftOut]) -> str:
    """Return the end of a description that says how many files are broken, or nothing."""
    broken = [one for one in left_out if is_broken(one)]
    if not broken:
        return ""
    count, reason = sum(one.count for one in broken), broken[0].reason.removeprefix(BROKEN)
    return f"; {count:,} skipped as broken, such as {broken[0].examples[0]}{reason}"


def is_broken(one: LeftOut) -> bool:
    """Return whether these files were left out because they could not be decoded."""
    return one.reason.startswith(BROKEN)


def _ranges(values: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of each run of numbers that follow each other."""
    # Within a run, a number and its position grow alike.
    for _, run in groupby(enumerate(values), key=lambda one: one[1] - one[0]):
        numbers = [value for _, value in run]
        yield numbers[0], numbers[-1]
