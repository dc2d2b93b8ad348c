"""`hold_out`: nearly all samples for training, a share of each class to choose by."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest

from isthmus.data.split import hold_out
from isthmus.errors import OptionError


@pytest.mark.parametrize("count", [3, 4, 19, 1000])
def test_a_share_is_held_out_and_one_sample_for_testing(count: int) -> None:
    splits = hold_out(np.zeros(count, np.int64), seed=1)
    validation = max(1, round(count / 10))
    assert np.bincount(splits).tolist() == [count - validation - 1, validation, 1]


def test_classes_have_equal_shares_and_one_sample_at_least_is_trained_on() -> None:
    labels = np.repeat(np.arange(4), [500, 300, 199, 1])
    splits = hold_out(labels, seed=0, validation=0.2)
    counts = np.bincount(labels[splits == 1], minlength=4)
    np.testing.assert_allclose(counts, [100, 60, 40, 0], atol=1)
    assert splits[-1] == 0


def test_the_seed_decides() -> None:
    labels = np.arange(200) % 2
    np.testing.assert_array_equal(hold_out(labels, seed=3), hold_out(labels, seed=3))
    assert (hold_out(labels, seed=3) != hold_out(labels, seed=4)).any()


@pytest.mark.parametrize(
    ("labels", "validation", "culprit"),
    [
        ([0, 0], 0.1, "2 samples"),
        ([0, 1, 2, 3, 4], 0.1, "5 samples"),
        ([0] * 10, 0.95, "10 samples"),
        ([0] * 10, 0.0, "fraction"),
        ([0] * 10, 1.0, "fraction"),
    ],
)
def test_too_few_samples_are_refused(
    labels: list[int],
    validation: float,
    culprit: str,
    refused: Callable[..., AbstractContextManager[None]],
) -> None:
    with refused(OptionError, culprit):
        hold_out(np.array(labels, np.int64), validation=validation)
