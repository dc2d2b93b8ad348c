"""`Mislabelled`: labels that look wrong, most suspicious first; `find_mislabelled` finds them."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.detection.labels.classifiers import (
    Classifier,
    choose_classifier,
    cross_validate,
    deal_folds,
)
from isthmus.detection.labels.confident import (
    RANKINGS,
    class_thresholds,
    confident_classes,
    count_confident,
    estimate_joint,
    find_contradicted,
)
from isthmus.display import Displayed
from isthmus.errors import OptionError, require_known
from isthmus.latent.codes import Codes
from isthmus.latent.vectors import to_vectors
from isthmus.text import as_cell

# Of a class: with fewer, hardly anything is left to learn it from, and all its labels look wrong.
MIN_SAMPLES = 5
RANKING = (
    "self-confidence"  # the better one, on Fashion-MNIST with other wrong labels than reported
)
COLUMNS = ("name", "label", "suggested", "p_label", "p_suggested", "corrected")  # of the table


@dataclass(frozen=True, eq=False, repr=False)
class Mislabelled(Displayed):
    """Labels that look wrong, and what they were found with.

    K is the number of classes that were checked, n that of samples, S that of suspects.

    Parameters
    ----------
    codes : Codes
        All N that were given, with names and labels.
    checked : (n,) int64
        Rows of the codes that were checked: those of the classes with 5 samples or more.
    classes : (K,) int64
        Which classes of `codes.class_names` these are.
    probabilities : (n, K) float32
        Out of sample; each row sums to 1.
    thresholds : (K,) float64
        How probable each class has to be before a sample counts as one of it.
    counts : (K, K) int64
        The confident joint: samples by given label (rows) and confident class (columns).
    joint : (K, K) float64
        The estimated shares of given labels (rows) and true classes (columns); sums to 1.
    rows : (S,) int64
        Rows of the codes of the suspects, most suspicious first.
    suggested : (S,) int64
        The class, in `codes.class_names`, that each of them probably has.
    scores : (S,) float32
        By which the suspects are ordered, ascending; see `ranking`.
    ranking : str
        "normalized-margin", p(given) - max p(other), or "self-confidence", p(given).
    classifier : Classifier
        What the probabilities come from.
    log_losses : mapping of Classifier to float
        Of the classifiers that were tried, on labels that they were not fitted on, in nats.
    folds, seed : int
        Of the cross-validation.
    """

    codes: Codes
    checked: NDArray[np.int64]
    classes: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    thresholds: NDArray[np.float64]
    counts: NDArray[np.int64]
    joint: NDArray[np.float64]
    rows: NDArray[np.int64]
    suggested: NDArray[np.int64]
    scores: NDArray[np.float32]
    ranking: str
    classifier: Classifier
    log_losses: Mapping[Classifier, float]
    folds: int
    seed: int

    def __repr__(self) -> str:
        return f"Mislabelled({len(self):,} suspicious of {len(self.checked):,} labels)"

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def error_rate(self) -> float:
        """The estimated share of wrong labels, in [0, 1]."""
        return max(0.0, 1 - float(np.trace(self.joint)))

    @property
    def unchecked(self) -> tuple[str, ...]:
        """The classes that have samples, but too few to be checked."""
        labels = self.codes.labels
        assert labels is not None
        present = np.unique(labels[labels >= 0])
        return tuple(self.codes.class_names[i] for i in np.setdiff1d(present, self.classes))

    @property
    def own_probabilities(self) -> NDArray[np.float32]:
        """The probability of the given label of each sample that was checked, (n,) float32."""
        assert self.codes.labels is not None
        labels = np.searchsorted(self.classes, self.codes.labels[self.checked])
        own: NDArray[np.float32] = self.probabilities[np.arange(len(labels)), labels]
        return own

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """Where each suspect is among the samples that were checked."""
        return np.searchsorted(self.checked, self.rows)

    def suspects(self, k: int | None = None) -> list[dict[str, Any]]:
        """Return the first k suspects, by default all, as JSON objects.

        Returns
        -------
        list of dict
            `name`, the given `label`, the `suggested` one, their probabilities `p_label` and
            `p_suggested`, and the `score`.
        """
        labels, names = self.codes.labels, self.codes.class_names
        assert labels is not None
        rows, suggested, places = self.rows[:k], self.suggested[:k], self._places[:k]
        given = np.searchsorted(self.classes, labels[rows])
        other = np.searchsorted(self.classes, suggested)
        return [
            {
                "name": self.codes.names[row],
                "label": names[labels[row]],
                "suggested": names[to],
                "p_label": float(self.probabilities[place, i]),
                "p_suggested": float(self.probabilities[place, j]),
                "score": float(score),
            }
            for row, to, place, i, j, score in zip(
                rows.tolist(), suggested.tolist(), places, given, other, self.scores, strict=False
            )
        ]

    def pairs(self) -> list[dict[str, Any]]:
        """Return how many suspects have each pair of labels, the largest number first.

        Returns
        -------
        list of dict
            `label`, `suggested` and the number `n`.
        """
        labels, names = self.codes.labels, self.codes.class_names
        assert labels is not None
        pairs = np.stack([labels[self.rows], self.suggested], axis=1)
        found, counts = np.unique(pairs, axis=0, return_counts=True)
        return [
            {"label": names[i], "suggested": names[j], "n": int(n)}
            for (i, j), n in sorted(
                zip(found.tolist(), counts, strict=True), key=lambda one: (-one[1], one[0])
            )
        ]

    def to_csv(self) -> str:
        """Return all suspects as a table with an empty column `corrected`, to be filled by hand.

        What spreadsheets would take for a formula has an apostrophe in front.
        """
        file = io.StringIO()
        table = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        for suspect in self.suspects():
            rounded = {name: f"{suspect[name]:.4f}" for name in ("p_label", "p_suggested")}
            texts = {name: as_cell(suspect[name]) for name in ("name", "label", "suggested")}
            table.writerow({**suspect, **rounded, **texts, "corrected": ""})
        return file.getvalue()

    def summary(self) -> dict[str, Any]:
        """Return what was checked, how, and how much was found, as a JSON object."""
        return {
            "n": len(self.checked),
            "suspicious": len(self),
            "error_rate": self.error_rate,
            "classes": [self.codes.class_names[i] for i in self.classes],
            "thresholds": [round(threshold, 6) for threshold in self.thresholds.tolist()],
            "confident_joint": self.counts.tolist(),
            "unchecked_classes": list(self.unchecked),
            "pairs": self.pairs(),
            "ranking": self.ranking,
            "classifier": str(self.classifier),
            "log_losses": {str(one): loss for one, loss in self.log_losses.items()},
            "folds": self.folds,
            "seed": self.seed,
            "model_fingerprint": self.codes.model_fingerprint,
            "data_fingerprint": self.codes.items.fingerprint,
        }


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
