"""How commands read a source: the options for it, and what they say of it."""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from isthmus.cli.app import Limit, Size, make_preprocessing
from isthmus.cli.terminal import say
from isthmus.text import printable
from isthmus.training.config import DATA

if TYPE_CHECKING:
    from isthmus.data.images import Images
    from isthmus.data.preprocess import Preprocessing
    from isthmus.data.reading import LeftOut
    from isthmus.data.samples import Samples

MAX_NAMED = 5  # files that could not be decoded; --json has all of them

Gray = Annotated[
    bool | None,
    typer.Option("--gray/--rgb", help="Convert images to gray or to color; by default neither."),
]


@dataclass(frozen=True)
class DataOptions:
    """Options of `isthmus train` and `isthmus data check` on the samples of a source.

    Parameters
    ----------
    crop : int, optional
        Cut out the central square of this many pixels first; by default nothing is cut.
    background : str
        Color behind transparent pixels, as a name or as #rrggbb.
    """

    size: Size = field(default=None, metadata=DATA)
    crop: int | None = field(default=None, metadata=DATA)
    gray: Gray = field(default=None, metadata=DATA)
    background: str = field(default="white", metadata=DATA)
    limit: Limit = field(default=None, metadata=DATA)

    @property
    def preprocessing(self) -> "Preprocessing":
        """The preprocessing of images."""
        return make_preprocessing(self.size, self.crop, self.gray, self.background)


def say_reading(samples: "Samples | Images") -> None:
    """Say in at most five lines what was read, how, and what looks wrong."""
    from isthmus.data.images import Images
    from isthmus.data.survey import report_of

    if isinstance(samples, Images):
        report = samples.report
        lines = [f"{samples.origin.source}: {samples.describe()}"] if report is None else []
    else:
        report, lines = report_of(samples), []
    for line in lines if report is None else report.summary():
        say(line)


def say_use(source: str, samples: "Samples") -> None:
    """Say what was made of a source to use a model on, if there is something to say."""
    from isthmus.data.fitting import describe_use

    for line in describe_use(source, samples):
        say(line)


class Unread(Protocol):
    """What was read of a source says which files were not."""

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """Names of files that could not be decoded, with the reasons."""

    @property
    def left_out(self) -> "tuple[LeftOut, ...]":
        """Files that are not read, by their kinds."""


def list_unread(found: Unread) -> dict[str, Any]:
    """Return as JSON which files of a source were not read."""
    return {
        "skipped": [list(pair) for pair in found.skipped],
        "left_out": [asdict(one) for one in found.left_out],
    }


def describe_unread(found: Unread, most: int | None = None) -> list[str]:
    """Return a line for each file that could not be decoded, and for each kind that is not read."""
    from isthmus.data.report import describe_left_out

    return [
        *(printable(f"skipped {name}: {reason}") for name, reason in found.skipped[:most]),
        *(f"left out: {describe_left_out(one)}" for one in found.left_out),
    ]
