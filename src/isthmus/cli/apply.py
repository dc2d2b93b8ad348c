"""Commands that use a trained model: denoise, encode, map, index, search, morph, predict."""

import math
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.app import Json, Limit, ModelPath, OwnData, OwnSource, app
from isthmus.cli.cluster import (
    On,
    denoise_on,
    encode_on,
    predict_masks_on,
    require_predicted_files,
    tabulate_on,
    to_be_continued,
)
from isthmus.cli.completion import complete_model_path, complete_source
from isthmus.cli.encoders import EncoderOptions, open_session
from isthmus.cli.options import expand_options
from isthmus.cli.sources import MAX_NAMED, describe_unread, list_unread, say_use
from isthmus.cli.terminal import print_json, print_result, print_text, say, track
from isthmus.errors import OptionError
from isthmus.text import count_of, printable

if TYPE_CHECKING:
    from isthmus.denoising import Denoised
    from isthmus.inference.model import Model
    from isthmus.session import Session

Layer = Annotated[
    str, typer.Option(help="code, or the name of a layer that isthmus summary RUN lists.")
]
DenoisedSource = Annotated[
    str | None,
    typer.Argument(
        help="The name of a data set, a folder or archive of images, a single image, or an .npy "
        "or .npz file.",
        show_default=False,
        autocompletion=complete_source,
    ),
]
Label = Annotated[
    str | None, typer.Option(help="Search only samples of this class; by default all.")
]


@app.command()
def denoise(
    run: Annotated[
        Path,
        typer.Argument(
            help="The run folder, or a model that isthmus export wrote (.onnx); with --estimate "
            "the source instead.",
            autocompletion=complete_model_path,
        ),
    ],
    source: DenoisedSource = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder to create; files keep their names and sizes.", show_default=False
        ),
    ] = None,
    estimate: Annotated[
        bool,
        typer.Option(
            "--estimate",
            help="Only say how strong the noise of each picture of a source is; needs no model and "
            "writes nothing.",
        ),
    ] = False,
    on: On = None,
    as_json: Json = False,
) -> None:
    """Remove noise from files and write the results into a new folder.

    After Ctrl-C, the same command does the rest.

    Example: isthmus denoise runs/denoiser noisy/ --out clean/

    Example: isthmus denoise runs/denoiser noisy/ --on ray://head:10001 --out clean/

    Example: isthmus denoise noisy/ --estimate
    """
    if estimate:
        if source is not None or out is not None or on is not None:
            raise OptionError("--estimate needs no model and writes nothing; give a source alone.")
        _print_estimates(str(run), as_json)
        return
    if source is None or out is None:
        missing = "a source after the run" if source is None else "the folder to write by --out"
        raise OptionError(f"give {missing}; isthmus denoise --help has an example.")
    from isthmus.inference.load import load_model

    model = load_model(run)
    model.require_task("denoise", "reconstruct")
    if model.task == "reconstruct":
        _warn_of_no_noise(run)
    done = _denoise_here(model, source, out) if on is None else denoise_on(on, model, source, out)
    content = {
        "out": str(out),
        "denoised": done.count,
        "resized": done.resized,
        "lost": [asdict(loss) for loss in done.lost],
        **list_unread(done),
    }
    print_result(content, _describe_denoised(out, done), as_json)


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
        result = encode_on(on, session, source, out, layer, limit)
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


@app.command()
def predict(
    run: ModelPath,
    sources: Annotated[
        list[str], typer.Argument(help="One or more images, folders, archives or data sets.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="A picture of the first predictions to write (PNG), or a table of all (.csv, "
            ".json or .parquet); by default none."
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="A new folder for the masks of a segmenter, in the sizes of the images."),
    ] = None,
    limit: Limit = None,
    on: On = None,
    as_json: Json = False,
) -> None:
    """Predict the class of each image, or of each pixel.

    With --on, it writes a table or masks; after Ctrl-C, the same command does the rest.

    Example: isthmus predict runs/pets photo.jpg folder/ --json

    Example: isthmus predict runs/pets photos/ --on ray://head:10001 --out classes.csv
    """
    from isthmus.evaluation.tables import is_table
    from isthmus.inference.load import load_model
    from isthmus.reports.outputs import require_predictions

    model = load_model(run)
    model.require_task("classify", "segment")
    if out is not None:
        require_predictions(out)  # before anything is read
    if on is not None:
        require_predicted_files(out, masks)
    rows = None if masks is None else _predict_masks(model, sources, masks, limit, on)
    if out is not None and is_table(out):
        result = _tabulate(model, sources, out, limit, on)
        print_result(result, f"{out}: {count_of(result['n'], 'prediction')}", as_json)
        if masks is not None:
            say(f"{masks}")
        return
    if rows is None or out is not None:
        answers = _predict_here(model, sources, out, limit)
        rows = rows or answers
    if as_json:
        print_json(rows)
        return
    for row in rows:
        likely = list(row["probabilities" if "class" in row else "shares"].items())[:3]
        # In parentheses: of a class "9", "9 4.8%" would be hard to read.
        shares = ", ".join(f"{name} ({share:.1%})" for name, share in likely)
        print_text(printable(f"{row['name']}: {shares}"))
    for written in (masks, out):
        if written is not None:
            say(f"{written}")


def _predict_here(
    model: "Model", sources: list[str], out: Path | None, limit: int | None
) -> list[dict[str, Any]]:
    """Predict on this machine, and write a picture or a table."""
    from isthmus.reports.outputs import write_predictions

    read = [model.read(source, limit=limit, track=track) for source in sources]
    for source, samples in zip(sources, read, strict=True):
        say_use(source, samples)
    return write_predictions(model, read, out)


def _tabulate(
    model: "Model", sources: list[str], out: Path, limit: int | None, on: str | None
) -> dict[str, Any]:
    """Write a table of predictions; return what the command prints in their place."""
    if on is not None:
        return tabulate_on(on, model, sources, out, limit)
    count = len(_predict_here(model, sources, out, limit))
    return {"table": str(out), "n": count, "model_fingerprint": model.fingerprint}


def _denoise_here(model: "Model", source: str, out: Path) -> "Denoised":
    from isthmus.denoising import denoise as denoise_files
    from isthmus.denoising.ledger import count_done

    try:
        return denoise_files(model, source, out, track=track)
    except KeyboardInterrupt:
        count = count_done(out)
        done_so_far = f"{count:,} are done" if count else "nothing is done"
        say(f"Stopped; {done_so_far}, and the same command does the rest.")
        sys.exit(130)  # 128 + SIGINT, what a shell expects of a command that was interrupted


def _index_lance(
    path: Path, more: str | None, metric: str | None, add: bool, remove: list[str], as_json: bool
) -> None:
    """Build or change the index of a dataset of codes, and print what it is."""
    from isthmus.reports.lance_outputs import describe_lance_index, write_lance_index

    other = None if more is None else Path(more)
    result = write_lance_index(path, other, metric=metric, add=add, remove=remove)
    print_result(result, describe_lance_index(result), as_json)


def _predict_masks(
    model: "Model", sources: list[str], folder: Path, limit: int | None, on: str | None
) -> list[dict[str, Any]]:
    """Write the masks of sources into a folder; return what `isthmus predict` prints."""
    from isthmus.data.report import describe_left_out, leave_out_broken
    from isthmus.segmenting import predict_masks

    if on is None:
        done = predict_masks(model, sources, folder, limit=limit, track=track)
    else:
        done = predict_masks_on(on, model, sources, folder, limit)
    for one in (*done.left_out, *leave_out_broken(done.skipped)):
        say(f"left out: {describe_left_out(one)}")
    return done.rows


def _print_check(session: "Session", folder: Path, as_json: bool) -> None:
    """Print whether an index still belongs to its model and sources."""
    from isthmus.latent.indexing import check_index

    reason = check_index(folder, session.model, track, session.load_origin)
    text = f"The index at {folder} matches its model and its sources."
    if reason:
        text = f"The index at {folder} {reason}; build it again with isthmus index."
    print_result({"index": str(folder), "current": reason is None, "reason": reason}, text, as_json)


def _warn_of_no_noise(run: Path) -> None:
    """Say that a run was trained without noise; an exported file does not record it."""
    from isthmus.training.store import is_run

    if not is_run(run):
        return
    from isthmus.training.run import Run

    if Run.open(run).record.training_config.corrupt is None:
        say(f"{run} was trained without noise (--corrupt) and does not remove any.")


def _print_estimates(source: str, as_json: bool) -> None:
    """Print the strength of the noise of each picture of a source, and their median."""
    from isthmus.denoising import estimate_source

    found = estimate_source(source, track=track)
    sigmas = [None if math.isnan(sigma) else sigma for sigma in found.sigmas]
    median = None if math.isnan(found.median) else found.median
    if as_json:
        pictures = [
            {"name": name, "sigma": sigma} for name, sigma in zip(found.names, sigmas, strict=True)
        ]
        print_json({"median": median, "pictures": pictures, **list_unread(found)})
        return
    for name, sigma in zip(found.names, sigmas, strict=True):
        print_text(printable(f"{_in_levels(sigma):>9}  {name}"))
    for line in describe_unread(found):
        say(line)
    if len(sigmas) > 1:
        print_text(f"{_in_levels(median):>9}  median of {count_of(len(sigmas), 'picture')}")
    if unknown := sigmas.count(None):
        say(
            f"of {count_of(unknown, 'picture')} the noise cannot be estimated: too small, or black "
            "or white nearly everywhere."
        )


def _in_levels(sigma: float | None) -> str:
    """Return a standard deviation as --corrupt takes it."""
    if sigma is None:
        return "–"
    levels = 255 * sigma
    # Noise of files of 16 bits may be far below a step of eight.
    return f"{levels:.1f}/255" if levels >= 1 else f"{levels:.2g}/255"


def _describe_denoised(out: Path, done: "Denoised") -> str:
    text = f"{out}: {done.count:,} denoised"
    if done.resized:
        text += f"; {done.resized:,} resized to the model's size and back, which loses detail"
    for loss in done.lost:
        text += f"\nlost in {count_of(loss.count, 'file')}, such as {loss.example}: {loss.what}"
    return "\n".join([text, *describe_unread(done, MAX_NAMED)])
