"""Neighbors are exact, and the figures of a map are those of the literature."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import manifold
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from isthmus import load
from isthmus.errors import OptionError
from isthmus.latent import nearest
from isthmus.latent.neighbors import (
    BLOCK_ROWS,
    MAX_MEASURED,
    continuity,
    knn_accuracy,
    nearest_neighbors,
    other_neighbors,
    sample_indices,
    trustworthiness,
)

Refused = Callable[..., AbstractContextManager[None]]
Points = NDArray[np.float32]

COUNT = BLOCK_ROWS + 88  # more than one block


@pytest.fixture(scope="module")
def high() -> Points:
    return np.random.default_rng(0).normal(5, 1, (COUNT, 12)).astype(np.float32)


@pytest.fixture(scope="module")
def low(high: Points) -> Points:
    return high[:, :2] + np.random.default_rng(1).normal(0, 0.5, (COUNT, 2)).astype(np.float32)


def test_the_nearest_are_found(high: Points) -> None:
    distances, indices = nearest_neighbors(high[:40] + np.float32(0.1), high, 7)
    truth = np.linalg.norm(high[:40, None] + np.float32(0.1) - high, axis=2)
    np.testing.assert_array_equal(indices, truth.argsort(1)[:, :7])
    np.testing.assert_allclose(distances, np.sort(truth, axis=1)[:, :7], rtol=1e-5)


@pytest.mark.parametrize("offset", [0, 1000])
def test_neighbors_do_not_depend_on_company_nor_on_where_zero_is(offset: float) -> None:
    count = 8500  # more than the sample that gives the first limit
    points = np.random.default_rng(0).normal(offset, 1, (count, 16)).astype(np.float32)
    distances, indices = nearest_neighbors(points, points, 5)
    for i in range(0, count, 500):
        alone = nearest_neighbors(points[i : i + 1], points, 5)
        np.testing.assert_array_equal(alone[0][0], distances[i])
        np.testing.assert_array_equal(alone[1][0], indices[i])
    np.testing.assert_array_equal(indices[:, 0], np.arange(count))
    np.testing.assert_array_equal(distances[:, 0], 0)


@pytest.mark.parametrize("most", [50, nearest.MAX_KEPT])
@pytest.mark.parametrize("kind", ["sorted", "equal", "far"])
def test_no_neighbor_is_lost_however_points_are_ordered(
    kind: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "MAX_KEPT", most)
    draw = np.random.default_rng(2)
    points = draw.normal(0, 1, (9000, 6))
    if kind == "sorted":  # the nearest come last
        points = points[np.argsort(-np.abs(points).sum(1))]
    if kind == "equal":
        points = points.round()
    if kind == "far":  # from the center, so that rounding of products exceeds the distances
        points = 0.01 * points + np.where(np.arange(9000) % 2, 4096, -4096)[:, None]
    single = points.astype(np.float32)
    queries = single[-30:]
    distances, indices = nearest_neighbors(queries, single, 12)
    apart = (single[None] - queries[:, None]).astype(np.float64)
    truth = np.sqrt(np.square(apart).sum(2))
    wanted = truth.argsort(axis=1, kind="stable")[:, :12]
    np.testing.assert_array_equal(indices, wanted)
    np.testing.assert_allclose(distances, np.take_along_axis(truth, wanted, 1), rtol=1e-12)


def test_of_equally_near_points_the_first_comes_first() -> None:
    points = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], np.float32)
    _, indices = nearest_neighbors(np.zeros((1, 2), np.float32), points, 3)
    assert indices.tolist() == [[0, 1, 2]]


def test_no_point_is_its_own_neighbor_even_among_many_equal_ones() -> None:
    distances, indices = other_neighbors(np.ones((50, 3), np.float32), 4)
    assert (indices != np.arange(50)[:, None]).all()
    assert {len(set(row)) for row in indices.tolist()} == {4}
    assert (distances == 0).all()


@pytest.mark.parametrize("k", [1, 10, 200])
def test_trustworthiness_is_that_of_scikit_learn(high: Points, low: Points, k: int) -> None:
    truth, shown = high.astype(np.float64), low.astype(np.float64)
    expected = manifold.trustworthiness(truth, shown, n_neighbors=k)
    assert trustworthiness(high, low, k) == pytest.approx(expected, abs=1e-12)
    assert 0.5 < expected < 0.95  # or nothing would be tested
    swapped = manifold.trustworthiness(shown, truth, n_neighbors=k)
    assert continuity(high, low, k) == pytest.approx(swapped, abs=1e-12)


def test_trustworthiness_by_hand() -> None:
    high = np.array([[0], [1], [3], [7], [15]], np.float32)
    low = np.array([[0], [10], [1], [20], [31]], np.float32)  # the second and third have swapped
    # The nearest on the map are 2, 2, 0, 1, 3; in truth they have the ranks 2, 2, 2, 2, 1 and miss
    # the first by 4, of at most 5 (2 · 5 - 3 - 1) / 2 = 15.
    assert trustworthiness(high, low, 1) == pytest.approx(1 - 4 / 15)


def test_the_truth_is_its_own_best_map_and_chance_the_worst(high: Points) -> None:
    assert trustworthiness(high, high, 10) == 1
    assert trustworthiness(high, 3 * high[:, ::-1] - 7, 10) == 1
    chance = np.random.default_rng(2).normal(size=(COUNT, 2)).astype(np.float32)
    assert trustworthiness(high, chance, 10) == pytest.approx(0.5, abs=0.03)


def test_equal_points_share_a_rank() -> None:
    assert trustworthiness(np.ones((30, 4), np.float32), np.ones((30, 2), np.float32), 5) == 1
    places = np.stack(np.meshgrid(np.arange(20), np.arange(20)), axis=-1).reshape(-1, 2)
    lattice = np.concatenate([places, [[31.4, 2.7]]]).astype(np.float32)  # the mean is no integer
    assert trustworthiness(lattice, lattice, 3) == 1  # of the four nearest, which are equally near


@pytest.mark.parametrize("k", [0, COUNT // 2])
def test_neighbors_outside_their_range_are_refused(
    high: Points, low: Points, k: int, refused: Refused
) -> None:
    with refused(OptionError, k, COUNT):
        trustworthiness(high, low, k)


@pytest.mark.parametrize("k", [1, 5])
def test_accuracy_is_that_of_leaving_one_out(k: int) -> None:
    digits = load("digits", limit=300)
    assert digits.labels is not None
    points = digits.values.reshape(300, -1).astype(np.float32)
    odd = digits.labels % 2  # of two classes, an odd number of votes has a winner
    scores = cross_val_score(KNeighborsClassifier(k), points, odd, cv=LeaveOneOut())
    assert knn_accuracy(points, odd, k) == pytest.approx(scores.mean())
    assert 0.8 < scores.mean() < 1


def test_equal_points_may_outvote_each_other() -> None:
    points = np.repeat(np.arange(10, dtype=np.float32)[:, None], 2, 0)
    assert knn_accuracy(points, np.tile([0, 1], 10), 1) == 0
    assert knn_accuracy(points, np.repeat(np.arange(10), 2), 1) == 1


def test_the_nearest_decides_between_equally_many() -> None:
    points = np.array([[0], [1], [2.5], [4.5], [7]], np.float32)
    # Of the votes of two others that disagree, that of the nearer counts: 0, 0, 0, 1, 1.
    assert knn_accuracy(points, np.array([0, 0, 1, 1, 1]), 2) == pytest.approx(4 / 5)


@pytest.mark.parametrize("k", [0, 4])
def test_voters_outside_their_range_are_refused(k: int, refused: Refused) -> None:
    with refused(OptionError, k, 4):
        knn_accuracy(np.zeros((4, 2), np.float32), np.zeros(4, np.int64), k)


def test_of_many_samples_some_are_drawn_by_the_seed() -> None:
    count = MAX_MEASURED + 500
    first = sample_indices(count, 0)
    assert len(first) == len(set(first.tolist())) == MAX_MEASURED
    np.testing.assert_array_equal(first, sample_indices(count, 0))
    assert not np.array_equal(first, sample_indices(count, 1))
    np.testing.assert_array_equal(sample_indices(50, 0), np.arange(50))
    points = np.random.default_rng(0).normal(size=(count, 2)).astype(np.float32)
    labels = (points[:, 0] > 0).astype(np.int64)
    assert knn_accuracy(points, labels, 1) == knn_accuracy(points[first], labels[first], 1)
