"""`Outliers`: samples ranked by how far they are from all that is normal."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.items import HasItems, Items
from isthmus.data.samples import Samples
from isthmus.detection.calibration import FALSE_ALARMS, Threshold
from isthmus.detection.detector import Detector
from isthmus.detection.scores import SCORES
from isthmus.display import Displayed
from isthmus.errors import OptionError, require_known

Scores = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Outliers(HasItems, Displayed):
    """The scores of N samples, and what they mean.

    Parameters
    ----------
    items : Items
        Names and labels of the samples.
    rows : (N,) int64
        Which of `samples` they are.
    score : str
        The score that ranks them.
    scores : dict of str to (N,) float64
        All scores that the model has; higher is more of an outlier.
    shares : (N,) float64
        The share of normal samples whose score is as high, in (0, 1]; see `shares_above`.
    threshold : Threshold
        Above it, a sample is called an outlier.
    nearest : (N,) int64
        Which normal sample has the nearest code.
    normal : Samples, optional
        What `nearest` are indices of, where they are at hand.
    measured : dict, optional
        How well outliers are found, if it is known which samples are some: `outliers` and
        `normal`, their numbers, `threshold` (see `measure_threshold`), `scores` and `baselines`
        (see `measure_scores`), and `pixels`, the area under the ROC curve of all pixels, where
        there are masks of defects.
    samples : Samples
        What was judged.
    detector : Detector
        What has judged it.
    """

    items: Items
    rows: NDArray[np.int64]
    score: str
    scores: dict[str, Scores]
    shares: Scores
    threshold: Threshold
    samples: Samples
    detector: Detector
    nearest: NDArray[np.int64]
    normal: Samples | None = None
    measured: dict[str, Any] | None = field(default=None)

    def __repr__(self) -> str:
        return f"Outliers({int(self.is_outlier.sum()):,} of {len(self):,}, by {self.score})"

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def values(self) -> Scores:
        """The scores that rank the samples, (N,)."""
        return self.scores[self.score]

    @property
    def is_outlier(self) -> NDArray[np.bool_]:
        """Whether each sample is above the threshold, (N,)."""
        return np.asarray(self.values > self.threshold.value)

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """The samples, the oddest first: (N,) int64, places in the other arrays."""
        return np.argsort(-self.values, kind="stable")

    def first(self, k: int) -> NDArray[np.int64]:
        """Return the places of the k oddest samples, or of all if they are fewer.

        Raises
        ------
        OptionError
            If k is below 1.
        """
        require_count(k)
        return self.order[:k]

    def maps(self, places: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return the smoothed error of each pixel of some samples, (n, H, W) or (n, L).

        None if the model rebuilds nothing.
        """
        if self.detector.level is None:
            return None
        return self.detector.maps(np.asarray(self.samples.values[self.rows[places]]))

    def describe(self, place: int) -> dict[str, Any]:
        """Return what there is to say of a sample, as JSON."""
        label = None if self.labels is None else self.class_names[int(self.labels[place])]
        return {
            "name": self.names[place],
            "label": label,
            "score": float(self.values[place]),
            "share": float(self.shares[place]),
            "is_outlier": bool(self.is_outlier[place]),
            "scores": {name: float(each[place]) for name, each in self.scores.items()},
        }

    def to_json(self, k: int) -> dict[str, Any]:
        """Return the k oddest samples and all that holds for all of them, as JSON."""
        return {
            "n": len(self),
            "score": self.score,
            "outliers": int(self.is_outlier.sum()),
            "threshold": {
                "value": self.threshold.value,
                "false_alarms": self.threshold.false_alarms,
                "expected": self.threshold.expected,
                "chosen_by": len(self.detector.validation),
            },
            "measured": self.measured,
            "samples": [self.describe(place) for place in self.first(k).tolist()],
        }


def require_count(k: int) -> None:
    """Reject a number of samples below 1.

    Raises
    ------
    OptionError
    """
    if k < 1:
        raise OptionError(f"k must be at least 1, not {k}.")


def judge(
    detector: Detector,
    samples: Samples,
    rows: NDArray[np.int64] | None = None,
    *,
    normal: Samples | None = None,
    is_own: bool = False,
    score: str | None = None,
    false_alarms: float | None = None,
    track: Track = untracked,
) -> Outliers:
    """Score samples and choose a threshold.

    Parameters
    ----------
    detector : Detector
    samples : Samples
    rows : (N,) int64, optional
        Which of them; by default all.
    normal : Samples, optional
        What the detector's normal samples are of, where they are at hand.
    is_own : bool
        Whether these are the same samples, which are then not compared with themselves.
    score : str, optional
        A key of `SCORES`; by default "combined", for a model that only encodes "neighbors".
    false_alarms : float, optional
        Share of normal samples that may be called outliers, by default 0.01.
    track : callable
        Shows progress.

    Raises
    ------
    OptionError
        If there is no such score, or the share makes no sense.
    ModelError
        If the model does not have the score, or the samples do not fit it.
    """
    score = score or detector.default_score
    require_known("score", score, SCORES)
    threshold = detector.threshold(false_alarms or FALSE_ALARMS, score)
    rows = np.arange(len(samples)) if rows is None else rows
    own_rows = rows if is_own else None
    measures = detector.measure(samples, rows, track=track)
    scores = {name: detector.scores(measures, name, own_rows) for name in detector.score_names}
    nearest = detector.reference.nearest(measures, own_rows)
    return Outliers(
        samples.items.take(rows),
        rows,
        score,
        scores,
        detector.shares(scores[score], score),
        threshold,
        samples,
        detector,
        nearest if detector.reference.rows is None else detector.reference.rows[nearest],
        normal,
    )
