"""`isthmus export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.app import Json, OwnData, app
from isthmus.cli.completion import complete_run
from isthmus.cli.terminal import print_result, track

if TYPE_CHECKING:
    from isthmus.training.run import Run

QUALITIES = {  # metric: what it is called, and how it is written
    "psnr": ("PSNR", "{:.2f} dB"),
    "accuracy": ("accuracy", "{:.2%}"),
    "iou": ("mean IoU", "{:.2%}"),
}


@app.command()
def export(
    run: Annotated[
        Path,
        typer.Argument(help="The run folder, or a file of weights.", autocompletion=complete_run),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write; by default the name of the run with the ending of the format, "
            "in the current folder."
        ),
    ] = None,
    part: Annotated[str, typer.Option(help="whole, encoder or decoder.")] = "whole",
    layer: Annotated[
        str | None,
        typer.Option(
            help="Return this layer's output instead of the code; isthmus summary RUN lists names."
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="32; 16 stores weights in half the space; int8 computes with eight-bit integers."
        ),
    ] = "32",
    file_format: Annotated[
        str,
        typer.Option(
            "--format", help="onnx; pt2 for torch.export.load; safetensors for the weights alone."
        ),
    ] = "onnx",
    samples: Annotated[
        str | None,
        typer.Option(
            help="A source of samples to check on; by default those of the run that it was not "
            "trained on."
        ),
    ] = None,
    data: OwnData = None,
    as_json: Json = False,
) -> None:
    """Write a model to a file for other programs, after checking that it answers the same.

    Example: isthmus export runs/mine --out mine.onnx
    """
    from isthmus.exporting.export import export as export_model
    from isthmus.exporting.place import default_name

    result = export_model(
        _open(run, data),
        out or default_name(run, part, layer, precision, file_format),
        part=part,
        layer=layer,
        precision=precision,
        format=file_format,
        samples=samples,
        track=track,
    )
    print_result(result, _describe(result), as_json)


def _open(run: Path, data: str | None) -> "Path | Run":
    """Return the run with its data at another place, if one is given."""
    if data is None:
        return run
    from isthmus.training.run import Run

    return Run.open(run, data=data)


def _describe(result: dict[str, Any]) -> str:
    """Return what was written and measured, for people."""
    part = f"layer {result['layer']}" if result["layer"] else result["part"]
    size = result["bytes"] / 1e3
    text = f"{result['out']}: {part}, " + (
        f"{size / 1e3:,.1f} MB" if size > 1e3 else f"{size:.0f} kB"
    )
    if "checked" in result:
        checked = result["checked"]
        text += (
            f"\nOn {checked['samples']:,} {checked['description']}, its float32 numbers differ "
            f"from the model's by at most {checked['max_difference']:.1g}."
        )
    return text + (_describe_loss(result["loss"], result["precision"]) if "loss" in result else "")


def _describe_loss(loss: dict[str, Any], precision: str) -> str:
    name, answer = [(name, one) for name, one in loss["outputs"].items() if "max" in one][-1]
    text = (
        f"\nIn precision {precision} its {name} differs by at most {answer['max']:.2g}, "
        f"{answer['mean']:.2g} on average"
    )
    if "metric" in loss:
        title, form = QUALITIES[loss["metric"]]
        before, after = (form.format(loss[key]) for key in ("float32", "reduced"))
        text += f": {title} {after} instead of {before} on {loss['samples']:,} samples"
    return text + "."
