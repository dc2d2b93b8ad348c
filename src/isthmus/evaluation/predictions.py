"""Predictions of classifiers and segmenters, and metrics of them.

`predict_samples` runs the model once; metrics, rows and pictures follow from its result. Metrics
need torch, which is imported only by what computes them: predicting works without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.samples import VOID, Samples
from isthmus.errors import OptionError, list_names, suggest
from isthmus.inference.model import Model

if TYPE_CHECKING:
    from torch import Tensor

    from isthmus.metrics import Reliability

TOP_K = 5  # classes among which `top_5` looks for the true one
MIN_PROBABILITY = 1e-12  # of the true class in the cross-entropy, which would be infinite for 0


@dataclass(frozen=True, eq=False)
class ClassPredictions:
    """The predictions of a classifier for samples.

    Parameters
    ----------
    names : sequence of N str
        Of the samples.
    class_names : tuple of K str
    probabilities : (N, K) float32
    targets : (N,) int64, optional
        The true classes; needed for all metrics.
    """

    names: Sequence[str]
    class_names: tuple[str, ...]
    probabilities: NDArray[np.float32]
    targets: NDArray[np.int64] | None = None

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each sample, (N,) int64."""
        predicted: NDArray[np.int64] = self.probabilities.argmax(1)
        return predicted

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """How many samples of each true class (rows) have each predicted class, (K, K) int64."""
        assert self.targets is not None, "these predictions have no targets to compare with"
        return _confusion(self.predicted, self.targets, len(self.class_names))

    @cached_property
    def reliability(self) -> "Reliability":
        """How often predictions are correct, by their confidence."""
        import torch

        from isthmus import metrics

        return metrics.reliability(torch.from_numpy(self.probabilities), self._targets)

    def scores(self) -> dict[str, Any]:
        """Return the metrics; see `score_predictions`."""
        import torch

        from isthmus import metrics

        matrix, labels = torch.from_numpy(self.confusion), self._targets
        probabilities = torch.from_numpy(self.probabilities)
        has_top = len(self.class_names) > TOP_K
        return {
            "n": len(labels),
            "accuracy": metrics.accuracy(matrix),
            **({"top_5": metrics.top_k(probabilities, labels, TOP_K)} if has_top else {}),
            "ece": self.reliability.error,
            "cross_entropy": _cross_entropy(probabilities, labels),
            "classes": {
                name: {"n": n, "recall": recall, "precision": precision}
                for name, n, recall, precision in zip(
                    self.class_names,
                    matrix.sum(1).tolist(),
                    _json_numbers(metrics.recall(matrix)),
                    _json_numbers(metrics.precision(matrix)),
                    strict=True,
                )
            },
            "confusion": matrix.tolist(),
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return a JSON object for each sample; see `prediction_rows`."""
        rows = [shares_by_class(self.class_names, row) for row in self.probabilities]
        predicted = [next(iter(row)) for row in rows]
        return [
            {"name": name, "class": one, "probability": row[one], "probabilities": row}
            for name, one, row in zip(self.names, predicted, rows, strict=True)
        ]

    def mistakes(self, limit: int) -> NDArray[np.int64]:
        """Return the samples with a wrong class, see `most_confident_mistakes`."""
        return most_confident_mistakes(self.probabilities, self._targets.numpy(), limit)

    @property
    def _targets(self) -> "Tensor":
        import torch

        assert self.targets is not None, "these predictions have no targets to compare with"
        return torch.from_numpy(self.targets)


@dataclass(frozen=True, eq=False)
class MaskPredictions:
    """The predictions of a segmenter for images, as counts: all masks may not fit in memory.

    Parameters
    ----------
    names : sequence of N str
        Of the images.
    class_names : tuple of K str
    shares : (N, K) float64
        The share of the pixels of each image that each class has.
    confusion : (K, K) int64, optional
        How many pixels of each true class (rows) have each predicted class, without void.
    """

    names: Sequence[str]
    class_names: tuple[str, ...]
    shares: NDArray[np.float64]
    confusion: NDArray[np.int64] | None = None

    def scores(self) -> dict[str, Any]:
        """Return the metrics; see `score_predictions`."""
        import torch

        from isthmus import metrics

        assert self.confusion is not None, "these predictions have no targets to compare with"
        matrix = torch.from_numpy(self.confusion)
        pixels = max(1, int(matrix.sum()))
        return {
            "n": len(self.names),
            "pixel_accuracy": metrics.accuracy(matrix),
            "mean_iou": metrics.mean_iou(matrix),
            "classes": {
                name: {"share": count / pixels, "iou": iou}
                for name, count, iou in zip(
                    self.class_names,
                    matrix.sum(1).tolist(),
                    _json_numbers(metrics.iou(matrix)),
                    strict=True,
                )
            },
            "confusion": matrix.tolist(),
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return a JSON object for each image; see `prediction_rows`."""
        rows = []
        for name, image in zip(self.names, self.shares, strict=True):
            shares = shares_by_class(self.class_names, image)
            present = {one: share for one, share in shares.items() if share > 0}
            rows.append({"name": name, "shares": present})
        return rows


Predictions = ClassPredictions | MaskPredictions


def predict_samples(
    model: Model, samples: Samples, targets: NDArray[Any] | None = None
) -> Predictions:
    """Run a classifier or segmenter over samples, once.

    Parameters
    ----------
    model : Model
    samples : Samples
    targets : (N,) int64 or (N, H, W) uint8, optional
        True classes as `targets_in_model_classes` returns them; without them there are no scores.

    Raises
    ------
    ModelError
        If the model is an autoencoder, or the samples do not fit it.
    """
    classes = model.class_names
    if model.task == "classify":
        return ClassPredictions(samples.names, classes, model.probabilities(samples), targets)
    model.require_task("classify", "segment")
    # Batch by batch: the scores of all pixels for all classes would not fit in memory.
    shares, start = [], 0
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    for predicted in model.predictions(samples):
        shares += [_class_shares(mask, len(classes)) for mask in predicted]
        if targets is not None:
            part = targets[start : start + len(predicted)]
            confusion += _confusion(predicted, part, len(classes))
        start += len(predicted)
    known = None if targets is None else confusion
    return MaskPredictions(samples.names, classes, np.stack(shares), known)


def compute_answers(model: Model, values: NDArray[Any]) -> NDArray[Any]:
    """Return what a classifier or segmenter says of samples, a row for each.

    Returns
    -------
    (n, K) float32 or float64
        Probabilities, or the shares of the pixels that each class has.

    Raises
    ------
    ModelError
        If the model is neither.
    """
    if model.task == "classify":
        return model.probabilities(values)
    classes = len(model.class_names)
    masks = (mask for batch in model.predictions(values) for mask in batch)
    return np.stack([_class_shares(mask, classes) for mask in masks])


def describe_answers(
    model: Model, names: Sequence[str], answers: NDArray[Any]
) -> list[dict[str, Any]]:
    """Return what `compute_answers` found as `prediction_rows` returns it."""
    kind = ClassPredictions if model.task == "classify" else MaskPredictions
    return kind(names, model.class_names, answers).rows()


def score_predictions(model: Model, samples: Samples) -> dict[str, Any]:
    """Compare a model's predictions with labels or masks.

    Parameters
    ----------
    model : Model
        A classifier or segmenter.
    samples : Samples
        With labels or masks; their classes are found by name.

    Returns
    -------
    dict
        For a classifier `n`, `accuracy`, `top_5` (with more than 5 classes), `ece` (the expected
        calibration error), `cross_entropy` (nats), `classes` with the `n`, `recall` and
        `precision` of each one, and `confusion`, whose rows are true classes. For a segmenter `n`,
        `pixel_accuracy`, `mean_iou` over the classes that are present, `classes` with the `share`
        of the pixels and the `iou` of each one, and `confusion` of pixels; void does not count. A
        quotient with the denominator 0 is None.

    Raises
    ------
    OptionError
        If the samples have no labels or masks, or have a class that the model does not know.
    """
    return predict_samples(model, samples, targets_in_model_classes(model, samples)).scores()


def prediction_rows(model: Model, samples: Samples) -> list[dict[str, Any]]:
    """Return the prediction for each sample as a JSON object.

    Returns
    -------
    list of dict
        For a classifier `name`, `class`, `probability` and the `probabilities` of all classes; for
        a segmenter `name` and the `shares` of the pixels of the classes that are present. The
        largest comes first.
    """
    return predict_samples(model, samples).rows()


def targets_in_model_classes(model: Model, samples: Samples) -> NDArray[Any]:
    """Return labels (N,) int64 or masks (N, H, W) uint8 as indices of the model's classes.

    Raises
    ------
    OptionError
        If the samples have none, or have a class that the model does not know.
    """
    known, name = model.class_names, samples.origin.source or "the array"
    targets = samples.labels if model.task == "classify" else samples.masks
    if targets is None:
        what = "labels" if model.task == "classify" else "masks"
        raise OptionError(f"{name} has no {what} to compare with; isthmus predict works without.")
    if samples.class_names == known:
        return targets
    unknown = [one for one in samples.class_names if one not in known]
    if unknown:
        raise OptionError(
            f"{name} has the class {unknown[0]}, which the model does not know"
            f"{suggest(unknown[0], known)}; it knows {list_names(known)}."
        )
    places = np.full(VOID + 1, VOID, np.int64)  # void stays void
    if model.task == "classify":
        places = np.zeros(len(samples.class_names), np.int64)
    for i, one in enumerate(samples.class_names):
        places[i] = known.index(one)
    return places[targets].astype(targets.dtype)


def most_confident_mistakes(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], limit: int
) -> NDArray[np.int64]:
    """Return at most `limit` samples with a wrong class, the most confident ones first."""
    predicted = probabilities.argmax(1)
    wrong = np.flatnonzero(predicted != labels)
    order = np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")
    return wrong[order[:limit]]


def shares_by_class(class_names: Sequence[str], shares: NDArray[Any]) -> dict[str, float]:
    """Return the probabilities or shares (K,) of one sample by class, the largest first."""
    order = np.argsort(-shares, kind="stable")
    # Six decimals: float32 has about seven, of which the last ones differ between machines.
    return {class_names[i]: round(float(shares[i]), 6) for i in order}


def _confusion(predicted: NDArray[Any], targets: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Count how often each true class (rows) has each predicted class; void counts nowhere."""
    import torch

    from isthmus import metrics

    # Void is a value of masks; labels have no class of that number.
    void = VOID if predicted.dtype == np.uint8 else None
    found, true = (
        torch.from_numpy(np.ascontiguousarray(values)) for values in (predicted, targets)
    )
    return metrics.confusion(found, true, classes, void).numpy()


def _cross_entropy(probabilities: "Tensor", labels: "Tensor") -> float:
    """Return the mean cross-entropy in nats."""
    import torch

    likely = probabilities[torch.arange(len(labels)), labels].double()
    return float(-likely.clamp(min=MIN_PROBABILITY).log().mean())


def _class_shares(mask: NDArray[Any], classes: int) -> NDArray[np.float64]:
    """Return the share of the pixels of a mask (H, W) that each class has, (K,)."""
    return np.bincount(mask.ravel(), minlength=classes) / mask.size


def _json_numbers(values: "Tensor") -> list[float | None]:
    """Return numbers for JSON, None for NaN, which divisions by zero give."""
    return [None if value != value else value for value in values.tolist()]
