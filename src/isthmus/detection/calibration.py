"""What a score means: the share of normal samples that have a higher one, and thresholds."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.data.rates import require_rate

FALSE_ALARMS = 0.01  # share of normal samples that may be called outliers, by default
ROUNDING = 1e-9  # of a share that is meant to be a whole number of samples


@dataclass(frozen=True)
class Threshold:
    """Above it, a score is that of an outlier.

    Parameters
    ----------
    value : float
    false_alarms : float
        The share of normal samples that are called outliers, as it was asked for.
    expected : float
        The share that is to be expected, at most: larger if there are too few samples for less.
    """

    value: float
    false_alarms: float
    expected: float


def shares_above(normal: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each score the share of normal samples that have the same or a higher one.

    The sample itself counts as one of them (V. Vovk et al.: Algorithmic learning in a random world,
    2005, eq. 2.20): a share is never 0, and of a normal sample it is at most p in at most p of all
    cases.

    Parameters
    ----------
    normal : (n,) float64
        Scores of normal samples that the model was not trained on.
    scores : (N,) float64

    Examples
    --------
    >>> shares_above(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.5, 9.0])).tolist()
    [1.0, 0.5, 0.25]
    """
    higher = len(normal) - np.searchsorted(np.sort(normal), scores, "left")
    return np.asarray((higher + 1) / (len(normal) + 1))


def choose_threshold(normal: NDArray[np.float64], false_alarms: float = FALSE_ALARMS) -> Threshold:
    """Choose the threshold that at most a share of normal samples exceeds.

    Parameters
    ----------
    normal : (n,) float64
        Scores of normal samples that the model was not trained on.
    false_alarms : float
        Above 0 and below 1.

    Raises
    ------
    OptionError
        If the share is outside its range.

    Examples
    --------
    >>> choose_threshold(np.arange(99.0), 0.05)
    Threshold(value=94.0, false_alarms=0.05, expected=0.05)
    """
    require_rate(false_alarms)
    # The k-th highest of n is exceeded by one more with probability k / (n + 1).
    allowed = max(1, math.floor(false_alarms * (len(normal) + 1) + ROUNDING))
    allowed = min(allowed, len(normal))  # a share of nearly 1 is rounded to all and one more
    value = float(np.sort(normal)[len(normal) - allowed])
    return Threshold(value, false_alarms, max(false_alarms, 1 / (len(normal) + 1)))
