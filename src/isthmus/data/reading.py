"""How a source is read: what the user decides about it, and what the readers found.

A reader decides what a file is for by its name, its folder and its shape. Where another decision
would make sense too, `Reading` has an option for it, and the reader says what it decided by a
`Note` that names this option. What it does not use, it lists as `LeftOut`. Both travel in
`Findings`, so that nothing is understood in silence.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from isthmus.data.readers.files.folder_names import parse_parts
from isthmus.errors import require_known

MAX_EXAMPLES = 3  # names of files in a message
MAX_NAME = 120  # letters of each

CHANNEL_PLACES = ("first", "last")
PAGES = ("first", "all")
CLASSES_FROM = ("folder", "parent", "name", "none")
OPTION = {"panel": "Reading", "omit_empty": True}  # see `isthmus.cli.options` and `files.to_json`


@dataclass(frozen=True)
class Reading:
    """How to read a source that can be understood in several ways; None lets the reader decide.

    Parameters
    ----------
    label_column : str, optional
        Column of a table that holds the classes: its name, its number from 1, first, last or none;
        or the name of such an array in an .npz, or none.
    classes_from : str, optional
        What names the class of an image: folder (the first one below the split), parent (the
        folder that it lies in), name (what its name begins with before a number) or none.
    parts : str, optional
        Folders that are splits, such as train=training_set,test=test1, or none.
    layout : str, optional
        Layout of a folder or an archive: Pascal VOC, CUB-200-2011, MVTec AD, side by side, by
        name, noisy and clean, WebDataset, or folders for none of them.
    channels : str, optional
        Where an array has its channels, first or last; or the numbers from 1 of the bands of an
        image to use, such as 4,3,2.
    pages : str, optional
        Which pages or frames of a file are samples, first or all.
    stretch : str, optional
        Values of the files that become black and white, such as 0:4095, or auto for the smallest
        and the largest value of the source.
    areas : int, optional
        Cut the images of a denoiser into areas with this many pixels along a side, so that one or
        two large images can be divided into training, validation and test split.

    Raises
    ------
    OptionError
        If a value is not one of those above.
    """

    label_column: str | None = field(default=None, metadata=OPTION)
    classes_from: str | None = field(default=None, metadata=OPTION)
    parts: str | None = field(default=None, metadata=OPTION)
    layout: str | None = field(default=None, metadata=OPTION)
    channels: str | None = field(default=None, metadata=OPTION)
    pages: str | None = field(default=None, metadata=OPTION)
    stretch: str | None = field(default=None, metadata=OPTION)
    areas: int | None = field(default=None, metadata=OPTION)

    def __post_init__(self) -> None:
        if self.classes_from is not None:
            require_known("source of classes", self.classes_from, CLASSES_FROM)
        if self.parts is not None:
            parse_parts(self.parts)
        if self.pages is not None:
            require_known("choice of pages", self.pages, PAGES)


@dataclass(frozen=True)
class Note:
    """A sentence about a source, for people.

    Parameters
    ----------
    kind : "guess" or "warning"
        A guess is how something was understood that has another reading as well; a warning is what
        looks wrong.
    code : str
        The same for all sentences of one sort, for programs, such as "parts-as-classes".
    text : str
        A sentence without full stop, that names the culprit.
    way_out : str
        What to do if it is wrong, such as "--parts none"; may be empty.
    """

    kind: Literal["guess", "warning"]
    code: str
    text: str
    way_out: str = ""


def note_unused(reading: Reading, options: Iterable[str], source: str) -> list[Note]:
    """Return warnings of options that were given but decide nothing about a source."""
    flags = [
        f"--{name.replace('_', '-')}" for name in options if getattr(reading, name) is not None
    ]
    return [
        Note("warning", "unused-option", f"{flag} has no effect on {source}", f"leave {flag} out")
        for flag in flags
    ]


@dataclass(frozen=True)
class LeftOut:
    """Files or folders that are not read, for one reason.

    Parameters
    ----------
    reason : str
        Such as ".txt" for a suffix that no reader knows, or "cannot be read (Permission denied)".
    count : int
    examples : tuple of str
        A few of their names.
    """

    reason: str
    count: int
    examples: tuple[str, ...]

    @classmethod
    def of(cls, reason: str, names: Sequence[str], many: str = "") -> "LeftOut":
        """Count names and keep the first ones; `many` is the reason if there are several."""
        reason = many if many and len(names) > 1 else reason
        return cls(reason, len(names), tuple(map(_shorten, names[:MAX_EXAMPLES])))

    @classmethod
    def by_reason(cls, names: Iterable[tuple[str, str]]) -> "tuple[LeftOut, ...]":
        """Count names, each given as (reason, name), in the order of the reasons."""
        found: dict[str, list[str]] = {}
        for reason, name in names:
            found.setdefault(reason, []).append(name)
        return tuple(cls.of(reason, left) for reason, left in found.items())


def _shorten(name: str) -> str:
    """Leave out the middle of a name that is too long for a line."""
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME // 2]}…{name[-MAX_NAME // 2 :]}"


class ValueFacts(NamedTuple):
    """The numbers in the file of an array, before they become pixels or signals."""

    dtype: str
    shape: tuple[int, ...]
    low: float
    high: float


@dataclass(frozen=True)
class Findings:
    """What a reader says about a source, besides its samples.

    Parameters
    ----------
    layout : str
        How the source is laid out, for people, such as "folders of classes".
    left_out : tuple of LeftOut
    notes : tuple of Note
    values : ValueFacts, optional
        Of a source that is an array.
    """

    layout: str = ""
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[Note, ...] = ()
    values: ValueFacts | None = None

    def add(
        self, notes: Iterable[Note] = (), left_out: Iterable[LeftOut] = (), layout: str = ""
    ) -> "Findings":
        """Return these findings and more."""
        return Findings(
            layout or self.layout,
            (*self.left_out, *left_out),
            (*self.notes, *notes),
            self.values,
        )


class PictureFacts(NamedTuple):
    """What the file of one picture holds, before it is fitted.

    Parameters
    ----------
    height, width : int
        Upright.
    kind : str
        Bits and channels, such as "8-bit RGB" or "16-bit gray".
    low, high : float
        Smallest and largest value, of the file's own scale if that has more than 8 bits.
    pages : int
        Pages or frames in the file.
    is_turned : bool
        Whether EXIF turned it.
    """

    height: int
    width: int
    kind: str
    low: float
    high: float
    pages: int = 1
    is_turned: bool = False
