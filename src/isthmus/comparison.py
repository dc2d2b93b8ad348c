"""Several runs side by side: one table, one page."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.data.cache import Track, untracked
from isthmus.data.samples import Samples
from isthmus.data.sources import spread
from isthmus.errors import RunError, SettingsError
from isthmus.evaluation import evaluate
from isthmus.figures.samples import rows_of_samples
from isthmus.figures.training import accuracy_curves, validation_curves
from isthmus.files import write_bytes
from isthmus.gallery.maps import map_of, told
from isthmus.gallery.samples import corrupted
from isthmus.pages import embedded, render
from isthmus.report import MAPPED, shown_indices
from isthmus.training.run import Run, best_of

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
        raise SettingsError("a comparison needs at least two runs.")
    _refuse_several_tasks(runs)
    for run in runs:
        if not run.history():
            raise RunError(f"{run.path} has no whole epoch yet; isthmus resume {run.path} goes on.")
    data = samples or [run.samples(track) for run in runs]
    named, task = _named(runs), runs[0].record.spec.task
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
        version=runs[0].record.made["isthmus"],
    )
    write_bytes(out, page)
    return rows


def _refuse_several_tasks(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs:
        if run.record.spec.task != first.record.spec.task:
            raise SettingsError(
                f"{first.path} was trained to {first.record.spec.task} and {run.path} to "
                f"{run.record.spec.task}; compare runs of one task."
            )


def _curves(named: dict[str, Run]) -> "Figure":
    """Draw the losses of the validation parts; where there are classes, accuracy or mean IoU."""
    histories = {name: run.history() for name, run in named.items()}
    if next(iter(named.values())).record.spec.task != "reconstruct":
        return accuracy_curves(histories)
    return validation_curves(
        {f"{name} ({named[name].record.settings.loss})": lines for name, lines in histories.items()}
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
    best = best_of(run.history())
    measured = _reconstructing if record.spec.task == "reconstruct" else _answering
    return {
        "run": name,
        "model": record.spec.model,
        "code_size": record.spec.code_size,
        "parameters": evaluation["model"]["parameters"],
        "data": record.origin.source or "an array",
        "noise": record.settings.corrupt,
        "epochs": evaluation["training"]["epochs"],
        "seconds": evaluation["training"]["seconds"],
        "loss": record.settings.loss,
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
    if next(iter(named.values())).record.spec.task != "reconstruct":
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
        trained, settings = run.trained(), run.record.settings
        seen = shown.values
        if settings.corruption is not None:
            seen = corrupted(trained, shown, settings.corruption, settings.seed, indices)
            rows.append((settings.corrupt or "", seen))
        rows.append((name, trained.reconstruct(seen)))
    return rows_of_samples(rows)


def _maps(
    named: dict[str, Run], data: Sequence[Samples], method: str
) -> list[tuple[str, str, str]]:
    """Draw a map for each run; the features of segmenters are of pixels and have none."""
    maps = []
    for (name, run), own in zip(named.items(), data, strict=True):
        if run.record.spec.task != "segment":
            test = run.split().test
            shown = own.take(test[spread(len(test), MAPPED)])
            figure, quality = map_of(run.trained(), shown, method)
            maps.append((name, embedded(figure), told(quality)))
    return maps


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
