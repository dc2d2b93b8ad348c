"""`isthmus data`: the named data sets and the cache."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from isthmus.cli.app import Json, Limit, OwnData, Size, Source, app, make_preprocessing
from isthmus.cli.completion import complete_dataset
from isthmus.cli.options import expand_options
from isthmus.cli.sources import DataOptions
from isthmus.cli.terminal import (
    Download,
    out_console,
    print_json,
    print_result,
    say,
    track,
)
from isthmus.data.reading import Reading
from isthmus.errors import require_known

data_app = typer.Typer(
    help="List the named data sets; fetch, preview, map and export data.\n\nExample: isthmus data",
    invoke_without_command=True,
)
app.add_typer(data_app, name="data")


@data_app.callback()
def data(context: typer.Context, as_json: Json = False) -> None:
    """List the named data sets."""
    if context.invoked_subcommand is not None:  # typer calls this before each subcommand too
        return
    from isthmus.data.dataset import data_folder
    from isthmus.reports.source_outputs import describe_datasets

    rows = describe_datasets()
    if as_json:
        print_json(rows)
        return
    table = Table(box=None, header_style="bold")
    for title in rows[0]:
        table.add_column(title)
    for row in rows:
        *texts, present = row.values()
        table.add_row(*map(str, texts), "yes" if present else f"isthmus data fetch {row['name']}")
    out_console.print(table)
    out_console.print(f"Data sets are stored in {data_folder()} (ISTHMUS_DATA).", style="dim")


@data_app.command()
def fetch(
    name: Annotated[
        str, typer.Argument(help="The name of a data set.", autocompletion=complete_dataset)
    ],
    as_json: Json = False,
) -> None:
    """Download a named data set and check its content.

    Example: isthmus data fetch fashion-mnist
    """
    from isthmus.data.catalog import DATASETS
    from isthmus.data.fetching import fetch as fetch_files

    require_known("data set", name, DATASETS)
    row = DATASETS[name]
    with Download() as download:
        files = [str(file) for file in fetch_files(row, download, say)]
    path = None if row.read is not None else str(row.locate())  # some come with Isthmus
    result = {"name": name, "path": path, "fetched": files}
    print_result(result, "\n".join(files) or f"{name} is on this machine already.", as_json)


@data_app.command("check")
@expand_options
def check_command(
    source: Source, data: DataOptions, reading: Reading, as_json: Json = False
) -> None:
    """Say what is read from a source, what is left out and why, and what looks wrong.

    Example: isthmus data check photos/ --size 64
    """
    from isthmus.data.inspection import check_with

    report = check_with(source, data.preprocessing, limit=data.limit, reading=reading, track=track)
    print_result(report.to_json(), f"{report}", as_json)


@data_app.command()
def clean(
    older_than: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Only what was last used so long ago or earlier, such as 12h, 30d or 2w.",
        ),
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Only the least recently used, until the others take at most so much, such as "
            "500MB or 20GB.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Delete nothing, and show what would be deleted.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Delete the cache of decoded samples, or a part of it; it is filled again when needed.

    What killed commands left is deleted too. Data sets that were fetched stay.

    Example: isthmus data clean --older-than 30d --dry-run
    """
    from isthmus.cli.cache import show_cleaning
    from isthmus.data.cache import clean as clean_cache
    from isthmus.data.cache.units import parse_age, parse_bytes

    cleaning = clean_cache(
        older_than=None if older_than is None else parse_age(older_than, "--older-than"),
        max_size=None if max_size is None else parse_bytes(max_size, "--max-size"),
        dry_run=dry_run,
    )
    if as_json:
        print_json(cleaning.to_json())
    else:
        show_cleaning(cleaning)


Seed = Annotated[int, typer.Option(help="Seed of all random numbers.")]
Noise = Annotated[
    list[str] | None,
    typer.Option(help="Noise as kind:strength, as for isthmus train; may be given repeatedly."),
]


@data_app.command("preview")
def preview_command(
    source: Source,
    corrupt: Noise = None,
    through: Annotated[
        list[Path] | None,
        typer.Option(help="A run whose reconstructions to draw too; may be given repeatedly."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The picture to write (PNG).")] = Path("preview.png"),
    limit: Annotated[
        int, typer.Option(help="Maximum number of samples, spread evenly over the source.")
    ] = 10,
    size: Size = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Draw samples of a source, the same with noise, and their reconstructions by runs.

    Of images that differ in size, or are too large to be drawn pixel by pixel, noise is shown in
    the middle.

    Example: isthmus data preview mnist --corrupt gaussian:0.1 --corrupt gaussian:0.5
    """
    from isthmus.inference.trained import TrainedModel
    from isthmus.reports.source_outputs import write_preview

    result = write_preview(
        source,
        out,
        corrupt=corrupt or (),
        models=[(run.resolve().name, TrainedModel.load(run)) for run in through or ()],
        limit=limit,
        size=make_preprocessing(size, None, None, "white").size,
        seed=seed,
        track=track,
    )
    side = result["middle"]
    cut = f": the middle of each image, at most {side} × {side}, at its own pixels" if side else ""
    print_result(result, f"{out}{cut}", as_json)


@data_app.command("map")
def map_command(
    source: Source,
    method: Annotated[str, typer.Option(help="pca, tsne or umap.")] = "pca",
    out: Annotated[Path, typer.Option(help="The picture to write (PNG).")] = Path("map.png"),
    max_samples: Annotated[
        int,
        typer.Option(help="Maximum number of samples to fit on; the others are placed on the map."),
    ] = 20_000,
    seed: Seed = 0,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Draw a map of samples by their raw values, without a model.

    Example: isthmus data map digits --out digits.png
    """
    from isthmus.reports.pictures import describe_quality
    from isthmus.reports.source_outputs import write_source_map

    result = write_source_map(
        source, out, method=method, max_samples=max_samples, seed=seed, limit=limit, track=track
    )
    shares = result.get("explained_variance")
    text = f"{out}: {describe_quality(result)}"
    if shares:
        text += f" The axes show {shares[0]:.2%} and {shares[1]:.2%} of the variance."
    print_result(result, text, as_json)


@data_app.command("export")
def export_command(
    source: Annotated[
        str,
        typer.Argument(
            help="A source as for isthmus train, or a run folder for the run's own data."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="The .npz file to write, or the folder of images to create.")
    ],
    split: Annotated[
        str | None, typer.Option(help="train, validation or test; by default all samples.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="The name of a sample to write, and no others; may be given repeatedly."),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(help="Maximum number of samples to write, spread evenly; by default all."),
    ] = None,
    limit: Limit = None,
    data: OwnData = None,
    as_json: Json = False,
) -> None:
    """Write samples to a file or as images, such as the test split of a run.

    Example: isthmus data export runs/mine --split test --out test.npz
    """
    from isthmus.reports.source_outputs import write_export
    from isthmus.session import Session
    from isthmus.training.store import is_run

    result = write_export(
        Session(source, data=data, track=track) if data or is_run(source) else source,
        out,
        split=split,
        only=only or (),
        count=count,
        limit=limit,
        track=track,
    )
    print_result(result, f"{out}: {result['description']}", as_json)
