"""Ways through the codes: they start and end where they should and keep to their path."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from isthmus import load
from isthmus.errors import OptionError
from isthmus.latent.codes import Codes
from isthmus.latent.interpolation import (
    PATHS,
    class_direction,
    interpolate,
    interpolate_grid,
    traverse,
)

Refused = Callable[..., AbstractContextManager[None]]
Vector = NDArray[np.float32]


@pytest.fixture(scope="module")
def codes() -> Codes:
    """Give the pixels of digits as codes of 64."""
    digits = load("digits", limit=300)
    z = digits.values.reshape(300, 64).astype(np.float32)
    return Codes(z, digits.items)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("steps", [2, 3, 8])
def test_a_way_begins_and_ends_exactly_and_is_even(path: str, steps: int, codes: Codes) -> None:
    a, b = codes.z[0], codes.z[1]
    way = interpolate(a, b, steps, path)
    assert way.shape == (steps, 64)
    assert way.dtype == np.float32
    np.testing.assert_array_equal(way[[0, -1]], codes.z[:2])
    lengths = np.linalg.norm(np.diff(way, axis=0), axis=1)
    assert lengths == pytest.approx(lengths[::-1], rel=0.2)
    np.testing.assert_allclose(interpolate(b, a, steps, path)[::-1], way, atol=1e-4)


@pytest.mark.parametrize("path", PATHS)
def test_no_end_is_rounded(path: str, codes: Codes) -> None:
    z = codes.z / np.float32(3)
    for a, b in zip(z, z[::-1], strict=True):
        np.testing.assert_array_equal(interpolate(a, b, 3, path)[[0, -1]], [a, b])


def test_the_straight_way_is_a_mixture(codes: Codes) -> None:
    a, b = codes.z[:2]
    np.testing.assert_allclose(interpolate(a, b, 5)[1], 0.75 * a + 0.25 * b, rtol=1e-6)


def test_the_spherical_way_turns_evenly_and_keeps_lengths(codes: Codes) -> None:
    a, b = codes.z[0], 3 * codes.z[1]
    way = interpolate(a, b, 9, "spherical").astype(np.float64)
    lengths = np.linalg.norm(way, axis=1)
    np.testing.assert_allclose(np.diff(lengths), (lengths[-1] - lengths[0]) / 8, rtol=1e-4)
    unit = way / lengths[:, None]
    angles = np.arccos((unit[1:] * unit[:-1]).sum(1))
    np.testing.assert_allclose(angles, angles[0], rtol=1e-4)
    assert angles.sum() == pytest.approx(np.arccos(unit[0] @ unit[-1]))  # no detour
    straight = np.linalg.norm(interpolate(a, codes.z[1], 3), axis=1)
    assert straight[1] < 0.95 * np.linalg.norm(interpolate(a, codes.z[1], 3, "spherical")[1])


@pytest.mark.parametrize("factor", [1.0, 2.0, 0.0, -1.0, 1 + 1e-7])
def test_without_a_plane_to_turn_in_the_spherical_way_is_straight(
    factor: float, codes: Codes
) -> None:
    a, b = codes.z[0], np.float32(factor) * codes.z[0]
    for start, end in ((a, b), (b, a)):
        way = interpolate(start, end, 5, "spherical")
        np.testing.assert_allclose(way, interpolate(start, end, 5), atol=1e-4)
        assert np.isfinite(way).all()


@pytest.mark.parametrize("path", PATHS)
def test_a_grid_has_its_codes_in_the_corners_and_ways_at_its_edges(path: str, codes: Codes) -> None:
    a, b, c, d = codes.z[:4]
    grid = interpolate_grid(a, b, c, d, 4, 6, path)
    assert grid.shape == (4, 6, 64)
    np.testing.assert_array_equal(grid[[0, 0, -1, -1], [0, -1, 0, -1]], codes.z[:4])
    for edge, ends in ((grid[0], (a, b)), (grid[-1], (c, d))):
        np.testing.assert_allclose(edge, interpolate(*ends, 6, path), rtol=1e-6)
    for edge, ends in ((grid[:, 0], (a, c)), (grid[:, -1], (b, d))):
        np.testing.assert_allclose(edge, interpolate(*ends, 4, path), rtol=1e-6)


def test_a_direction_leads_from_mean_to_mean(codes: Codes) -> None:
    assert codes.labels is not None
    means = [codes.z[codes.labels == label].mean(0) for label in (3, 8)]
    np.testing.assert_allclose(class_direction(codes, "3", "8"), means[1] - means[0], rtol=1e-4)
    np.testing.assert_array_equal(
        class_direction(codes, "8", "3"), -class_direction(codes, "3", "8")
    )


def test_along_a_direction_a_digit_comes_nearer_to_the_other_class(codes: Codes) -> None:
    assert codes.labels is not None
    z = codes.z[np.flatnonzero(codes.labels == 3)[0]]
    way = traverse(z, class_direction(codes, "3", "8"), 5)
    np.testing.assert_array_equal(way[0], z)
    target = codes.z[codes.labels == 8].mean(0)
    distances = np.linalg.norm(way - target, axis=1)
    assert (np.diff(distances) < 0).all()


def test_reach_says_how_far_and_which_way() -> None:
    z, step = np.array([1, 2], np.float32), np.array([1, 0], np.float32)
    assert traverse(z, step, 3).tolist() == [[1, 2], [1.5, 2], [2, 2]]
    assert traverse(z, step, 3, -4).tolist() == [[1, 2], [-1, 2], [-3, 2]]


@pytest.mark.parametrize("steps", [1, 0, -3])
def test_a_way_has_two_ends(steps: int, codes: Codes, refused: Refused) -> None:
    a, b, c, d = codes.z[:4]
    with refused(OptionError, "steps", "at least 2", steps):
        interpolate(a, b, steps)
    with refused(OptionError, "at least 2", steps):
        interpolate_grid(a, b, c, d, 3, steps)


def test_an_unknown_path_is_told_which_there_are(codes: Codes, refused: Refused) -> None:
    with refused(OptionError, "curved", *PATHS):
        interpolate(*codes.z[:2], 3, "curved")  # type: ignore[call-arg]


def test_a_class_that_is_none_or_has_no_mean_is_refused(codes: Codes, refused: Refused) -> None:
    with refused(OptionError, "'ten'", "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"):
        class_direction(codes, "3", "ten")
    with refused(OptionError, "'3'", "itself"):
        class_direction(codes, "3", "3")
    with refused(OptionError, "no classes"):
        class_direction(replace(codes, items=replace(codes.items, labels=None)), "3", "8")
    assert codes.labels is not None
    labels = np.full(300, 3)
    labels[17] = 8
    for name, count in (("8", "one sample"), ("9", "no sample")):
        with refused(OptionError, repr(name), count, "2"):
            class_direction(replace(codes, items=replace(codes.items, labels=labels)), "3", name)
    people = tuple(f"person {i}" for i in range(5000))
    many = replace(codes, items=replace(codes.items, class_names=people))
    with refused(OptionError, "person 0, ", "and 4,988 more"):
        class_direction(many, "nobody", "person 3")
