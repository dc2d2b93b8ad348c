"""`Reference`: normal samples, and how far others are from the nearest of them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from isthmus.detection.measures import Measures
from isthmus.errors import OptionError
from isthmus.latent.neighbors import nearest_neighbors, sample_indices
from isthmus.text import count_of

NEIGHBORS = 5
MAX_REFERENCE = 20_000  # normal samples that are compared with; of more, so many are drawn
# Of the mean variance, added to each direction of the codes: those that hardly vary would else
# decide all distances.
SHRINKAGE = 1e-3
TINY = 1e-12  # below it, distances and errors count as none
MAX_SPREAD = 2_000  # normal samples by which the spread of distances is known
SEED = 0

Points = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Reference:
    """Measures of normal samples, and the units that distances between codes have.

    The numbers of a code have no unit: a network may scale and mix them as it likes. So codes are
    compared in units of the spread of normal ones in each direction (Mahalanobis distance).

    Parameters
    ----------
    measures : Measures
        Of n normal samples, mostly those that a model was trained on.
    rows : (n,) int64, optional
        Which samples they are, if others that are compared may be the same ones: a sample is no
        neighbor of itself.
    """

    measures: Measures
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.measures)

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """The mean code, (D,)."""
        return np.asarray(self.measures.z.mean(0, dtype=np.float64))

    @cached_property
    def whitening(self) -> NDArray[np.float64]:
        """A matrix (D, D) by which normal codes have unit variance in every direction."""
        size = self.measures.z.shape[1]
        covariance = np.cov(self.measures.z.astype(np.float64), rowvar=False, ddof=0)
        covariance = covariance.reshape(size, size)
        mean = np.trace(covariance) / size or 1.0
        values, vectors = np.linalg.eigh(covariance + SHRINKAGE * mean * np.eye(size))
        return np.asarray(vectors / np.sqrt(values))

    @cached_property
    def log_distance(self) -> tuple[float, float]:
        """Mean and standard deviation of the logarithm of distances among normal samples."""
        drawn = sample_indices(len(self), SEED, MAX_SPREAD)
        among = Reference(self.measures, np.arange(len(self)))
        return _spread(among.code_distances(self.measures.take(drawn), drawn))

    @cached_property
    def log_relative(self) -> tuple[float, float]:
        """Mean and standard deviation of the logarithm of the relative errors of normal samples."""
        assert self.measures.relative is not None
        return _spread(self.measures.relative)

    def code_distances(
        self, measures: Measures, rows: NDArray[np.int64] | None = None, k: int = NEIGHBORS
    ) -> NDArray[np.float64]:
        """Return the mean distance of each code to the k nearest normal ones, in their spread."""
        return self._mean_distances(self._place(measures), self._place(self.measures), rows, k)

    def combine(
        self, measures: Measures, rows: NDArray[np.int64] | None = None, k: int = NEIGHBORS
    ) -> NDArray[np.float64]:
        """Return the mean of the logarithms of distance and relative error, each in its spread."""
        assert measures.relative is not None
        distances = self.code_distances(measures, rows, k)
        parts = ((distances, self.log_distance), (measures.relative, self.log_relative))
        return np.asarray(sum((_log(one) - mean) / std for one, (mean, std) in parts) / len(parts))

    def nearest(
        self, measures: Measures, rows: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """Return which normal sample has the nearest code, for each sample: (N,) int64.

        These are places in the reference.
        """
        found, indices = self._search(self._place(measures), self._place(self.measures), rows, 1)
        return np.take_along_axis(indices, found.argmin(1)[:, None], 1)[:, 0]

    def _place(self, measures: Measures) -> Points:
        whitened = (measures.z - self.mean) @ self.whitening
        return np.asarray(whitened, np.float32)

    def _mean_distances(
        self, queries: Points, points: Points, rows: NDArray[np.int64] | None, k: int
    ) -> NDArray[np.float64]:
        """Return the mean of the k smallest distances, without those to the sample itself."""
        distances, _ = self._search(queries, points, rows, k)
        return np.asarray(np.sort(distances, axis=1)[:, : self._limit(k)].mean(1))

    def _search(
        self, queries: Points, points: Points, rows: NDArray[np.int64] | None, k: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return distances and indices of k + 1 neighbors; a sample is infinitely far from itself.

        Infinite distances are sorted to the end.
        """
        wanted = min(self._limit(k) + 1, len(points))
        distances, indices = nearest_neighbors(queries, points, wanted)
        if rows is not None and self.rows is not None:
            distances[self.rows[indices] == rows[:, None]] = np.inf
        return distances, indices

    def _limit(self, k: int) -> int:
        """Return how many other normal samples there are, at most k."""
        return max(1, min(k, len(self) - 1))


def _log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.maximum(values, TINY))


def _spread(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and standard deviation of the logarithm of values."""
    logs = _log(values)
    return float(logs.mean()), float(logs.std()) or 1.0


def require_enough(count: int, what: str, least: int = 2) -> None:
    """Reject too few normal samples.

    Raises
    ------
    OptionError
    """
    if count < least:
        raise OptionError(
            f"{what} has {count_of(count, 'normal sample')}; give at least {least} to compare with."
        )
