"""Metrics of reconstructions and of predicted classes.

Metrics of reconstructions take outputs y and originals x of the same shape, (N, C, H, W) or
(N, C, L), in the [0, 1] range of pixels (of signals: the range of the training split), and return
(N,): the mean over the pixels and channels of each sample. Outputs are not clipped: a model whose
output is not a sigmoid is measured as it answers.

Metrics of classes follow from a confusion matrix (K, K), whose rows are the true classes, or from
probabilities (N, K).
A ratio without a denominator, such as the recall of a class that never occurs, is NaN.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

MIN_MSE = 1e-10  # PSNR is at most 100 dB, so that a perfect sample leaves the mean finite
MIN_PROBABILITY = 1e-7
MIN_SSIM_SIDE = 6  # the window reaches 5 pixels to each side; reflection needs one pixel more
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2  # the paper's K1 and K2, for pixels in [0, 1]
SSIM_SIGMA, SSIM_RADIUS = 1.5, 5  # pixels

# -- reconstructions ------------------------------------------------------------------------


def mse(y: Tensor, x: Tensor) -> Tensor:
    """Return the mean squared error, (N,)."""
    return (y - x).square().flatten(1).mean(1)


def psnr(y: Tensor, x: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio in decibels for a peak of 1, (N,), at most 100."""
    return -10 * mse(y, x).clamp(min=MIN_MSE).log10()


def bce(y: Tensor, x: Tensor) -> Tensor:
    """Return the binary cross-entropy in nats of outputs in [0, 1], (N,).

    Outputs are clipped to [1e-7, 1 - 1e-7] and targets to [0, 1].
    """
    y = y.clamp(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    return functional.binary_cross_entropy(y, x.clamp(0, 1), reduction="none").flatten(1).mean(1)


def bce_of_logits(logits: Tensor, x: Tensor) -> Tensor:
    """Return the binary cross-entropy in nats of outputs before their sigmoid, (N,)."""
    losses = functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return losses.flatten(1).mean(1)


def ssim(y: Tensor, x: Tensor) -> Tensor:
    """Return the structural similarity of images of at least 6 × 6 pixels, (N,); 1 if equal.

    Wang et al., IEEE Transactions on Image Processing 13, 2004, equation 13: Gaussian window of
    11 pixels and σ = 1.5, images continued by reflection, mean over all pixels and channels.

    Raises
    ------
    ValueError
        If these are not images, or smaller ones; see `has_ssim`.
    """
    if not has_ssim(tuple(x.shape[1:])):
        raise ValueError(f"SSIM needs images of at least 6 × 6 pixels, not {tuple(x.shape[2:])}.")
    # All five images in one call: the two matrix products are then large enough to be fast.
    local = _local_means(torch.cat((y, x, y * y, x * x, y * x)))
    mean_y, mean_x, mean_yy, mean_xx, mean_yx = torch.split(local, len(x))
    squares = mean_y.square() + mean_x.square()
    product = mean_y * mean_x
    # Rounding can leave the variance of a flat region slightly below zero.
    variances = (mean_yy - mean_y.square()).clamp(min=0) + (mean_xx - mean_x.square()).clamp(min=0)
    luminance = (2 * product + SSIM_C1) / (squares + SSIM_C1)
    structure = (2 * (mean_yx - product) + SSIM_C2) / (variances + SSIM_C2)
    values: Tensor = (luminance * structure).flatten(1).mean(1)
    return values


def _local_means(images: Tensor) -> Tensor:
    """Blur images (N, C, H, W) by the window of SSIM, and transpose them to (N, C, W, H).

    The window is separable, so a blur is one matrix product per side, which folds in the
    reflection at the borders. For 512 images of 28 × 28 this takes 9 ms on one core instead of the
    167 ms of torchmetrics, which convolves with all 121 weights. It is also closer to the value in
    float64 (2e-7 instead of 5e-6), because the weights are normalized in float64.
    """
    height, width = images.shape[-2:]
    rows = images @ _window_matrix(width).to(images).T
    return rows.transpose(-1, -2) @ _window_matrix(height).to(images).T


def _window_matrix(side: int) -> Tensor:
    """Return the weights (side, side) that turn a row of pixels into its local means."""
    offsets = torch.arange(-SSIM_RADIUS, SSIM_RADIUS + 1)
    weights = torch.exp(-(offsets.double() / SSIM_SIGMA).square() / 2)
    places = (torch.arange(side)[:, None] + offsets).abs()
    places = torch.where(places < side, places, 2 * (side - 1) - places)
    matrix = torch.zeros(side, side, dtype=torch.float64)
    return matrix.scatter_add_(1, places, (weights / weights.sum()).expand(side, -1))


def has_ssim(shape: tuple[int, ...]) -> bool:
    """Return whether samples of this shape, (C, H, W) or (C, L), have a structural similarity."""
    return len(shape) == 3 and min(shape[1:]) >= MIN_SSIM_SIDE


# -- classes --------------------------------------------------------------------------------


def confusion(predicted: Tensor, labels: Tensor, classes: int, void: int | None = None) -> Tensor:
    """Count how often each class was predicted for each true class.

    Parameters
    ----------
    predicted, labels : (N,) or (N, H, W) of whole numbers
        Classes from 0 to `classes` - 1.
    classes : int
    void : int, optional
        A label that is not counted; 255 in masks.

    Returns
    -------
    (K, K) int64
        Rows are true classes, columns predicted ones; on the device of the labels.

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
    if void is not None:  # counted in a row of its own, ten times faster than selecting the others
        rows = torch.where(labels == void, classes, rows)
    # One number for each pair of classes, so that one `bincount` fills the whole matrix.
    cells = (rows * classes + predicted.long()).flatten()
    counts = torch.bincount(cells, minlength=(classes + 1) * classes)
    return counts.reshape(classes + 1, classes)[:classes]


def accuracy(matrix: Tensor) -> float:
    """Return the share of samples, or of pixels, whose predicted class is right."""
    # Counts stay whole numbers until here: float32 is exact to 16.7 million, one mask has 32,400.
    return (matrix.diagonal().sum().double() / matrix.sum()).item()


def recall(matrix: Tensor) -> Tensor:
    """Return the share of each true class that was predicted right, (K,) float64."""
    return matrix.diagonal().double() / matrix.sum(1)


def precision(matrix: Tensor) -> Tensor:
    """Return the share of each predicted class that is right, (K,) float64."""
    return matrix.diagonal().double() / matrix.sum(0)


def iou(matrix: Tensor) -> Tensor:
    """Return the intersection over union of each class, (K,) float64.

    It is 0 for a class that was only predicted, NaN for one that is neither true nor predicted.
    """
    right = matrix.diagonal()
    return right.double() / (matrix.sum(0) + matrix.sum(1) - right)


def mean_iou(matrix: Tensor) -> float:
    """Return the mean intersection over union of the classes that occur among the labels.

    A class that was only predicted has no 0 of its own in the mean: its pixels already lower the
    values of the true classes.
    """
    return iou(matrix)[matrix.sum(1) > 0].mean().item()


def top_k(probabilities: Tensor, labels: Tensor, k: int) -> float:
    """Return the share of samples whose class is among the k most probable.

    Of equal probabilities, the lower class comes first, as in argmax.

    Parameters
    ----------
    probabilities : (N, K) float
    labels : (N,) int64
    k : int
        At most the number of classes counts.
    """
    order = probabilities.argsort(dim=1, descending=True, stable=True)
    return (order[:, :k] == labels[:, None]).any(1).double().mean().item()


# -- calibration ----------------------------------------------------------------------------


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
        """The expected calibration error in [0, 1]: the mean gap of confidence and accuracy."""
        # Empty bins are NaN; they count zero times, but NaN times zero would still be NaN.
        gaps = (self.accuracy - self.confidence).abs().nan_to_num()
        return ((self.count * gaps).sum() / self.count.sum()).item()


def reliability(probabilities: Tensor, labels: Tensor, bins: int = 15) -> Reliability:
    """Compare how confident predictions are with how often they are right.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equations 1 to 3: bin m of M
    holds the confidences in ((m - 1) / M, m / M].

    Parameters
    ----------
    probabilities : (N, K) float
    labels : (N,) int64
    bins : int
    """
    confidence, predicted = probabilities.double().max(1)
    # Rounded up, as the paper's bins are open below and closed above.
    index = ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)
    count = torch.bincount(index, minlength=bins)
    right = torch.bincount(index, (predicted == labels).double(), minlength=bins)
    return Reliability(
        torch.bincount(index, confidence, minlength=bins) / count, right / count, count
    )


def _require_classes(values: Tensor, classes: int) -> None:
    """Reject classes that would be counted as other ones."""
    if values.numel() and not 0 <= int(values.min()) <= int(values.max()) < classes:
        raise ValueError(
            f"classes of {values.min()} to {values.max()} are not all in 0 to {classes - 1}."
        )
