"""A recipe carried out: its folder, what is left to do, its figures and its page."""

import base64
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from isthmus.errors import RunError
from isthmus.files import reporting_damage, write_bytes, write_json
from isthmus.recipes import Metric, Recipe, Step
from isthmus.reports.page import embedded, render
from isthmus.training.run import Run, best_epoch
from isthmus.training.store import require_free
from isthmus.viz.curves import accuracy_curves, curves, validation_curves

FILE = "recipe.json"  # in the folder of a recipe: which it is
WIDE = 1.3  # width by height from which on a picture is wide
KINDS = {".png": "image/png", ".gif": "image/gif"}


@dataclass(frozen=True)
class Outcome:
    """What carrying out a recipe with one seed left.

    Parameters
    ----------
    folder : Path
        With its runs and pictures.
    results : dict
        What each named step has printed, as JSON holds it.
    """

    folder: Path
    results: dict[str, Any]


def begin_recipe(recipe: Recipe, folder: Path, quick: bool) -> None:
    """Make the folder of a recipe, unless the same one was begun there.

    Parameters
    ----------
    recipe : Recipe
    folder : Path
    quick : bool

    Raises
    ------
    RunError
        If the folder holds anything else.
    """
    asked = {"recipe": recipe.name, "commands": recipe.lines(Path("{out}"), quick)}
    if not (folder / FILE).exists():
        require_free(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / FILE, asked)
        return
    with reporting_damage(folder / FILE, RunError):
        begun = json.loads((folder / FILE).read_text())
    if begun != asked:
        raise RunError(
            f"{folder} holds the recipe {begun['recipe']} with other commands than these; choose "
            "another folder."
        )


def remaining_command(step: Step, words: list[str], folder: Path) -> list[str]:
    """Return the command for what an earlier go has left of a step.

    Parameters
    ----------
    step : Step
    words : list of str
        Its command.
    folder : Path
        Of the recipe and seed.

    Returns
    -------
    list of str
        Empty if nothing is left: the run has all its epochs, or what is written is there. What
        prints figures is done again.
    """
    out = step.output(folder)
    if out is None or not out.exists():
        return words
    if not step.trains:
        return words if step.name else []
    run = Run.open(out)
    history = run.history()
    ended = bool(history) and history[-1]["epoch"] >= (run.record.training_config.epochs or 0)
    return [] if ended else ["resume", str(out)]


def measure_recipe(recipe: Recipe, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Put our figures beside those of the literature.

    Parameters
    ----------
    recipe : Recipe
    outcomes : sequence of Outcome
        One for every seed.

    Returns
    -------
    list of dict
        For each figure `title`, `reported` and `source` (None where there is none), `ours` (one
        for every seed), their `mean`, None without any, and standard `deviation`, of two or more;
        and `minutes` of training, on average, where it is a model's own figure.
    """
    return [_figure(row, outcomes) for row in recipe.figures]


def write_recipe_page(
    recipe: Recipe, outcomes: Sequence[Outcome], out: Path, *, quick: bool, version: str
) -> None:
    """Write the page of a recipe, which needs no other file.

    Parameters
    ----------
    recipe : Recipe
    outcomes : sequence of Outcome
        One for every seed; pictures and curves are of the first.
    out : Path
    quick : bool
        Whether the steps were shortened; the page says so.
    version : str
        Of Isthmus.
    """
    first = outcomes[0]
    runs = {name: Run.open(first.folder / name) for name in _run_names(recipe)}
    page = render(
        "recipe.html.jinja",
        title=recipe.name,
        recipe=recipe,
        quick=quick,
        shortened=_shortened(recipe) if quick else [],
        seeds=len(outcomes),
        model=_duration(sum(_seconds(recipe, outcome.folder) for outcome in outcomes) / 60),
        metrics=[
            _told(row, figure)
            for row, figure in zip(recipe.figures, measure_recipe(recipe, outcomes), strict=True)
        ],
        pictures=_pictures(recipe, first.folder),
        curves=_curves(runs),
        runs={name: _history(run) for name, run in runs.items()},
        commands=recipe.lines(first.folder, quick),
        made=next((run.record.environment for run in runs.values()), None),
        version=version,
    )
    write_bytes(out, page)


def _figure(row: Metric, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    ours = [found for o in outcomes if (found := _found(o.results, row.place)) is not None]
    return {
        "title": row.title,
        "reported": row.reported or None,
        "source": row.source or None,
        "ours": ours,
        "mean": statistics.fmean(ours) if ours else None,
        "deviation": statistics.stdev(ours) if len(ours) > 1 else None,
        "minutes": _minutes(row, outcomes),
    }


def _found(results: dict[str, Any], place: str) -> float | None:
    """Return the number at a place, or None if that says so.

    Raises
    ------
    RunError
        If there is no such place.
    """
    at: Any = results
    for key in place.split("."):
        try:
            at = at[int(key)] if isinstance(at, list) else at[key]
        except (LookupError, TypeError, ValueError):
            raise RunError(f"the steps of the recipe print no {place}.") from None
    return None if at is None else float(at)


def _minutes(row: Metric, outcomes: Sequence[Outcome]) -> float | None:
    """Return how long the model trained whose own figure this is."""
    step, part, *_ = row.place.split(".")
    if part != "test":
        return None
    return statistics.fmean(o.results[step]["training"]["seconds"] for o in outcomes) / 60


def _told(row: Metric, figure: dict[str, Any]) -> dict[str, str]:
    """Write a figure for people."""
    ours = "–" if figure["mean"] is None else row.form.format(figure["mean"])
    if len(figure["ours"]) > 1:
        ours += f" ± {row.form.format(figure['deviation'])}"
    minutes = figure["minutes"]
    return {
        "title": row.title,
        "reported": row.reported or "–",
        "source": row.source or "",
        "ours": ours,
        "minutes": "" if minutes is None else _duration(minutes),
    }


def _duration(minutes: float) -> str:
    """Write a time for people.

    Examples
    --------
    >>> _duration(0.031), _duration(2.54), _duration(200)
    ('1.9 s', '2.5 min', '3.3 h')
    """
    if minutes < 1:
        return f"{60 * minutes:.1f} s"
    return f"{minutes:.1f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _run_names(recipe: Recipe) -> list[str]:
    outputs = [step.output(Path()) for step in recipe.steps if step.trains]
    return [out.name for out in outputs if out]


def _seconds(recipe: Recipe, folder: Path) -> float:
    """Return how long all runs of one seed were trained."""
    runs = (Run.open(folder / name) for name in _run_names(recipe))
    return sum(float(run.history()[-1]["seconds"]) for run in runs)


def _pictures(recipe: Recipe, folder: Path) -> list[tuple[str, str, bool]]:
    """Return pictures with their captions, and whether each takes a whole line of the page."""
    captioned = [step for step in recipe.steps if step.caption]
    files = [file for step in captioned if (file := step.output(folder))]
    lines = [len(list(lot)) for _, lot in groupby(files, _is_wide)]
    alone = [count == 1 for count in lines for _ in range(count)]
    return [
        (_data_url(file), step.caption, _is_wide(file) or is_alone)
        for file, step, is_alone in zip(files, captioned, alone, strict=True)
    ]


def _is_wide(picture: Path) -> bool:
    from PIL import Image

    with Image.open(picture) as opened:
        return opened.width > WIDE * opened.height


def _data_url(picture: Path) -> str:
    kind = KINDS[picture.suffix]
    return f"data:{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"


def _shortened(recipe: Recipe) -> list[str]:
    """Say which options a quick run has put in, each lot once."""
    return list(dict.fromkeys(step.quick for step in recipe.steps if step.quick))


def _curves(runs: dict[str, Run]) -> list[tuple[str, str]]:
    """Draw how training went: runs of one loss together, each lot under a title."""
    lots: dict[str, dict[str, Run]] = {}
    for name, run in runs.items():
        lots.setdefault(run.record.training_config.loss or "", {})[name] = run
    return [(f"{', '.join(lot)} ({loss})", _drawn(loss, lot)) for loss, lot in lots.items()]


def _drawn(loss: str, lot: dict[str, Run]) -> str:
    histories = {name: run.history() for name, run in lot.items()}
    if len(lot) == 1:
        return embedded(curves(next(iter(histories.values())), loss))
    labelled = next(iter(lot.values())).record.model_config.task != "reconstruct"
    return embedded((accuracy_curves if labelled else validation_curves)(histories))


def _history(run: Run) -> dict[str, Any]:
    """Return the epochs of a run for the page."""
    lines = run.history()
    best = best_epoch(lines)
    quality = next((key for key in ("validation_iou", "validation_accuracy") if key in best), None)
    return {"lines": lines, "best": best["epoch"], "quality": quality}
