"""What is usual among codes: ranges, axes and distances, by which a page sets its sliders."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import evenly_spaced
from isthmus.inference.model import Model
from isthmus.studio.neighbors import find_neighbors

MAX_AXES = 8
MAX_FITTED = 2**23  # numbers of codes that ranges and axes are measured on
MAX_COMPARED = 2**25  # distances that are computed for the spacing: of 1,000,000 codes to 33
MAX_QUERIES = 2_000
MAX_DRIFTED = 256  # codes that are decoded and encoded again
QUANTILES = np.linspace(0, 1, 11)

Codes = NDArray[np.float32]


def describe_codes(z: Codes) -> dict[str, Any]:
    """Return mean, range, spacing and principal axes of codes (N, D)."""
    rows = evenly_spaced(len(z), max(2, MAX_FITTED // z.shape[1]))
    sampled = np.asarray(z[rows])
    low, high = np.quantile(sampled, [0.01, 0.99], axis=0)
    return {
        "mean": _rounded(sampled.mean(0, dtype=np.float64)),
        "low": _rounded(low),
        "high": _rounded(high),
        "spacing": {"quantiles": _spacing(z)},
        "axes": _axes(sampled),
        "drift": None,
    }


def mean_codes(z: Codes, labels: NDArray[np.int64], classes: int) -> Codes:
    """Return the mean code of each class, (K, D) float32; of an empty class, zeros."""
    counts = np.bincount(labels[labels >= 0], minlength=classes)
    sums = np.zeros((classes, z.shape[1]))
    for start in range(0, len(z), 2**14):  # a block at a time, as z may be larger than memory
        block = slice(start, start + 2**14)
        known = labels[block] >= 0
        np.add.at(sums, labels[block][known], z[block][known])
    means: Codes = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
    return means


def measure_drift(model: Model, z: Codes) -> list[float]:
    """Return deciles of how far codes are from those of what is decoded from them.

    A code that the decoder draws as something else is a place not to trust. The distances of real
    codes tell how much is usual.
    """
    sampled = np.ascontiguousarray(z[evenly_spaced(len(z), MAX_DRIFTED)])
    again = model.encode(model.decode(sampled))
    return _rounded(np.quantile(np.linalg.norm(again - sampled, axis=1), QUANTILES))


def _spacing(z: Codes) -> list[float]:
    """Return deciles of the distance of a code to its nearest other code."""
    if len(z) < 2:
        return [0.0] * len(QUANTILES)
    count = min(MAX_QUERIES, max(32, MAX_COMPARED // len(z)))
    rows = evenly_spaced(len(z), count)
    _, distances = find_neighbors(z, np.asarray(z[rows]), 2)
    return _rounded(np.quantile(distances[:, 1], QUANTILES))  # the first is the code itself


def _axes(z: Codes) -> dict[str, Any]:
    """Return the directions of largest variance, at most 8."""
    from sklearn.decomposition import PCA

    count = min(MAX_AXES, z.shape[1], len(z) - 1)
    if count < 1 or (z == z[0]).all():  # not by its deviation, which rounding makes larger than 0
        return {"components": [], "scale": [], "explained": []}
    pca = PCA(count, random_state=0).fit(z)
    return {
        "components": [_rounded(axis) for axis in pca.components_],
        "scale": _rounded(np.sqrt(pca.explained_variance_)),
        "explained": _rounded(pca.explained_variance_ratio_),
    }


def _rounded(values: NDArray[Any]) -> list[float]:
    """Return numbers as float32 has them, in few letters."""
    return [float(f"{value:.7g}") for value in values.tolist()]
