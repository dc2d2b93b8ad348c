"""The table of baselines: outliers as anybody can find them, without training a network."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.data.samples import Samples
from isthmus.detection.detector import draw
from isthmus.detection.reference import MAX_REFERENCE, NEIGHBORS
from isthmus.evaluation.pca import fit_pca
from isthmus.latent.neighbors import nearest_neighbors

MAX_NUMBERS = 2**26  # of normal samples (256 MiB); of more, samples are drawn
MAX_FOREST = 2**22  # numbers that the isolation forest looks at, at once

Pixels = NDArray[np.float32]
Scores = NDArray[np.float64]
Judge = Callable[[Pixels], Scores]


@dataclass(frozen=True)
class BaselineRow:
    """A row of `BASELINES`.

    Parameters
    ----------
    fit : callable
        From flattened normal samples (n, numbers) and the number of components of PCA to what
        turns samples (N, numbers) into N scores.
    description : str
        One line for people.
    """

    fit: Callable[[Pixels, int], Judge]
    description: str


def _fit_pca(normal: Pixels, components: int) -> Judge:
    pca = fit_pca(normal, min(components, *normal.shape))

    def judge(pixels: Pixels) -> Scores:
        rebuilt = pca.inverse_transform(pca.transform(pixels))
        return np.asarray(np.square(pixels - rebuilt).mean(1, dtype=np.float64))

    return judge


def _fit_pixels(normal: Pixels, components: int) -> Judge:
    count = min(NEIGHBORS, len(normal))
    return lambda pixels: np.asarray(nearest_neighbors(pixels, normal, count)[0].mean(1))


def _fit_forest(normal: Pixels, components: int) -> Judge:
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(random_state=0).fit(normal)
    return lambda pixels: np.asarray(-forest.score_samples(pixels))


BASELINES: dict[str, BaselineRow] = {
    "pca": BaselineRow(_fit_pca, "error of PCA with as many components as the code has numbers"),
    "pixels": BaselineRow(_fit_pixels, "distance to the nearest normal samples, of raw pixels"),
    "forest": BaselineRow(
        _fit_forest, "isolation forest of raw pixels (F. T. Liu et al., ICDM 2008)"
    ),
}


def baseline_scores(
    samples: Samples,
    normal: NDArray[np.int64],
    rows: NDArray[np.int64],
    components: int,
    own: Samples | None = None,
) -> dict[str, Scores]:
    """Return the score of each sample by every baseline; higher is more of an outlier.

    Parameters
    ----------
    samples : Samples
    normal : (n,) int64
        Which samples are normal, and none of `rows`.
    rows : (N,) int64
        Which samples to judge.
    components : int
        Of PCA.
    own : Samples, optional
        The samples that `normal` are of, if not the same.
    """
    own = own or samples
    pixels = flatten(own, draw(normal, min(MAX_REFERENCE, MAX_NUMBERS // math.prod(own.shape))))
    judges = {name: row.fit(pixels, components) for name, row in BASELINES.items()}
    step = max(1, MAX_FOREST // math.prod(samples.shape))
    blocks = [flatten(samples, rows[at : at + step]) for at in range(0, len(rows), step)]
    return {
        name: np.concatenate([judge(block) for block in blocks]) for name, judge in judges.items()
    }


def flatten(samples: Samples, rows: NDArray[np.int64]) -> Pixels:
    """Return samples (n, numbers) float32: images in [0, 1], signals as they are."""
    values = np.asarray(samples.values[rows], np.float32).reshape(len(rows), -1)
    return values if samples.is_signal else values / np.float32(255)
