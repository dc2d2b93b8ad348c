"""The command line: each command parses, makes one call, and prints.

Heavy modules are imported inside the commands, so that help answers at once.
"""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from isthmus.errors import IsthmusError, SettingsError
from isthmus.terminal import (
    Download,
    console,
    follow,
    out_console,
    print_json,
    print_result,
    quiet,
    say,
    track,
)

if TYPE_CHECKING:
    from isthmus.data.preprocessing import Preprocessing

app = typer.Typer(
    help="Train autoencoders on your images and use what they learnt.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(
    help="The named data sets: what, how many, where from, present or not.\n\n"
    "Example: isthmus data",
    invoke_without_command=True,
)
app.add_typer(data_app, name="data")

Source = Annotated[
    str,
    typer.Argument(
        help="A data set's name, a folder or archive of images, an image, or a CSV, IDX, .npy or "
        ".npz file."
    ),
]
RunFolder = Annotated[Path, typer.Argument(help="The run folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Size = Annotated[
    str | None, typer.Option(help="Resize to a square of so many pixels, or to HEIGHTxWIDTH.")
]
Crop = Annotated[
    int | None, typer.Option(help="Cut out the central square of so many pixels first.")
]
Gray = Annotated[
    bool | None, typer.Option("--gray/--rgb", help="Turn images grey, or into colour.")
]
Background = Annotated[str, typer.Option(help="Colour behind transparent pixels.")]
Limit = Annotated[
    int | None, typer.Option(help="Take at most so many samples, spread over the source.")
]
CodeSize = Annotated[int | None, typer.Option(help="Numbers in the code; else the model's own.")]
MaxMinutes = Annotated[
    float | None, typer.Option(help="Stop after so many minutes of training; resume goes on.")
]


# -- data -----------------------------------------------------------------------------------


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


# -- training -------------------------------------------------------------------------------


@app.command()
def train(
    source: Source,
    out: Annotated[Path | None, typer.Option(help="Run folder; else runs/SOURCE.")] = None,
    model: Annotated[
        str | None, typer.Option(help="conv, conv1d, linear, dense, … (isthmus summary lists).")
    ] = None,
    code_size: CodeSize = None,
    size: Size = None,
    crop: Crop = None,
    gray: Gray = None,
    background: Background = "white",
    limit: Limit = None,
    epochs: Annotated[
        int | None, typer.Option(help="Else as many as see 1.6 million samples, 10 to 80.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Else by the number of samples.")] = None,
    optimizer: Annotated[str, typer.Option(help="adamw, adam, adamax, sgd or adadelta.")] = "adamw",
    lr: Annotated[float | None, typer.Option(help="Learning rate; else the optimizer's.")] = None,
    momentum: Annotated[float, typer.Option(help="Of sgd.")] = 0.0,
    weight_decay: Annotated[float | None, typer.Option(help="Else the optimizer's.")] = None,
    schedule: Annotated[
        str, typer.Option(help="one-cycle, constant, cosine or step.")
    ] = "one-cycle",
    loss: Annotated[str | None, typer.Option(help="bce or mse; else by the model.")] = None,
    mirror: Annotated[
        bool | None,
        typer.Option(help="Mirror half of the images, others each epoch; else by the data set."),
    ] = None,
    corrupt: Annotated[
        str | None,
        typer.Option(
            help="Train a denoiser: kind:strength, of gaussian, gaussian-unclipped, masked, "
            "occluded and salt-pepper; several with commas between."
        ),
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without a better one.")
    ] = None,
    max_minutes: MaxMinutes = None,
    validation: Annotated[
        float, typer.Option(help="Share to choose by, where the source has none.")
    ] = 0.1,
    test: Annotated[
        float, typer.Option(help="Share to report on, where the source has none.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Decides all that is random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, 32 or bf16.")] = "auto",
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write event files for TensorBoard.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train an autoencoder on any source.

    Example: isthmus train fashion-mnist --code-size 2 --out runs/fashion2
    """
    from isthmus.data.loading import load_as
    from isthmus.training import loop, run
    from isthmus.training.settings import Settings

    wanted = _preprocessing(size, crop, gray, background)
    settings = Settings(
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        schedule=schedule,
        loss=loss,
        mirror=mirror,
        corrupt=corrupt,
        patience=patience,
        validation=validation,
        test=test,
        seed=seed,
        device=device,
        precision=precision,
        tensorboard=tensorboard,
    )
    out = out or Path("runs") / Path(source.rstrip("/")).name.split(".")[0]
    if not quiet:
        run.refuse_existing(out)  # before anything is read, which may take long
    samples = load_as(source, wanted, limit=limit, track=track)
    say(samples.describe() + _skipped(samples.skipped))
    steps = loop.train(
        samples,
        model,
        out=out,
        code_size=code_size,
        settings=settings,
        max_minutes=max_minutes,
    )
    follow(steps, out, as_json)


@app.command()
def resume(
    run: RunFolder,
    epochs: Annotated[int | None, typer.Option(help="Epochs in all.")] = None,
    max_minutes: MaxMinutes = None,
    as_json: Json = False,
) -> None:
    """Go on with a run that was stopped, exactly where it was; or make it longer.

    Example: isthmus resume runs/mine --epochs 40
    """
    from isthmus.training import loop

    steps = loop.resume(run, epochs=epochs, max_minutes=max_minutes, track=track)
    follow(steps, run, as_json)


# -- looking --------------------------------------------------------------------------------


@app.command()
def evaluate(
    run: RunFolder,
    source: Annotated[
        str | None, typer.Argument(help="Another source; else the run's own test part.")
    ] = None,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Measure a run on data that it was not trained on, beside the baselines.

    Example: isthmus evaluate runs/mine --json
    """
    from isthmus import evaluation
    from isthmus.training.run import Run

    opened = Run.open(run)
    samples = opened.trained().read(source, limit=limit, track=track) if source else None
    result = evaluation.evaluate(opened, samples, own=opened.samples(track))
    if as_json:
        print_json(result)
        return
    for part in ("test", "baselines", "training", "model"):
        table = Table(
            title=part, title_justify="left", title_style="bold", box=None, show_header=False
        )
        for name, value in _flat(result[part]):
            table.add_row(name, _number(value))
        out_console.print(table)


@app.command()
def reconstruct(
    run: RunFolder,
    source: Source,
    out: Annotated[Path, typer.Option(help="The picture to write (PNG).")] = Path("grid.png"),
    limit: Annotated[int, typer.Option(help="At most so many columns, spread evenly.")] = 10,
    as_json: Json = False,
) -> None:
    """Draw samples, their codes and what comes back, row by row.

    Example: isthmus reconstruct runs/mine photos/ --out grid.png
    """
    from isthmus import report
    from isthmus.figures.drawing import png
    from isthmus.files import write_bytes
    from isthmus.trained import Trained

    trained = Trained.load(run)
    samples = trained.read(source, limit=limit, track=track)
    write_bytes(out, png(report.reconstruction_grid(trained, samples)))
    print_result({"picture": str(out), "samples": len(samples)}, f"{out}", as_json)


@app.command()
def summary(
    model: Annotated[
        str | None, typer.Argument(help="A model's name, or a run folder; else all models.")
    ] = None,
    shape: Annotated[
        str | None, typer.Option(help="Of a sample, HEIGHTxWIDTHxCHANNELS or LENGTHxCHANNELS.")
    ] = None,
    code_size: CodeSize = None,
    as_json: Json = False,
) -> None:
    """List a model's layers, output shapes, parameters and multiplications; or the models.

    Example: isthmus summary conv-bn-2d
    """
    from isthmus.files import plain
    from isthmus.models.summary import summarise
    from isthmus.models.zoo import MODELS, model_row, specify
    from isthmus.training.run import Run

    if model is None:
        rows = {name: row.about for name, row in MODELS.items()}
        if as_json:
            print_json(rows)
            return
        table = Table(box=None, show_header=False)
        for name, about in rows.items():
            table.add_row(name, about)
        out_console.print(table)
        return
    if model not in MODELS and Path(model).is_dir():
        spec = Run.open(model).record.spec
    else:
        spec = specify(model, _shape(shape) if shape else model_row(model).shape, code_size)
    layers = summarise(spec)
    totals = {
        "trainable": sum(layer.trainable for layer in layers),
        "not_trainable": sum(layer.frozen for layer in layers),
        "macs": sum(layer.macs for layer in layers),
    }
    totals["parameters"] = totals["trainable"] + totals["not_trainable"]
    if as_json:
        print_json({"spec": plain(spec), "layers": plain(layers), **totals})
        return
    table = Table(box=None, header_style="bold")
    for title in ("layer", "kind", "output"):
        table.add_column(title)
    for title in ("parameters", "multiplications"):
        table.add_column(title, justify="right")
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
    out: Annotated[Path | None, typer.Option(help="The page; else report.html in the run.")] = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page about a run.

    Example: isthmus report runs/mine
    """
    from isthmus.report import write_report
    from isthmus.training.run import Run

    page = write_report(Run.open(run), out=out, track=track)
    print_result({"page": str(page)}, f"{page}", as_json)


def main() -> None:
    """Run the command line; a user's error is one sentence and exit code 2."""
    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(
        logging.WARNING
    )  # it tells what run.json says
    try:
        app(standalone_mode=True)
    except IsthmusError as error:
        console.print(f"isthmus: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(1)


# -- what the commands share ----------------------------------------------------------------


def _preprocessing(
    size: str | None, crop: int | None, gray: bool | None, background: str
) -> "Preprocessing":
    from isthmus.data.preprocessing import Preprocessing

    channels = None if gray is None else 1 if gray else 3
    return Preprocessing(crop=crop, size=_sides(size), channels=channels, background=background)


def _sides(size: str | None) -> tuple[int, int] | None:
    """Read 64 or 48x64."""
    if size is None:
        return None
    sides = _whole_numbers(size)
    if len(sides) > 2:
        raise SettingsError(f"size is a number of pixels or HEIGHTxWIDTH, not {size!r}.")
    return sides[0], sides[-1]


def _shape(text: str) -> tuple[int, ...]:
    """Read 28x28x1 as (1, 28, 28), the order of models."""
    *sides, channels = _whole_numbers(text)
    return (channels, *sides)


def _whole_numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.lower().replace("×", "x").split("x")]
    except ValueError:
        raise SettingsError(f"{text!r} should be whole numbers with x between, as 48x64.") from None


def _skipped(skipped: tuple[tuple[str, str], ...]) -> str:
    if not skipped:
        return ""
    name, reason = skipped[0]
    return f"; {len(skipped):,} skipped as broken, such as {name} ({reason})"


def _flat(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name} ")
        else:
            yield prefix + name, value


def _number(value: Any) -> str:
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:.5g}"
    return "–" if value is None else str(value)
