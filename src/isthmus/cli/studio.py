"""`isthmus studio`."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.cli.app import Json, Limit, ModelPath, OwnData, OwnSource, app
from isthmus.cli.completion import complete_table
from isthmus.cli.encoders import EncoderOptions
from isthmus.cli.options import expand_options
from isthmus.cli.terminal import print_result, say, track
from isthmus.text import format_bytes

LARGE = 50_000_000  # bytes; a page of this size takes long to open
MANY = 5_000  # samples; what fewer take is little compared with a model


@app.command()
@expand_options
def studio(
    run: ModelPath,
    encoder: EncoderOptions,
    source: OwnSource = None,
    export: Annotated[
        Path | None,
        typer.Option(
            help="Write the page instead of serving it: a new folder for a web host, or one file "
            "that ends in .html and opens from a disk."
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Show only train, validation or test; by default all.",
            autocompletion=complete_table("data.samples", "SPLITS"),
        ),
    ] = None,
    limit: Limit = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="METHOD",
            help="A map besides pca: tsne or umap; may be given repeatedly, and the first is shown "
            "first. While it is served, the page can ask for others.",
            autocompletion=complete_table("latent.projections", "METHODS"),
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="The port to serve on; 0 takes one that is free.")] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
    data: OwnData = None,
    as_json: Json = False,
) -> None:
    """Look at a run in the browser: its map, its decoder, its layers, its training.

    The page is served to this machine only, also while the run is in training, until Ctrl-C.

    Example: isthmus studio runs/mine

    Example: isthmus studio runs/mine --export mine.html
    """
    from isthmus.training.store import is_run

    chosen: dict[str, Any] = {"split": split, "limit": limit, "methods": tuple(methods or [])}
    shown: Any = run
    other = encoder.load()
    if other is not None and source is None and not is_run(run):
        shown, source, other = other, str(run), None  # the run may be left out
    chosen |= {"encoder": other, "data": data, "track": track, "say": say}
    if export is not None:
        from isthmus.studio.export import write_studio

        result = write_studio(shown, export, source, **chosen)
        print_result(result, _describe(result), as_json)
        return
    from isthmus.studio.serve import serve_studio

    def announce(link: str) -> None:
        print_result({"link": link}, f"{link}\nCtrl-C ends it.", as_json)
        sys.stdout.flush()  # also where it is read by a program, which waits for the link

    is_idle = serve_studio(shown, source, port=port, browser=browser, ready=announce, **chosen)
    say("The studio has ended.")
    if not is_idle:
        # Python would take its modules away from a thread that computes, and crash.
        os._exit(0)


def _describe(result: dict[str, Any]) -> str:
    """Return what was written, for people, and of a large page how to make it smaller."""
    size = result["bytes"]
    text = f"{result['out']}: {result['samples']:,} samples, {format_bytes(size)}"
    if result["files"] > 1:
        text += f" in {result['files']:,} files, for a web host"
        text += "; a name that ends in .html gives one file, which opens from a disk"
    if size > LARGE:
        text += "\nA page of this size opens slowly."
        if result["samples"] > MANY:  # else the model takes most of it
            text += " --split test or --limit 5000 make it smaller."
    return text + "\nIt shows the samples themselves; look before you publish."
