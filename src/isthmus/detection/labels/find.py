"""`find_mislabelled`: labels that look wrong, by confident learning on codes."""

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.detection.labels.classifiers import choose_classifier, cross_validate, deal_folds
from isthmus.detection.labels.confident import (
    RANKINGS,
    class_thresholds,
    confident_classes,
    count_confident,
    estimate_joint,
    find_contradicted,
)
from isthmus.detection.labels.mislabelled import Mislabelled
from isthmus.errors import OptionError, require_known
from isthmus.latent.codes import Codes
from isthmus.latent.vectors import to_vectors

# Of a class: with fewer, hardly anything is left to learn it from, and all its labels look wrong.
MIN_SAMPLES = 5
# The better one, on Fashion-MNIST with other wrong labels than reported.
RANKING = "self-confidence"


def find_mislabelled(
    codes: Codes,
    *,
    folds: int = 5,
    seed: int = 0,
    ranking: str = RANKING,
    track: Track = untracked,
) -> Mislabelled:
    """Find labels that look wrong, by confident learning on codes.

    Simple classifiers of the codes predict the label of each sample without having seen it
    (cross-validation). A label is suspicious if another class is more probable, and as probable as
    it usually is for its own samples: C. G. Northcutt, L. Jiang, I. L. Chuang, Confident Learning,
    JAIR 70 (2021), equations 1 to 3. The classifier is the one of a few logistic regressions, votes
    of nearest neighbors and both together that predicts the labels of the first fold best, by its
    log-loss.

    The codes must not have been fitted to these labels: those of an autoencoder never are, those
    of a classifier are for the samples that it was trained on.

    Parameters
    ----------
    codes : Codes
        With labels of two classes or more. Classes with fewer than 5 samples are not checked.
    folds : int
        Parts of the cross-validation, from 2.
    seed : int
        Decides which sample is in which fold.
    ranking : str
        A key of `RANKINGS`: "normalized-margin" or "self-confidence".
    track : callable
        Shows progress.

    Returns
    -------
    Mislabelled

    Raises
    ------
    OptionError
        If there are no labels, too few samples, or an option makes no sense.
    ModelError
        If a code holds NaN or infinity.

    Examples
    --------
    >>> from isthmus import load
    >>> digits = Codes.of_values(load("digits", limit=300))
    >>> find_mislabelled(digits, folds=2)
    Mislabelled(2 suspicious of 300 labels)
    """
    require_known("ranking", ranking, RANKINGS)
    checked, classes = _choose_checked(codes)
    _require_options(folds, seed, len(checked))
    z = _require_finite(codes, checked)
    assert codes.labels is not None
    labels = np.searchsorted(classes, codes.labels[checked])  # from 0, without gaps
    parts = deal_folds(labels, folds, seed)
    classifier, losses = choose_classifier(z, labels, parts, track)
    probabilities = cross_validate(classifier, z, labels, parts, track)
    thresholds = class_thresholds(probabilities, labels)
    confident = confident_classes(probabilities, thresholds)
    counts = count_confident(labels, confident, len(classes))
    contradicted = np.flatnonzero(find_contradicted(probabilities, labels, confident))
    scores = RANKINGS[ranking](probabilities, labels)[contradicted]
    order = np.argsort(scores, kind="stable")  # of equal ones, the first sample is the first
    suspects = contradicted[order]
    return Mislabelled(
        codes=codes,
        checked=checked,
        classes=classes,
        probabilities=probabilities,
        thresholds=thresholds,
        counts=counts,
        joint=estimate_joint(counts, labels),
        rows=checked[suspects],
        suggested=classes[confident[suspects]],
        scores=scores[order],
        ranking=ranking,
        classifier=classifier,
        log_losses=losses,
        folds=folds,
        seed=seed,
    )


def _require_options(folds: int, seed: int, count: int) -> None:
    """Reject folds and seeds that make no sense for so many samples."""
    if seed < 0:
        raise OptionError(f"seed must be at least 0, not {seed}.")
    if folds < 2:
        raise OptionError(f"folds must be at least 2, not {folds}.")
    if folds > count:
        raise OptionError(f"folds must be at most the {count:,} samples, not {folds}.")


def _choose_checked(codes: Codes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows (n,) of samples that can be checked, and their classes (K,)."""
    name = codes.origin.source or "the array"
    if codes.labels is None:
        raise OptionError(
            f"{name} has no labels to check; name a source with labels, such as a folder for each "
            "class."
        )
    sizes = np.bincount(codes.labels[codes.labels >= 0], minlength=len(codes.class_names))
    classes = np.flatnonzero(sizes >= MIN_SAMPLES)
    if len(classes) < 2:
        raise OptionError(
            f"{name} has too few samples to check its labels: at least two classes need "
            f"{MIN_SAMPLES} samples each, and {len(classes) or 'none'} of "
            f"{np.count_nonzero(sizes)} has as many."
        )
    return np.flatnonzero(np.isin(codes.labels, classes)), classes


def _require_finite(codes: Codes, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the codes at rows, if all of their numbers can be computed with."""
    z = np.asarray(codes.z[rows])
    return to_vectors(z, "euclidean", lambda row: f"the code of {codes.names[int(rows[row])]}")
