"""`isthmus duplicates`: equal and nearly equal pictures of a source or a run."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.app import Json, OwnData, app
from isthmus.cli.completion import complete_source
from isthmus.cli.options import expand_options
from isthmus.cli.sources import DataOptions
from isthmus.cli.terminal import print_result, say, track
from isthmus.data.reading import Reading
from isthmus.errors import OptionError
from isthmus.text import printable

if TYPE_CHECKING:
    from isthmus.detection.duplicates.pictures import Pictures
    from isthmus.detection.duplicates.result import Duplicates

MAX_LINES = 20  # pairs that are printed


@app.command()
@expand_options
def duplicates(
    source: Annotated[
        str,
        typer.Argument(
            help="What isthmus train reads, of pictures of any sizes; or a run folder, for the "
            "run's own data and splits.",
            autocompletion=complete_source,
        ),
    ],
    options: DataOptions,
    reading: Reading,
    near: Annotated[
        float,
        typer.Option(
            help="The agreement from which two pictures count as nearly equal: 1 for equal "
            "details, 0.5 for unrelated ones, seldom above 0.9 for photographs of the same thing."
        ),
    ] = 0.98,
    turned: Annotated[
        bool,
        typer.Option("--turned", help="Find pictures turned by 90° or 180°, or upside down, too."),
    ] = False,
    mirrored: Annotated[
        bool,
        typer.Option(
            help="Find mirror images; without, as for digits, letters and signs, they are not "
            "looked for."
        ),
    ] = True,
    out: Annotated[
        Path | None,
        typer.Option(help="A page to write, with the pairs next to each other (HTML)."),
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(
            "--list",
            metavar="FILE",
            help="A file to write with the names of the pictures that can go, one a line; nothing "
            "is removed.",
        ),
    ] = None,
    data: OwnData = None,
    as_json: Json = False,
) -> None:
    """Find pictures that are equal or show the same, also in training and test data.

    Nearly equal are crops, mirror images, pictures that were compressed again, brighter or darker
    ones, and those of other sizes.

    Example: isthmus duplicates photos/ --out duplicates.html
    """
    from isthmus.detection.duplicates.find import find_among, require_near
    from isthmus.places import PAGE_SUFFIXES, require_new, require_own_place
    from isthmus.reports.duplicates import write_duplicates, write_list

    require_near(near)
    if out is not None:
        require_own_place(out, PAGE_SUFFIXES)
    if names is not None:
        require_new(names)
        if names == out:
            raise OptionError(f"{out} cannot be the page and the list; give two names.")
    pictures = _read(source, options, reading, data)
    found = find_among(pictures, near=near, mirrored=mirrored, turned=turned, track=track)
    # The list first: a name with a line break is refused before anything is written.
    written = [write_list(found, names)] if names is not None else []
    written += [write_duplicates(found, out)] if out is not None else []
    places = {"page": out, "list": names}
    paths = {name: None if path is None else str(path) for name, path in places.items()}
    print_result(found.to_json() | paths, "\n".join(_lines(found)), as_json)
    for path in written:
        say(printable(f"{path} was written."))


def _read(source: str, options: DataOptions, reading: Reading, data: str | None) -> "Pictures":
    from isthmus.detection.duplicates.find import is_run_folder, open_pictures, read_pictures

    if is_run_folder(source):
        if options != DataOptions() or reading != Reading():
            raise OptionError(
                f"{source} is a run, whose samples are read as it was trained; leave the options "
                "on reading out, or name its data instead."
            )
        from isthmus.training.run import Run

        return open_pictures(Run.open(source, data=data), track)
    if data is not None:
        from isthmus.data.remote.addresses import name_source

        raise OptionError(
            f"{name_source(source)} is no run; --data says where the data of a run is."
        )
    return read_pictures(
        source, options.preprocessing, limit=options.limit, reading=reading, track=track
    )


def _lines(found: "Duplicates") -> Iterator[str]:
    """Return what was found, and the first pairs: those of different splits come first."""
    yield from found.describe()
    names, pairs = found.pictures.names, found.pairs
    leaking = {row for group in found.leaks for row in group.rows}
    pairs.sort(key=lambda pair: pair.first not in leaking)
    for pair in pairs[:MAX_LINES]:
        agreement = "" if pair.is_exact else f"{pair.written}, "
        what = f"{agreement}{', '.join(found.differences(pair))}"
        first, second = (printable(names[row]) for row in pair.rows)  # each in one line
        yield f"  {first}  {second}  ({what})"
    if len(pairs) > MAX_LINES:
        yield f"  and {len(pairs) - MAX_LINES:,} more pairs: --out page.html shows them."
