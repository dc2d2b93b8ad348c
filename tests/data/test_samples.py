"""Samples: their fingerprint, parts of them, what is said of them; and dividing them."""

import pickle
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import isthmus
from isthmus.errors import OptionError, SourceError

Refused = Callable[..., AbstractContextManager[None]]

VALUES = np.random.default_rng(3).integers(0, 256, (6, 4, 5, 3), np.uint8)
SIGNALS = np.random.default_rng(3).normal(size=(4, 30, 2)).astype(np.float32)


@pytest.fixture
def samples() -> isthmus.Samples:
    return isthmus.Samples(
        VALUES.copy(),
        isthmus.Items(list("abcdef"), np.array([0, 1, 1, 0, 1, 0]), ("ant", "bee")),
        splits=np.array([0, 0, 0, 0, 2, 2], np.uint8),
    )


def of_parts(splits: list[int] | None, count: int = 0) -> isthmus.Samples:
    count = len(splits) if splits is not None else count
    return isthmus.Samples(
        np.zeros((count, 1, 1, 1), np.uint8),
        isthmus.Items([str(i) for i in range(count)]),
        splits=None if splits is None else np.array(splits, np.uint8),
    )


def test_shapes_as_kept_and_as_a_model_sees_them(samples: isthmus.Samples) -> None:
    assert len(samples) == 6
    assert (samples.shape, samples.input_shape) == ((4, 5, 3), (3, 4, 5))
    signals = isthmus.load(SIGNALS)
    assert (signals.shape, signals.input_shape) == ((30, 2), (2, 30))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (VALUES, "6 images of 4 × 5, RGB"),
        (VALUES[..., :1], "6 images of 4 × 5, gray"),
        (VALUES[..., :2], "6 images of 4 × 5, 2 channels"),
        (SIGNALS, "4 signals of 30 × 2"),
        (np.zeros((1234, 1, 1, 1), np.uint8), "1,234 images of 1 × 1, gray"),
    ],
)
def test_describe_says_how_many_and_of_what_shape(values: NDArray[Any], text: str) -> None:
    samples = isthmus.load(values)
    assert samples.describe() == text
    assert repr(samples) == f"Samples({text})"


def test_describe_counts_the_classes(samples: isthmus.Samples) -> None:
    assert samples.describe() == "6 images of 4 × 5, RGB, 2 classes"


def test_samples_cannot_be_changed_in_place(samples: isthmus.Samples) -> None:
    with pytest.raises(FrozenInstanceError):
        samples.names = []  # type: ignore[misc]


@pytest.mark.parametrize(
    "indices", [[0], [5, 0, 2], [1, 1], [0, 1, 2, 3, 4, 5]], ids=lambda indices: str(indices)
)
def test_take_gives_the_samples_in_the_order_asked_for(
    indices: list[int], samples: isthmus.Samples
) -> None:
    taken = samples.take(np.array(indices))
    assert np.array_equal(taken.values, VALUES[indices])
    assert list(taken.names) == ["abcdef"[i] for i in indices]
    assert taken.labels is not None
    assert taken.labels.tolist() == [[0, 1, 1, 0, 1, 0][i] for i in indices]
    assert taken.splits is not None
    assert taken.splits.tolist() == [[0, 0, 0, 0, 2, 2][i] for i in indices]
    assert taken.class_names == ("ant", "bee")


def test_take_copies(samples: isthmus.Samples) -> None:
    taken = samples.take(np.arange(6))
    taken.values[:] = 0
    assert np.array_equal(samples.values, VALUES)


def test_take_from_loaded_samples_has_a_fingerprint_of_its_own() -> None:
    digits = isthmus.load("digits")
    taken = digits.take(np.arange(10))
    assert taken.fingerprint != digits.fingerprint
    assert taken.fingerprint == isthmus.load("digits").take(np.arange(10)).fingerprint
    assert digits.take(np.arange(len(digits))).fingerprint == digits.fingerprint


def altered_value(samples: isthmus.Samples) -> isthmus.Samples:
    values = samples.values.copy()
    values[3, 2, 1, 0] ^= 1
    return replace(samples, values=values)


def altered_label(samples: isthmus.Samples) -> isthmus.Samples:
    return replace(samples, items=replace(samples.items, labels=np.array([0, 1, 1, 0, 1, 1])))


ALTERED: list[Callable[[isthmus.Samples], isthmus.Samples]] = [
    altered_value,
    altered_label,
    lambda samples: replace(samples, items=replace(samples.items, labels=None)),
    lambda samples: replace(samples, items=replace(samples.items, names=list("abcdeg"))),
    lambda samples: replace(samples, items=replace(samples.items, class_names=("ant", "bug"))),
    lambda samples: replace(samples, values=samples.values.reshape(6, 5, 4, 3)),
    lambda samples: samples.take(np.array([0, 1, 2, 3, 5, 4])),
    lambda samples: samples.take(np.arange(5)),
]


@pytest.mark.parametrize("alter", ALTERED)
def test_the_fingerprint_follows_the_content(
    alter: Callable[[isthmus.Samples], isthmus.Samples], samples: isthmus.Samples
) -> None:
    assert alter(samples).fingerprint != samples.fingerprint


def test_the_fingerprint_is_of_the_content_alone(samples: isthmus.Samples) -> None:
    assert len(samples.fingerprint) == 16
    strided = replace(samples, values=np.asfortranarray(VALUES))
    elsewhere = replace(
        samples, origin=isthmus.load("digits").origin, splits=None, skipped=(("g", "broken"),)
    )
    assert strided.fingerprint == elsewhere.fingerprint == samples.fingerprint


def test_the_fingerprint_keeps_its_value() -> None:
    # Runs and indexes store it: another value would make all of them stale.
    assert isthmus.load("digits").take(np.arange(7)).fingerprint == "51cb5eabb6caea9b"


def test_the_fingerprint_is_computed_on_demand(samples: isthmus.Samples) -> None:
    assert samples.items.fingerprint == ""
    assert "fingerprint" not in vars(samples)


def test_samples_survive_pickling(samples: isthmus.Samples) -> None:
    again = pickle.loads(pickle.dumps(samples))
    assert again.fingerprint == samples.fingerprint
    assert np.array_equal(again.values, samples.values)


@pytest.mark.parametrize(
    ("changes", "culprits"),
    [
        ({"items": isthmus.Items(["a"])}, ["6 samples", "1 names"]),
        ({"items": isthmus.Items(list("abcdef"), np.full(6, -1))}, ["a of", "no class"]),
        ({"splits": np.zeros(7, np.uint8)}, ["6 samples", "7 splits"]),
        ({"values": VALUES / 255}, ["float64 (6, 4, 5, 3)"]),
        ({"values": VALUES[..., 0]}, ["uint8 (6, 4, 5)"]),
        ({"values": VALUES[:0]}, ["no samples", "(0, 4, 5, 3)"]),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    changes: dict[str, Any], culprits: list[str], samples: isthmus.Samples, refused: Refused
) -> None:
    with refused(SourceError, "the array", *culprits):
        replace(samples, **changes)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_signal_that_is_not_finite_is_refused_by_name(wrong: float, refused: Refused) -> None:
    values = np.zeros((5000, 3, 1), np.float32)
    values[4500, 1] = wrong
    with refused(SourceError, "signal s4500", "NaN or infinity"):
        isthmus.Samples(values, isthmus.Items([f"s{i}" for i in range(5000)]))


FRACTIONS = st.floats(0.01, 0.45)
SEEDS = st.integers(0, 2**31)


@given(count=st.integers(11, 300), seed=SEEDS, validation=FRACTIONS, test=FRACTIONS)
def test_the_parts_are_disjoint_and_cover_all(
    count: int, seed: int, validation: float, test: float
) -> None:
    split = isthmus.split_samples(of_parts(None, count), seed, validation, test)
    parts = (split.train, split.validation, split.test)
    assert sorted(np.concatenate(parts)) == list(range(count))
    assert all(len(part) and np.all(np.diff(part) > 0) for part in parts)
    assert abs(len(split.validation) - validation * count) <= 1
    assert abs(len(split.test) - test * count) <= 1


@pytest.mark.parametrize("count", [3, 4, 9])
def test_few_samples_leave_one_to_choose_by_and_one_to_report_on(count: int) -> None:
    split = isthmus.split_samples(of_parts(None, count))
    assert (len(split.train), len(split.validation), len(split.test)) == (count - 2, 1, 1)


@given(
    splits=st.lists(st.sampled_from([0, 0, 0, 1, 2]), min_size=9, max_size=60).filter(
        lambda parts: parts.count(0) >= 3
    ),
    seed=SEEDS,
)
def test_the_sources_own_parts_are_kept(splits: list[int], seed: int) -> None:
    split = isthmus.split_samples(of_parts(splits), seed)
    own = np.array(splits)
    parts = (split.train, split.validation, split.test)
    assert sorted(np.concatenate(parts)) == list(range(len(splits)))
    assert set(own[split.train]) == {0}
    for index, part in ((1, split.validation), (2, split.test)):
        if index in splits:
            assert part.tolist() == np.flatnonzero(own == index).tolist()
        else:
            assert set(own[part]) == {0}


@given(seed=SEEDS)
def test_a_seed_always_divides_alike_and_another_differently(seed: int) -> None:
    samples = of_parts(None, 200)
    one, same, other = (isthmus.split_samples(samples, s) for s in (seed, seed, seed + 1))
    assert np.array_equal(one.train, same.train)
    assert np.array_equal(one.validation, same.validation)
    assert np.array_equal(one.test, same.test)
    assert not np.array_equal(one.test, other.test)


def test_dividing_takes_from_everywhere() -> None:
    split = isthmus.split_samples(of_parts(None, 1000))
    assert (len(split.train), len(split.validation), len(split.test)) == (800, 100, 100)
    for part in (split.train, split.validation, split.test):
        assert 400 < part.mean() < 600


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["validation", "test"])
def test_fractions_outside_their_range_are_refused(
    name: str, fraction: float, refused: Refused
) -> None:
    options: dict[str, Any] = {name: fraction}
    with refused(OptionError, f"{name} must be a fraction between 0 and 1, not {fraction:g}"):
        isthmus.split_samples(of_parts(None, 100), **options)


@pytest.mark.parametrize(("count", "text"), [(1, "1 sample is"), (2, "2 samples are")])
def test_too_few_samples_are_refused(count: int, text: str, refused: Refused) -> None:
    with refused(OptionError, f"{text} too few"):
        isthmus.split_samples(of_parts(None, count))


def test_fractions_that_leave_nothing_to_train_on_are_refused(refused: Refused) -> None:
    with refused(OptionError, "100 samples", "smaller fractions"):
        isthmus.split_samples(of_parts(None, 100), validation=0.5, test=0.5)


def test_parts_of_the_source_without_any_to_train_on_are_refused(refused: Refused) -> None:
    with refused(OptionError, "training split", "--parts none"):
        isthmus.split_samples(of_parts([1, 1, 2, 2]))
