"""Classic filters remove noise, and each image's result does not depend on the batch."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isthmus import load
from isthmus.evaluation.filters import FILTERS, TV_BLOCK, filter_names, median, noise_level

if TYPE_CHECKING:
    from collections.abc import Callable

Array = NDArray[np.float32]
IMAGES = filter_names((1, 28, 28))
SIGNALS = filter_names((1, 128))


@pytest.fixture(scope="module")
def clean() -> Array:
    """Give 24 digits of 24 × 24."""
    values = load("digits", size=24, limit=24).values
    return (np.moveaxis(values, -1, 1) / 255).astype(np.float32)


def noisy(x: Array, deviation: float, clip: bool = True) -> Array:
    noise = np.random.default_rng(0).normal(0, deviation, x.shape).astype(np.float32)
    return (x + noise).clip(0, 1) if clip else x + noise


def mse(y: Array, x: Array) -> float:
    return float(np.square(y - x).mean())


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_filter_removes_noise_from_digits(name: str, channels: int, clean: Array) -> None:
    x = np.concatenate([np.roll(clean, i, 0) for i in range(channels)], 1)
    y = noisy(x, 0.4)
    before = y.copy()
    z = FILTERS[name].apply(y)
    assert z.shape == y.shape
    assert z.dtype == np.float32
    assert 0 <= z.min() < z.max() <= 1
    assert mse(z, x) < 0.7 * mse(y, x)
    np.testing.assert_array_equal(y, before)


@pytest.mark.parametrize("name", IMAGES)
def test_images_without_noise_stay_nearly_as_they_are(name: str, clean: Array) -> None:
    assert mse(FILTERS[name].apply(clean), clean) < 0.005
    flat = np.full((2, 3, 9, 7), 0.25, np.float32)
    np.testing.assert_array_equal(FILTERS[name].apply(flat), flat)


@pytest.mark.parametrize("name", IMAGES)
def test_the_rest_of_the_batch_does_not_matter(name: str, clean: Array) -> None:
    y = noisy(clean, 0.3)
    alone = np.concatenate([FILTERS[name].apply(y[i : i + 1]) for i in range(5)])
    np.testing.assert_array_equal(FILTERS[name].apply(y)[:5], alone)


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (2, 3, 2, 5), (1, 1, 3, 4), (0, 1, 8, 8)])
def test_small_images_and_empty_batches_are_accepted(name: str, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).random(shape, np.float32)
    z = FILTERS[name].apply(x)
    assert z.shape == shape
    assert np.isfinite(z).all()


@pytest.mark.parametrize("name", ["nlm", "tv"])
def test_unclipped_noise_is_removed_too(name: str, clean: Array) -> None:
    y = noisy(clean, 0.4, clip=False)
    z = FILTERS[name].apply(y)
    assert 0 <= z.min() < z.max() <= 1
    assert mse(z, clean) < 0.5 * mse(y.clip(0, 1), clean)


@pytest.mark.parametrize("name", IMAGES)
def test_images_of_all_blocks_are_filtered_as_alone(name: str) -> None:
    digits = np.moveaxis(load("digits", limit=1100).values, -1, 1)
    y = noisy((digits / 255).astype(np.float32), 0.3)
    assert y.size > TV_BLOCK
    whole = FILTERS[name].apply(y)
    np.testing.assert_array_equal(whole[:50], FILTERS[name].apply(y[:50]))
    np.testing.assert_array_equal(whole[-50:], FILTERS[name].apply(y[-50:]))


@pytest.mark.parametrize("channels", [1, 3])
def test_total_variation_agrees_with_scikit_image(channels: int, clean: Array) -> None:
    from skimage.restoration import denoise_tv_chambolle

    y = noisy(np.concatenate([np.roll(clean, i, 0) for i in range(channels)], 1), 0.4)
    chambolle: Callable[..., Any] = denoise_tv_chambolle
    expected = [
        chambolle(image, weight=0.75 * float(level), channel_axis=0)
        for image, level in zip(y, noise_level(y), strict=True)
    ]
    errors = np.abs(FILTERS["tv"].apply(y) - np.stack(expected).clip(0, 1)).max((2, 3))
    # Rounding can stop an image an iteration earlier or later if its cost is at the threshold.
    assert (errors < 1e-6).mean() > 0.95
    assert errors.max() < 5e-3


def test_the_median_is_that_of_a_place_and_its_neighbors_in_a_channel() -> None:
    x = np.random.default_rng(0).random((2, 2, 6, 5), np.float32)
    z = median(x)
    assert z[1, 0, 3, 2] == np.median(x[1, 0, 2:5, 1:4])
    assert z[0, 1, 1, 3] == np.median(x[0, 1, 0:3, 2:5])
    np.testing.assert_array_equal(FILTERS["median-twice"].apply(x), median(z))


def test_the_median_of_a_signal_runs_along_it() -> None:
    x = np.random.default_rng(0).random((2, 2, 50), np.float32)
    assert SIGNALS == ["median", "median-twice"]
    z = median(x)
    assert z[1, 1, 7] == np.median(x[1, 1, 6:9])
    wave = np.sin(np.linspace(0, 6, 400, dtype=np.float32))[None, None]
    y = noisy(wave, 0.2, clip=False)
    assert mse(median(y), wave) < 0.6 * mse(y, wave)
    assert mse(FILTERS["median-twice"].apply(y), wave) < 0.6 * mse(median(y), wave) + 0.01


@pytest.mark.parametrize("deviation", [0.02, 0.1, 0.5])
def test_the_level_of_noise_is_its_deviation(deviation: float) -> None:
    slope = np.linspace(0, 1, 64, dtype=np.float32)
    plane = np.broadcast_to(slope[:, None] * 0.5 + slope * 0.3, (6, 3, 64, 64))
    level = noise_level(noisy(plane, deviation, clip=False))
    assert level.shape == (6,)
    assert level == pytest.approx(deviation, rel=0.05)
    assert noise_level(plane) == pytest.approx(0, abs=1e-6)
