"""Simple classifiers of codes, and the probabilities that they give samples they did not see."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.manifest import evenly_spaced
from isthmus.data.random import FOLDS
from isthmus.evaluation.probes import MAX_CLASSES, fit_logistic
from isthmus.latent.vectors import Vectors

MAX_TRIED = 20_000  # samples that the classifier is chosen with
STRENGTH = 1  # of the logistic regression in both together
MAX_NUMBERS = 2**24  # of the codes that a logistic regression is fitted on
BLOCK_NUMBERS = 2**22  # of votes that are counted at once
MIN_PROBABILITY = 1e-12  # in a log-loss, which would be infinite for 0

Codes = NDArray[np.float32]
Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]
Predict = Callable[[Codes, Labels, Codes, int, float], Probabilities]


@dataclass(frozen=True)
class ClassifierRow:
    """A kind of classifier.

    Parameters
    ----------
    description : str
    strengths : tuple of float
        That are tried.
    predict : callable
        From the codes (N, D) and labels (N,) that it is fitted on, other codes (M, D), the number
        of classes K and a strength to the probabilities (M, K).
    max_classes : int, optional
        Of more, it would take too long.
    """

    description: str
    strengths: tuple[float, ...]
    predict: Predict
    max_classes: int | None = None


@dataclass(frozen=True)
class Classifier:
    """A row of `CLASSIFIERS` with one of its strengths.

    Parameters
    ----------
    name : str
    strength : float
    """

    name: str
    strength: float

    def __str__(self) -> str:
        return CLASSIFIERS[self.name].description.format(self.strength)

    def predict(self, z: Codes, labels: Labels, others: Codes, classes: int) -> Probabilities:
        """Return the probabilities (M, K) of other codes; see `ClassifierRow`."""
        return CLASSIFIERS[self.name].predict(z, labels, others, classes, self.strength)


def deal_folds(labels: Labels, folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each sample, (N,) int64: each class is dealt evenly, at random."""
    order = np.random.default_rng([seed, FOLDS]).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # by class, at random within each
    assigned = np.empty(len(labels), np.int64)
    # The next class goes on where the last one ended: else the first folds were the larger ones.
    assigned[order] = np.arange(len(labels)) % folds
    return assigned


def choose_classifier(
    z: Codes, labels: Labels, folds: NDArray[np.int64], track: Track = untracked
) -> tuple[Classifier, dict[Classifier, float]]:
    """Choose the classifier whose probabilities fit the labels of the first fold best.

    Each is fitted on the other folds; of many samples, 20,000 are used, evenly spaced. The labels
    decide only among the few rows and strengths.

    Returns
    -------
    Classifier
    dict of Classifier to float
        The log-loss of each that was tried, in nats.
    """
    classes = int(labels.max()) + 1
    used = evenly_spaced(len(z), MAX_TRIED)
    z, labels, held = z[used], labels[used], folds[used] == 0
    losses = {}
    tried = list(candidates(classes))
    for one in track(tried, len(tried), "Choosing a classifier"):
        predicted = one.predict(z[~held], labels[~held], z[held], classes)
        losses[one] = log_loss(predicted, labels[held])
    return min(losses, key=losses.__getitem__), losses


def candidates(classes: int) -> Iterator[Classifier]:
    """Yield the classifiers that can be tried for so many classes."""
    for name, row in CLASSIFIERS.items():
        if row.max_classes is None or classes <= row.max_classes:
            yield from (Classifier(name, strength) for strength in row.strengths)


def cross_validate(
    classifier: Classifier,
    z: Codes,
    labels: Labels,
    folds: NDArray[np.int64],
    track: Track = untracked,
) -> Probabilities:
    """Return probabilities (N, K) of classifiers that were not fitted on the sample itself.

    Parameters
    ----------
    classifier : Classifier
    z : (N, D) float32
    labels : (N,) int64
        In [0, K).
    folds : (N,) int64
        The fold of each sample: its probabilities come from a classifier of all other folds.
    track : callable
        Shows progress, in folds.
    """
    classes, count = int(labels.max()) + 1, int(folds.max()) + 1
    probabilities = np.empty((len(z), classes), np.float32)
    for fold in track(range(count), count, "Predicting labels"):
        held = folds == fold
        probabilities[held] = classifier.predict(z[~held], labels[~held], z[held], classes)
    return probabilities


def log_loss(probabilities: Probabilities, labels: Labels) -> float:
    """Return the mean of -ln p(given label), in nats."""
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(own, MIN_PROBABILITY)).mean())


def _predict_logistic(
    z: Codes, labels: Labels, others: Codes, classes: int, strength: float
) -> Probabilities:
    fitted = evenly_spaced(len(z), max(1, MAX_NUMBERS // z.shape[1]))
    probe = fit_logistic(z[fitted], labels[fitted], strength)
    probabilities = np.zeros((len(others), classes), np.float32)
    probabilities[:, probe.classes] = probe.probabilities(others)
    return probabilities


def _predict_by_neighbors(
    z: Codes, labels: Labels, others: Codes, classes: int, strength: float
) -> Probabilities:
    """Return the shares of classes among the nearest codes, and one more vote for the usual shares.

    Without it, a class that none of the neighbors has would be impossible.
    """
    k = min(int(strength), len(z))
    usual = np.bincount(labels, minlength=classes) / len(labels)
    stored = Vectors.build(np.ascontiguousarray(z))
    votes = np.empty((len(others), classes), np.float32)
    step = max(1, BLOCK_NUMBERS // max(classes, z.shape[1]))
    for start in range(0, len(others), step):
        near = labels[stored.search(np.ascontiguousarray(others[start : start + step]), k)[1]]
        cells = np.arange(len(near))[:, None] * classes + near
        counts = np.bincount(cells.ravel(), minlength=len(near) * classes)
        votes[start : start + step] = counts.reshape(len(near), classes) + usual
    return votes / np.float32(k + 1)


def _predict_by_both(
    z: Codes, labels: Labels, others: Codes, classes: int, strength: float
) -> Probabilities:
    """Return the geometric mean of both probabilities, scaled to a sum of 1."""
    near = _predict_by_neighbors(z, labels, others, classes, strength)
    means = np.sqrt(_predict_logistic(z, labels, others, classes, STRENGTH) * near)
    probabilities: Probabilities = means / means.sum(1, keepdims=True)
    return probabilities


# On Fashion-MNIST with wrong labels, both together have a lower log-loss than either, and more of
# the most suspicious labels are wrong: votes know curved borders, and a regression has no ties.
CLASSIFIERS = {
    "logistic": ClassifierRow(
        "a logistic regression (C = {:g})", (0.1, 1), _predict_logistic, MAX_CLASSES
    ),
    "neighbors": ClassifierRow("the {:g} nearest codes", (10, 20, 50), _predict_by_neighbors),
    "both": ClassifierRow(
        "a logistic regression and the {:g} nearest codes",
        (10, 20, 50),
        _predict_by_both,
        MAX_CLASSES,
    ),
}
