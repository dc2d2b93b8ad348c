"""The page of a recipe: metrics as measured and as reported, pictures, curves and commands."""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from isthmus.files import write_bytes
from isthmus.models.tasks import CLASS_TASKS
from isthmus.reports.page import embed, render, to_data_url
from isthmus.training.run import Run, best_epoch
from isthmus.version import __version__
from isthmus.viz.curves import accuracy_curves, curves, validation_curves

MIN_WIDE_RATIO = 1.3  # width by height from which a picture fills the width of the page
MEDIA_TYPES = {".png": "image/png", ".gif": "image/gif"}


@dataclass(frozen=True)
class RecipeContent:
    """The content of the page of a recipe.

    Parameters
    ----------
    title, description, explanation : str
    commands : list of str
    metrics : list of dict
        With `title`, `reported`, `source`, `values`, `mean`, `std` and `minutes`.
    formats : list of str
        How each metric is written.
    pictures : list of (path, caption)
        PNG or GIF files.
    runs : dict of Run
        By name; their curves are drawn.
    seeds : int
        How many times everything was run.
    minutes : float
        Of training, of all runs and seeds.
    is_quick : bool
    shortened : list of str
        Options of the quick run.
    """

    title: str
    description: str
    explanation: str
    commands: list[str]
    metrics: list[dict[str, Any]]
    formats: list[str]
    pictures: list[tuple[Path, str]]
    runs: dict[str, Run]
    seeds: int
    minutes: float
    is_quick: bool
    shortened: list[str]


def write_recipe_page(content: RecipeContent, out: Path) -> None:
    """Write the page of a recipe, which needs no other file."""
    rows = zip(content.metrics, content.formats, strict=True)
    page = render(
        "recipe.html.jinja",
        title=content.title,
        content=content,
        trained=format_minutes(content.minutes),
        metrics=[_format_metric(metric, form) for metric, form in rows],
        pictures=_lay_out(content.pictures),
        curves=_draw_curves(content.runs),
        runs={name: _history(run) for name, run in content.runs.items()},
        environment=next((run.record.environment for run in content.runs.values()), None),
        version=__version__,
    )
    write_bytes(out, page)


def format_minutes(minutes: float) -> str:
    """Write a time for people.

    Examples
    --------
    >>> format_minutes(0.031), format_minutes(2.54), format_minutes(200)
    ('1.9 s', '2.5 min', '3.3 h')
    """
    if minutes < 1:
        return f"{60 * minutes:.1f} s"
    return f"{minutes:.1f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _format_metric(metric: dict[str, Any], form: str) -> dict[str, str]:
    """Write a metric for people."""
    measured = "–" if metric["mean"] is None else form.format(metric["mean"])
    if metric["std"] is not None:
        measured += f" ± {form.format(metric['std'])}"
    minutes = metric["minutes"]
    return {
        "title": metric["title"],
        "reported": metric["reported"] or "–",
        "source": metric["source"] or "",
        "measured": measured,
        "minutes": "" if minutes is None else format_minutes(minutes),
    }


def _lay_out(pictures: list[tuple[Path, str]]) -> list[tuple[str, str, bool]]:
    """Return pictures with their captions, and whether each fills the width of the page.

    A narrow picture without a narrow neighbor fills it too, as half of the row would be empty.
    """
    # The grid has two columns; a run of narrow pictures fills them in pairs.
    files = [file for file, _ in pictures]
    groups = [len(list(group)) for _, group in groupby(files, _is_wide)]
    is_single = [count == 1 for count in groups for _ in range(count)]
    return [
        (_data_url(file), caption, _is_wide(file) or fills)
        for (file, caption), fills in zip(pictures, is_single, strict=True)
    ]


def _is_wide(picture: Path) -> bool:
    from PIL import Image

    with Image.open(picture) as image:
        return image.width > MIN_WIDE_RATIO * image.height


def _data_url(picture: Path) -> str:
    return embed(picture.read_bytes(), MEDIA_TYPES[picture.suffix])


def _draw_curves(runs: dict[str, Run]) -> list[tuple[str, str]]:
    """Draw training by epoch: runs with the same loss in one picture, each under a title."""
    # Values of different losses have no common axis.
    by_loss: dict[str, dict[str, Run]] = {}
    for name, run in runs.items():
        by_loss.setdefault(run.record.training_config.loss or "", {})[name] = run
    return [
        (f"{', '.join(group)} ({loss})", _draw_group(loss, group))
        for loss, group in by_loss.items()
    ]


def _draw_group(loss: str, runs: dict[str, Run]) -> str:
    histories = {name: run.history() for name, run in runs.items()}
    if len(runs) == 1:
        return to_data_url(curves(next(iter(histories.values())), loss))
    has_classes = next(iter(runs.values())).record.model_config.task in CLASS_TASKS
    return to_data_url((accuracy_curves if has_classes else validation_curves)(histories))


def _history(run: Run) -> dict[str, Any]:
    """Return the epochs of a run for the page."""
    lines = run.history()
    best = best_epoch(lines)
    score = next((key for key in ("validation_iou", "validation_accuracy") if key in best), None)
    return {"lines": lines, "best": best["epoch"], "score": score}
