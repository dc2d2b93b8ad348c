"""`Names`: a list of names, found by name, in little memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.data.items import Names

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
