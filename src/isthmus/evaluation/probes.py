"""How much of the classes a code holds: what simple classifiers get out of it."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import evenly_spaced
from isthmus.latent.neighbors import majority_vote

NEIGHBORS = 4
MOST_CLASSES = 100  # beyond them a logistic regression takes too long to be asked for in passing
ITERATIONS = 100
REGRESSED = 20_000  # codes that a logistic regression is fitted on, at most


def probe(
    train: NDArray[np.float32],
    train_labels: NDArray[np.int64],
    test: NDArray[np.float32],
    test_labels: NDArray[np.int64],
) -> dict[str, float | None]:
    """Measure the accuracy of classifiers that are fitted on some codes and tried on others.

    Parameters
    ----------
    train, test : (N, D) and (M, D) float32
        Codes, or anything else that describes samples.
    train_labels, test_labels : (N,) and (M,) int64

    Returns
    -------
    dict
        `knn_4`, by the vote of the 4 nearest codes of `train` (Euclidean, ties to the nearest),
        and `logistic`, by a multinomial logistic regression on standardized codes (L2 penalty,
        C = 1, at most 100 iterations) of at most 20,000 samples, evenly spread; None where there
        are not from 2 to 100 classes.
    """
    import faiss

    few = evenly_spaced(len(train), REGRESSED)
    nearest = faiss.knn(_contiguous(test), _contiguous(train), min(NEIGHBORS, len(train)))[1]
    chosen = majority_vote(train_labels[nearest])
    return {
        "knn_4": float((chosen == test_labels).mean()),
        "logistic": _logistic(train[few], train_labels[few], test, test_labels),
    }


def _logistic(
    train: NDArray[np.float32],
    train_labels: NDArray[np.int64],
    test: NDArray[np.float32],
    test_labels: NDArray[np.int64],
) -> float | None:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if not 2 <= len(np.unique(train_labels)) <= MOST_CLASSES:
        return None
    mean, deviation = train.mean(0), train.std(0)
    deviation[deviation == 0] = 1
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        model: Any = LogisticRegression(max_iter=ITERATIONS)
        model.fit((train - mean) / deviation, train_labels)
    return float(model.score((test - mean) / deviation, test_labels))


def _contiguous(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, np.float32)
