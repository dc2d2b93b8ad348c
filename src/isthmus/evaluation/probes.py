"""Probes: the accuracy of simple classifiers shows how much codes hold of the classes."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import evenly_spaced
from isthmus.latent.neighbors import majority_vote

NEIGHBORS = 4
MAX_CLASSES = 100  # a logistic regression of more classes takes minutes
MAX_ITERATIONS = 100  # of the logistic regression
MAX_FITTED = 20_000  # codes that the logistic regression is fitted on


def probe(
    train: NDArray[np.float32],
    train_labels: NDArray[np.int64],
    test: NDArray[np.float32],
    test_labels: NDArray[np.int64],
) -> dict[str, float | None]:
    """Measure the accuracy of simple classifiers that are fitted on the codes of training samples.

    Parameters
    ----------
    train, test : (N, D) and (M, D) float32
        Codes, or any other representation of samples.
    train_labels, test_labels : (N,) and (M,) int64

    Returns
    -------
    dict
        `knn_4`, by the vote of the 4 nearest codes of `train` (Euclidean, ties to the nearest),
        and `logistic`, by a multinomial logistic regression on standardized codes (L2 penalty,
        C = 1, at most 100 iterations) of at most 20,000 samples, evenly spread; None for less than
        2 or more than 100 classes.
    """
    import faiss

    # Evenly spaced: the first samples of many sources are all of one class.
    fitted = evenly_spaced(len(train), MAX_FITTED)
    nearest = faiss.knn(_contiguous(test), _contiguous(train), min(NEIGHBORS, len(train)))[1]
    chosen = majority_vote(train_labels[nearest])
    return {
        "knn_4": float((chosen == test_labels).mean()),
        "logistic": _logistic(train[fitted], train_labels[fitted], test, test_labels),
    }


@dataclass(frozen=True, eq=False)
class LogisticProbe:
    """A multinomial logistic regression on standardized codes.

    Parameters
    ----------
    mean, deviation : (D,) float32
        Of the codes that it was fitted on.
    model : LogisticRegression
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    model: Any

    @property
    def classes(self) -> NDArray[np.int64]:
        """The labels that it was fitted on, ascending."""
        classes: NDArray[np.int64] = self.model.classes_
        return classes

    def probabilities(self, z: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability of each of its classes, (N, K), for codes (N, D)."""
        predicted: NDArray[np.float64] = self.model.predict_proba(self._standardize(z))
        return predicted

    def accuracy(self, z: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
        """Return the share of codes (N, D) whose class it predicts."""
        return float(self.model.score(self._standardize(z), labels))

    def _standardize(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        return (z - self.mean) / self.deviation


def fit_logistic(
    z: NDArray[np.float32], labels: NDArray[np.int64], strength: float = 1
) -> LogisticProbe:
    """Fit a logistic regression on codes (N, D) of two classes or more.

    Parameters
    ----------
    z : (N, D) float32
    labels : (N,) int64
    strength : float
        C, above 0: how much the labels count against the L2 penalty.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    mean, deviation = z.mean(0), z.std(0)
    deviation[deviation == 0] = 1
    # One thread: the products are so narrow that a second one doubles the time (MNIST: 5.4 s
    # instead of 2.6 s), and the accuracy would depend on the number of threads, by rounding.
    with (
        threadpool_limits(1),
        warnings.catch_warnings(action="ignore", category=ConvergenceWarning),
    ):
        model: Any = LogisticRegression(C=strength, max_iter=MAX_ITERATIONS)
        model.fit((z - mean) / deviation, labels)
    return LogisticProbe(mean, deviation, model)


def _logistic(
    train: NDArray[np.float32],
    train_labels: NDArray[np.int64],
    test: NDArray[np.float32],
    test_labels: NDArray[np.int64],
) -> float | None:
    if not 2 <= len(np.unique(train_labels)) <= MAX_CLASSES:
        return None
    return fit_logistic(train, train_labels).accuracy(test, test_labels)


def _contiguous(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, np.float32)
