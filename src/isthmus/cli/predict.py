"""The command predict."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.app import Json, Limit, ModelPath, On, app
from isthmus.cli.sources import say_use
from isthmus.cli.terminal import print_json, print_result, print_text, say, to_be_continued, track
from isthmus.errors import OptionError
from isthmus.text import count_of, printable

if TYPE_CHECKING:
    from isthmus.inference.model import Model
    from isthmus.segmenting import PredictedMasks


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
        _require_files(out, masks)
    rows = None if masks is None else _predict_masks(model, sources, masks, limit, on)
    if out is not None and is_table(out):
        result = _tabulate(model, sources, out, limit, on)
        text = f"{out}: {count_of(result['n'], 'prediction')}"
        if masks is not None:
            result["masks"] = str(masks)
            text += f"\n{masks}: the masks"
        print_result(result, text, as_json)
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


def _require_files(out: Path | None, masks: Path | None) -> None:
    """Reject predictions on a cluster that are not written to a table or to masks.

    Raises
    ------
    OptionError
    """
    from isthmus.evaluation.tables import TABLES, is_table

    if (out is None and masks is None) or (out is not None and not is_table(out)):
        raise OptionError(
            f"--on writes predictions to a table or to masks; give --out a name that ends in "
            f"{', '.join(TABLES)}, or --masks a new folder."
        )


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
        return _tabulate_on(on, model, sources, out, limit)
    count = len(_predict_here(model, sources, out, limit))
    return {"table": str(out), "n": count, "model_fingerprint": model.fingerprint}


def _predict_masks(
    model: "Model", sources: list[str], folder: Path, limit: int | None, on: str | None
) -> list[dict[str, Any]]:
    """Write the masks of sources into a folder; return what `isthmus predict` prints."""
    from isthmus.data.report import describe_left_out, leave_out_broken
    from isthmus.segmenting import predict_masks

    if on is None:
        done = predict_masks(model, sources, folder, limit=limit, track=track)
    else:
        done = _predict_masks_on(on, model, sources, folder, limit)
    for one in (*done.left_out, *leave_out_broken(done.skipped)):
        say(f"left out: {describe_left_out(one)}")
    return done.rows


def _tabulate_on(
    on: str, model: "Model", sources: Sequence[str], out: Path, limit: int | None
) -> dict[str, Any]:
    """Write a table of predictions on a cluster, and return what `isthmus predict` prints."""
    from isthmus.cluster.predicting import predict_on_cluster

    with to_be_continued():
        return predict_on_cluster(
            model, _require_one(sources), out, on=on, limit=limit, track=track, say=say
        )


def _predict_masks_on(
    on: str, model: "Model", sources: Sequence[str], folder: Path, limit: int | None
) -> "PredictedMasks":
    """Write masks on a cluster."""
    from isthmus.cluster.predicting import predict_masks_on_cluster

    with to_be_continued():
        return predict_masks_on_cluster(
            model, _require_one(sources), folder, on=on, limit=limit, track=track
        )


def _require_one(sources: Sequence[str]) -> str:
    if len(sources) != 1:
        raise OptionError(f"--on takes one source, not {len(sources)}; give one at a time.")
    return sources[0]
