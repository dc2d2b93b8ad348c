"""A folder to publish: the model, and a model card as the Hugging Face Hub expects it.

The card is README.md: metadata in YAML, then a page for people. Its form is that of the Hub's own
documentation (https://huggingface.co/docs/hub/model-cards, and modelcard.md of the repository
hub-docs). Its numbers are those of the evaluation on the test split.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from isthmus.data.cache import Track, untracked
from isthmus.data.catalog import DATASETS
from isthmus.data.images import Images
from isthmus.data.manifest import evenly_spaced
from isthmus.data.samples import Samples
from isthmus.errors import ModelError, RunError
from isthmus.evaluation.predictions import (
    ClassPredictions,
    predict_samples,
    targets_in_model_classes,
)
from isthmus.evaluation.summaries import (
    ADVICE,
    compare_predictions,
    compare_reconstructions,
    denoising_note,
    denoising_verdict,
    describe_likelihood,
    likelihood_note,
    prediction_verdict,
    reconstruction_verdict,
)
from isthmus.inference.contract import MODEL_FILE
from isthmus.inference.onnx import SUFFIX, OnnxModel
from isthmus.models.tasks import TASKS, Task
from isthmus.reports.denoiser import compared_levels, draw_denoised
from isthmus.reports.page import render
from isthmus.reports.pictures import overlays
from isthmus.reports.run import MAX_MAPPED, MAX_OVERLAYS, draw_examples, map_section
from isthmus.reports.style import draw_styles, style_verdict
from isthmus.session import Session
from isthmus.training.record import Record
from isthmus.training.run import Run, best_epoch
from isthmus.training.store import FolderStore, require_free
from isthmus.version import __version__
from isthmus.viz.canvas import to_png
from isthmus.viz.classes import confusion, reliability
from isthmus.viz.curves import curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CARD_FILE, ONNX_FILE = "README.md", f"model{SUFFIX}"  # of the folder
PICTURES = "images"  # its folder of pictures
COLORS = {1: "gray", 3: "RGB"}  # by channels
MAX_CLASSES = 50  # whose names are listed
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


@dataclass(frozen=True)
class Picture:
    """A picture of the card.

    Parameters
    ----------
    place : str
        Where it stands: at the "top", or with the "results" or the "training".
    name : str
        Of its file, without the ending.
    title, caption : str
    figure : Figure
    """

    place: Literal["top", "results", "training"]
    name: str
    title: str
    caption: str
    figure: "Figure"


def write_card(
    run: Run,
    samples: Samples | Images | None = None,
    *,
    out: str | Path | None = None,
    onnx: str | Path | None = None,
    license: str | None = None,  # noqa: A002 - the word of the Hub
    track: Track = untracked,
) -> Path:
    """Write a folder to publish: the weights, a model card, and pictures of test samples.

    Parameters
    ----------
    run : Run
    samples : Samples or Images, optional
        The run's data; needed for a run on an array, otherwise loaded again.
    out : Path, optional
        The folder to create; by default card in the run folder.
    onnx : Path, optional
        A file that `isthmus export` wrote of this model, to publish as well.
    license : str, optional
        A name of https://huggingface.co/docs/hub/repositories-licenses; by default the card says
        where to fill it in.
    track : callable
        Shows progress.

    Returns
    -------
    Path
        The folder: README.md, model.safetensors, images/, and model.onnx if there is one.

    Raises
    ------
    RunError
        If the folder exists already and is not empty, the run has no epoch yet, or it is in memory
        and `out` is not given.
    ModelError
        If the ONNX file is not of this model, holds a part or a layer of it, or has another
        precision than 32.
    IsthmusError
        If the run's data is gone or has changed.
    """
    if not out and run.is_in_memory:
        raise RunError(f"{run.name} has no folder; say with out= where its card is written.")
    out = Path(out) if out else run.path / "card"
    require_free(out)
    if not run.history():
        raise RunError(f"{run.name} has no whole epoch yet; isthmus resume continues it.")
    session = Session(run, samples, track=track)
    files = {MODEL_FILE: session.trained.to_bytes()}
    if onnx is not None:
        files[ONNX_FILE] = _read_onnx(Path(onnx), session)
    evaluation = session.evaluate()
    pictures = draw_pictures(session, evaluation)
    name = run.path.resolve().name if out.parent == _folder(run) else out.resolve().name
    text = render_card(
        session, evaluation, pictures, name, license or None, has_onnx=onnx is not None
    )
    files[CARD_FILE] = text
    for picture in pictures:
        files[f"{PICTURES}/{picture.name}.png"] = to_png(picture.figure)
    FolderStore.create(out, files)
    return out


def render_card(
    session: Session,
    evaluation: dict[str, Any],
    pictures: list[Picture],
    name: str,
    license: str | None = None,  # noqa: A002
    *,
    has_onnx: bool = False,
) -> bytes:
    """Return the model card of a run as Markdown with metadata in YAML.

    Parameters
    ----------
    session : Session
    evaluation : dict
        As `evaluate` returns it.
    pictures : list of Picture
    name : str
        Of the model.
    license : str, optional
    has_onnx : bool
        Whether there is a model.onnx next to it.
    """
    record, history = session.run.record, session.run.history()
    layers = session.trained.layers
    likelihood = evaluation.get("likelihood")
    is_signal = len(record.model_config.shape) == 2
    return render(
        "card.md.jinja",
        name=name,
        metadata=_metadata(record, evaluation, name, license),
        noun=TASKS[record.model_config.task],
        record=record,
        source=_source(record),
        is_signal=is_signal,
        example="signals.npz" if is_signal else "photos/",
        input=_describe_input(record),
        output=_describe_output(record),
        test=evaluation["test"],
        rows=_rows(evaluation, record.model_config.task),
        likelihood=describe_likelihood(likelihood) if likelihood else [],
        likelihood_note=likelihood_note(likelihood) if likelihood else "",
        denoising_note=denoising_note(evaluation) if "levels" in evaluation else "",
        verdict=_verdict(evaluation, record.model_config.task),
        pictures=pictures,
        folder=PICTURES,
        has_onnx=has_onnx,
        parameters=evaluation["model"]["parameters"],
        macs=sum(layer.macs for layer in layers),
        training=evaluation["training"],
        best=best_epoch(history),
        fingerprint=session.model.fingerprint,
        max_classes=MAX_CLASSES,
        version=__version__,
    )


def draw_pictures(session: Session, evaluation: dict[str, Any]) -> list[Picture]:
    """Draw what the card of a run shows, in its order."""
    record, history = session.run.record, session.run.history()
    caption = "Loss of training and validation by epoch."
    loss = curves(history, record.training_config.loss or "")
    return [
        *DRAWINGS[record.model_config.task](session, evaluation),
        Picture("training", "curves", "Loss by epoch", caption, loss),
    ]


def _autoencoder(session: Session, evaluation: dict[str, Any]) -> list[Picture]:
    caption = "Test samples, their codes and their reconstructions."
    if session.run.record.training_config.corruption is not None:
        caption = "Test samples, the same with noise, their codes and what the model makes of them."
    return [
        Picture("top", "reconstructions", "Reconstructions", caption, draw_examples(session)),
        _draw_map(session, "codes"),
    ]


def _classifier(session: Session, evaluation: dict[str, Any]) -> list[Picture]:
    samples = session.samples.take(session.split.test)
    targets = targets_in_model_classes(session.model, samples)
    predictions = predict_samples(session.model, samples, targets)
    assert isinstance(predictions, ClassPredictions)
    return [
        Picture(
            "top",
            "confusion",
            "Confusion matrix",
            "Rows are true classes of test samples, columns predicted ones.",
            confusion(predictions.confusion, predictions.class_names),
        ),
        Picture(
            "results",
            "reliability",
            "Calibration",
            "Accuracy by confidence: of predictions with a confidence of 90%, 90% should be right.",
            reliability(predictions.reliability),
        ),
        _draw_map(session, "features"),
    ]


def _segmenter(session: Session, evaluation: dict[str, Any]) -> list[Picture]:
    test, names = session.split.test, session.model.class_names
    examples = session.samples.take(test[evenly_spaced(len(test), MAX_OVERLAYS)])
    matrix = np.array(evaluation["test"]["confusion"])
    return [
        Picture(
            "top",
            "predictions",
            "Ground truth and prediction",
            "Test images, their true and predicted classes; in the last column errors are red.",
            overlays(session.model, examples),
        ),
        Picture(
            "results",
            "confusion",
            "Confusion matrix",
            "Rows are true classes of pixels, columns predicted ones.",
            confusion(matrix, names),
        ),
    ]


def _style_bank(session: Session, evaluation: dict[str, Any]) -> list[Picture]:
    caption = "Test photographs, the same as the autoencoder alone rebuilds them, and all styles."
    return [Picture("top", "styles", "Styles", caption, draw_styles(session))]


def _denoiser(session: Session, evaluation: dict[str, Any]) -> list[Picture]:
    caption = "A test image with noise, denoised and clean, and where these differ; below, a part "
    caption += "of each, enlarged."
    if not evaluation["levels"]:
        caption = "A test image, the same denoised, and what was taken out."
    figures = draw_denoised(session, evaluation, 2)
    names = [f"denoised-{number}" for number in range(1, len(figures) + 1)]
    return [
        Picture("top" if name == names[0] else "results", name, "Denoised image", caption, figure)
        for name, figure in zip(names, figures, strict=True)
    ]


DRAWINGS: dict[Task, Callable[[Session, dict[str, Any]], list[Picture]]] = {
    "reconstruct": _autoencoder,
    "classify": _classifier,
    "segment": _segmenter,
    "stylize": _style_bank,
    "denoise": _denoiser,
}


def _draw_map(session: Session, noun: str) -> Picture:
    test = session.split.test
    figure, note = map_section(session, test[evenly_spaced(len(test), MAX_MAPPED)])
    caption = f"Test samples by t-SNE of their {noun}. {note}"
    return Picture("results", "map", f"Map of the {noun}", caption, figure)


# -- metadata ---------------------------------------------------------------------------------


def _metadata(
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
            "type": (dataset.hub if dataset else "") or _slug(_source(record)),
            "name": _source(record),
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


# -- words ------------------------------------------------------------------------------------


def _source(record: Record) -> str:
    """Name the data, without the folders above it, which are private."""
    return Path(record.origin.source).name or "an array"


def _describe_input(record: Record) -> str:
    channels, *sides = record.model_config.shape
    if record.model_config.task == "denoise":
        return f"images of any size, {COLORS.get(channels, f'{channels} channels')}"
    if len(sides) == 1:
        return f"signals of {sides[0]:,} steps and {channels} channel" + "s" * (channels > 1)
    color = COLORS.get(channels, f"{channels} channels")
    text = f"images of {sides[0]} × {sides[1]} pixels, {color}"
    crop = record.preprocessing.crop
    return text + (f", from the central {crop} × {crop} pixels" if crop else "")


def _describe_output(record: Record) -> dict[str, str]:
    """Return the shapes of what the example in Python computes."""
    channels, *sides = record.model_config.shape
    shape = ", ".join(map(str, (*sides, channels)))
    kind = "float32" if len(sides) == 1 else "uint8"
    code = f"(N, {record.model_config.code_size}) float32"
    return {"code": code, "sample": f"(N, {shape}) {kind}", "mask": f"(N, {shape[:-3]}) uint8"}


def _rows(evaluation: dict[str, Any], task: Task) -> list[tuple[str, list[str]]]:
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


def _verdict(evaluation: dict[str, Any], task: Task) -> str:
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


def _folder(run: Run) -> Path | None:
    return None if run.is_in_memory else run.path


def _read_onnx(path: Path, session: Session) -> bytes:
    """Return the content of an exported file, if it answers for this model."""
    exported = OnnxModel.load(path)
    record = exported.record
    # First what has a fingerprint of its own, so that it is not taken for another model.
    if record.precision != "32":
        raise ModelError(
            f"{path} holds precision {record.precision}; export it with --precision 32."
        )
    if record.layer is not None:
        raise ModelError(f"{path} holds only the layer {record.layer}; export the model whole.")
    session.model.check_fingerprint(
        exported.fingerprint, f"{path} was exported from", "export the run again"
    )
    if record.part != "whole":
        raise ModelError(f"{path} holds only the {record.part} of the model; export it whole.")
    return path.read_bytes()
