"""What is known of which samples are outliers, and how well they are found then."""

import math
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

MAX_PIXELS = 2**25  # in maps that are compared with masks; of more, samples are drawn


def add_measures(
    found: Outliers,
    normal: str | None,
    own: Samples | None = None,
    train: NDArray[np.int64] | None = None,
) -> Outliers:
    """Return outliers with how well they were found, if it is known which samples are some.

    Parameters
    ----------
    found : Outliers
    normal : str, optional
        The class or folder that is normal; without it nothing is known.
    own : Samples, optional
        The data of normal samples, to fit baselines on; by default there are none.
    train : (n,) int64, optional
        Which of them the baselines are fitted on.
    """
    is_outlier = _find_truth(found, normal)
    if is_outlier is None:
        return found
    measured: dict[str, Any] = {
        "outliers": int(is_outlier.sum()),
        "normal": int((~is_outlier).sum()),
        "threshold": measure_threshold(found.values, is_outlier, found.threshold.value),
    }
    if is_outlier.all() or not is_outlier.any():  # then there is nothing to tell apart
        return replace(found, measured=measured)
    kinds = _find_kinds(found)
    measured["scores"] = measure_scores(found.scores, is_outlier, kinds)
    if own is not None and train is not None:
        size = found.detector.model.code_size
        others = baseline_scores(found.samples, train, found.rows, size, own)
        measured["baselines"] = measure_scores(others, is_outlier, kinds)
    pixels = _measure_maps(found)
    if pixels is not None:
        measured["pixels"] = pixels
    return replace(found, measured=measured)


def _find_truth(found: Outliers, normal: str | None) -> NDArray[np.bool_] | None:
    """Return which samples are outliers; None if that is not known."""
    if normal is None or normal == ALL:
        return None
    try:
        return ~normal_rows(found.samples, normal)[found.rows]
    except OptionError:  # a source without that class: all there is may be anything
        return None


def _find_kinds(found: Outliers) -> NDArray[Any] | None:
    """Return the class of each sample, as text."""
    if found.labels is None:
        return None
    return np.asarray(found.class_names, object)[found.labels]


def _measure_maps(found: Outliers) -> float | None:
    """Compare maps of errors with masks of defects, where the source has some."""
    if found.detector.level is None:
        return None
    most = max(1, MAX_PIXELS // math.prod(found.samples.shape[:2]))
    places = sample_indices(len(found), 0, most)
    masks = load_defects(found.samples, found.rows[places])
    if masks is None:
        return None
    maps = found.maps(places)
    assert maps is not None
    return measure_pixels(maps, masks)
