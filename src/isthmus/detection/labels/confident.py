"""Confident learning: which labels a classifier contradicts, and how many are wrong.

C. G. Northcutt, L. Jiang, I. L. Chuang: Confident Learning: Estimating Uncertainty in Dataset
Labels, Journal of Artificial Intelligence Research 70 (2021). Everything here needs probabilities
of a classifier that was not fitted on the label of the sample itself.

In this file i is the given label of a sample and j the class that it may really have.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

NO_CLASS = -1  # of a sample that is confidently in no class

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]


def class_thresholds(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """Return how probable a class has to be before a sample counts as one of it (equation 2).

    It is the mean probability of the class among the samples that are labeled so: a class that the
    classifier is rarely sure of has a low threshold.

    Parameters
    ----------
    probabilities : (N, K) float32
        Out of sample; each row sums to 1.
    labels : (N,) int64
        In [0, K); each class has a sample.

    Returns
    -------
    (K,) float64
        In [0, 1].
    """
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    means = np.bincount(labels, own) / np.bincount(labels)
    # Of equal numbers, rounding may raise the mean above all of them: no sample would reach it.
    highest = np.zeros(len(means))
    np.maximum.at(highest, labels, own)
    return np.minimum(means, highest)


def confident_classes(probabilities: Probabilities, thresholds: NDArray[np.float64]) -> Labels:
    """Return the class that each sample is confidently in (equation 1).

    Among the classes whose thresholds it reaches, it is the most probable one.

    Returns
    -------
    (N,) int64
        `NO_CLASS` where no threshold is reached.
    """
    reached = probabilities >= thresholds
    best = np.where(reached, probabilities, -1).argmax(1)
    return np.where(reached.any(1), best, NO_CLASS)


def count_confident(labels: Labels, confident: Labels, classes: int) -> NDArray[np.int64]:
    """Return the confident joint: how many samples labeled i are confidently in j, (K, K) int64."""
    known = confident != NO_CLASS
    cells = labels[known] * classes + confident[known]
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def estimate_joint(counts: NDArray[np.int64], labels: Labels) -> NDArray[np.float64]:
    """Return the estimated share of samples labeled i that are really j, of all (equation 3).

    Each row of the counts is scaled to the number of samples with that label, because samples that
    are confidently in no class were not counted.

    Returns
    -------
    (K, K) float64
        Sums to 1; outside the diagonal are the wrong labels.
    """
    of_class = np.bincount(labels, minlength=len(counts))
    joint = counts / counts.sum(1, keepdims=True) * of_class[:, None]
    shares: NDArray[np.float64] = joint / joint.sum()
    return shares


def find_contradicted(
    probabilities: Probabilities, labels: Labels, confident: Labels
) -> NDArray[np.bool_]:
    """Return which labels are contradicted, (N,) bool.

    These are the samples outside the diagonal of the confident joint, without those whose given
    label is at least as probable as the class that they are confidently in: a rare class can
    reach its low threshold where the given one is more probable.
    """
    rows = np.arange(len(labels))
    own, other = probabilities[rows, labels], probabilities[rows, confident]
    contradicted: NDArray[np.bool_] = (confident != NO_CLASS) & (confident != labels)
    return contradicted & (other > own)


def normalized_margin(probabilities: Probabilities, labels: Labels) -> NDArray[np.float32]:
    """Return p(given) minus the largest probability of another class, (N,) float32 in [-1, 1]."""
    rows = np.arange(len(labels))
    others = probabilities.copy()
    others[rows, labels] = -np.inf
    margins: NDArray[np.float32] = probabilities[rows, labels] - others.max(1)
    return margins


def self_confidence(probabilities: Probabilities, labels: Labels) -> NDArray[np.float32]:
    """Return the probability of the given label, (N,) float32 in [0, 1]."""
    own: NDArray[np.float32] = probabilities[np.arange(len(labels)), labels]
    return own


# The lower a sample is, the more suspicious is its label.
RANKINGS: dict[str, Callable[[Probabilities, Labels], NDArray[np.float32]]] = {
    "normalized-margin": normalized_margin,
    "self-confidence": self_confidence,
}
