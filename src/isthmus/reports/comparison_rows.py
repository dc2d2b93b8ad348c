"""The rows of a comparison: for each run its choices, metrics and baselines."""

from collections.abc import Callable, Sequence
from typing import Any

from isthmus.errors import OptionError, RunError
from isthmus.models.tasks import Task
from isthmus.session import Session
from isthmus.training.record import Record
from isthmus.training.run import Run, best_epoch

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
    return [_row(name, session) for name, session in name_sessions(sessions).items()]


def name_sessions(sessions: Sequence[Session]) -> dict[str, Session]:
    """Name runs by their folders, with a number where two have the same name."""
    # Of the resolved path, as "." and "runs/.." have no name of their own.
    names = [session.run.path.resolve().name for session in sessions]
    if len(set(names)) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    return dict(zip(names, sessions, strict=True))


def _reject_several_tasks(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs:
        if run.record.model_config.task != first.record.model_config.task:
            raise OptionError(
                f"{first.path} was trained to {first.record.model_config.task} and {run.path} to "
                f"{run.record.model_config.task}; compare runs of one task."
            )


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
