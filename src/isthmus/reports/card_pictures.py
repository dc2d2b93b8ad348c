"""The pictures of a model card."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from isthmus.data.manifest import evenly_spaced
from isthmus.evaluation.predictions import (
    ClassPredictions,
    predict_samples,
    targets_in_model_classes,
)
from isthmus.models.tasks import Task
from isthmus.reports.denoiser import draw_denoised
from isthmus.reports.pictures import overlays
from isthmus.reports.run import MAX_MAPPED, MAX_OVERLAYS, draw_examples, map_section
from isthmus.reports.style import draw_styles
from isthmus.session import Session
from isthmus.viz.classes import confusion, reliability
from isthmus.viz.curves import curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
