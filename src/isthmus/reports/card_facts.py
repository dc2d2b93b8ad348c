"""What a model card says: the metadata for the Hub, and shapes and results for people."""

from pathlib import Path
from typing import Any

from isthmus.data.catalog import DATASETS
from isthmus.evaluation.summaries import (
    ADVICE,
    compare_predictions,
    compare_reconstructions,
    denoising_verdict,
    prediction_verdict,
    reconstruction_verdict,
)
from isthmus.models.tasks import TASKS, Task
from isthmus.reports.denoiser import compared_levels
from isthmus.reports.style import style_verdict
from isthmus.training.record import Record

COLORS = {1: "gray", 3: "RGB"}  # by channels
# The Hub's name for what a model of images does; it has none for signals.
PIPELINES: dict[Task, str] = {
    "reconstruct": "image-feature-extraction",
    "classify": "image-classification",
    "segment": "image-segmentation",
    "stylize": "image-to-image",
    "denoise": "image-to-image",
}
TITLES: dict[Task, str] = {
    "reconstruct": "Reconstruction",
    "classify": "Classification",
    "segment": "Segmentation",
    "stylize": "Style transfer",
    "denoise": "Denoising",
}
METRICS = {  # of the evaluation: name at the Hub, and for people
    "mse": ("mse", "mean squared error"),
    "psnr": ("psnr", "PSNR, dB"),
    "ssim": ("ssim", "SSIM"),
    "accuracy": ("accuracy", "accuracy"),
    "ece": ("ece", "expected calibration error"),
    "mean_iou": ("mean_iou", "mean intersection over union"),
    "pixel_accuracy": ("accuracy", "accuracy of the pixels"),
}


def list_metadata(
    record: Record, evaluation: dict[str, Any], name: str, license_name: str | None
) -> dict[str, Any]:
    """Return the metadata of the card; keys as the Hub defines them."""
    task, is_signal = record.model_config.task, len(record.model_config.shape) == 2
    noise = record.training_config.corrupt
    dataset = DATASETS.get(record.origin.source)
    pipeline = None if is_signal else "image-to-image" if noise else PIPELINES[task]
    measured = [key for key in METRICS if evaluation["test"].get(key) is not None]
    metrics = [
        {"type": METRICS[key][0], "value": evaluation["test"][key], "name": METRICS[key][1]}
        for key in measured
    ]
    result = {
        "task": {"type": pipeline or "other", "name": TITLES[task]},
        "dataset": {
            "type": (dataset.hub if dataset else "") or _slug(name_source(record)),
            "name": name_source(record),
            "split": "test",
        },
        "metrics": metrics,
    }
    values = {
        "license": license_name,
        "library_name": "isthmus",
        "pipeline_tag": pipeline,
        "tags": ["isthmus", TASKS[task], *(["denoising"] if noise else [])],
        "datasets": [dataset.hub] if dataset and dataset.hub else None,
        "metrics": list(dict.fromkeys(METRICS[key][0] for key in measured)),
        "model-index": [{"name": name, "results": [result]}],
    }
    return {key: value for key, value in values.items() if value is not None}


def _slug(name: str) -> str:
    """Return a name in lower case with hyphens, as the Hub writes them."""
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split()) or "images"


def name_source(record: Record) -> str:
    """Name the data, without the folders above it, which are private."""
    return Path(record.origin.source).name or "an array"


def describe_input(record: Record) -> str:
    """Say which samples the model takes."""
    channels, *sides = record.model_config.shape
    if record.model_config.task == "denoise":
        return f"images of any size, {COLORS.get(channels, f'{channels} channels')}"
    if len(sides) == 1:
        return f"signals of {sides[0]:,} steps and {channels} channel" + "s" * (channels > 1)
    color = COLORS.get(channels, f"{channels} channels")
    text = f"images of {sides[0]} × {sides[1]} pixels, {color}"
    crop = record.preprocessing.crop
    return text + (f", from the central {crop} × {crop} pixels" if crop else "")


def describe_output(record: Record) -> dict[str, str]:
    """Return the shapes of what the example in Python computes."""
    channels, *sides = record.model_config.shape
    shape = ", ".join(map(str, (*sides, channels)))
    kind = "float32" if len(sides) == 1 else "uint8"
    code = f"(N, {record.model_config.code_size}) float32"
    return {"code": code, "sample": f"(N, {shape}) {kind}", "mask": f"(N, {shape[:-3]}) uint8"}


def list_rows(evaluation: dict[str, Any], task: Task) -> list[tuple[str, list[str]]]:
    """Return the titles of the results and their metrics as text, the header first."""
    if task == "stylize":
        titles = ("content", "style", "photograph")
        losses = evaluation["styles"].items()
        return [("", [])] + [
            (name, [_format(row[title]) for title in titles]) for name, row in losses
        ]
    if task == "denoise":
        return [
            (title, [noise, *(_format_error(row, key) for key in ("psnr", "ssim"))])
            for noise, rows in compared_levels(evaluation) for title, row in rows
        ]  # fmt: skip
    if task != "reconstruct":
        rows = compare_predictions(evaluation)
        what = "samples" if task == "classify" else "pixels"
        return [(f"{what} correct", [])] + [(title, [f"{share:.2%}"]) for title, share in rows]
    named = compare_reconstructions(evaluation)
    return [(title, [_format(row.get(key)) for key in ("mse", "psnr", "ssim")])
            for title, row in named]  # fmt: skip


def _format(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _format_error(row: dict[str, Any], metric: str) -> str:
    value, error = row[metric], row[f"{metric}_error"]
    return _format(value) if error is None else f"{_format(value)} ± {error:.2g}"


def say_verdict(evaluation: dict[str, Any], task: Task) -> str:
    """Compare the model with baselines, without advice on training."""
    if task == "reconstruct":
        verdict = reconstruction_verdict(evaluation)
    elif task == "stylize":
        verdict = style_verdict(evaluation)
    elif task == "denoise":
        verdict = denoising_verdict(evaluation)
    else:
        what = "samples" if task == "classify" else "pixels"
        verdict = prediction_verdict(compare_predictions(evaluation), what)
    return verdict.removesuffix(ADVICE).rstrip()
