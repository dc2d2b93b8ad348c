"""`Items`: names and labels in step; `Names`: a list of names in little memory."""

import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.data.items import Items, Names
from isthmus.errors import SourceError

Refused = Callable[..., AbstractContextManager[None]]
NAMES = st.lists(st.text(st.characters(exclude_categories=()), max_size=5), max_size=20)


@given(NAMES, NAMES, st.data())
def test_names_are_a_list(first: list[str], second: list[str], data: st.DataObject) -> None:
    names = Names.of(first).append(second)
    expected = first + second
    assert (list(names), len(names)) == (expected, len(expected))
    assert [names[i] for i in range(-len(names), len(names))] == expected * 2
    assert names[1:9:2] == expected[1:9:2]
    mask = data.draw(st.lists(st.booleans(), min_size=len(names), max_size=len(names)))
    kept = [name for name, keep in zip(expected, mask, strict=True) if keep]
    assert list(names.select(np.array(mask, np.bool_))) == kept


@given(NAMES, NAMES)
def test_rows_are_where_names_stand(stored: list[str], asked: list[str]) -> None:
    rows = Names.of(stored).rows(asked + stored).tolist()
    assert rows == [stored.index(name) if name in stored else -1 for name in asked + stored]


def test_names_beyond_the_end_are_refused() -> None:
    with pytest.raises(IndexError):
        Names.of(["a"])[1]
    with pytest.raises(IndexError):
        Names.of([])[-1]


def test_names_of_equal_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.data.items.hash", lambda name: len(name), raising=False)
    names = Names.of(["aa", "bb", "c"])
    assert names.rows(["c", "bb", "dd", "d", "aa", "eee"]).tolist() == [2, 1, -1, -1, 0, -1]


def test_names_compare_as_a_list() -> None:
    names = Names.of(["a", "b"])
    assert names == ["a", "b"] == names
    assert names != ["a", "c"]
    assert names != 7
    assert Names.of(names) is names
    assert repr(names) == "Names(['a', 'b'])"
    assert repr(Names.of(map(str, range(1000)))) == "Names(1,000)"


def test_names_are_found_in_another_process() -> None:
    names = Names.of(["a", "b"])
    assert names.rows(["b"]).tolist() == [1]  # now the hashes of this process are known
    script = "import pickle, sys; print(pickle.load(sys.stdin.buffer).rows(['b', 'c']).tolist())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=pickle.dumps(names),
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    assert done.stdout == b"[1, -1]\n"


@pytest.fixture
def pets() -> Items:
    return Items(["a", "b", "c"], np.array([1, 0, 1]), ("cat", "dog"), "0123")


def content(items: Items) -> tuple[list[str], list[str | None], str]:
    return list(items.names), items.label_names(), items.fingerprint


def test_what_is_taken_keeps_its_labels(pets: Items) -> None:
    assert content(pets.take(np.array([2, 0, 2]))) == (["c", "a", "c"], ["dog"] * 3, "0123")
    assert content(pets.select(np.array([False, True, True]))) == (
        ["b", "c"],
        ["cat", "dog"],
        "0123",
    )
    bare = Items(["a", "b"])
    assert content(bare.take(np.array([1]))) == (["b"], [None], "")
    assert content(bare.select(np.array([True, False]))) == (["a"], [None], "")
    assert len(pets.take(np.array([], np.int64))) == 0


def test_classes_of_one_name_become_one(pets: Items) -> None:
    birds = Items(["d", "e"], np.array([1, 0]), ("bird", "cat"), "4567")
    both = pets.append(birds)
    assert both.class_names == ("cat", "dog", "bird")
    assert content(both) == (list("abcde"), ["dog", "cat", "dog", "cat", "bird"], "")
    assert content(pets.append(pets.take(np.array([], np.int64)))) == content(pets)


def test_items_without_a_class_join_those_with_one(pets: Items) -> None:
    bare = Items(["x", "y"], fingerprint="0123")
    assert content(bare.append(pets)) == (
        ["x", "y", "a", "b", "c"],
        [None, None, "dog", "cat", "dog"],
        "0123",
    )
    labels = pets.append(bare).labels
    assert labels is not None
    assert labels.tolist() == [1, 0, 1, -1, -1]
    assert bare.append(bare).labels is None


def test_items_come_back_from_files(pets: Items) -> None:
    odd = Items([os.fsdecode(b"caf\xe9.png"), "", "日本\n語.png", "a\0b"])
    for items in (pets, odd, pets.append(odd), Items([])):
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **items.to_arrays())
        file.seek(0)
        for again in (
            Items.from_arrays(np.load(file)),
            Items.from_json(json.loads(json.dumps(items.to_json()))),
        ):
            assert content(again) == content(items)
            assert again.class_names == items.class_names
            assert (again.labels is None) == (items.labels is None)


def test_a_repeated_name_is_found(pets: Items) -> None:
    assert pets.first_repeated() is None
    assert pets.take(np.array([0, 1, 2, 1])).first_repeated() == "b"
    assert repr(pets) == "Items(3 of 2 classes)"


@pytest.mark.parametrize(
    ("labels", "culprits"),
    [
        ([0], ["3 names", "1 labels"]),
        ([0, 1, 2], ["labels are 0 to 2", "2 class names"]),
        ([0, 1, -2], ["labels are -2 to 1"]),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    labels: list[int], culprits: list[str], refused: Refused
) -> None:
    with refused(SourceError, *culprits):
        Items(["a", "b", "c"], np.array(labels), ("cat", "dog"))
