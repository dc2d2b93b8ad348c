"""Pairs of pictures that may show the same: those whose coarse descriptors are near."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track
from isthmus.detection.duplicates.turning import TURNED, UPRIGHT, Turn
from isthmus.latent.neighbors import nearest_neighbors
from isthmus.latent.vectors import MAX_EXACT, Vectors

GRID = 8  # a descriptor is the brightness of 8 × 8 parts, less its mean, scaled to length 1
CROP = 0.93  # of the sides: between the whole and crops of 90%, whose corners are 0.1 apart
NEIGHBORS = 6  # of each crop of each picture; one of them may be the picture itself
MAX_DISTANCE = 0.7  # of descriptors: a correlation of 0.755; crops of 90% have at least 0.84
HANDICAP = 0.02  # in distance, of views that are mirrored or turned
MAX_PAIRS = 4  # that are measured for a picture: the nearest

Box = tuple[float, float, float, float]
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
CORNERS: tuple[Box, ...] = tuple(
    (x, y, x + CROP, y + CROP) for y in (0.0, 1 - CROP) for x in (0.0, 1 - CROP)
)


class View(NamedTuple):
    """A part of a turned picture."""

    turn: Turn
    box: Box


def list_views(mirrored: bool, turned: bool) -> list[View]:
    """Return what of each picture is compared with all others, as they are."""
    upright = [turn for turn in UPRIGHT if mirrored or not turn.is_mirrored]
    others = [turn for turn in TURNED if turned and (mirrored or not turn.is_mirrored)]
    views = [View(turn, box) for turn in upright for box in (WHOLE, *CORNERS)]
    return views + [View(turn, WHOLE) for turn in others]


class Candidates(NamedTuple):
    """Pairs that may show the same: the view of the one is similar to the whole of the other.

    Parameters
    ----------
    first, second : (P,) int64
        Rows of pictures.
    view : (P,) int64
        Index in `views`.
    views : sequence of View
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    view: NDArray[np.int64]
    views: Sequence[View]


def propose_pairs(gray: NDArray[np.uint8], views: Sequence[View], track: Track) -> Candidates:
    """Find pictures whose descriptors are near; each pair is proposed once.

    Parameters
    ----------
    gray : (N, S, S) uint8
    views : sequence of View
        See `list_views`; the first is the whole picture.
    track : callable
        Shows progress.
    """
    wholes = describe(gray, views[0])
    index = Vectors.build(wholes) if len(wholes) > MAX_EXACT else None
    found = [
        _search(describe(gray, view), wholes, index)
        for view in track(views, len(views), "Searching similar pictures")
    ]
    first, second, distances = (np.concatenate(column) for column in zip(*found, strict=True))
    counts = [len(rows) for rows, _, _ in found]
    numbers = np.repeat(np.arange(len(views)), counts)
    # What looks the same in a mirror is not called mirrored.
    handicaps = np.array([HANDICAP * (view.turn != Turn()) for view in views])
    best = _nearest_pairs(first, second, distances + handicaps[numbers], len(gray))
    return Candidates(first[best], second[best], numbers[best], views)


def describe(gray: NDArray[np.uint8], view: View) -> NDArray[np.float32]:
    """Return the descriptors (N, 64) of a view of each picture, of length 1 and without mean."""
    left, top, right, bottom = view.box
    side = gray.shape[-1]
    rows, columns = _average(top, bottom, side), _average(left, right, side)
    parts = [rows @ view.turn.apply(block) @ columns.T for block in _blocks(gray)]
    values = np.concatenate(parts).reshape(len(gray), -1)
    values -= values.mean(axis=1, keepdims=True)
    values /= np.linalg.norm(values, axis=1, keepdims=True) + 1e-6
    return np.ascontiguousarray(values, np.float32)


def _blocks(gray: NDArray[np.uint8], size: int = 4096) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(gray), size):
        yield gray[start : start + size].astype(np.float32)


def _average(start: float, end: float, side: int) -> NDArray[np.float32]:
    """Return the matrix (8, side) that averages a range of pixels in 8 equal parts."""
    edges = np.linspace(start, end, GRID + 1) * side
    pixels = np.arange(side)
    shared = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = np.clip(shared, 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _search(
    queries: NDArray[np.float32], wholes: NDArray[np.float32], index: Vectors | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return rows of queries and of wholes that are near, and their distances."""
    k = min(NEIGHBORS, len(wholes))
    if index is None:
        distances, rows = nearest_neighbors(queries, wholes, k)
    else:
        near, rows = index.search(queries, k)
        distances = near.astype(np.float64)
    own = np.repeat(np.arange(len(queries)), k)
    is_near = (distances.ravel() <= MAX_DISTANCE) & (rows.ravel() != own)
    return own[is_near], rows.ravel()[is_near], distances.ravel()[is_near]


def _nearest_pairs(
    first: NDArray[np.int64], second: NDArray[np.int64], distances: NDArray[np.float64], count: int
) -> NDArray[np.int64]:
    """Return which proposals to measure: the nearest of each pair, and of each picture a few."""
    keys = np.minimum(first, second) * count + np.maximum(first, second)
    order = np.lexsort((distances, keys))
    _, starts = np.unique(keys[order], return_index=True)
    best = order[starts]
    best = best[np.argsort(distances[best], kind="stable")]
    # Among the nearest of either picture: a picture of many copies is in the pairs of all.
    wanted = (_rank(first[best]) < MAX_PAIRS) | (_rank(second[best]) < MAX_PAIRS)
    chosen: NDArray[np.int64] = best[wanted]
    return chosen


def _rank(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how often each number came before.

    Examples
    --------
    >>> _rank(np.array([5, 3, 5, 5, 3])).tolist()
    [0, 0, 1, 2, 1]
    """
    order = np.argsort(rows, kind="stable")
    is_first = np.diff(rows[order], prepend=-1) != 0
    places = np.arange(len(rows))
    ranks = np.empty(len(rows), np.int64)
    ranks[order] = places - np.maximum.accumulate(np.where(is_first, places, 0))
    return ranks
