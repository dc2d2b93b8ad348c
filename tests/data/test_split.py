"""Splits: a share of each class in every part, groups in one part, and what is held out."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isthmus.data.items import Items
from isthmus.data.samples import Samples
from isthmus.data.split import Split, hold_out, split_samples
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


# -- split_samples: by class and by group ------------------------------------------------------


def samples_of(labels: Sequence[int], names: Sequence[str] | None = None, **more: Any) -> Samples:
    names = names or [f"{i}.png" for i in range(len(labels))]
    class_names = tuple(f"class{i}" for i in range(max(labels) + 1))
    items = Items(names, np.array(labels, np.int64), class_names)
    return Samples(np.zeros((len(labels), 2, 2, 1), np.uint8), items, **more)


def counts(samples: Samples, split: Split) -> NDArray[np.int64]:
    """Return how many samples of each class (columns) each part (rows) has."""
    parts = (split.train, split.validation, split.test)
    assert sorted(np.concatenate(parts)) == list(range(len(samples)))
    assert samples.labels is not None
    classes = len(samples.class_names)
    return np.stack([np.bincount(samples.labels[part], minlength=classes) for part in parts])


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([30] * 3, [[24] * 3, [3] * 3, [3] * 3]),
        ([4] * 60, [[2] * 60, [1] * 60, [1] * 60]),
        ([1000, 4], [[802, 2], [99, 1], [99, 1]]),
    ],
)
def test_every_class_has_its_share_of_every_part(
    sizes: list[int], expected: list[list[int]]
) -> None:
    samples = samples_of(np.repeat(np.arange(len(sizes)), sizes).tolist())
    assert counts(samples, split_samples(samples, 3)).tolist() == expected


@pytest.mark.parametrize("seed", range(3))
def test_small_classes_keep_what_is_trained_on_and_single_samples_stay(seed: int) -> None:
    sizes = [1] * 20 + [2] * 20 + [3] * 20 + [7] * 5
    samples = samples_of(np.repeat(np.arange(65), sizes).tolist())
    train, validation, test = counts(samples, split_samples(samples, seed))
    assert (2 * train >= sizes).all()
    assert train[:20].tolist() == [1] * 20
    assert (validation.sum(), test.sum()) == (16, 16)  # a tenth of 155
    assert validation[60:].min() == test[60:].min() == 1


def test_a_class_for_each_sample_is_divided_all_the_same() -> None:
    samples = samples_of(list(range(50)))
    assert counts(samples, split_samples(samples)).sum(1).tolist() == [40, 5, 5]


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 0, 0, 1, 1, 1]])
def test_a_handful_of_samples_leaves_every_class_something_to_train_on(labels: list[int]) -> None:
    samples = samples_of(labels)
    train, validation, test = counts(samples, split_samples(samples))
    assert train.min() >= 1
    assert validation.sum() == test.sum() == 1


def test_the_seed_decides_who_is_in_which_part_of_a_class() -> None:
    samples = samples_of([0, 1] * 50)
    one, same, other = (split_samples(samples, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.test, same.test)
    assert one.test.tolist() != other.test.tolist()


def test_samples_without_labels_are_divided_as_ever() -> None:
    samples = Samples(np.zeros((20, 2, 2, 1), np.uint8), Items([str(i) for i in range(20)]))
    split = split_samples(samples, seed=5)
    assert split.validation.tolist() == [9, 18]
    assert split.test.tolist() == [3, 7]


PEOPLE = [f"Ann_{i % 25}/Ann_{i % 25}_{i // 25:04}.jpg" for i in range(100)]


@pytest.mark.parametrize("group_by", ["folder", "^(.*)_", r"^.*(?=/)"])
@pytest.mark.parametrize("labels", [[0] * 100, [i % 25 for i in range(100)], [0, 1] * 50])
def test_no_person_is_in_two_parts(labels: list[int], group_by: str) -> None:
    samples = samples_of(labels, PEOPLE)
    split = split_samples(samples, group_by=group_by)
    counts(samples, split)
    people = [{PEOPLE[i].partition("/")[0] for i in part} for part in vars(split).values()]
    assert sum(map(len, people)) == len(set.union(*people)) == 25
    assert 8 <= len(split.test) <= 12
    assert 8 <= len(split.validation) <= 12


def test_groups_are_as_stratified_as_they_can_be() -> None:
    names = [f"patient{i // 5}_{i}.png" for i in range(500)]
    samples = samples_of([i // 5 % 2 for i in range(500)], names)
    split = split_samples(samples, group_by="^(.*?)_")
    assert counts(samples, split).tolist() == [[200, 200], [25, 25], [25, 25]]


def test_groups_stay_together_within_the_training_split_of_the_source() -> None:
    splits = np.array([0] * 80 + [2] * 20, np.uint8)
    names = [f"{i // 4}/{i}.png" for i in range(100)]
    samples = samples_of([0] * 100, names, splits=splits)
    split = split_samples(samples, group_by="folder")
    assert split.test.tolist() == list(range(80, 100))
    assert {i // 4 for i in split.validation}.isdisjoint({i // 4 for i in split.train})
    assert len(split.validation) == 8


@pytest.mark.parametrize(
    ("names", "group_by", "culprits"),
    [
        (["a/1.png", "a/2.png", "a/3.png"], "folder", ["one group, 'a'"]),
        (["p1_1.png", "p2_2.png", "odd.png"], "^(.*?)_", ["1 of 3 names", "odd.png"]),
        (["a/1.png", "b/2.png", "b/3.png"], "folder", ["2 groups are too few"]),
        (["a", "b", "c"], "(", ["regular expression", "'('"]),
    ],
)
def test_groups_that_make_no_sense_are_refused(
    names: list[str],
    group_by: str,
    culprits: list[str],
    refused: Callable[..., AbstractContextManager[None]],
) -> None:
    with refused(OptionError, *culprits):
        split_samples(samples_of([0, 0, 0], names), group_by=group_by)
