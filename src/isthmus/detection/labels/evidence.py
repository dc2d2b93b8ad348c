"""`Evidence`: what speaks for and against a label, the nearest samples of both classes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.detection.labels.mislabelled import Mislabelled
from isthmus.latent.neighbors import nearest_neighbors

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Near:
    """The nearest samples of one class.

    Parameters
    ----------
    rows : (n,) int64
        Of the codes, nearest first; never the sample itself.
    distances : (n,) float64
        Euclidean, in units of the code.
    """

    rows: Rows
    distances: NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """The nearest samples of a suspect's given label, and of the suggested one."""

    given: Near
    suggested: Near


def find_evidence(found: Mislabelled, shown: int, k: int = 4) -> list[Evidence]:
    """Find the nearest samples of both labels, for the first suspects.

    Parameters
    ----------
    found : Mislabelled
    shown : int
        How many suspects.
    k : int
        Samples of each class, or fewer if there are no more. Other suspects are among them, with
        their given labels.

    Returns
    -------
    list of Evidence
        One for each suspect.
    """
    assert found.codes.labels is not None
    rows, suggested = found.rows[:shown], found.suggested[:shown]
    given = found.codes.labels[rows]
    near: dict[tuple[int, int], Near] = {}
    for label in np.unique(np.concatenate([given, suggested])).tolist():
        asked = rows[(given == label) | (suggested == label)]
        near |= {(row, label): one for row, one in _nearest_of_class(found, asked, label, k)}
    return [
        Evidence(near[row, one], near[row, other])
        for row, one, other in zip(rows.tolist(), given.tolist(), suggested.tolist(), strict=True)
    ]


def _nearest_of_class(
    found: Mislabelled, asked: Rows, label: int, k: int
) -> list[tuple[int, Near]]:
    """Return the nearest samples of a class for each row that is asked for."""
    z, labels = found.codes.z, found.codes.labels
    assert labels is not None
    members = np.flatnonzero(labels == label)
    wanted = min(k + 1, len(members))  # one more, as the sample itself may be among them
    distances, places = nearest_neighbors(z[asked], z[members], wanted)
    answers = []
    for row, near, away in zip(asked.tolist(), members[places], distances, strict=True):
        others = np.flatnonzero(near != row)[:k]
        answers.append((row, Near(near[others], away[others])))
    return answers
