"""Commands that use codes: encode, map, index, search and morph."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.app import Json, Limit, ModelPath, On, OwnData, OwnSource, app
from isthmus.cli.encoders import EncoderOptions, open_session
from isthmus.cli.options import expand_options
from isthmus.cli.terminal import print_json, print_result, print_text, say, to_be_continued, track
from isthmus.errors import OptionError
from isthmus.text import printable

if TYPE_CHECKING:
    from isthmus.session import Session

Layer = Annotated[
    str, typer.Option(help="code, or the name of a layer that isthmus summary RUN lists.")
]
Label = Annotated[
    str | None, typer.Option(help="Search only samples of this class; by default all.")
]


@app.command()
@expand_options
def encode(
    run: ModelPath,
    encoder: EncoderOptions,
    source: OwnSource = None,
    out: Annotated[
        Path,
        typer.Option(
            help="The .npy file to write, with a .json file of names and labels next to it; or a "
            ".lance dataset, for codes that outgrow memory."
        ),
    ] = Path("codes.npy"),
    layer: Layer = "code",
    limit: Limit = None,
    on: On = None,
    data: OwnData = None,
    as_json: Json = False,
) -> None:
    """Write the codes of samples, or the features of any layer, to a file.

    With --on, the output may be a .parquet file too; after Ctrl-C, the same command does the rest.

    Example: isthmus encode runs/mine photos/ --out codes.npy

    Example: isthmus encode runs/mine photos/ --on ray://head:10001 --out codes.parquet
    """
    session, source = open_session(run, source, encoder, data)
    if on is None:
        from isthmus.reports.outputs import write_codes

        result = write_codes(session, source, out, layer=layer, limit=limit, track=track)
    else:
        result = _encode_on(on, session, source, out, layer, limit)
    print_result(result, f"{out}: {result['n']:,} × {result['size']:,}, {layer}", as_json)


@app.command("map")
@expand_options
def map_command(
    run: ModelPath,
    encoder: EncoderOptions,
    source: OwnSource = None,
    method: Annotated[
        str,
        typer.Option(help="pca, tsne, umap, or code, which draws a code of 2 numbers as it is."),
    ] = "tsne",
    out: Annotated[Path, typer.Option(help="The picture to write (PNG).")] = Path("map.png"),
    draw: Annotated[
        str,
        typer.Option(
            help="points, thumbnails, or decoded: images decoded from a grid of codes of 2."
        ),
    ] = "points",
    onto: Annotated[
        Path | None, typer.Option(help="An existing map (.npz) to place these samples on.")
    ] = None,
    max_samples: Annotated[
        int,
        typer.Option(help="Maximum number of samples to fit on; the others are placed on the map."),
    ] = 20_000,
    layer: Layer = "code",
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = 0,
    limit: Limit = None,
    on: On = None,
    data: OwnData = None,
    as_json: Json = False,
) -> None:
    """Draw a map: samples in two dimensions by their codes, with measures of its quality.

    With --on, codes of a dataset are placed on all machines; after Ctrl-C, the same command does
    the rest.

    Example: isthmus map runs/mine photos/ --method tsne --out map.png

    Example: isthmus map runs/mine codes.lance --out map.png

    Example: isthmus map runs/mine codes.lance --on ray://head:10001 --out map.png
    """
    from isthmus.latent.lance.library import is_lance
    from isthmus.reports.lance_outputs import write_lance_map
    from isthmus.reports.outputs import write_map
    from isthmus.reports.pictures import describe_quality

    session, source = open_session(run, source, encoder, data)
    settings: dict[str, Any] = {
        "method": method,
        "style": draw,
        "onto": onto,
        "max_samples": max_samples,
        "layer": layer,
        "seed": seed,
        "limit": limit,
    }
    if source is not None and is_lance(source):
        with to_be_continued() if on else nullcontext():
            result = write_lance_map(session, Path(source), out, **settings, on=on, track=track)
    elif on is not None:
        raise OptionError(
            "--on places the codes of a dataset; write one by isthmus encode --on with --out "
            "codes.lance, and give it in place of the source."
        )
    else:
        result = write_map(session, source, out, **settings)
    print_result(result, f"{out}: {describe_quality(result)}", as_json)


@app.command()
@expand_options
def index(
    run: ModelPath,
    encoder: EncoderOptions,
    source: OwnSource = None,
    # None, not the default itself: --add rejects a metric or layer that was given.
    metric: Annotated[
        str | None, typer.Option(help="euclidean or cosine; by default euclidean.")
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(help="A layer that isthmus summary RUN lists; by default the code."),
    ] = None,
    add: Annotated[
        bool,
        typer.Option("--add", help="Add the source to the index instead of replacing the index."),
    ] = False,
    remove: Annotated[
        list[str] | None, typer.Option(help="Remove a sample by name; may be given repeatedly.")
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Only check whether the index, the model and the sources still match."
        ),
    ] = False,
    limit: Limit = None,
    data: OwnData = None,
    as_json: Json = False,
) -> None:
    """Index the codes of samples, to search among them.

    Example: isthmus index runs/mine photos/

    Example: isthmus index codes.lance --metric cosine
    """
    from isthmus.latent.lance.library import is_lance
    from isthmus.reports.outputs import write_index

    if is_lance(run):
        if layer or check or limit or data or encoder != EncoderOptions():
            raise OptionError(
                f"{run} is a dataset of codes; give no other option than --metric, --add, "
                "--remove and --json."
            )
        _index_lance(run, source, metric, add, remove or [], as_json)
        return
    if source is not None and is_lance(source):
        raise OptionError(f"{source} is a dataset of codes; isthmus index {source} indexes it.")
    session, source = open_session(run, source, encoder, data)
    folder = session.folder / "index"
    if check:
        if source or metric or layer or add or remove or limit:
            raise OptionError("--check only looks at the index; give no other option but --data.")
        _print_check(session, folder, as_json)
        return
    result = write_index(
        session,
        folder,
        source,
        metric=metric,
        layer=layer,
        add=add,
        remove=remove or (),
        limit=limit,
        say=say,
        track=track,
    )
    is_exact = result["kind"] == "exact"
    how = "exact search" if is_exact else f"IVF-flat, recall@10 {result['recall_10']:.3f}"
    text = f"{folder}: {result['n']:,} codes, {result['metric']} distance, {how}"
    print_result(result, text, as_json)


@app.command()
@expand_options
def search(
    run: ModelPath,
    encoder: EncoderOptions,
    query: Annotated[
        list[str] | None,
        typer.Argument(
            help="An image file, or the name of an indexed sample; before it, a dataset of codes "
            "to search in place of the run's index.",
            metavar="[CODES.lance] QUERY",
            show_default=False,
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option("--k", help="Number of results; by default 5, or all others if fewer."),
    ] = None,
    label: Label = None,
    out: Annotated[
        Path | None, typer.Option(help="A picture of the results to write (PNG); by default none.")
    ] = None,
    data: OwnData = None,
    as_json: Json = False,
) -> None:
    """Find the samples of the index whose codes are nearest to that of a query.

    Example: isthmus search runs/mine query.jpg --k 5 --out similar.png

    Example: isthmus search runs/mine codes.lance query.jpg
    """
    from isthmus.latent.lance.library import is_lance
    from isthmus.reports.outputs import write_search

    given = query or []
    codes = Path(given[0]) if len(given) == 2 and is_lance(given[0]) else None
    if (len(given) > 1 and codes is None) or len(given) > 2:
        raise OptionError(
            "give one image file or name to search for, after the .lance dataset if there is one."
        )
    if len(given) == 1 and is_lance(given[0]):
        raise OptionError(f"there is nothing to search for; give an image file after {given[0]}.")
    session, wanted = open_session(run, given[-1] if given else None, encoder, data)
    if wanted is None:
        raise OptionError("there is nothing to search for; give an image file after the run.")
    rows = write_search(session, wanted, out, k=k, label=label, codes=codes, say=say)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        found = f"{row['distance']:10.4g}  {row['name']}  {row['label'] or ''}"
        print_text(printable(found.rstrip()))
    if out is not None:
        say(f"{out}")


@app.command()
def morph(
    run: ModelPath,
    images: Annotated[
        list[str],
        typer.Argument(
            help="Two images, four for the corners of a grid, or one with --start and --end."
        ),
    ],
    steps: Annotated[int, typer.Option(help="Number of pictures from one end to the other.")] = 7,
    path: Annotated[str, typer.Option(help="linear or spherical interpolation.")] = "linear",
    among: Annotated[
        str | None, typer.Option(help="A labeled source, for --start and --end.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            help="With one image: the class whose mean code the direction leads away from."
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(help="With one image: the class whose mean code the direction leads to."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="The strip (.png) or animation (.gif) to write.")
    ] = Path("strip.png"),
    data: OwnData = None,
    as_json: Json = False,
) -> None:
    """Morph one image into another by interpolating between their codes.

    Example: isthmus morph runs/mine a.jpg b.jpg --steps 7 --out strip.png
    """
    from isthmus.reports.outputs import write_morph
    from isthmus.session import Session

    result = write_morph(
        Session(run, data=data, track=track, say=say),
        images,
        out,
        steps=steps,
        path=path,
        among=among,
        start=start,
        end=end,
    )
    print_result(result, f"{out}", as_json)


def _encode_on(
    on: str, session: "Session", source: str | None, out: Path, layer: str, limit: int | None
) -> dict[str, Any]:
    """Encode a source on a cluster, and return what `isthmus encode` prints."""
    from isthmus.cluster.encoding import encode_on_cluster

    if source is None:
        raise OptionError("--on needs a source that all machines find; name it after the run.")
    session.require_codes()
    with to_be_continued():
        return encode_on_cluster(
            session.model,
            source,
            out,
            on=on,
            layer=layer,
            limit=limit,
            preprocessing=session.preprocessing,
            reading=session.reading,
            track=track,
            say=say,
        )


def _index_lance(
    path: Path, more: str | None, metric: str | None, add: bool, remove: list[str], as_json: bool
) -> None:
    """Build or change the index of a dataset of codes, and print what it is."""
    from isthmus.reports.lance_outputs import describe_lance_index, write_lance_index

    other = None if more is None else Path(more)
    result = write_lance_index(path, other, metric=metric, add=add, remove=remove)
    print_result(result, describe_lance_index(result), as_json)


def _print_check(session: "Session", folder: Path, as_json: bool) -> None:
    """Print whether an index still belongs to its model and sources."""
    from isthmus.latent.indexing import check_index

    reason = check_index(folder, session.model, track, session.load_origin)
    text = f"The index at {folder} matches its model and its sources."
    if reason:
        text = f"The index at {folder} {reason}; build it again with isthmus index."
    print_result({"index": str(folder), "current": reason is None, "reason": reason}, text, as_json)
