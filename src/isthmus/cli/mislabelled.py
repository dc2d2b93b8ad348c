"""The command mislabelled."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.app import Json, Limit, ModelPath, OwnData, OwnSource, app
from isthmus.cli.encoders import EncoderOptions, open_session
from isthmus.cli.options import expand_options
from isthmus.cli.terminal import print_json, print_text, say
from isthmus.text import printable

if TYPE_CHECKING:
    from isthmus.session import Session


@app.command()
@expand_options
def mislabelled(
    run: ModelPath,
    encoder: EncoderOptions,
    source: OwnSource = None,
    k: Annotated[
        int, typer.Option("--k", help="Number of labels to list, the most suspicious first.")
    ] = 20,
    out: Annotated[
        Path | None,
        typer.Option(help="A page to write, with the nearest samples of both labels (HTML)."),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            help="A new table of all suspects, with a column to correct by hand; by default none."
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Which of the run's own samples: train, validation, test, held-out (the last "
            "two) or all; by default all, of a classifier held-out."
        ),
    ] = None,
    folds: Annotated[int, typer.Option(help="Parts of the cross-validation.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed that decides which sample is in which part.")] = 0,
    limit: Limit = None,
    data: OwnData = None,
    as_json: Json = False,
) -> None:
    """Find labels that look wrong: those that similar samples contradict (confident learning).

    Example: isthmus mislabelled runs/mine --k 50 --out suspects.html --csv suspects.csv
    """
    from isthmus.reports.mislabelled import describe_found, write_mislabelled

    session, source = open_session(run, source, encoder, data)
    _say_seen(session, source, split)
    content = write_mislabelled(
        session, source, out, table=csv, k=k, split=split, folds=folds, seed=seed, limit=limit
    )
    if as_json:
        print_json(content)
        return
    for suspect in content["suspects"]:
        print_text(_describe_suspect(suspect))
    for line in (*describe_found(content), content["page"], content["table"]):
        if line is not None:
            say(line)


def _say_seen(session: "Session", source: str | None, split: str | None) -> None:
    """Say what follows from codes that were fitted to labels."""
    if not session.has_seen_labels or split in ("validation", "test", "held-out"):
        return
    seen = "The codes of a classifier were fitted to the labels of its training samples"
    if source is not None:
        say(f"{seen}: if {source} is among them, fewer of its wrong labels are found.")
    elif split is None:
        say(
            f"{seen}, so only its validation and test samples are checked; a run of an autoencoder "
            "checks all."
        )
    else:
        say(f"{seen}, also to wrong ones, so fewer of those are found.")


def _describe_suspect(suspect: dict[str, Any]) -> str:
    """Return a line: the probability of the given label, both labels and the name."""
    labels = f"{suspect['label']} → {suspect['suggested']}"
    return printable(f"{100 * suspect['p_label']:6.2f}%  {labels}  {suspect['name']}")
