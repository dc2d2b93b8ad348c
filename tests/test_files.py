"""Files that are whole or absent, fingerprints, and dataclasses as JSON."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest

from isthmus.data.preprocess import Preprocessing
from isthmus.data.samples import Origin
from isthmus.errors import IsthmusError
from isthmus.fields import from_json
from isthmus.files import (
    atomic_write,
    fingerprint,
    require_writable_place,
    to_json,
    write_bytes,
    write_json,
    write_together,
)
from isthmus.models.config import configure
from isthmus.training.config import TrainingConfig
from killing import killed_at


@dataclass(frozen=True)
class Leaf:
    sizes: tuple[int, ...]
    place: PurePosixPath


@dataclass(frozen=True)
class Tree:
    leaf: Leaf
    leaves: tuple[Leaf, ...]
    named: dict[str, Leaf]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _write_half(path: Path, error: BaseException) -> None:
    with atomic_write(path) as file:
        file.write(b"half of the new")
        raise error


# -- atomic_write, write_bytes, write_json -----------------------------------------------------


def test_written_bytes_are_the_whole_file(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"first and long")
    write_bytes(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"second"
    assert _names(tmp_path) == ["a"]


def test_the_old_file_stands_until_the_new_one_is_complete(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with atomic_write(tmp_path / "a") as file:
        file.write(b"new")
        file.flush()
        assert (tmp_path / "a").read_bytes() == b"old"
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_while_writing_leaves_the_old_file(
    tmp_path: Path, error: type[BaseException]
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(error):
        _write_half(tmp_path / "a", error())
    assert (tmp_path / "a").read_bytes() == b"old"
    assert _names(tmp_path) == ["a"]


def test_an_exception_while_writing_a_new_file_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop"):
        _write_half(tmp_path / "a", ValueError("stop"))
    assert _names(tmp_path) == []


@pytest.mark.parametrize("is_new", [False, True])
def test_files_that_belong_together_are_never_one_of_each(is_new: bool, tmp_path: Path) -> None:
    table, picture = tmp_path / "map.csv", tmp_path / "map.png"
    old = () if is_new else (b"old", b"old")
    allowed = {old, (b"new", b"new"), *(((b"old",), (b"new",)) if old else ((b"new",),))}
    found = set()
    for number in range(8):
        for file in (table, picture):
            file.unlink(missing_ok=True)
            if not is_new:
                file.write_bytes(b"old")
        with killed_at(number):
            write_together({table: b"new", picture: b"new"})
        there = [file.read_bytes() for file in (table, picture) if file.exists()]
        # What is there without the other is the table: the picture makes it count.
        assert picture.exists() is (len(there) == 2)
        found.add(tuple(there))
    assert found <= allowed
    assert {old, (b"new", b"new")} < found


def test_of_files_that_belong_together_all_can_be_written_or_none_is(tmp_path: Path) -> None:
    table, picture = tmp_path / "map.csv", tmp_path / "map.png"
    table.write_bytes(b"old")
    picture.mkdir()
    with pytest.raises(IsthmusError, match=r"map\.png"):
        write_together({table: b"new", picture: b"new"})
    assert table.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.csv", "map.png"]


def test_the_folder_of_a_file_is_made(tmp_path: Path) -> None:
    write_bytes(tmp_path / "new" / "deep" / "a", b"content")
    assert (tmp_path / "new" / "deep" / "a").read_bytes() == b"content"


def test_an_error_of_the_disk_is_one_sentence_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(IsthmusError, match=r"file/a cannot be written: .*\.$"):
        write_bytes(tmp_path / "file" / "a", b"content")
    assert _names(tmp_path) == ["file"]


def test_a_folder_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(IsthmusError, match="cannot be written"):
        write_bytes(tmp_path / "a", b"content")
    assert _names(tmp_path) == ["a"]
    assert (tmp_path / "a").is_dir()


def test_content_that_json_cannot_say_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}
    assert _names(tmp_path) == ["a.json"]


def test_json_is_readable_by_people_and_machines(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"größe": Leaf((1, 2), PurePosixPath("x"))})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"größe": {"sizes": [1, 2], "place": "x"}}
    assert "größe" in text
    assert text.endswith("}\n")


# -- to_json and from_json ------------------------------------------------------------------


def test_nested_dataclasses_become_plain() -> None:
    leaf = Leaf((1, 2), PurePosixPath("a/b"))
    expected = {"sizes": [1, 2], "place": "a/b"}
    content = to_json(Tree(leaf, (leaf,), {"one": leaf}))
    assert content == {"leaf": expected, "leaves": [expected], "named": {"one": expected}}


@pytest.mark.parametrize(
    "content",
    [
        Preprocessing(crop=90, size=(32, 48), channels=3, background="#102030", low=-1.5),
        TrainingConfig(epochs=3, optimizer="sgd", momentum=0.9, lr=0.25),
        configure("conv", (3, 32, 48), 7),
    ],
    ids=lambda content: type(content).__name__,
)
def test_a_dataclass_survives_json(content: Any) -> None:
    assert from_json(type(content), json.loads(json.dumps(to_json(content)))) == content


def test_a_nested_dataclass_survives_json() -> None:
    origin = Origin("photos", Preprocessing(size=(8, 9)), 100)
    content = json.loads(json.dumps(to_json(origin)))
    content["preprocessing"] = from_json(Preprocessing, content["preprocessing"])
    assert from_json(Origin, content) == origin


@pytest.mark.parametrize("content", [{}, {"sizes": [1]}, {"sizes": [1], "place": "", "more": 1}])
def test_a_missing_or_unknown_field_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(IsthmusError, match="of Leaf"):
        from_json(Leaf, content)


# -- fingerprint ----------------------------------------------------------------------------

PARTS: list[tuple[Any, ...]] = [
    (),
    ("",),
    ("", ""),
    ("ab", "c"),
    ("a", "bc"),
    ("abc",),
    ("c", "ab"),
    (b"ab", b"c"),
    (b"a", b"bc"),
    (b"abc",),
    (1,),
    (2,),
    ("1",),
    ([1, 2],),
    (1, 2),
    ({"a": None},),
    (Leaf((1,), PurePosixPath("a")),),
    (Leaf((2,), PurePosixPath("a")),),
]


def test_different_parts_have_different_fingerprints() -> None:
    assert len({fingerprint(*parts) for parts in PARTS}) == len(PARTS)


@pytest.mark.parametrize("parts", PARTS, ids=repr)
def test_a_fingerprint_is_sixteen_digits_that_stay(parts: tuple[Any, ...]) -> None:
    first = fingerprint(*parts)
    assert first == fingerprint(*parts)
    assert len(first) == 16
    assert int(first, 16) >= 0


def test_a_view_of_an_array_counts_as_its_bytes() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert fingerprint(array.data) == fingerprint(array.tobytes())
    changed = array.copy()
    changed[2, 3] += 1
    assert fingerprint(changed.data) != fingerprint(array.data)


def test_a_place_that_cannot_be_written_is_rejected_before_the_work(
    tmp_path: Path, refused: Callable[..., AbstractContextManager[None]]
) -> None:
    (tmp_path / "a.txt").touch()
    require_writable_place(tmp_path / "new" / "folder" / "page.html")
    with refused(IsthmusError, tmp_path / "a.txt" / "page.html", "is not a folder"):
        require_writable_place(tmp_path / "a.txt" / "page.html")
    with refused(IsthmusError, tmp_path, "it is a folder"):
        require_writable_place(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
