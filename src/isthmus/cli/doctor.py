"""`isthmus doctor`, and what it says at the end of every training."""

import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from isthmus.cli.app import Json, OwnData, RunFolder, app

if TYPE_CHECKING:
    from isthmus.evaluation.diagnosis.findings import Diagnosis, Finding
    from isthmus.training.run import Run

MAX_AFTER_TRAINING = 3  # findings; more would hide the result


@app.command()
def doctor(run: RunFolder, data: OwnData = None, as_json: Json = False) -> None:
    """Look for what went wrong in a training, and say in plain words what to try.

    It looks at history, weights and up to 2,000 validation samples: for a loss that blew up, dead
    or collapsed codes, a model that is no better than PCA or the mean, overfitting, weights that
    have hardly moved, and more.

    Example: isthmus doctor runs/mine
    """
    from isthmus.cli.terminal import print_result, track
    from isthmus.evaluation.diagnosis.diagnose import diagnose

    diagnosis = diagnose(run, data=data, track=track)
    print_result(diagnosis.to_json(), "\n".join(_lines(diagnosis)), as_json)


def examine(run: "Run") -> "Diagnosis | None":
    """Look at a run that was just trained; whatever goes wrong then, the training did not."""
    from isthmus.evaluation.diagnosis.diagnose import diagnose

    with suppress(Exception):
        return diagnose(run)
    return None


def describe_findings(diagnosis: "Diagnosis | None", run: Any) -> list[str]:
    """Return the lines on the most serious findings; none, if there is nothing to say."""
    if diagnosis is None or diagnosis.is_healthy:
        return []
    shown = diagnosis.findings[:MAX_AFTER_TRAINING]
    more = len(diagnosis.findings) - len(shown)
    rest = f"{more} more: isthmus doctor {shlex.quote(str(run))}"
    return [*(line for finding in shown for line in _describe(finding)), *([rest] if more else [])]


def _lines(diagnosis: "Diagnosis") -> list[str]:
    """Return what the command prints."""
    lines = [line for finding in diagnosis.findings for line in _describe(finding)]
    nothing = [] if lines else [f"{diagnosis.run}: nothing looks wrong."]
    return [*nothing, *lines, *diagnosis.unexamined]


def _describe(finding: "Finding") -> list[str]:
    """Return a finding as two lines, not broken: the second may hold a command to copy."""
    return [f"{finding.code}: {finding.text}", f"    {finding.advice}"]
