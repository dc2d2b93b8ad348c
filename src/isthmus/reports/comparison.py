"""The comparison of several runs: one table, one page."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.data.cache import Track, untracked
from isthmus.data.manifest import evenly_spaced
from isthmus.data.samples import Samples
from isthmus.errors import OptionError, RunError
from isthmus.files import write_bytes
from isthmus.latent.maps import require_method
from isthmus.models.tasks import CLASS_TASKS, Task
from isthmus.places import PAGE_SUFFIXES, require_own_place
from isthmus.reports.denoiser import draw_compared
from isthmus.reports.page import render, to_data_url
from isthmus.reports.preview import title_of_noise
from isthmus.reports.run import MAX_MAPPED, example_indices, map_section
from isthmus.reports.style import draw_styles
from isthmus.session import Session
from isthmus.training.record import Record
from isthmus.training.run import Run, best_epoch
from isthmus.viz.curves import accuracy_curves, validation_curves
from isthmus.viz.grids import rows_of_samples

if TYPE_CHECKING:
    from matplotlib.figure import Figure


ROW_TITLES = {
    "model": "model",
    "code_size": "code size",
    "trained_on": "trained on",
    "patch": "side of a patch",
    "parameters": "parameters",
    "data": "data",
    "noise": "noise",
    "epochs": "epochs",
    "seconds": "seconds of training",
    "loss": "loss",
    "validation_loss": "validation loss",
    "mse": "mean squared error",
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "bce": "binary cross-entropy",
    "mse_of_pca": "mean squared error of PCA",
    "mse_of_mean": "mean squared error of the mean sample",
    "mse_of_noisy": "mean squared error of the noisy input",
    "measured_with": "measured with the noise",
    "psnr_of_noisy": "PSNR of the noisy images, dB",
    "psnr_of_filter": "PSNR of the best filter, dB",
    "content_loss": "content loss, mean over styles",
    "style_loss": "style loss, mean over styles",
    "photograph_loss": "style loss of the photographs",
    "accuracy": "accuracy",
    "top_5": "top-5 accuracy",
    "ece": "expected calibration error",
    "cross_entropy": "cross-entropy",
    "mean_iou": "mean IoU",
    "pixel_accuracy": "pixel accuracy",
    "knn_4": "accuracy, 4 nearest codes",
    "knn_4_of_pca": "accuracy, 4 nearest by PCA",
    "knn_4_of_pixels": "accuracy, 4 nearest by the raw values",
    "logistic": "accuracy, logistic regression on codes",
    "logistic_of_pixels": "accuracy, logistic regression on the raw values",
    "majority": "accuracy of the most frequent class",
}


def write_comparison(
    runs: Sequence[Run],
    out: Path,
    *,
    samples: Sequence[Samples] | None = None,
    method: str = "pca",
    track: Track = untracked,
) -> list[dict[str, Any]]:
    """Write a page that compares runs.

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
        A row of values for every run, as in the page's table; see `compare`.

    Raises
    ------
    IsthmusError
        If there are fewer than two runs, they are of several tasks, one has no epoch yet, or its
        data is gone or has changed.
    """
    require_own_place(out, PAGE_SUFFIXES)  # before work that may take minutes, like the next line
    require_method(method)
    own: Sequence[Samples | None] = samples or [None] * len(runs)
    sessions = [Session(run, one, track=track) for run, one in zip(runs, own, strict=True)]
    rows = compare(sessions)
    write_bytes(out, render_comparison(sessions, rows, method))
    return rows


def compare(sessions: Sequence[Session]) -> list[dict[str, Any]]:
    """Return a row of values for every run: model, data, training, metrics and baselines.

    Raises
    ------
    IsthmusError
        See `write_comparison`.
    """
    if len(sessions) < 2:
        raise OptionError("a comparison needs at least two runs; give another one.")
    _reject_several_tasks([session.run for session in sessions])
    for session in sessions:
        if not session.run.history():
            path = session.run.path
            raise RunError(f"{path} has no whole epoch yet; isthmus resume {path} continues.")
    return [_row(name, session) for name, session in _named(sessions).items()]


def render_comparison(
    sessions: Sequence[Session], rows: Sequence[dict[str, Any]], method: str = "pca"
) -> bytes:
    """Return the page that shows the rows of `compare`, with curves, examples and maps."""
    named, records = _named(sessions), [session.run.record for session in sessions]
    same_data = len({record.data["fingerprint"] for record in records}) == 1
    return render(
        "compare.html.jinja",
        title=" · ".join(named),
        lead=_lead(sessions, same_data),
        rows=rows,
        table=[
            (ROW_TITLES[name], [_text(row[name]) for row in rows])
            for name in rows[0]
            if name != "run"
        ],
        task=_task(named),
        curves=to_data_url(_curves(named)),
        grids=[to_data_url(figure) for figure in _grids(named, same_data)],
        maps=_maps(named, method),
        version=records[0].environment["isthmus"],
    )


def _reject_several_tasks(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs:
        if run.record.model_config.task != first.record.model_config.task:
            raise OptionError(
                f"{first.path} was trained to {first.record.model_config.task} and {run.path} to "
                f"{run.record.model_config.task}; compare runs of one task."
            )


def _curves(named: dict[str, Session]) -> "Figure":
    """Draw the validation losses; with classes, accuracy or mean IoU."""
    histories = {name: session.run.history() for name, session in named.items()}
    if _task(named) in CLASS_TASKS:
        return accuracy_curves(histories)
    losses = {name: session.run.record.training_config.loss for name, session in named.items()}
    # The names carry the losses, as values of different losses cannot be compared.
    return validation_curves(
        {f"{name} ({losses[name]})": lines for name, lines in histories.items()}
    )


def _task(named: dict[str, Session]) -> str:
    return next(iter(named.values())).run.record.model_config.task


def _named(sessions: Sequence[Session]) -> dict[str, Session]:
    """Name runs by their folders, with a number where two have the same name."""
    # Of the resolved path, as "." and "runs/.." have no name of their own.
    names = [session.run.path.resolve().name for session in sessions]
    if len(set(names)) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    return dict(zip(names, sessions, strict=True))


def _row(name: str, session: Session) -> dict[str, Any]:
    """Return the values of one run, without nesting: a row of a table, also for pandas."""
    evaluation, record = session.evaluate(), session.run.record
    best = best_epoch(session.run.history())
    results = RESULTS[record.model_config.task]
    return {
        "run": name,
        "model": record.model_config.model,
        **_size(record),
        "parameters": evaluation["model"]["parameters"],
        "data": record.origin.source or "an array",
        "noise": record.training_config.corrupt,
        "epochs": evaluation["training"]["epochs"],
        "seconds": evaluation["training"]["seconds"],
        "loss": record.training_config.loss,
        "validation_loss": best["validation_loss"],
        **results(evaluation),
    }


def _size(record: Record) -> dict[str, Any]:
    """Return the code size; of a denoiser, which has no code, what it has seen instead."""
    model, config = record.model_config, record.training_config
    if model.task != "denoise":
        return {"code_size": model.code_size}
    noise = "clean images" if config.corrupt else "noisy and clean images"
    return {
        "trained_on": "noisy images" if config.no_clean else noise,
        "patch": model.shape[1],
    }


def _reconstruction_results(evaluation: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics of an autoencoder and its baselines."""
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


def _prediction_results(evaluation: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics of a classifier or segmenter and its baselines."""
    test, pixels = evaluation["test"], evaluation["baselines"].get("pixels")
    if pixels is None:
        results = {name: test[name] for name in ("mean_iou", "pixel_accuracy")}
    else:
        results = {name: test.get(name) for name in ("accuracy", "top_5", "ece", "cross_entropy")}
        results |= {f"{name}_of_pixels": pixels[name] for name in ("knn_4", "logistic")}
    return {**results, "majority": evaluation["baselines"]["majority"]}


def _style_results(evaluation: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics of a style bank: of its autoencoder, and the means over its styles."""
    styles = evaluation["styles"].values()
    losses = ("content", "style", "photograph")
    means = {f"{name}_loss": sum(row[name] for row in styles) / len(styles) for name in losses}
    return {**{name: evaluation["test"][name] for name in ("mse", "psnr", "ssim")}, **means}


def _denoising_results(evaluation: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics of a denoiser at the strength of noise in the middle."""
    test, filters = evaluation["test"], evaluation["baselines"].values()
    return {
        "measured_with": evaluation.get("noise", {}).get("corrupt"),
        "psnr": test.get("psnr"),
        "ssim": test.get("ssim"),
        "psnr_of_noisy": evaluation.get("noisy", {}).get("psnr"),
        "psnr_of_filter": max((row["psnr"] for row in filters), default=None),
    }


RESULTS: dict[Task, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "reconstruct": _reconstruction_results,
    "classify": _prediction_results,
    "segment": _prediction_results,
    "stylize": _style_results,
    "denoise": _denoising_results,
}


def _lead(sessions: Sequence[Session], same_data: bool) -> str:
    if same_data:
        description = sessions[0].run.record.data["description"]
        return f"{len(sessions)} runs on the same data: {description}."
    return (
        f"{len(sessions)} runs on different data, each measured on its own: the numbers do not say "
        "which model is better."
    )


def _grids(named: dict[str, Session], same_data: bool) -> list["Figure"]:
    """Draw reconstructions of the same samples by all runs; of different data, each run's own.

    Of style banks, each run's own paintings; of classifiers and segmenters there are none.
    """
    if _task(named) == "stylize":
        return [draw_styles(session) for session in named.values()]
    if _task(named) == "denoise":
        return draw_compared(named) if same_data else []
    if _task(named) != "reconstruct":
        return []
    if not same_data:
        return [_draw_reconstructions({name: session}) for name, session in named.items()]
    return [_draw_reconstructions(named)]


def _draw_reconstructions(named: dict[str, Session]) -> "Figure":
    """Draw test samples of the first run, and their reconstructions by each run."""
    first = next(iter(named.values()))
    indices = example_indices(first)
    examples = first.samples.take(indices)
    rows = [("original", examples.values)]
    for name, session in named.items():
        inputs = session.add_noise(examples, indices)
        if (corrupt := session.run.record.training_config.corrupt) is not None:
            rows.append((title_of_noise(corrupt), inputs))
        rows.append((name, session.reconstruct(inputs)))
    return rows_of_samples(rows)


def _maps(named: dict[str, Session], method: str) -> list[tuple[str, str, str]]:
    """Draw a map for each run; the features of segmenters belong to pixels, not to samples."""
    maps = []
    for name, session in named.items():
        if session.run.record.model_config.task not in ("segment", "denoise"):
            test = session.split.test
            indices = test[evenly_spaced(len(test), MAX_MAPPED)]
            figure, note = map_section(session, indices, method)
            maps.append((name, to_data_url(figure), note))
    return maps


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
