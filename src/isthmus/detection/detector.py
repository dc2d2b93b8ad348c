"""`Detector`: a model, normal samples to compare with, and what is usual among normal samples."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.samples import Samples
from isthmus.detection.calibration import FALSE_ALARMS, Threshold, choose_threshold, shares_above
from isthmus.detection.measures import Measures, measure, value_range
from isthmus.detection.pixels import error_maps
from isthmus.detection.reference import MAX_REFERENCE, Reference, require_enough
from isthmus.detection.scores import DEFAULT, SCORES, compute_score
from isthmus.inference.model import Model
from isthmus.latent.neighbors import sample_indices

SEED = 0  # of the normal samples that are drawn, where there are very many
VALIDATION_SHARE = 0.2  # of normal samples that come without a split
MAX_VALIDATION = 10_000  # scores that others are compared with


@dataclass(frozen=True, eq=False)
class Detector:
    """Judges samples by what a model makes of them and of normal ones.

    Parameters
    ----------
    model : Model
    reference : Reference
        Normal samples, mostly those that the model was trained on.
    validation : Measures
        Of other normal samples: what is usual. Without others, of the reference itself.
    validation_rows : (n,) int64, optional
        Which samples these are, if they are those of the reference.
    """

    model: Model
    reference: Reference
    validation: Measures
    validation_rows: NDArray[np.int64] | None = None
    _normal_scores: dict[str, NDArray[np.float64]] = field(default_factory=dict, repr=False)

    @classmethod
    def fit(
        cls,
        model: Model,
        samples: Samples,
        train: NDArray[np.int64],
        validation: NDArray[np.int64],
        *,
        track: Track = untracked,
    ) -> "Detector":
        """Compare with samples at some indices, and say by others what is usual.

        Raises
        ------
        OptionError
            If there are too few.
        """
        name = samples.origin.source or "the array"
        require_enough(len(train), name)
        train = draw(train, MAX_REFERENCE)
        reference = Reference(measure(model, samples, train, track=track), train)
        validation = draw(validation, MAX_VALIDATION)
        return cls(model, reference, measure(model, samples, validation, track=track))

    @classmethod
    def fit_within(cls, model: Model, samples: Samples, *, track: Track = untracked) -> "Detector":
        """Compare each sample with all others, of which most are taken to be normal."""
        require_enough(len(samples), samples.origin.source or "the array")
        rows = draw(np.arange(len(samples)), MAX_REFERENCE)
        measures = measure(model, samples, rows, track=track)
        return cls(model, Reference(measures, rows), measures, rows)

    @property
    def default_score(self) -> str:
        """The score that is used by default."""
        return DEFAULT if self.model.task == "reconstruct" else "neighbors"

    @property
    def score_names(self) -> list[str]:
        """The scores that this model has."""
        rebuilds = self.model.task == "reconstruct"
        return [name for name, row in SCORES.items() if rebuilds or not row.needs_error]

    @property
    def level(self) -> float | None:
        """The error of a pixel above which it is odd: what half of the normal samples never reach.

        None for a model that rebuilds nothing.
        """
        peaks = self.validation.peak
        return None if peaks is None else float(np.median(peaks))

    def measure(
        self,
        samples: Samples,
        rows: NDArray[np.int64] | None = None,
        *,
        track: Track = untracked,
    ) -> Measures:
        """Measure samples once, for any number of scores."""
        return measure(self.model, samples, rows, track=track)

    def scores(
        self, measures: Measures, name: str | None = None, rows: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Return the score of each sample; see `compute_score`."""
        return compute_score(name or self.default_score, measures, self.reference, rows)

    def normal_scores(self, name: str | None = None) -> NDArray[np.float64]:
        """Return the scores of the normal samples that say what is usual."""
        name = name or self.default_score
        if name not in self._normal_scores:
            scores = compute_score(name, self.validation, self.reference, self.validation_rows)
            self._normal_scores[name] = scores
        return self._normal_scores[name]

    def shares(self, scores: NDArray[np.float64], name: str | None = None) -> NDArray[np.float64]:
        """Return the share of normal samples with a score as high; see `shares_above`."""
        return shares_above(self.normal_scores(name), scores)

    def threshold(self, false_alarms: float = FALSE_ALARMS, name: str | None = None) -> Threshold:
        """Return the threshold of a score at a share of false alarms."""
        return choose_threshold(self.normal_scores(name), false_alarms)

    def maps(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the smoothed error of each pixel, (n, H, W) or (n, L); see `error_maps`."""
        return error_maps(values, self.model.reconstruct(values), value_range(self.model))


def draw(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most so many of the rows, always the same ones."""
    return rows[sample_indices(len(rows), SEED, most)]


def divide_reference(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which of so many normal samples to compare with, and which say what is usual."""
    rows = np.random.default_rng([SEED, count]).permutation(count)
    validation = max(1, round(VALIDATION_SHARE * count))
    return np.sort(rows[validation:]), np.sort(rows[:validation])
