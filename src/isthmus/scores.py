"""How good predicted classes are, of whole samples or of pixels.

What counts classes is a confusion matrix (K, K) int64: rows are the true classes, columns the
predicted ones. Matrices of batches can be added, and every figure follows from the sum. A figure
of nothing, such as the recall of a class that no sample has, is NaN.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


def confusion(predicted: Tensor, labels: Tensor, classes: int, void: int | None = None) -> Tensor:
    """Count how often each class was taken for each.

    Parameters
    ----------
    predicted, labels : (N,) or (N, H, W) of whole numbers
        Classes from 0 to `classes` - 1.
    classes : int
    void : int, optional
        A label that counts nowhere, of masks 255.

    Returns
    -------
    (K, K) int64
        On the device of the labels.

    Raises
    ------
    ValueError
        If the shapes differ or a class is not below `classes`.
    """
    if predicted.shape != labels.shape:
        shapes = tuple(predicted.shape), tuple(labels.shape)
        raise ValueError("predictions of {} do not fit labels of {}.".format(*shapes))
    rows = labels.long()
    _require_classes(predicted, classes)
    _require_classes(rows if void is None else torch.where(labels == void, 0, rows), classes)
    if void is not None:  # counted in a row of its own, ten times faster than a selection
        rows = torch.where(labels == void, classes, rows)
    cells = (rows * classes + predicted.long()).flatten()
    counts = torch.bincount(cells, minlength=(classes + 1) * classes)
    return counts.reshape(classes + 1, classes)[:classes]


def accuracy(matrix: Tensor) -> float:
    """Return the share of samples, or of pixels, whose class was found."""
    return (matrix.diagonal().sum().double() / matrix.sum()).item()


def recall(matrix: Tensor) -> Tensor:
    """Return the share of each true class that was found, (K,) float64."""
    return matrix.diagonal().double() / matrix.sum(1)


def precision(matrix: Tensor) -> Tensor:
    """Return the share of each predicted class that is right, (K,) float64."""
    return matrix.diagonal().double() / matrix.sum(0)


def iou(matrix: Tensor) -> Tensor:
    """Return intersection over union of each class, (K,) float64.

    It is 0 for a class that was only predicted, NaN for one neither true nor predicted.
    """
    found = matrix.diagonal()
    return found.double() / (matrix.sum(0) + matrix.sum(1) - found)


def mean_iou(matrix: Tensor) -> float:
    """Return the mean intersection over union of the classes that are present in the truth.

    A class that was only predicted counts by what it took from the others, not by a 0 of its own.
    """
    return iou(matrix)[matrix.sum(1) > 0].mean().item()


def top_k(probabilities: Tensor, labels: Tensor, k: int) -> float:
    """Return the share of samples whose class is among the k most probable.

    Of equal probabilities that of the lower class comes first, as in argmax.

    Parameters
    ----------
    probabilities : (N, K) float
    labels : (N,) int64
    k : int
        Above the number of classes it is that number.
    """
    order = probabilities.argsort(dim=1, descending=True, stable=True)
    return (order[:, :k] == labels[:, None]).any(1).double().mean().item()


@dataclass(frozen=True, eq=False)
class Reliability:
    """Predictions in bins of equal width by their confidence, the largest probability of each.

    Parameters
    ----------
    confidence, accuracy : (bins,) float64
        Means over the predictions of a bin; NaN where there are none.
    count : (bins,) int64
    """

    confidence: Tensor
    accuracy: Tensor
    count: Tensor

    @property
    def error(self) -> float:
        """The expected calibration error: the mean gap between confidence and accuracy."""
        gaps = (self.accuracy - self.confidence).abs().nan_to_num()
        return ((self.count * gaps).sum() / self.count.sum()).item()


def reliability(probabilities: Tensor, labels: Tensor, bins: int = 15) -> Reliability:
    """Compare how sure predictions are with how often they are right.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equations 1 and 2: bin m of M
    holds the confidences in ((m - 1) / M, m / M].

    Parameters
    ----------
    probabilities : (N, K) float
    labels : (N,) int64
    bins : int
    """
    confidence, predicted = probabilities.double().max(1)
    index = ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)
    count = torch.bincount(index, minlength=bins)
    right = torch.bincount(index, (predicted == labels).double(), minlength=bins)
    return Reliability(
        torch.bincount(index, confidence, minlength=bins) / count, right / count, count
    )


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Return the expected calibration error in [0, 1]; see `reliability`, equation 3."""
    return reliability(probabilities, labels, bins).error


def _require_classes(values: Tensor, classes: int) -> None:
    """Refuse classes that would be counted as others."""
    if values.numel() and not 0 <= int(values.min()) <= int(values.max()) < classes:
        raise ValueError(
            f"classes of {values.min()} to {values.max()} are not all in 0 to {classes - 1}."
        )
