"""The command that makes new samples: generate."""

from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.cli.app import Json, ModelPath, OwnData, app
from isthmus.cli.completion import complete_run, complete_source
from isthmus.cli.tables import make_table
from isthmus.cli.terminal import out_console, print_json, print_text, say, track
from isthmus.text import count_of, printable


@app.command()
def generate(
    run: ModelPath,
    source: Annotated[
        str | None,
        typer.Argument(
            help="Samples to whose codes the mixture is fitted; by default the run's own training "
            "samples.",
            show_default=False,
            autocompletion=complete_source,
        ),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("--n", help="Number of samples; by default 64, for a walk (.gif) 8."),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--class", help="Generate samples of this class only; by default of all."),
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(
            help="Below 1, samples are more typical and less varied, at 0 only the most typical "
            "ones; above 1, they are more varied."
        ),
    ] = 1.0,
    sampler: Annotated[
        str,
        typer.Option(
            help="mixture, which is fitted to the codes of training samples and kept in the run "
            "folder; or prior, of a variational autoencoder."
        ),
    ] = "mixture",
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = 0,
    steps: Annotated[
        int, typer.Option(help="Pictures from one sample to the next in a walk (.gif).")
    ] = 12,
    features: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="A classifier on the same data, in whose features the samples are compared with "
            "test samples; by default nothing is measured.",
            autocompletion=complete_run,
        ),
    ] = None,
    plain: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="With --features: another autoencoder on the same data, to compare with.",
            autocompletion=complete_run,
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            help="A sheet (.png), a walk from sample to sample (.gif), a page with the nearest "
            "training samples (.html), arrays (.npz), or a folder to create."
        ),
    ] = Path("samples.png"),
    data: OwnData = None,
    as_json: Json = False,
) -> None:
    """Generate new samples with an autoencoder.

    Example: isthmus generate runs/mine --n 64 --class 7 --temperature 0.8 --out samples.png

    Example: isthmus generate runs/mine --features runs/classifier --out samples.html
    """
    from isthmus.errors import OptionError
    from isthmus.inference.load import load_model
    from isthmus.reports.samples import draw_for, write_samples
    from isthmus.session import Session
    from isthmus.training.run import Run

    if plain is not None and features is None:
        raise OptionError("--plain is compared in the features of a classifier; give --features.")
    result = write_samples(
        Session(run, data=data, track=track, say=say),
        source,
        out,
        draw_for(out, n, label=label, temperature=temperature, sampler=sampler, seed=seed),
        steps=steps,
        judge=None if features is None else load_model(features),
        plain=None if plain is None else Run.open(plain),
    )
    if as_json:
        print_json(result)
    else:
        _show(result)


def _show(result: dict[str, Any]) -> None:
    """Print what was generated, and how good it is if that was measured."""
    if "measures" in result:
        measures = result["measures"]
        names = list(measures["rows"]["real"])
        rows = [
            [name, *(f"{row[one]:.4g}" for one in names)] for name, row in measures["rows"].items()
        ]
        out_console.print(make_table([f"{measures['n']:,} samples of each", *names], rows))
    how = "the prior"
    if "components" in result:
        how = f"a mixture of {count_of(sum(result['components'].values()), 'component')}"
    of_class = "" if result["class"] is None else f" of class {result['class']}"
    drawn = count_of(result["n"], "sample")
    print_text(printable(f"{result['out']}: {drawn}{of_class} from {how}"))
