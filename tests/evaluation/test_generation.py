"""Measures of generated samples tell good ones from blurred, repeated and copied ones."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import sqrtm

from isthmus import Samples, TrainedModel, TrainingConfig, load, split_samples, train
from isthmus.errors import OptionError
from isthmus.evaluation.copies import describe_copies, find_nearest
from isthmus.evaluation.generation import (
    compare_generators,
    frechet_distance,
    pca_generator,
    score_features,
)

Refused = Callable[..., AbstractContextManager[None]]
Features = NDArray[np.float32]


def normal(count: int, seed: int, size: int = 6) -> Features:
    return np.random.default_rng(seed).standard_normal((count, size), np.float32)


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits")


@pytest.fixture(scope="module")
def judge(digits: Samples) -> TrainedModel:
    training = train(digits, "cnn-small", task="classify", config=TrainingConfig(epochs=2))
    list(training)
    return training.run.model()


def test_the_frechet_distance_is_that_of_normal_distributions() -> None:
    a, b = normal(400, 0), 1.5 * normal(300, 1) + 0.3
    b[:, 0] += b[:, 1]
    means = [one.astype(np.float64).mean(0) for one in (a, b)]
    first, second = (np.cov(one.astype(np.float64), rowvar=False) for one in (a, b))
    root = np.real(sqrtm(first @ second))
    expected = np.square(means[0] - means[1]).sum() + np.trace(first + second - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(a, a + 2) == pytest.approx(6 * 4, rel=1e-3)


def test_precision_recall_density_and_coverage_are_those_of_the_papers() -> None:
    real, made = normal(120, 0), 0.7 * normal(90, 1)

    def radii(points: Features, k: int) -> NDArray[np.float64]:
        return np.sort(np.linalg.norm(points[:, None] - points, axis=2), axis=1)[:, k]

    apart = np.linalg.norm(real[:, None] - made, axis=2)
    wide = radii(real, 5)
    assert score_features(real, made) == pytest.approx(
        {
            "frechet": frechet_distance(real, made),
            "precision": (apart <= radii(real, 3)[:, None]).any(0).mean(),
            "recall": (apart <= radii(made, 3)).any(1).mean(),
            "density": (apart <= wide[:, None]).sum(0).mean() / 5,
            "coverage": (apart <= wide[:, None]).any(1).mean(),
        }
    )


def test_what_is_wrong_with_samples_shows_in_the_measure_for_it() -> None:
    real = normal(500, 0)
    good = score_features(real, normal(500, 1))
    same = score_features(real, real[:1] + 1e-3 * normal(500, 1))
    odd = score_features(real, normal(500, 1) + 20)
    assert min(good["precision"], good["recall"], good["coverage"]) > 0.6
    assert good["density"] == pytest.approx(1, abs=0.2)
    assert same["precision"] == 1
    assert max(same["recall"], same["coverage"]) < 0.05
    assert (odd["precision"], odd["density"], odd["coverage"]) == (0, 0, 0)
    assert good["frechet"] < same["frechet"] < odd["frechet"]


def test_generators_are_compared_with_held_out_samples(
    judge: TrainedModel, digits: Samples
) -> None:
    split = split_samples(digits)
    noise = np.random.default_rng(0)
    generators = {
        "pca": pca_generator(digits.values, split.train, 20),
        "noise": lambda n: noise.integers(0, 256, (n, 8, 8, 1), np.uint8),
    }
    result = compare_generators(judge, digits.values[split.test], generators)
    assert result["n"] == len(split.test) // 2
    assert result["judge_fingerprint"] == judge.fingerprint
    distances = [result["rows"][name]["frechet"] for name in ("real", "pca", "noise")]
    assert distances == sorted(distances)


def test_a_judge_of_another_size_is_given_that_size(digits: Samples) -> None:
    class Means:
        shape, name, fingerprint = (1, 4, 4), "means", "0" * 16

        class preprocessing:  # noqa: N801
            @staticmethod
            def fit(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
                return image[::2, ::2]

        @staticmethod
        def encode(values: NDArray[np.uint8]) -> Features:
            assert values.shape[1:] == (4, 4, 1)
            return values.reshape(len(values), -1).astype(np.float32)

    judge: TrainedModel = Means()  # type: ignore[assignment]
    assert compare_generators(judge, digits.values[:80], {})["rows"]["real"]["coverage"] > 0.5


def test_too_few_test_samples_are_refused(
    judge: TrainedModel, digits: Samples, refused: Refused
) -> None:
    with refused(OptionError, "11", "12"):
        compare_generators(judge, digits.values[:11], {})


def test_samples_of_pca_have_its_mean_and_spread(digits: Samples) -> None:
    rows = np.arange(0, 1600, 2)
    signals = digits.values.reshape(-1, 64, 1).astype(np.float32)
    made, real = pca_generator(signals, rows, 64)(4000)[..., 0], signals[rows, :, 0]
    np.testing.assert_allclose(made.mean(0), real.mean(0), atol=6)
    np.testing.assert_allclose(np.cov(made.T), np.cov(real.T), atol=600)  # of up to 11,000
    images = pca_generator(digits.values, rows, 64)(5)
    assert (images.shape, str(images.dtype)) == ((5, 8, 8, 1), "uint8")


def test_the_nearest_sample_is_found_among_those_allowed(digits: Samples) -> None:
    rows = np.arange(3, 900, 3)
    distances, found = find_nearest(digits.values[:40], digits.values, rows)
    flat = digits.values.reshape(len(digits), -1) / 255
    apart = np.sqrt(np.square(flat[:40, None] - flat[rows]).mean(2))
    np.testing.assert_array_equal(found, rows[apart.argmin(1)])
    np.testing.assert_allclose(distances, apart.min(1), atol=1e-6)
    assert distances[3] == 0
    assert found[3] == 3


def test_copies_are_told_from_new_samples(digits: Samples) -> None:
    split = split_samples(digits)
    training = train(digits, "dense", config=TrainingConfig(epochs=3))
    list(training)
    model = training.run.model()
    copies = digits.values[split.train[:40]]
    copied, rows, apart = describe_copies(model, digits.values, split, copies)
    np.testing.assert_array_equal(digits.values[rows], copies)
    assert apart.max() == 0
    assert copied["closer"] == {"test": 1, "rebuilt": 1}
    new = digits.values[split.validation[:40]]
    assert describe_copies(model, digits.values, split, new)[0]["closer"]["test"] == pytest.approx(
        0.5, abs=0.15
    )
