"""What is known of which samples are outliers, and how well they are found then."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.defects import load_defects
from isthmus.data.normal import ALL, normal_rows
from isthmus.data.samples import Samples
from isthmus.detection.baselines import baseline_scores
from isthmus.detection.measuring import measure_pixels, measure_scores, measure_threshold
from isthmus.detection.outliers import Outliers
from isthmus.errors import OptionError
from isthmus.latent.neighbors import sample_indices

LoadSamples = Callable[[], Samples | None]

MAX_PIXELS = 2**25  # in maps that are compared with masks; of more, samples are drawn


def add_measures(
    found: Outliers,
    normal: str | None,
    *,
    trained: NDArray[np.int64] | None = None,
    own: LoadSamples = lambda: None,
) -> Outliers:
    """Return outliers with how well they were found, if it is known which samples are some.

    Parameters
    ----------
    found : Outliers
    normal : str, optional
        The class or folder that is normal; without it nothing is known.
    trained : (n,) int64, optional
        Which of the samples the model was trained on, or chosen by: these are not measured.
    own : callable
        Loads the data of the normal samples, to fit baselines on; None where there is none.
    """
    is_outlier = _find_truth(found, normal)
    if is_outlier is None:
        return found
    places = np.arange(len(found))
    if trained is not None:
        places = np.flatnonzero(~np.isin(found.rows, trained))
    return replace(found, measured=_measure(found, is_outlier[places], places, own))


def _measure(
    found: Outliers, is_outlier: NDArray[np.bool_], places: NDArray[np.int64], own: LoadSamples
) -> dict[str, Any]:
    """Measure scores, baselines and pixels at some places."""
    measured: dict[str, Any] = {
        "outliers": int(is_outlier.sum()),
        "normal": int((~is_outlier).sum()),
        "threshold": measure_threshold(found.values[places], is_outlier, found.threshold.value),
    }
    if is_outlier.all() or not is_outlier.any():  # then there is nothing to tell apart
        return measured
    kinds = _find_kinds(found, places)
    scores = {name: each[places] for name, each in found.scores.items()}
    measured["scores"] = measure_scores(scores, is_outlier, kinds)
    normal, data = found.detector.reference.rows, own()
    if data is not None and normal is not None:
        size = found.detector.model.code_size
        others = baseline_scores(found.samples, normal, found.rows[places], size, data)
        measured["baselines"] = measure_scores(others, is_outlier, kinds)
    pixels = _measure_maps(found, places)
    return measured if pixels is None else {**measured, "pixels": pixels}


def _find_truth(found: Outliers, normal: str | None) -> NDArray[np.bool_] | None:
    """Return which samples are outliers; None if that is not known."""
    if normal is None or normal == ALL:
        return None
    try:
        return ~normal_rows(found.samples, normal)[found.rows]
    except OptionError:  # a source without that class: all there is may be anything
        return None


def _find_kinds(found: Outliers, places: NDArray[np.int64]) -> NDArray[Any] | None:
    """Return the classes of some samples, as texts."""
    if found.labels is None:
        return None
    return np.asarray(found.class_names, object)[found.labels[places]]


def _measure_maps(found: Outliers, places: NDArray[np.int64]) -> float | None:
    """Compare maps of errors with masks of defects, where the source has some."""
    if found.detector.level is None:
        return None
    most = max(1, MAX_PIXELS // math.prod(found.samples.shape[:2]))
    places = places[sample_indices(len(places), 0, most)]
    masks = load_defects(found.samples, found.rows[places])
    if masks is None:
        return None
    maps = found.maps(places)
    assert maps is not None
    return measure_pixels(maps, masks)
