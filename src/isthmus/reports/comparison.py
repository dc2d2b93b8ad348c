"""Several runs side by side: one table, one page."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.data.cache import Track, untracked
from isthmus.data.manifest import evenly_spaced
from isthmus.data.samples import Samples
from isthmus.errors import OptionError, RunError
from isthmus.evaluation.evaluate import evaluate
from isthmus.files import write_bytes
from isthmus.reports.gallery.maps import describe_quality, map_of
from isthmus.reports.gallery.samples import corrupt_samples
from isthmus.reports.page import embedded, render
from isthmus.reports.run import MAPPED, shown_indices
from isthmus.training.run import Run, best_epoch
from isthmus.viz.curves import accuracy_curves, validation_curves
from isthmus.viz.grids import rows_of_samples

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_comparison(
    runs: Sequence[Run],
    out: Path,
    *,
    samples: Sequence[Samples] | None = None,
    method: str = "pca",
    track: Track = untracked,
) -> list[dict[str, Any]]:
    """Write a page that puts runs side by side.

    Parameters
    ----------
    runs : sequence of Run
        Two or more, of one task.
    out : Path
        The page.
    samples : sequence of Samples, optional
        The data of each run; needed for runs on arrays, otherwise loaded again.
    method : str
        Of the maps; a key of `METHODS`.
    track : callable
        Shows progress of loading.

    Returns
    -------
    list of dict
        A row of figures for every run, as the page's table has it.

    Raises
    ------
    IsthmusError
        If there are fewer than two runs, they are of several tasks, one has no epoch yet, or its
        data is gone or has changed.
    """
    if len(runs) < 2:
        raise OptionError("a comparison needs at least two runs.")
    _reject_several_tasks(runs)
    for run in runs:
        if not run.history():
            raise RunError(f"{run.path} has no whole epoch yet; isthmus resume {run.path} goes on.")
    data = samples or [run.samples(track) for run in runs]
    named, task = _named(runs), runs[0].record.model_config.task
    rows = [_row(*pair, own) for pair, own in zip(named.items(), data, strict=True)]
    alike = len({run.record.data["fingerprint"] for run in runs}) == 1
    page = render(
        "compare.html.jinja",
        title=" · ".join(row["run"] for row in rows),
        lead=_lead(runs, alike),
        rows=rows,
        table=[
            (name.replace("_", " "), [_text(row[name]) for row in rows])
            for name in rows[0]
            if name != "run"
        ],
        task=task,
        curves=embedded(_curves(named)),
        grids=[embedded(figure) for figure in _grids(named, data, alike)],
        maps=_maps(named, data, method),
        version=runs[0].record.environment["isthmus"],
    )
    write_bytes(out, page)
    return rows


def _reject_several_tasks(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs:
        if run.record.model_config.task != first.record.model_config.task:
            raise OptionError(
                f"{first.path} was trained to {first.record.model_config.task} and {run.path} to "
                f"{run.record.model_config.task}; compare runs of one task."
            )


def _curves(named: dict[str, Run]) -> "Figure":
    """Draw the losses of the validation parts; where there are classes, accuracy or mean IoU."""
    histories = {name: run.history() for name, run in named.items()}
    if next(iter(named.values())).record.model_config.task != "reconstruct":
        return accuracy_curves(histories)
    return validation_curves(
        {
            f"{name} ({named[name].record.training_config.loss})": lines
            for name, lines in histories.items()
        }
    )


def _named(runs: Sequence[Run]) -> dict[str, Run]:
    """Name runs by their folders, and number them where two are called the same."""
    names = [run.path.resolve().name for run in runs]
    if len(set(names)) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    return dict(zip(names, runs, strict=True))


def _row(name: str, run: Run, own: Samples) -> dict[str, Any]:
    """Return the figures of one run, flat."""
    evaluation, record = evaluate(run, own=own), run.record
    best = best_epoch(run.history())
    measured = _reconstructing if record.model_config.task == "reconstruct" else _answering
    return {
        "run": name,
        "model": record.model_config.model,
        "code_size": record.model_config.code_size,
        "parameters": evaluation["model"]["parameters"],
        "data": record.origin.source or "an array",
        "noise": record.training_config.corrupt,
        "epochs": evaluation["training"]["epochs"],
        "seconds": evaluation["training"]["seconds"],
        "loss": record.training_config.loss,
        "validation_loss": best["validation_loss"],
        **measured(evaluation),
    }


def _reconstructing(evaluation: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of an autoencoder and its baselines."""
    codes = evaluation.get("codes", {})
    return {
        **{name: evaluation["test"][name] for name in ("mse", "psnr", "ssim", "bce")},
        "mse_of_pca": evaluation["baselines"]["pca"]["mse"],
        "mse_of_mean": evaluation["baselines"]["mean"]["mse"],
        "mse_of_noisy": evaluation.get("noisy", {}).get("mse"),
        "knn_4": codes.get("knn_4"),
        "knn_4_of_pca": evaluation.get("pca", {}).get("knn_4"),
        "knn_4_of_pixels": evaluation.get("pixels", {}).get("knn_4"),
        "logistic": codes.get("logistic"),
    }


def _answering(evaluation: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a classifier or segmenter and its baselines."""
    test, pixels = evaluation["test"], evaluation["baselines"].get("pixels")
    if pixels is None:
        figures = {name: test[name] for name in ("mean_iou", "pixel_accuracy")}
    else:
        figures = {name: test.get(name) for name in ("accuracy", "top_5", "ece", "cross_entropy")}
        figures |= {f"{name}_of_pixels": pixels[name] for name in ("knn_4", "logistic")}
    return {**figures, "majority": evaluation["baselines"]["majority"]}


def _lead(runs: Sequence[Run], alike: bool) -> str:
    if alike:
        return f"{len(runs)} runs on the same data: {runs[0].record.data['description']}."
    return (
        f"{len(runs)} runs on different data, each measured on its own: their figures do not say "
        "which model is better."
    )


def _grids(named: dict[str, Run], data: Sequence[Samples], alike: bool) -> list["Figure"]:
    """Draw the same samples through all runs, or of different data each run's own.

    Nothing comes back from classifiers and segmenters.
    """
    if next(iter(named.values())).record.model_config.task != "reconstruct":
        return []
    if not alike:
        return [_through({name: named[name]}, own) for name, own in zip(named, data, strict=True)]
    return [_through(named, data[0])]


def _through(named: dict[str, Run], own: Samples) -> "Figure":
    """Draw test samples of the first run, and what each run makes of them."""
    indices = shown_indices(next(iter(named.values())), own)
    shown = own.take(indices)
    rows = [("original", shown.values)]
    for name, run in named.items():
        model, config = run.model(), run.record.training_config
        seen = shown.values
        if config.corruption is not None:
            seen = corrupt_samples(model, shown, config.corruption, config.seed, indices)
            rows.append((config.corrupt or "", seen))
        rows.append((name, model.reconstruct(seen)))
    return rows_of_samples(rows)


def _maps(
    named: dict[str, Run], data: Sequence[Samples], method: str
) -> list[tuple[str, str, str]]:
    """Draw a map for each run; the features of segmenters are of pixels and have none."""
    maps = []
    for (name, run), own in zip(named.items(), data, strict=True):
        if run.record.model_config.task != "segment":
            test = run.split().test
            shown = own.take(test[evenly_spaced(len(test), MAPPED)])
            figure, quality = map_of(run.model(), shown, method)
            maps.append((name, embedded(figure), describe_quality(quality)))
    return maps


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
