"""How well outliers are found, where it is known which samples are some."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Truth = NDArray[np.bool_]


def measure_scores(
    scores: Mapping[str, Scores], is_outlier: Truth, kinds: NDArray[Any] | None = None
) -> dict[str, Any]:
    """Measure how well scores tell outliers from normal samples.

    Parameters
    ----------
    scores : mapping of str to (N,) float64
        Higher for what is more of an outlier.
    is_outlier : (N,) bool
        At least one of each.
    kinds : (N,) str, optional
        What each sample is, such as the name of its class or defect.

    Returns
    -------
    dict
        Of each score the areas `auroc` under the ROC curve and `aupr` under the curve of precision
        and recall (average precision), in [0, 1], and with kinds `kinds`, the `auroc` of each kind
        of outlier compared with all normal samples.
    """
    return {name: _measure(each, is_outlier, kinds) for name, each in scores.items()}


def _measure(scores: Scores, is_outlier: Truth, kinds: NDArray[Any] | None) -> dict[str, Any]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    areas: dict[str, Any] = {
        "auroc": float(roc_auc_score(is_outlier, scores)),
        "aupr": float(average_precision_score(is_outlier, scores)),
    }
    if kinds is not None:
        areas["kinds"] = {
            str(kind): float(roc_auc_score(is_outlier[chosen], scores[chosen]))
            for kind in np.unique(kinds[is_outlier])
            for chosen in [~is_outlier | (kinds == kind)]
        }
    return areas


def measure_threshold(
    scores: Scores, is_outlier: Truth, threshold: float
) -> dict[str, float | None]:
    """Measure a threshold: which share of normal samples is called outliers, and of outliers.

    Returns
    -------
    dict
        `false_alarms` and `found`, in [0, 1]; None where there are no such samples.
    """
    is_found = scores > threshold
    parts = {"false_alarms": is_found[~is_outlier], "found": is_found[is_outlier]}
    return {name: float(part.mean()) if len(part) else None for name, part in parts.items()}


def measure_pixels(maps: NDArray[np.float32], masks: NDArray[np.bool_]) -> float | None:
    """Return the area under the ROC curve of all pixels of maps (N, H, W), by masks of defects.

    None if all pixels or none are of a defect.
    """
    from sklearn.metrics import roc_auc_score

    if masks.all() or not masks.any():
        return None
    return float(roc_auc_score(masks.ravel(), maps.ravel()))
