"""The table of scores: how far a sample is from all that is normal. A score is a row."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.detection.measures import Measures
from isthmus.detection.reference import Reference
from isthmus.errors import ModelError, require_known

Rows = NDArray[np.int64] | None
DEFAULT = "combined"


@dataclass(frozen=True)
class ScoreRow:
    """A row of `SCORES`.

    Parameters
    ----------
    compute : callable
        From measures of N samples, the reference, and optionally which samples they are, to N
        scores, higher for what is more of an outlier.
    description : str
        One line for people.
    needs_error : bool
        Whether the model must rebuild samples.
    """

    compute: Callable[[Measures, Reference, Rows], NDArray[np.float64]]
    description: str
    needs_error: bool = True


def _error(measures: Measures, reference: Reference, rows: Rows) -> NDArray[np.float64]:
    assert measures.error is not None
    return measures.error


def _peak(measures: Measures, reference: Reference, rows: Rows) -> NDArray[np.float64]:
    assert measures.peak is not None
    return measures.peak


def _neighbors(measures: Measures, reference: Reference, rows: Rows) -> NDArray[np.float64]:
    return reference.code_distances(measures, rows)


def _combined(measures: Measures, reference: Reference, rows: Rows) -> NDArray[np.float64]:
    return reference.combine(measures, rows)


def _relative(measures: Measures, reference: Reference, rows: Rows) -> NDArray[np.float64]:
    assert measures.relative is not None
    return measures.relative


# "combined" adds what is odd about the code and about the reconstruction, each in units of what is
# usual, as D. Abati et al.: Latent space autoregression for novelty detection, CVPR 2019, eq. 10.
# The relative error is that of B. Zong et al.: Deep autoencoding Gaussian mixture model for
# unsupervised anomaly detection, ICLR 2018; neighbors are those of S. Ramaswamy et al.: Efficient
# algorithms for mining outliers from large data sets, SIGMOD 2000.
SCORES: dict[str, ScoreRow] = {
    "combined": ScoreRow(_combined, "distance of the code and relative error, both on one scale"),
    "error": ScoreRow(_error, "mean squared error of the reconstruction"),
    "relative": ScoreRow(_relative, "the error as a share of the variance of the sample itself"),
    "peak": ScoreRow(_peak, "highest error in the smoothed map of errors, for small defects"),
    "neighbors": ScoreRow(
        _neighbors, "distance of the code to the nearest normal codes", needs_error=False
    ),
}


def compute_score(
    name: str, measures: Measures, reference: Reference, rows: Rows = None
) -> NDArray[np.float64]:
    """Return the score of each sample, (N,) float64; higher is more of an outlier.

    Parameters
    ----------
    name : str
        A key of `SCORES`.
    measures : Measures
        Of the N samples.
    reference : Reference
        The normal samples.
    rows : (N,) int64, optional
        Which samples they are, as in the reference.

    Raises
    ------
    OptionError
        If there is no such score.
    ModelError
        If it needs reconstructions and the model makes none.
    """
    require_known("score", name, SCORES)
    if SCORES[name].needs_error and measures.error is None:
        raise ModelError(
            f"the score {name} needs reconstructions, and this model makes none; take --score "
            "neighbors."
        )
    return SCORES[name].compute(measures, reference, rows)
