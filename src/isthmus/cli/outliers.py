"""`isthmus outliers`, and what it says at the end of a training on normal samples."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.app import Json, Limit, ModelPath, OwnData, OwnSource, app
from isthmus.cli.encoders import EncoderOptions, open_session
from isthmus.cli.options import expand_options
from isthmus.cli.terminal import print_json, print_text, say, track
from isthmus.text import printable

if TYPE_CHECKING:
    from isthmus.training.run import Run

PANEL = {"panel": "Outliers"}
KINDS_SHOWN = 3  # of outliers, the hardest


@dataclass(frozen=True)
class DetectionOptions:
    """How outliers are found.

    Parameters
    ----------
    score : str, optional
        One of combined, error, relative, peak and neighbors; by default combined, for a model that
        only encodes neighbors.
    false_alarms : float, optional
        Share of normal samples that may be called outliers; by default that of the run, or 0.01.
    normal : str, optional
        The class or folder that is normal, to measure how well outliers are found; by default
        what the run was trained on.
    reference : Path, optional
        Normal samples to compare with; by default those that the run was trained on, and for a
        model without a run all others of the source.
    """

    score: str | None = field(default=None, metadata=PANEL)
    false_alarms: float | None = field(default=None, metadata=PANEL)
    normal: str | None = field(default=None, metadata=PANEL)
    reference: Path | None = field(default=None, metadata={**PANEL, "metavar": "SOURCE"})


@app.command()
@expand_options
def outliers(
    run: ModelPath,
    encoder: EncoderOptions,
    detection: DetectionOptions,
    source: OwnSource = None,
    k: Annotated[
        int, typer.Option("--k", help="Number of samples to list, the oddest first.")
    ] = 20,
    out: Annotated[
        Path | None,
        typer.Option(help="A page to write, with what is odd marked in each picture (HTML)."),
    ] = None,
    limit: Limit = None,
    data: OwnData = None,
    as_json: Json = False,
) -> None:
    """Rank samples by how little they belong to those that a model was trained on.

    Example: isthmus outliers runs/mine photos/ --k 50 --out outliers.html
    """
    from isthmus.reports.outliers import OutlierOptions, describe_threshold, write_outliers

    session, source = open_session(run, source, encoder, data)
    options = OutlierOptions(
        detection.score, detection.false_alarms, detection.normal, detection.reference
    )
    content = write_outliers(session, source, out, k=k, limit=limit, options=options)
    if as_json:
        print_json(content)
        return
    for row in content["samples"]:
        print_text(_describe_sample(row))
    for line in (*describe_threshold(content), *_describe_areas(content)):
        say(line)
    if out is not None:
        say(printable(str(out)))


def detect(run: "Run") -> dict[str, Any] | None:
    """Judge the test split of a run that was trained on normal samples only; None of any other."""
    if run.record.training_config.normal is None:
        return None
    from isthmus.session import Session

    found = Session(run, track=track, say=say).outliers(baselines=True)
    content = found.to_json(1)
    del content["samples"]
    return content


def describe_detection(content: dict[str, Any] | None) -> list[str]:
    """Return the lines on what `detect` has found."""
    if content is None:
        return []
    from isthmus.reports.outliers import describe_threshold

    return [*describe_threshold(content), *_describe_areas(content)]


def _describe_sample(row: dict[str, Any]) -> str:
    """Return a line: the score, the share of normal samples above it, the name and the label."""
    mark = "*" if row["is_outlier"] else " "
    text = f"{row['score']:10.4g} {100 * row['share']:7.3g}% {mark} {row['name']}  "
    return printable((text + (row["label"] or "")).rstrip())


def _describe_areas(content: dict[str, Any]) -> list[str]:
    """Return lines on how well each score and baseline finds outliers."""
    from isthmus.reports.outliers import list_areas, list_kinds

    measured = content["measured"]
    areas = list_areas(measured)
    if not areas:
        return []
    lines = ["AUROC: " + ", ".join(f"{name} {auroc:.3f}" for name, _, auroc, _ in areas) + "."]
    kinds = list_kinds(measured, content["score"])[:KINDS_SHOWN]
    if len(kinds) > 1:
        hardest = ", ".join(f"{kind} {area:.3f}" for kind, area in kinds)
        lines.append(printable(f"Hardest: {hardest}."))
    if "pixels" in measured:
        lines.append(f"AUROC of pixels, by the masks of defects: {measured['pixels']:.3f}.")
    return lines
