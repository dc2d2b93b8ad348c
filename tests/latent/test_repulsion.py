"""Repulsion on a grid is that of all pairs, and maps by it keep neighbors."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from isthmus import Codes, Items, fit_map
from isthmus.latent.neighbors import trustworthiness
from isthmus.latent.repulsion import Gradient, choose_grid

Positions = NDArray[np.float64]


def clusters(width: float) -> Positions:
    rng = np.random.default_rng(0)
    xy = rng.uniform(-1, 1, (12, 2))[rng.integers(12, size=800)] + rng.normal(0, 0.1, (800, 2))
    return xy * width / np.ptp(xy)


def repel_by_pairs(xy: Positions) -> tuple[float, Positions]:
    apart = xy[:, None] - xy
    alike = 1 / (1 + np.square(apart).sum(2))
    return alike.sum() - len(xy), (np.square(alike)[..., None] * apart).sum(1)


# At the start; in the phase of exaggeration; finished.
@pytest.mark.parametrize(("width", "error"), [(1e-4, 1e-3), (5, 1e-3), (60, 0.02)])
def test_repulsion_is_that_of_all_pairs(width: float, error: float) -> None:
    xy = clusters(width)
    total, forces = repel_by_pairs(xy)
    found_total, found = Gradient().repel(xy)
    assert found_total == pytest.approx(total, rel=error)
    wrong = np.linalg.norm(found - forces, axis=1).mean()
    assert wrong <= error * np.linalg.norm(forces, axis=1).mean()


def test_repulsion_does_not_depend_on_threads_or_on_the_map_before() -> None:
    gradient = Gradient()
    gradient.repel(clusters(60))
    again, alone = gradient.repel(clusters(20), 2), Gradient().repel(clusters(20))
    assert again[0] == alone[0]
    np.testing.assert_array_equal(again[1], alone[1])


def test_grids_cover_a_map_and_fit_into_memory_however_wide_it_is() -> None:
    for width in (0.0, 1e-4, 100.0, 1e6):
        nodes, spacing = choose_grid(width)
        assert width / spacing + 8 < nodes <= 1100


def test_points_at_one_place_do_not_move() -> None:
    total, forces = Gradient().repel(np.zeros((20, 2)))
    assert total == pytest.approx(20 * 19, rel=1e-3)
    assert np.abs(forces).max() < 1e-5


@pytest.mark.slow
def test_a_map_by_it_keeps_neighbors() -> None:
    images = load_digits().images
    moved = np.roll(images[:300], 1, axis=2)  # more than are left to openTSNE
    z = np.concatenate([images, moved]).reshape(-1, 64).astype(np.float32)
    xy = fit_map(Codes(z, Items([str(i) for i in range(len(z))])), "tsne").xy
    assert trustworthiness(z, xy.astype(np.float32)) > 0.98
