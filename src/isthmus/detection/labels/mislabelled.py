"""`Mislabelled`: labels that look wrong, most suspicious first."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.detection.labels.classifiers import Classifier
from isthmus.display import Displayed
from isthmus.latent.codes import Codes
from isthmus.text import as_cell

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
