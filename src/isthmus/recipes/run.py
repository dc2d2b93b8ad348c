"""Run a recipe: execute its steps for each seed, measure, and write the page."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.damage import reporting_damage
from isthmus.data.cache import Track, untracked
from isthmus.errors import OptionError, RunError
from isthmus.fields import convert_some, parse_json
from isthmus.files import atomic_folder, write_json
from isthmus.locks import LOCK, SECONDS_FOR_LOCK, hold
from isthmus.recipes.recipe import Metric, Recipe
from isthmus.recipes.step import Step
from isthmus.recipes.steps import Train
from isthmus.recipes.workspace import Follow, Workspace, train_silently
from isthmus.reports.recipe import RecipeContent, write_recipe_page
from isthmus.temporaries import sweep
from isthmus.training.run import Run
from isthmus.training.store import require_free

FILE = "recipe.json"  # in the folder of a recipe: its name and commands
PAGE = "recipe.html"


@dataclass(frozen=True)
class Outcome:
    """The results of a recipe with one seed.

    Parameters
    ----------
    folder : Path
        Holds the runs and pictures.
    results : dict
        Of each step that keeps its result, by the key of the step.
    """

    folder: Path
    results: dict[str, Any]


@dataclass(frozen=True)
class RecipeResult:
    """The results of a recipe.

    Parameters
    ----------
    page : Path
    metrics : list of dict
        As `measure_recipe` returns them.
    outcomes : list of Outcome
        One for each seed.
    """

    page: Path
    metrics: list[dict[str, Any]]
    outcomes: list[Outcome]


def run_recipe(
    recipe: Recipe,
    folder: str | Path,
    *,
    quick: bool = False,
    seeds: int = 1,
    track: Track = untracked,
    follow: Follow = train_silently,
    say: Callable[[str], None] = lambda text: None,
) -> RecipeResult:
    """Run a recipe into a folder: its runs, its pictures and its page.

    A recipe that was stopped continues when it is run again: finished runs are kept, and a run
    that is not finished is resumed.

    Parameters
    ----------
    recipe : Recipe
    folder : path
        The folder to create. Every seed but the first has a folder within it.
    quick : bool
        Run on a part of the data, for a few epochs.
    seeds : int
        How many times to run all steps, each time with another seed.
    track : callable
        Shows progress of loading and encoding.
    follow : callable
        Walks through a training and shows its progress.
    say : callable
        Receives one line for each step.

    Raises
    ------
    IsthmusError
        If data is missing, the folder holds anything but this recipe, or another process runs it.
    """
    folder = Path(folder)
    if seeds < 1:
        raise OptionError(f"seeds must be at least 1, not {seeds}.")
    recipe.require_data()  # not after an hour, when the step comes that needs it
    _prepare_folder(recipe, folder, quick)
    busy = f"{folder} is in use by another process that runs a recipe into it; wait for its end."
    with hold(folder / LOCK, busy=busy, timeout=SECONDS_FOR_LOCK, kind=RunError):
        _prepare_folder(recipe, folder, quick)  # another recipe may have taken it just before
        workspace = Workspace(track, follow, say)
        outcomes = [_run_seed(recipe, folder, quick, seed, workspace) for seed in range(seeds)]
        metrics = measure_recipe(recipe, outcomes)
        write_recipe_page(_content(recipe, outcomes, metrics, quick), folder / PAGE)
        return RecipeResult(folder / PAGE, metrics, outcomes)


def measure_recipe(recipe: Recipe, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return the measured metrics next to those of the literature.

    Parameters
    ----------
    recipe : Recipe
    outcomes : sequence of Outcome
        One for each seed.

    Returns
    -------
    list of dict
        For each metric `title`, `reported` and `source` (None if nothing is reported), the
        measured `values` (one for each seed), their `mean` (None without values) and standard
        deviation `std` (of two or more); and the mean `minutes` of training, if the metric is
        that of a model on its test split.
    """
    return [_measure(metric, outcomes) for metric in recipe.metrics]


def _prepare_folder(recipe: Recipe, folder: Path, quick: bool) -> None:
    """Create the folder of a recipe; if it exists, require that it holds the same recipe."""
    # With a placeholder, as the folder may be moved, or be given by another path.
    content = {"recipe": recipe.name, "commands": recipe.commands(Path("{out}"), quick)}
    if not (folder / FILE).exists():
        require_free(folder)
        # Together: a folder without the file would be none of ours to the next attempt.
        with atomic_folder(folder) as partial:
            write_json(partial / FILE, content)
        return
    with reporting_damage(folder / FILE, RunError, "restore it from a copy, or give a new folder"):
        earlier = parse_json((folder / FILE).read_bytes())
        convert_some(earlier, {"recipe": str, "commands": tuple[str, ...]}, "", required=True)
    if earlier != content:
        raise RunError(
            f"{folder} holds the recipe {earlier['recipe']} with other commands than these; choose "
            "another folder."
        )


def _run_seed(
    recipe: Recipe, folder: Path, quick: bool, seed: int, workspace: Workspace
) -> Outcome:
    """Execute the steps with one seed, except those that an earlier run has finished."""
    # The first seed has the folder itself, so that seeds can be added to a recipe later.
    folder = folder / f"seed-{seed}" if seed else folder
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)  # what a process left half-written that was killed
    results = {}
    steps = recipe.prepare(folder, quick, seed)
    for number, step in enumerate(steps, 1):
        workspace.say(f"[{number}/{len(steps)}] {step.to_command_line()}")
        result = _finish(step, workspace)
        if step.keeps_result:
            results[step.key] = result
    return Outcome(folder, results)


def _finish(step: Step, workspace: Workspace) -> Any:
    """Execute a step, or only what an earlier run has not done of it.

    If its output exists, a step is skipped, as every output is whole or absent. A step that keeps
    a result is executed again, because its result is not stored. A run that was stopped is
    resumed.
    """
    if step.path is None or not step.path.exists():
        return step.execute(workspace)
    if isinstance(step, Train) and not step.is_finished():
        return step.resume(workspace)
    if step.keeps_result:
        return step.execute(workspace)
    return workspace.say(f"    {step.out} exists already.")


# -- metrics ------------------------------------------------------------------------------------


def _measure(metric: Metric, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    measured = [_value(outcome.results, metric.key) for outcome in outcomes]
    values = [value for value in measured if value is not None]
    return {
        "title": metric.title,
        "reported": metric.reported or None,
        "source": metric.source or None,
        "values": values,
        "mean": statistics.fmean(values) if values else None,
        "std": statistics.stdev(values) if len(values) > 1 else None,
        "minutes": _minutes(metric, outcomes),
    }


def _value(results: dict[str, Any], key: str) -> float | None:
    """Return the number under a key with dots, or None if the result says None.

    Raises
    ------
    RunError
        If there is no such key.
    """
    value: Any = results
    for word in key.split("."):
        try:
            value = value[int(word)] if isinstance(value, list) else value[word]
        except (LookupError, TypeError, ValueError):
            raise RunError(f"no step of the recipe has a result {key}.") from None
    return None if value is None else float(value)


def _minutes(metric: Metric, outcomes: Sequence[Outcome]) -> float | None:
    """Return the training time of a metric's model, if it is measured on the test split."""
    step, section, *_ = metric.key.split(".")
    if section != "test":
        return None
    return statistics.fmean(o.results[step]["training"]["seconds"] for o in outcomes) / 60


# -- the page -----------------------------------------------------------------------------------


def _content(
    recipe: Recipe, outcomes: Sequence[Outcome], metrics: list[dict[str, Any]], quick: bool
) -> RecipeContent:
    """Gather what the page shows; pictures and curves are those of the first seed."""
    first = outcomes[0].folder
    steps = recipe.prepare(first, quick)
    shortened = list(dict.fromkeys(step.quick_options() for step in recipe.steps if step.quick))
    return RecipeContent(
        title=recipe.name,
        description=recipe.description,
        explanation=recipe.explanation,
        commands=[step.to_command_line() for step in steps],
        metrics=metrics,
        formats=[metric.format for metric in recipe.metrics],
        pictures=[(step.path, step.caption) for step in steps if step.path and step.caption],
        runs=_runs(recipe, first),
        seeds=len(outcomes),
        minutes=sum(_training_minutes(recipe, outcome.folder) for outcome in outcomes),
        is_quick=quick,
        shortened=shortened,
    )


def _runs(recipe: Recipe, folder: Path) -> dict[str, Run]:
    """Return the runs that a recipe trains, by name."""
    names = [step.out for step in recipe.steps if isinstance(step, Train)]
    return {name: Run.open(folder / name) for name in names}


def _training_minutes(recipe: Recipe, folder: Path) -> float:
    """Return the training time of all runs of one seed."""
    runs = _runs(recipe, folder).values()
    return sum(float(run.history()[-1]["seconds"]) for run in runs) / 60
