"""The command denoise."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.app import Json, On, app
from isthmus.cli.completion import complete_model_path, complete_source
from isthmus.cli.sources import MAX_NAMED, describe_unread, list_unread
from isthmus.cli.terminal import print_json, print_result, print_text, say, to_be_continued, track
from isthmus.errors import OptionError
from isthmus.text import count_of, printable

if TYPE_CHECKING:
    from isthmus.denoising import Denoised
    from isthmus.inference.model import Model

DenoisedSource = Annotated[
    str | None,
    typer.Argument(
        help="The name of a data set, a folder or archive of images, a single image, or an .npy "
        "or .npz file.",
        show_default=False,
        autocompletion=complete_source,
    ),
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
    done = _denoise_here(model, source, out) if on is None else _denoise_on(on, model, source, out)
    content = {
        "out": str(out),
        "denoised": done.count,
        "resized": done.resized,
        "lost": [asdict(loss) for loss in done.lost],
        **list_unread(done),
    }
    print_result(content, _describe_denoised(out, done), as_json)


def _denoise_here(model: "Model", source: str, out: Path) -> "Denoised":
    from isthmus.denoising import denoise as denoise_files
    from isthmus.denoising.ledger import count_done

    with to_be_continued(lambda: count_done(out)):
        return denoise_files(model, source, out, track=track)


def _denoise_on(on: str, model: "Model", source: str, out: Path) -> "Denoised":
    """Denoise the pictures of a source on a cluster."""
    from isthmus.cluster.denoising import denoise_on_cluster

    with to_be_continued():
        return denoise_on_cluster(model, source, out, on=on, track=track)


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
