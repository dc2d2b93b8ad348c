"""Commands about runs: evaluate, reconstruct, summary, report, activations, compare."""

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.app import (
    CodeSize,
    Json,
    Limit,
    ModelPath,
    OwnData,
    RunFolder,
    Source,
    app,
    format_number,
    parse_shape,
)
from isthmus.cli.completion import complete_model_or_run, complete_run
from isthmus.cli.encoders import EncoderOptions
from isthmus.cli.options import expand_options
from isthmus.cli.tables import make_table, show_evaluation, show_layers, show_models
from isthmus.cli.terminal import out_console, print_json, print_result, print_text, say, track

Plain = Annotated[
    Path | None,
    typer.Option(
        help="A run on the same data without noise, to compare a denoising autoencoder with; by "
        "default none."
    ),
]


@app.command()
@expand_options
def evaluate(
    run: RunFolder,
    encoder: EncoderOptions,
    source: Annotated[
        str | None,
        typer.Argument(
            help="The source to measure on; by default the test split of the run's own data."
        ),
    ] = None,
    corrupt: Annotated[
        str | None,
        typer.Option(
            metavar="<kind:strength>",
            help="For denoisers: the noise to add to the images; by default that of the training.",
        ),
    ] = None,
    limit: Limit = None,
    plain: Plain = None,
    data: OwnData = None,
    as_json: Json = False,
) -> None:
    """Measure a model on data that it was not trained on, compared with baselines.

    Example: isthmus evaluate runs/mine --json
    """
    from isthmus.session import Session
    from isthmus.training.run import Run

    session = Session(Run.open(run, data=data), track=track, say=say)
    read = session.read_images if session.is_denoiser else session.read
    samples = read(source, limit) if source else None
    other = Run.open(plain) if plain else None
    result = session.evaluate(samples, corrupt=corrupt, plain=other, encoder=encoder.load())
    if as_json:
        print_json(result)
    else:
        show_evaluation(result)


@app.command()
def reconstruct(
    run: ModelPath,
    source: Source,
    out: Annotated[Path, typer.Option(help="The picture to write (PNG).")] = Path("grid.png"),
    limit: Annotated[
        int, typer.Option(help="Maximum number of samples, spread evenly over the source.")
    ] = 10,
    as_json: Json = False,
) -> None:
    """Draw samples, their codes and their reconstructions.

    Example: isthmus reconstruct runs/mine photos/ --out grid.png
    """
    from isthmus.reports.outputs import write_reconstructions
    from isthmus.session import Session

    result = write_reconstructions(Session(run, track=track, say=say), source, out, limit=limit)
    print_result(result, f"{out}", as_json)


@app.command()
def summary(
    model: Annotated[
        str | None,
        typer.Argument(
            help="The name of a model, or a run folder; by default all models are listed.",
            autocompletion=complete_model_or_run,
        ),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(
            help="HEIGHTxWIDTHxCHANNELS or LENGTHxCHANNELS of a sample; by default the model's own."
        ),
    ] = None,
    code_size: CodeSize = None,
    as_json: Json = False,
) -> None:
    """List the layers of a model with their parameters and multiplications, or all models.

    Example: isthmus summary conv-bn-2d
    """
    if model is None:
        _print_models(as_json)
        return
    from isthmus.reports.outputs import describe_model

    content = describe_model(model, parse_shape(shape) if shape else None, code_size)
    if as_json:
        print_json(content)
    else:
        show_layers(content)


def _print_models(as_json: bool) -> None:
    """List the rows of `MODELS`."""
    from isthmus.models.registry import MODELS

    descriptions = {name: row.description for name, row in MODELS.items()}
    if as_json:
        print_json(descriptions)
    else:
        show_models(descriptions)


@app.command("report")
@expand_options
def report_command(
    run: RunFolder,
    encoder: EncoderOptions,
    out: Annotated[
        Path | None,
        typer.Option(help="The page to write; by default report.html in the run folder."),
    ] = None,
    plain: Plain = None,
    data: OwnData = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page about a run.

    Example: isthmus report runs/mine
    """
    from isthmus.reports.run import write_report
    from isthmus.training.run import Run

    other = Run.open(plain) if plain else None
    page = write_report(
        Run.open(run, data=data), plain=other, encoder=encoder.load(), out=out, track=track
    )
    print_result({"page": str(page)}, f"{page}", as_json)


@app.command()
def card(
    run: RunFolder,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder to create; by default card in the run folder."),
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option(
            help="A file that isthmus export wrote of this model, to publish as well; by default "
            "none."
        ),
    ] = None,
    license_name: Annotated[
        str | None,
        typer.Option(
            "--license",
            help="Name of a license, such as apache-2.0; by default the card has a line to fill "
            "in.",
        ),
    ] = None,
    data: OwnData = None,
    as_json: Json = False,
) -> None:
    """Write a folder to publish, such as on the Hugging Face Hub: a model card and the weights.

    Example: isthmus card runs/mine --out published/
    """
    from isthmus.reports.card import write_card
    from isthmus.training.run import Run

    folder = write_card(
        Run.open(run, data=data), out=out, onnx=onnx, license=license_name, track=track
    )
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    text = f"{folder}: {', '.join(files)}\nIts pictures show test samples; look before you publish."
    print_result({"folder": str(folder), "files": files}, text, as_json)


@app.command()
def activations(
    run: RunFolder,
    image: Annotated[str, typer.Argument(help="An image file.")],
    out: Annotated[Path, typer.Option(help="The picture to write (PNG).")] = Path("layers.png"),
    as_json: Json = False,
) -> None:
    """Draw the output of each layer of a model for one image.

    Example: isthmus activations runs/mine image.jpg --out layers.png
    """
    from isthmus.places import require_apart
    from isthmus.reports.pictures import activations as draw
    from isthmus.session import Session
    from isthmus.viz.canvas import require_png, write_png

    require_png(out)  # before anything is read
    require_apart(out, image)
    session = Session(run, track=track, say=say)
    samples = session.read_one(image)
    write_png(out, draw(session, samples.values[0], samples.names[0]))
    print_result({"picture": str(out), "layers": len(session.trained.layers)}, f"{out}", as_json)


@app.command()
def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Two or more run folders.", autocompletion=complete_run)
    ],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("compare.html"),
    method: Annotated[str, typer.Option(help="Method of the maps: pca, tsne or umap.")] = "pca",
    data: OwnData = None,
    as_json: Json = False,
) -> None:
    """Compare runs of the same task in a table and on a page with curves and maps.

    Example: isthmus compare runs/a runs/b --out compare.html
    """
    from isthmus.reports.comparison import write_comparison
    from isthmus.reports.comparison_rows import ROW_TITLES
    from isthmus.training.run import Run

    rows = write_comparison(
        [Run.open(run, data=data) for run in runs], out, method=method, track=track
    )
    if as_json:
        print_json({"page": str(out), "runs": rows})
        return
    names = [name for name in rows[0] if name != "run"]
    cells = [[ROW_TITLES[name], *(format_number(row[name]) for row in rows)] for name in names]
    out_console.print(make_table(["", *(row["run"] for row in rows)], cells))
    print_text(f"{out}")
