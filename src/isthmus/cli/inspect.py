"""Commands about runs: evaluate, reconstruct, summary, report, activations, compare."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from isthmus.cli.app import (
    CodeSize,
    Json,
    Limit,
    RunFolder,
    Source,
    app,
    format_number,
    parse_shape,
)
from isthmus.cli.tables import make_table, show_evaluation
from isthmus.cli.terminal import out_console, print_json, print_result, say, track

Plain = Annotated[
    Path | None,
    typer.Option(
        help="For a denoiser: a run trained on the same data without noise, for comparison."
    ),
]


@app.command()
def evaluate(
    run: RunFolder,
    source: Annotated[
        str | None, typer.Argument(help="Another source; by default the run's own test split.")
    ] = None,
    limit: Limit = None,
    plain: Plain = None,
    as_json: Json = False,
) -> None:
    """Measure a run on data that it was not trained on, compared with baselines.

    Example: isthmus evaluate runs/mine --json
    """
    from isthmus.reports.outputs import describe_samples
    from isthmus.session import Session
    from isthmus.training.run import Run

    session = Session(Run.open(run), track=track)
    samples = session.read(source, limit) if source else None
    if samples is not None and samples.skipped:
        say(describe_samples(samples))
    result = session.evaluate(samples, plain=Run.open(plain) if plain else None)
    if as_json:
        print_json(result)
        return
    show_evaluation(result)


@app.command()
def reconstruct(
    run: RunFolder,
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

    result = write_reconstructions(Session(run, track=track), source, out, limit=limit)
    print_result(result, f"{out}", as_json)


@app.command()
def summary(
    model: Annotated[
        str | None, typer.Argument(help="A model's name, or a run folder; by default all models.")
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(help="Shape of a sample: HEIGHTxWIDTHxCHANNELS or LENGTHxCHANNELS."),
    ] = None,
    code_size: CodeSize = None,
    as_json: Json = False,
) -> None:
    """List a model's layers, output shapes, parameters and multiplications, or all models.

    Example: isthmus summary conv-bn-2d
    """
    from isthmus.files import to_json
    from isthmus.models.config import configure
    from isthmus.models.registry import MODELS, model_row
    from isthmus.models.summary import summarize
    from isthmus.training.run import Run

    if model is None:
        rows = {name: row.description for name, row in MODELS.items()}
        if as_json:
            print_json(rows)
            return
        table = Table(box=None, show_header=False)
        for name, about in rows.items():
            table.add_row(name, about)
        out_console.print(table)
        return
    if model not in MODELS and Path(model).is_dir():
        model_config = Run.open(model).record.model_config
    else:
        row = model_row(model)
        model_config = configure(
            model,
            parse_shape(shape) if shape else row.shape,
            code_size,
            class_names=row.class_names,
        )
    layers = summarize(model_config)
    totals = {
        "trainable": sum(layer.trainable for layer in layers),
        "not_trainable": sum(layer.frozen for layer in layers),
        "macs": sum(layer.macs for layer in layers),
    }
    totals["parameters"] = totals["trainable"] + totals["not_trainable"]
    if as_json:
        print_json({"config": to_json(model_config), "layers": to_json(layers), **totals})
        return
    table = Table(box=None, header_style="bold")
    for title in ("layer", "kind", "output"):
        table.add_column(title, no_wrap=title != "kind")
    for title in ("parameters", "multiplications"):
        table.add_column(title, justify="right", no_wrap=True)
    for layer in layers:
        numbers = (f"{layer.trainable + layer.frozen:,}", f"{layer.macs:,}")
        table.add_row(layer.name, layer.kind, " × ".join(map(str, layer.shape)), *numbers)
    out_console.print(table)
    out_console.print(
        f"\n{totals['parameters']:,} parameters, of which {totals['trainable']:,} trainable and "
        f"{totals['not_trainable']:,} not; {totals['macs']:,} multiplications a sample"
    )


@app.command("report")
def report_command(
    run: RunFolder,
    out: Annotated[
        Path | None,
        typer.Option(help="The page to write; by default report.html in the run folder."),
    ] = None,
    plain: Plain = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page about a run.

    Example: isthmus report runs/mine
    """
    from isthmus.reports.run import write_report
    from isthmus.training.run import Run

    page = write_report(
        Run.open(run), plain=Run.open(plain) if plain else None, out=out, track=track
    )
    print_result({"page": str(page)}, f"{page}", as_json)


@app.command()
def activations(
    run: RunFolder,
    image: Annotated[str, typer.Argument(help="An image file.")],
    out: Annotated[Path, typer.Option(help="The picture to write (PNG).")] = Path("layers.png"),
    as_json: Json = False,
) -> None:
    """Draw the output of every layer for an image.

    Example: isthmus activations runs/mine image.jpg --out layers.png
    """
    from isthmus.reports.pictures import activations as draw
    from isthmus.session import Session
    from isthmus.viz.canvas import write_png

    session = Session(run, track=track)
    samples = session.read(image, limit=1)
    write_png(out, draw(session, samples.values[0], samples.names[0]))
    print_result({"picture": str(out), "layers": len(session.model.layers)}, f"{out}", as_json)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, two or more.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("compare.html"),
    method: Annotated[str, typer.Option(help="Method of the maps: pca, tsne or umap.")] = "pca",
    as_json: Json = False,
) -> None:
    """Compare runs of one task: one table, and one page of curves, baselines and maps.

    Example: isthmus compare runs/a runs/b --out compare.html
    """
    from isthmus.reports.comparison import write_comparison
    from isthmus.training.run import Run

    rows = write_comparison([Run.open(run) for run in runs], out, method=method, track=track)
    if as_json:
        print_json({"page": str(out), "runs": rows})
        return
    names = [name for name in rows[0] if name != "run"]
    cells = [
        [name.replace("_", " "), *(format_number(row[name]) for row in rows)] for name in names
    ]
    out_console.print(make_table(["", *(row["run"] for row in rows)], cells))
    print_result({}, f"{out}", False)
