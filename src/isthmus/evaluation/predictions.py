"""What classifiers and segmenters answer, and how right they are."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus import metrics
from isthmus.data.samples import VOID, Samples
from isthmus.errors import OptionError
from isthmus.inference import TrainedModel

TOP = 5


def score_predictions(model: TrainedModel, samples: Samples) -> dict[str, Any]:
    """Compare a model's answers with labels or masks.

    Parameters
    ----------
    model : TrainedModel
        A classifier or segmenter.
    samples : Samples
        With labels or masks; their classes are found by name.

    Returns
    -------
    dict
        Of a classifier `n`, `accuracy`, `top_5` (where there are more than 5 classes), `ece` (the
        expected calibration error), `cross_entropy` (nats), `classes` with each one's `n`,
        `recall` and `precision`, and `confusion`, rows truth. Of a segmenter `n`,
        `pixel_accuracy`, `mean_iou` over the classes that are present, `classes` with each one's
        `share` of the pixels and `iou`, and `confusion` of pixels; void counts nowhere.

    Raises
    ------
    IsthmusError
        If the samples have no labels or masks, or of a class that the model does not know.
    """
    truth = targets_in_model_classes(model, samples)
    if model.config.task == "classify":
        return _classifier(model, samples, truth)
    return _segmenter(model, samples, truth)


def targets_in_model_classes(model: TrainedModel, samples: Samples) -> NDArray[Any]:
    """Return labels (N,) int64 or masks (N, H, W) uint8 as indices of the model's classes.

    Raises
    ------
    SettingsError
        If there are none, or a class that the model does not know.
    """
    known, name = model.config.class_names, samples.origin.source or "the array"
    truth = samples.labels if model.config.task == "classify" else samples.masks
    if truth is None:
        what = "labels" if model.config.task == "classify" else "masks"
        raise OptionError(f"{name} has no {what} to compare with; isthmus predict needs none.")
    if samples.class_names == known:
        return truth
    unknown = [one for one in samples.class_names if one not in known]
    if unknown:
        raise OptionError(
            f"{name} has the class {unknown[0]}, which the model does not know; it knows "
            f"{', '.join(known[:20])}{' …' if len(known) > 20 else ''}."
        )
    places = np.full(VOID + 1, VOID, np.int64)
    if model.config.task == "classify":
        places = np.zeros(len(samples.class_names), np.int64)
    for i, one in enumerate(samples.class_names):
        places[i] = known.index(one)
    return places[truth].astype(truth.dtype)


def prediction_rows(model: TrainedModel, samples: Samples) -> list[dict[str, Any]]:
    """Return what a model answers to each sample, as JSON objects.

    Returns
    -------
    list of dict
        Of a classifier `name`, `class`, `probability` and the `probabilities` of all classes; of a
        segmenter `name` and the `shares` of the pixels that each class has, those it has at all.
    """
    classes = model.config.class_names
    if model.config.task == "classify":
        rows = [shares_by_class(classes, row) for row in model.probabilities(samples)]
        return [
            {"name": name, "class": first, "probability": row[first], "probabilities": row}
            for name, row in zip(samples.names, rows, strict=True)
            for first in [next(iter(row))]
        ]
    answers = []
    for name, mask in zip(samples.names, model.predict(samples), strict=True):
        shares = np.bincount(mask.ravel(), minlength=len(classes)) / mask.size
        present = {
            one: share for one, share in shares_by_class(classes, shares).items() if share > 0
        }
        answers.append({"name": name, "shares": present})
    return answers


def majority_accuracy(truth: NDArray[Any], counts: NDArray[np.int64]) -> float:
    """Return the accuracy of always answering the class that is most frequent in training.

    Parameters
    ----------
    truth : (N,) or (N, H, W)
        Of the test part; void counts nowhere.
    counts : (K,) int64
        Samples or pixels of each class in training.
    """
    valid = truth[truth != VOID] if truth.dtype == np.uint8 else truth
    return float((valid == counts.argmax()).mean())


def most_confident_mistakes(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], most: int
) -> NDArray[np.int64]:
    """Return the samples that got a wrong class, the most confident first, at most so many."""
    predicted = probabilities.argmax(1)
    wrong = np.flatnonzero(predicted != labels)
    order = np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")
    return wrong[order[:most]]


def shares_by_class(class_names: Sequence[str], shares: NDArray[Any]) -> dict[str, float]:
    """Return the probabilities or shares (K,) of one sample by class, the largest first."""
    order = np.argsort(-shares, kind="stable")
    return {class_names[i]: round(float(shares[i]), 6) for i in order}


def _classifier(model: TrainedModel, samples: Samples, truth: NDArray[np.int64]) -> dict[str, Any]:
    names, labels = model.config.class_names, torch.from_numpy(truth)
    probabilities = torch.from_numpy(model.probabilities(samples))
    matrix = metrics.confusion(probabilities.argmax(1), labels, len(names))
    likely = probabilities[torch.arange(len(labels)), labels].double().clamp(min=1e-12)
    return {
        "n": len(samples),
        "accuracy": metrics.accuracy(matrix),
        **({"top_5": metrics.top_k(probabilities, labels, TOP)} if len(names) > TOP else {}),
        "ece": metrics.calibration_error(probabilities, labels),
        "cross_entropy": float(-likely.log().mean()),
        "classes": {
            name: {"n": n, "recall": found, "precision": right}
            for name, n, found, right in zip(
                names,
                matrix.sum(1).tolist(),
                _figures(metrics.recall(matrix)),
                _figures(metrics.precision(matrix)),
                strict=True,
            )
        },
        "confusion": matrix.tolist(),
    }


def _segmenter(model: TrainedModel, samples: Samples, truth: NDArray[np.uint8]) -> dict[str, Any]:
    names = model.config.class_names
    matrix = torch.zeros(len(names), len(names), dtype=torch.int64)
    for predicted, masks in _beside(model, samples, truth):
        matrix += metrics.confusion(predicted, masks, len(names), VOID)
    pixels = max(1, int(matrix.sum()))
    return {
        "n": len(samples),
        "pixel_accuracy": metrics.accuracy(matrix),
        "mean_iou": metrics.mean_iou(matrix),
        "classes": {
            name: {"share": count / pixels, "iou": iou}
            for name, count, iou in zip(
                names, matrix.sum(1).tolist(), _figures(metrics.iou(matrix)), strict=True
            )
        },
        "confusion": matrix.tolist(),
    }


def _beside(
    model: TrainedModel, samples: Samples, truth: NDArray[np.uint8]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of predicted classes and masks, both (n, H, W)."""
    start = 0
    for _, output in model.outputs(samples):
        masks = torch.from_numpy(np.ascontiguousarray(truth[start : start + len(output)]))
        start += len(output)
        yield output.argmax(1).cpu(), masks


def _figures(values: Tensor) -> list[float | None]:
    """Return numbers for JSON, None where there is nothing to divide by."""
    return [None if value != value else value for value in values.tolist()]
