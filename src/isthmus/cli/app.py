"""The application, and the options that several of its commands have."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from isthmus.cli.completion import complete_model_path, complete_run, complete_source
from isthmus.errors import OptionError, require_known

if TYPE_CHECKING:
    from isthmus.data.preprocess import Preprocessing
    from isthmus.models.tasks import Task


class Commands(TyperGroup):
    """Commands that refuse an empty argument, as a variable leaves that is not set.

    A path would take it for the current folder.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments of any command, if none is empty."""
        for place, argument in enumerate(args):
            is_option = argument.startswith("--") and argument.endswith("=")
            if not ctx.resilient_parsing and (is_option or not argument.strip()):
                after = argument if is_option else ["isthmus", *args][place]
                raise OptionError(
                    f"the argument after {after!r} is empty, as of a variable that is not set; "
                    "give a name or a number."
                )
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


app = typer.Typer(
    cls=Commands,
    help="Train autoencoders on your images and put them to use; also classifiers and segmenters.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # a bug should give a plain traceback, without local values
    context_settings={"help_option_names": ["-h", "--help"]},
)

Source = Annotated[
    str,
    typer.Argument(
        help="The name of a data set, a folder or archive of images, a single image, or a CSV, "
        "Parquet, Arrow, IDX, .npy or .npz file; or the address of one, such as s3://bucket/photos.",
        autocompletion=complete_source,
    ),
]
RunFolder = Annotated[Path, typer.Argument(help="The run folder.", autocompletion=complete_run)]
ModelPath = Annotated[
    Path,
    typer.Argument(
        help="The run folder, or a model that isthmus export wrote (.onnx).",
        autocompletion=complete_model_path,
    ),
]
OwnSource = Annotated[
    str | None,
    typer.Argument(
        help="As for isthmus train; by default the run's own data.",
        show_default=False,
        autocompletion=complete_source,
    ),
]
OwnData = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="PLACE",
        help="Where the run's own data is now, if it has moved; by default where it was.",
        show_default=False,
        autocompletion=complete_source,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Size = Annotated[
    str | None,
    typer.Option(
        help="Resize images: 64 for 64 × 64 pixels, 48x64 for a height of 48; by default not."
    ),
]
On = Annotated[
    str | None,
    typer.Option(
        help="Compute on many machines, by Ray: local starts Ray on this machine, auto joins the "
        "cluster of this machine, and an address another cluster. By default without Ray.",
        metavar="ADDRESS",
        show_default=False,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(help="Maximum number of samples to read, spread evenly; by default all."),
]
CodeSize = Annotated[
    int | None,
    typer.Option(help="How many numbers the code has; by default the model's own."),
]
MaxMinutes = Annotated[
    float | None,
    typer.Option(help="Stop after this many minutes of training; isthmus resume continues."),
]


def make_preprocessing(
    size: str | None, crop: int | None, gray: bool | None, background: str
) -> "Preprocessing":
    """Return the preprocessing of images that the options of a command ask for."""
    from isthmus.data.preprocess import Preprocessing

    channels = None if gray is None else 1 if gray else 3  # None keeps those of the source
    return Preprocessing(
        crop=crop, size=parse_sides(size), channels=channels, background=background
    )


def model_options(width: str | None, **others: bool | float | None) -> dict[str, Any]:
    """Return the options of a model that were given.

    A width is a whole number of channels for some models and a factor for others.
    """
    options: dict[str, Any] = {name: value for name, value in others.items() if value is not None}
    if width is not None:
        try:
            options["width"] = int(width) if width.isdigit() else float(width)
        except ValueError:
            raise OptionError(f"width is a number, such as 32 or 0.25, not {width!r}.") from None
    return options


def parse_task(name: str | None, others: Sequence[str] = ()) -> "Task | None":
    """Return a task by its name, or raise an OptionError that lists the tasks and others."""
    from isthmus.models.tasks import TASKS

    for task in TASKS:
        if task == name:
            return task
    if name is not None:
        require_known("task", name, (*TASKS, *others))
    return None


def parse_sides(size: str | None) -> tuple[int, int] | None:
    """Parse 64 or 48x64 as (height, width)."""
    if size is None:
        return None
    sides = _whole_numbers(size)
    if len(sides) > 2:
        raise OptionError(f"size is a number of pixels or HEIGHTxWIDTH, not {size!r}.")
    return sides[0], sides[-1]


def parse_shape(text: str) -> tuple[int, ...]:
    """Parse 28x28x1 as (1, 28, 28): models have the channels first."""
    *sides, channels = _whole_numbers(text)
    return (channels, *sides)


def _whole_numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.lower().replace("×", "x").split("x")]
    except ValueError:
        raise OptionError(
            f"{text!r} is not a size; give whole numbers with x between, as in 48x64."
        ) from None


def format_number(value: Any) -> str:
    """Format a number for people, and None as a dash."""
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:.5g}"
    return "–" if value is None else str(value)
