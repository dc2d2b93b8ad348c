"""`isthmus data`: the named data sets and the cache."""

from typing import Annotated

import typer
from rich.table import Table

from isthmus.cli.app import Json, app
from isthmus.errors import SettingsError
from isthmus.terminal import Download, out_console, print_json

data_app = typer.Typer(
    help="The named data sets: what, how many, where from, present or not.\n\n"
    "Example: isthmus data",
    invoke_without_command=True,
)
app.add_typer(data_app, name="data")


@data_app.callback()
def data(context: typer.Context, as_json: Json = False) -> None:
    """List the named data sets."""
    if context.invoked_subcommand is not None:
        return
    from isthmus.data.datasets import DATASETS, data_folder

    rows = [
        {
            "name": row.name,
            "about": row.about,
            "samples": row.counts,
            "origin": row.origin,
            "present": row.present,
        }
        for row in DATASETS.values()
    ]
    if as_json:
        print_json(rows)
        return
    table = Table(box=None, header_style="bold")
    for title in ("name", "what", "samples", "from", "present"):
        table.add_column(title)
    for row in rows:
        *texts, present = row.values()
        table.add_row(*map(str, texts), "yes" if present else f"isthmus data fetch {row['name']}")
    out_console.print(table)
    out_console.print(f"Data sets are kept in {data_folder()} (ISTHMUS_DATA).", style="dim")


@data_app.command()
def fetch(name: Annotated[str, typer.Argument(help="The data set's name.")]) -> None:
    """Download a named data set and check its content.

    Example: isthmus data fetch fashion-mnist
    """
    from isthmus.data.datasets import DATASETS
    from isthmus.data.datasets import fetch as fetch_files

    if name not in DATASETS:
        raise SettingsError(f"there is no data set {name!r}; there are {', '.join(DATASETS)}.")
    with Download() as download:
        fetched = fetch_files(DATASETS[name], download)
    for file in fetched:
        out_console.print(f"{file}")
    if not fetched:
        out_console.print(f"{name} is here already.")


@data_app.command()
def clean() -> None:
    """Delete the cache of decoded samples; it is made again when needed.

    Example: isthmus data clean
    """
    from isthmus.data.cache import clear

    out_console.print(f"{clear() / 1e6:,.1f} MB freed.")
