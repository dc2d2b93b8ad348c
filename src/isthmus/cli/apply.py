"""Commands that use a trained model: denoise, encode, map, index, search, morph, predict."""

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.app import Json, Limit, RunFolder, Source, app
from isthmus.cli.terminal import print_json, print_result, say, track
from isthmus.errors import OptionError

Layer = Annotated[
    str, typer.Option(help="code, or the name of a layer as isthmus summary RUN lists it.")
]
Label = Annotated[str | None, typer.Option(help="Search only samples of this class.")]


@app.command()
def denoise(
    run: RunFolder,
    source: Source,
    out: Annotated[Path, typer.Option(help="Folder to create; files keep their names and sizes.")],
    as_json: Json = False,
) -> None:
    """Remove noise from files and write the results into a new folder.

    Example: isthmus denoise runs/denoiser noisy/ --out clean/
    """
    from isthmus.denoising import denoise as denoise_files
    from isthmus.inference import TrainedModel
    from isthmus.training.run import Run

    model = TrainedModel.load(run)
    model.require_task("reconstruct")
    if Run.open(run).record.training_config.corrupt is None:
        say(f"{run} was trained without noise (--corrupt) and does not remove any.")
    done = denoise_files(model, source, out, track=track)
    text = f"{out}: {done.count:,} denoised"
    if done.resized:
        text += f"; {done.resized:,} resized to the model's size and back, which loses detail"
    for name, reason in done.skipped[:5]:
        text += f"\nskipped {name}: {reason}"
    content = {
        "out": str(out),
        "denoised": done.count,
        "resized": done.resized,
        "skipped": [list(pair) for pair in done.skipped],
    }
    print_result(content, text, as_json)


@app.command()
def encode(
    run: RunFolder,
    source: Source,
    out: Annotated[
        Path, typer.Option(help="The .npy file to write; a .json file next to it.")
    ] = Path("codes.npy"),
    layer: Layer = "code",
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Write the codes of samples, or any layer's features, to a file.

    Example: isthmus encode runs/mine photos/ --out codes.npy
    """
    from isthmus.inference import TrainedModel
    from isthmus.latent.codes import encode as encode_samples

    model = TrainedModel.load(run)
    samples = model.read(source, limit=limit, track=track)
    codes = encode_samples(model, samples, layer, out=out, track=track)
    content = {
        "codes": str(out),
        "n": len(codes),
        "size": codes.z.shape[1],
        "layer": layer,
        "shape": list(codes.shape),
        "model_fingerprint": codes.model_fingerprint,
        "data_fingerprint": codes.items.fingerprint,
    }
    print_result(content, f"{out}: {len(codes):,} × {codes.z.shape[1]:,}, {layer}", as_json)


@app.command("map")
def map_command(
    run: RunFolder,
    source: Source,
    method: Annotated[
        str, typer.Option(help="pca, tsne, umap, or code to use a code of 2 directly.")
    ] = "tsne",
    out: Annotated[Path, typer.Option(help="The picture to write (PNG).")] = Path("map.png"),
    draw: Annotated[
        str, typer.Option(help="points, thumbnails, or decoded: a code of 2 decoded over a grid.")
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
    as_json: Json = False,
) -> None:
    """Draw a map: samples in two dimensions by their codes, with measures of its quality.

    Example: isthmus map runs/mine photos/ --method tsne --out map.png
    """
    from isthmus.reports.outputs import write_map
    from isthmus.reports.pictures import describe_quality
    from isthmus.session import Session

    result = write_map(
        Session(run, track=track),
        source,
        out,
        method=method,
        style=draw,
        onto=onto,
        max_samples=max_samples,
        layer=layer,
        seed=seed,
        limit=limit,
    )
    print_result(result, f"{out}: {describe_quality(result)}", as_json)


@app.command()
def index(
    run: RunFolder,
    source: Annotated[
        str | None, typer.Argument(help="What to index; else the run's own data.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="euclidean or cosine; else euclidean.")] = None,
    layer: Annotated[
        str | None, typer.Option(help="A layer that isthmus summary RUN lists; else the code.")
    ] = None,
    add: Annotated[
        bool, typer.Option("--add", help="Add the source to the index instead of replacing it.")
    ] = False,
    remove: Annotated[
        list[str] | None, typer.Option(help="Remove a sample by name; may be given repeatedly.")
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Only say whether index, model and sources belong together."),
    ] = False,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Index the codes of samples, to search among them.

    Example: isthmus index runs/mine photos/
    """
    from isthmus.inference import TrainedModel
    from isthmus.latent.indexing import build_index, check_index, update_index
    from isthmus.reports.outputs import describe_index
    from isthmus.training.run import Run

    model, folder = TrainedModel.load(run), run / "index"
    if check:
        if source or metric or layer or add or remove or limit:
            raise OptionError("--check only looks at the index; give no other option.")
        _print_check(folder, check_index(folder, model, track), as_json)
        return
    if source is None and limit is not None:
        raise OptionError("a limit needs a source; name one to index.")
    if (add or remove) and (metric or layer):
        raise OptionError(
            "an index keeps its metric and layer; leave them out, or index the source again."
        )
    if remove and source is not None and not add:
        raise OptionError(f"to put {source} into the index as well, give --add.")
    samples = None
    if source is not None:
        samples = model.read(source, limit=limit, track=track)
    elif not remove:
        samples = Run.open(run).samples(track)
    if add or remove:
        found = update_index(folder, model, say, add=samples, remove=remove or (), track=track)
    else:
        assert samples is not None
        found = build_index(
            folder,
            model,
            samples,
            metric=metric or "euclidean",
            layer=layer or "code",
            track=track,
        )
    how = "exact search" if found.kind == "exact" else f"IVF-flat, recall@10 {found.recall:.3f}"
    text = f"{folder}: {len(found):,} codes, {found.metric} distance, {how}"
    print_result(describe_index(folder, found), text, as_json)


@app.command()
def search(
    run: RunFolder,
    query: Annotated[str, typer.Argument(help="An image file, or the name of an indexed sample.")],
    k: Annotated[int, typer.Option("--k", help="How many to find.")] = 5,
    label: Label = None,
    out: Annotated[Path | None, typer.Option(help="A picture to write (PNG).")] = None,
    as_json: Json = False,
) -> None:
    """Find the samples of the index whose codes are nearest to a query's.

    Example: isthmus search runs/mine query.jpg --k 5 --out similar.png
    """
    from isthmus.reports.outputs import write_search
    from isthmus.session import Session

    rows = write_search(Session(run, track=track, say=say), query, out, k=k, label=label)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print_result(
            {}, f"{row['distance']:10.4g}  {row['name']}  {row['label'] or ''}".rstrip(), False
        )
    if out is not None:
        say(f"{out}")


@app.command()
def morph(
    run: RunFolder,
    images: Annotated[
        list[str],
        typer.Argument(
            help="Two images, four for the corners of a grid, or one with --start and --end."
        ),
    ],
    steps: Annotated[int, typer.Option(help="Number of pictures from one end to the other.")] = 7,
    path: Annotated[str, typer.Option(help="linear or spherical interpolation.")] = "linear",
    among: Annotated[
        str | None, typer.Option(help="A labelled source, for --start and --end.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="With one image: move away from the mean code of this class …"),
    ] = None,
    end: Annotated[
        str | None, typer.Option(help="… and towards the mean code of this one.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="The strip (.png) or animation (.gif) to write.")
    ] = Path("strip.png"),
    as_json: Json = False,
) -> None:
    """Morph one image into another by interpolating between their codes.

    Example: isthmus morph runs/mine a.jpg b.jpg --steps 7 --out strip.png
    """
    from isthmus.reports.outputs import write_morph
    from isthmus.session import Session

    result = write_morph(
        Session(run, track=track),
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
    run: RunFolder,
    sources: Annotated[
        list[str], typer.Argument(help="Images, folders, archives or data sets, one or more.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="A picture of the predictions to write (PNG).")
    ] = None,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Predict the class of each image, or of each pixel.

    Example: isthmus predict runs/pets photo.jpg folder/ --json
    """
    from isthmus.inference import TrainedModel
    from isthmus.reports.outputs import describe_samples, write_predictions
    from isthmus.viz.canvas import require_png

    model = TrainedModel.load(run)
    model.require_task("classify", "segment")
    if out is not None:
        require_png(out)  # before anything is read
    read = [model.read(source, limit=limit, track=track) for source in sources]
    for samples in read:
        if samples.skipped:
            say(describe_samples(samples))
    rows = write_predictions(model, read, out)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        likely = list(row["probabilities" if "class" in row else "shares"].items())[:3]
        text = ", ".join(f"{name} {share:.1%}" for name, share in likely)
        print_result({}, f"{row['name']}: {text}", False)
    if out is not None:
        say(f"{out}")


def _print_check(folder: Path, reason: str | None, as_json: bool) -> None:
    """Print whether an index still belongs to its model and sources."""
    text = f"the index at {folder} belongs to this model and to its sources."
    if reason:
        text = f"the index at {folder} {reason}; make it again with isthmus index."
    print_result({"index": str(folder), "current": reason is None, "reason": reason}, text, as_json)
