"""`Evidence`: what speaks for and against a label, the nearest samples of both classes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.data.items import NO_CLASS
from isthmus.detection.labels.mislabelled import Mislabelled
from isthmus.latent.codes import Codes
from isthmus.latent.neighbors import nearest_neighbors

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Near:
    """The nearest samples of one class.

    Parameters
    ----------
    rows : (n,) int64
        Of the codes, nearest first; never the sample itself, nor another suspect.
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
        Samples of each class, or fewer if there are no more. Other suspects are not among them:
        near a trouser that is labeled as a bag, there may be more trousers with that label.

    Returns
    -------
    list of Evidence
        One for each suspect.
    """
    assert found.codes.labels is not None
    rows, suggested = found.rows[:shown], found.suggested[:shown]
    given = found.codes.labels[rows]
    trusted = found.codes.labels.copy()
    trusted[found.rows] = NO_CLASS
    near: dict[tuple[int, int], Near] = {}
    for label in np.unique(np.concatenate([given, suggested])).tolist():
        asked = rows[(given == label) | (suggested == label)]
        members = np.flatnonzero(trusted == label)
        near |= {(row, label): one for row, one in _nearest_among(found.codes, asked, members, k)}
    return [
        Evidence(near[row, one], near[row, other])
        for row, one, other in zip(rows.tolist(), given.tolist(), suggested.tolist(), strict=True)
    ]


def _nearest_among(codes: Codes, asked: Rows, members: Rows, k: int) -> list[tuple[int, Near]]:
    """Return the nearest members of each row that is asked for."""
    k = min(k, len(members))
    if not k:
        empty = Near(np.empty(0, np.int64), np.empty(0))
        return [(row, empty) for row in asked.tolist()]
    distances, places = nearest_neighbors(codes.z[asked], codes.z[members], k)
    return [
        (row, Near(members[near], away))
        for row, near, away in zip(asked.tolist(), places, distances, strict=True)
    ]
