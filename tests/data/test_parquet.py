"""Parquet and Arrow tables of pictures: what becomes of them, and what is refused."""

import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from planting import left_out, notes
from pyarrow import parquet as pq

import isthmus
from isthmus.errors import OptionError, SourceError
from test_cli import done

Refused = Callable[..., AbstractContextManager[None]]

COUNT = 12
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@cache
def digits() -> isthmus.Samples:
    return isthmus.load("digits", limit=COUNT)


@cache
def png(row: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(digits().values[row, ..., 0]).save(file, "PNG")
    return file.getvalue()


def pictures(rows: Sequence[int], path: str = "{}.png") -> Any:
    return pa.array([{"bytes": png(row), "path": path.format(row)} for row in rows], PICTURE)


def labels(rows: Sequence[int]) -> list[int]:
    every = digits().labels
    assert every is not None
    return [int(every[row]) for row in rows]


def described(table: Any, **features: Any) -> Any:
    """Return a table with what Hugging Face writes of its columns."""
    features = {"image": {"_type": "Image"}} | features
    return table.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )


def named(*names: str) -> dict[str, Any]:
    return {"_type": "ClassLabel", "names": list(names)}


WORDS = [f"digit {number}" for number in range(10)]


def hugging_face(rows: Sequence[int], **more: Any) -> Any:
    """Return a table as Hugging Face stores it."""
    table = pa.table({"image": pictures(rows), "label": labels(rows), **more})
    return described(table, label=named(*WORDS))


def write(path: Path, table: Any, group: int = 5, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=group, **options)
    else:
        with pa.OSFile(str(path), "wb") as file, KINDS[path.stem](file, table.schema) as writer:
            writer.write_table(table, max_chunksize=group)
    return path


KINDS = {"stream": pa.ipc.new_stream, "file": pa.ipc.new_file}
ALL = range(COUNT)


def varint(number: int) -> bytes:
    """Return a number as the list of a Parquet file's parts has it."""
    number, digits = 2 * number, []
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])


# What is read


@pytest.mark.parametrize("name", ["table.parquet", "stream.arrow", "file.arrow", "T.PARQUET"])
def test_a_table_of_hugging_face_is_what_was_stored(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    table = hugging_face(ALL, other=[0.5] * COUNT)
    if name.isupper():
        write(tmp_path / "t.parquet", table).rename(path)
    else:
        write(path, table)
    samples = isthmus.load(path)
    assert np.array_equal(samples.values, digits().values)
    assert samples.fingerprint == isthmus.Samples(samples.values, samples.items).fingerprint
    assert list(samples.names) == [f"{row}.png" for row in ALL]
    assert samples.class_names == tuple(WORDS)
    assert samples.labels is not None
    assert samples.labels.tolist() == labels(ALL)
    assert left_out(samples) == {"column that is neither picture nor label": 1}
    assert samples.report is not None
    assert (
        samples.report.layout
        == "table, pictures in the column 'image', label in the column 'label'"
    )
    assert samples.report.suffixes == {".png": COUNT}


def test_pictures_are_read_once_and_then_opened_from_the_cache(tmp_path: Path) -> None:
    path = write(tmp_path / "table.parquet", hugging_face(ALL))
    first = isthmus.load(path)
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert isthmus.load(path).fingerprint == first.fingerprint
    write(path, hugging_face(range(6)))
    assert len(isthmus.load(path)) == 6


@pytest.mark.parametrize(
    "names",
    [
        (
            "train-00000-of-00002.parquet",
            "train-00001-of-00002.parquet",
            "test-00000-of-00001.parquet",
        ),
        ("data/train-00000-of-00001-0a1b.parquet", "data/train.parquet", "data/test.parquet"),
        ("default/train/0000.parquet", "default/train/0001.parquet", "default/test/0000.parquet"),
        ("digits-train/stream.arrow", "digits-train/file.arrow", "digits-test/file.arrow"),
    ],
)
def test_names_of_files_or_folders_are_splits(names: Sequence[str], tmp_path: Path) -> None:
    for number, name in enumerate(names):
        write(tmp_path / name, hugging_face(range(4 * number, 4 * number + 4)))
    (tmp_path / "README.md").write_text("about")
    samples = isthmus.load(tmp_path)
    assert samples.splits is not None
    order = np.concatenate([np.arange(4) + 4 * names.index(name) for name in sorted(names)])
    assert np.array_equal(samples.values, digits().values[order])
    is_test = np.repeat(["test" in name for name in sorted(names)], 4)
    assert samples.splits.tolist() == np.where(is_test, 2, 0).tolist()
    assert left_out(samples) == {".md": 1}


def test_parts_can_be_chosen_and_others_are_left_out(tmp_path: Path) -> None:
    for number, name in enumerate(("2019", "2020", "2021")):
        write(tmp_path / name / "a.parquet", hugging_face(range(4 * number, 4 * number + 4)))
    samples = isthmus.load(tmp_path, reading=isthmus.Reading(parts="train=2019,test=2021"))
    assert samples.splits is not None
    assert samples.splits.tolist() == [0] * 4 + [2] * 4
    assert left_out(samples) == {"table that is called as no split, where others are": 1}
    assert isthmus.load(tmp_path).splits is None


def test_equal_names_become_file_and_row(tmp_path: Path) -> None:
    for name in ("train.parquet", "test.parquet"):
        table = pa.table({"image": pictures(range(3), "image.png")})
        write(tmp_path / name, table)
    names = list(isthmus.load(tmp_path).names)
    assert names == [f"{name}.parquet#{row}" for name in ("test", "train") for row in (1, 2, 3)]


def test_paths_of_another_machine_name_no_folder_of_this_one(tmp_path: Path) -> None:
    table = pa.table({"image": pictures(range(2), "/root/../a/{}.png")})
    assert list(isthmus.load(write(tmp_path / "t.parquet", table)).names) == [
        "root/a/0.png",
        "root/a/1.png",
    ]


def test_bytes_alone_are_pictures(tmp_path: Path) -> None:
    table = pa.table({"jpg": [png(row) for row in ALL], "class": [f"c{row % 2}" for row in ALL]})
    samples = isthmus.load(write(tmp_path / "t.parquet", table))
    assert np.array_equal(samples.values, digits().values)
    assert samples.class_names == ("c0", "c1")
    assert samples.names[0] == "t.parquet#1"


@pytest.mark.parametrize(
    ("column", "classes"),
    [
        (None, ("even", "odd")),
        ("number", ("9", "10", "11")),
        ("word", ("a", "b")),
        ("4", ("a", "b")),
        ("kind", ("x", "y")),
        ("none", ()),
    ],
)
def test_the_label_is_the_column_that_was_asked_for(
    column: str | None, classes: tuple[str, ...], tmp_path: Path
) -> None:
    table = pa.table(
        {
            "image": pictures(range(6)),
            "parity": pa.array([0, 1] * 3, pa.int8()),
            "number": [10, 9, 11] * 2,
            "word": ["a", "b"] * 3,
            "kind": pa.array(["y", "x"] * 3).dictionary_encode(),
        }
    )
    path = write(tmp_path / "t.parquet", described(table, parity=named("even", "odd")))
    samples = isthmus.load(path, reading=isthmus.Reading(label_column=column))
    assert samples.class_names == classes
    if column == "number":
        assert samples.labels is not None
        assert samples.labels.tolist() == [1, 0, 2] * 2


def test_of_several_labels_the_first_is_taken_and_said(tmp_path: Path) -> None:
    table = pa.table({"image": pictures(range(2)), "fine": [0, 1], "coarse": [0, 0]})
    table = described(table, fine=named("a", "b"), coarse=named("c"))
    samples = isthmus.load(write(tmp_path / "t.parquet", table))
    assert samples.class_names == ("a", "b")
    said = "the column 'fine' is taken for the label, and coarse is not"
    assert notes(samples)["label-column"].startswith(said)


def test_classes_of_several_tables_are_joined_by_name(tmp_path: Path) -> None:
    for number, classes in enumerate((("b", "a"), ("c", "a"))):
        table = pa.table({"image": pictures(range(2)), "label": [0, 1]})
        write(tmp_path / f"{number}.parquet", described(table, label=named(*classes)))
    samples = isthmus.load(tmp_path)
    assert samples.items.label_names() == ["b", "a", "c", "a"]


def test_a_table_without_labels_takes_those_of_all(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", hugging_face(range(2)))
    write(tmp_path / "b.parquet", pa.table({"image": pictures(range(2, 4))}))
    samples = isthmus.load(tmp_path)
    assert samples.labels is None
    assert notes(samples)["labels-missing"].startswith("b.parquet has no column of labels")


# What is left out


@pytest.mark.parametrize("name", ["t.parquet", "stream.arrow"])
@pytest.mark.parametrize("has_statistics", [True, False])
def test_rows_without_picture_or_label_are_counted(
    name: str, has_statistics: bool, tmp_path: Path
) -> None:
    rows: list[Any] = [{"bytes": png(row), "path": "a"} for row in ALL]
    rows[2], rows[7], rows[8] = None, {"bytes": None, "path": "only.png"}, None
    marks = labels(ALL)
    marks[8] = marks[9] = -1
    table = pa.table({"image": pa.array(rows, PICTURE), "label": [None, *marks[1:]]})
    table = described(table, label=named(*WORDS))
    options = {} if name.endswith("arrow") else {"write_statistics": has_statistics}
    samples = isthmus.load(write(tmp_path / name, table, **options))
    kept = [1, 3, 4, 5, 6, 10, 11]
    assert np.array_equal(samples.values, digits().values[kept])
    assert left_out(samples) == {
        "rows without a picture": 3,
        "rows without a label, which --label-column none reads": 2,
    }
    assert len(isthmus.load(tmp_path / name, limit=3)) == 3
    reading = isthmus.Reading(label_column="none")
    assert len(isthmus.load(tmp_path / name, reading=reading)) == 9


def test_a_broken_picture_is_skipped_with_the_reason(tmp_path: Path) -> None:
    contents = [*map(png, ALL), b"no picture"]
    samples = isthmus.load(write(tmp_path / "t.parquet", pa.table({"image": contents})))
    assert samples.skipped == (("t.parquet#13", "not an image that Pillow can read"),)


def test_tables_next_to_pictures_are_left_to_themselves(photos: Path) -> None:
    write(photos / "t.parquet", hugging_face(ALL))
    samples = isthmus.load(photos)
    assert len(samples) == 6
    assert left_out(samples) == {".parquet": 1}


def test_files_of_a_cache_and_other_tables_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "file.arrow", hugging_face(ALL))
    write(tmp_path / "stream.arrow", hugging_face(ALL)).rename(tmp_path / "cache-0a1b2c.arrow")
    write(tmp_path / "metadata.parquet", pa.table({"x": [1]}))
    samples = isthmus.load(tmp_path)
    assert len(samples) == COUNT
    assert left_out(samples) == {
        "table that the library datasets has computed from others": 1,
        "table without a column of pictures": 1,
    }


def test_a_shard_alone_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "train-00001-of-00003.parquet", hugging_face(ALL))
    assert "is one of 3 files" in notes(isthmus.load(path))["one-shard"]
    assert "1 of the 3 files of train" in notes(isthmus.load(tmp_path))["shards-missing"]


# What is refused


@pytest.mark.parametrize(
    ("columns", "culprit"),
    [
        ({"x": [1], "y": ["a"]}, "no column of pictures (it holds x: int64, y: string)"),
        (
            {"pixels": pa.array([[1, 2]], pa.list_(pa.uint8(), 2))},
            "lists of numbers are no encoded",
        ),
        ({}, "it holds nothing"),
    ],
)
def test_a_table_without_pictures_is_refused(
    columns: dict[str, Any], culprit: str, tmp_path: Path, refused: Refused
) -> None:
    path = write(tmp_path / "t.parquet", pa.table(columns))
    with refused(SourceError, path, culprit):
        isthmus.load(path)


def test_sound_is_no_picture(tmp_path: Path, refused: Refused) -> None:
    table = pa.table({"audio": pictures(range(2))})
    path = write(tmp_path / "t.parquet", described(table, audio={"_type": "Audio"}))
    with refused(SourceError, "no column of pictures (it holds audio: struct"):
        isthmus.load(path)


@pytest.mark.parametrize(
    ("column", "culprit"),
    [
        ("lable", "lable"),
        ("image", "which are no labels"),
        ("share", "labels that are not whole numbers"),
        ("long", "a label of 300 letters"),
        ("wrong", "has the label 7 but names 2 classes"),
    ],
)
def test_what_is_no_label_is_refused(
    column: str, culprit: str, tmp_path: Path, refused: Refused
) -> None:
    table = pa.table(
        {"image": pictures(range(2)), "share": [0.5, 1], "long": ["a" * 300, "b"], "wrong": [0, 7]}
    )
    path = write(tmp_path / "t.parquet", described(table, wrong=named("a", "b")))
    with refused((SourceError, OptionError), culprit):
        isthmus.load(path, reading=isthmus.Reading(label_column=column))


@pytest.mark.parametrize("name", ["t.parquet", "file.arrow", "stream.arrow"])
@pytest.mark.parametrize("share", [0, 0.02, 0.4, 0.98])
def test_a_table_that_is_cut_short_is_refused(
    name: str, share: float, tmp_path: Path, refused: Refused
) -> None:
    path = write(tmp_path / name, hugging_face(ALL))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with refused(SourceError, path, "is not a readable table", "fetch it again"):
        isthmus.load(path)


def test_a_stream_without_its_end_mark_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "stream.arrow", hugging_face(ALL))
    assert "no-end-of-table" not in notes(isthmus.load(path))
    path.write_bytes(path.read_bytes()[:-8])
    assert "may be cut short" in notes(isthmus.load(path))["no-end-of-table"]


def test_damage_in_the_middle_is_refused(tmp_path: Path, refused: Refused) -> None:
    table = hugging_face(ALL)
    path = write(tmp_path / "t.parquet", table, compression="zstd", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[200:1200] = bytes(1000)
    path.write_bytes(content)
    with refused(SourceError, path, "is not a readable table"):
        isthmus.load(path)


def test_many_rows_are_refused(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_MAX_MEMBERS", "10")
    for name in ("t.parquet", "stream.arrow"):
        path = write(tmp_path / name, hugging_face(ALL))
        with refused(SourceError, path, "12 rows, more than 10; set ISTHMUS_MAX_MEMBERS"):
            isthmus.load(path)


@pytest.mark.parametrize("name", ["t.parquet", "file.arrow", "stream.arrow"])
def test_a_bomb_is_refused(
    name: str, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_MAX_UNPACKED", "200000")
    path = tmp_path / name
    table = pa.table({"image": [png(0) + bytes(2**20)]})
    if name == "t.parquet":
        write(path, table, compression="zstd")
    else:
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with KINDS[path.stem](str(path), table.schema, options=options) as writer:
            writer.write_table(table)
    with refused(SourceError, path, "claims to hold 1 MB or more"):
        isthmus.load(path)


def test_a_value_that_is_repeated_without_end_is_refused(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_MAX_UNPACKED", "1000000")
    values = pa.array([png(0) + bytes(2**16)])
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100, np.int32)), values)
    table = pa.table({"image": column})
    path = write(tmp_path / "t.parquet", table, 100, compression="zstd", store_schema=False)
    with refused(SourceError, path, "claims to hold"):
        isthmus.load(path)


def test_pages_that_hold_more_than_is_said_are_refused(tmp_path: Path, refused: Refused) -> None:
    table = pa.table({"image": [bytes(2**20)] * 2})
    path = write(tmp_path / "t.parquet", table, compression="zstd", use_dictionary=False)
    size = pq.ParquetFile(path).metadata.row_group(0).column(0).total_uncompressed_size
    content = path.read_bytes()
    assert varint(size) in content
    path.write_bytes(content.replace(varint(size), varint(size - 2**20)))
    with refused(SourceError, path, "a part of it holds more than it says"):
        isthmus.load(path)


def test_packed_arrow_files_are_read(tmp_path: Path) -> None:
    table = hugging_face(ALL)
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_file(str(tmp_path / "file.arrow"), table.schema, options=options) as writer:
        writer.write_table(table)
    assert np.array_equal(isthmus.load(tmp_path / "file.arrow").values, digits().values)


def test_a_large_file_in_a_row_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_MAX_FILE", "1000")
    contents = [*map(png, ALL), png(0) + bytes(1000)]
    samples = isthmus.load(write(tmp_path / "t.parquet", pa.table({"image": contents})))
    assert len(samples) == COUNT
    assert "set ISTHMUS_MAX_FILE to read it" in samples.skipped[0][1]


def test_without_pyarrow_a_sentence_says_what_to_install(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "t.parquet", hugging_face(ALL))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with refused(OptionError, path, "pip install 'isthmus[parquet]'"):
        isthmus.load(path)


def test_the_command_says_what_is_read(tmp_path: Path) -> None:
    write(tmp_path / "data/train-00000-of-00001.parquet", hugging_face(ALL))
    report = json.loads(done("data", "check", tmp_path / "data", "--json").out)
    assert report["classes"]["digit 0"] == labels(ALL).count(0)


# -- a column of splits ----------------------------------------------------------------------------


def with_split(words: Sequence[str | None], name: str = "split") -> Any:
    rows = range(len(words))
    return pa.table({"image": pictures(rows), "label": labels(rows), name: pa.array(words)})


@pytest.mark.parametrize("name", ["split", "Subset"])
def test_a_column_tells_the_splits(name: str, tmp_path: Path) -> None:
    words = ["train", "Validation", "test", "train"]
    path = tmp_path / "all.parquet"
    pq.write_table(with_split(words, name), path)
    samples = isthmus.load(path)
    assert samples.splits is not None
    assert samples.splits.tolist() == [0, 1, 2, 0]
    assert samples.report is not None
    assert samples.report.layout.endswith(f"split in the column {name!r}")
    assert left_out(samples) == {}
    samples = isthmus.load(path, reading=isthmus.Reading(parts="none"))
    assert samples.splits is None
    assert "unused-option" not in notes(samples)
    assert left_out(samples) == {"column that is neither picture nor label": 1}


def test_splits_of_several_tables_go_together(tmp_path: Path) -> None:
    pq.write_table(with_split(["train", "train"]), tmp_path / "0000.parquet")
    pq.write_table(with_split(["test", "val"]), tmp_path / "0001.parquet")
    samples = isthmus.load(tmp_path)
    assert samples.splits is not None
    assert samples.splits.tolist() == [0, 0, 2, 1]
    (tmp_path / "0000.parquet").rename(tmp_path / "train.parquet")
    (tmp_path / "0001.parquet").rename(tmp_path / "test.parquet")
    samples = isthmus.load(tmp_path)  # names of files come first
    assert samples.splits is not None
    assert sorted(samples.splits.tolist()) == [0, 0, 2, 2]


@pytest.mark.parametrize(
    ("words", "said"), [(["train", "extra"], "'extra'"), (["train", None], "'nothing'")]
)
def test_other_words_are_no_splits(words: list[str | None], said: str, tmp_path: Path) -> None:
    pq.write_table(with_split(words), tmp_path / "a.parquet")
    samples = isthmus.load(tmp_path / "a.parquet")
    assert samples.splits is None
    assert said in notes(samples)["split-column"]


def test_a_table_of_one_split_is_a_set_of_its_own(tmp_path: Path) -> None:
    pq.write_table(with_split(["train", "train"]), tmp_path / "a.parquet")
    samples = isthmus.load(tmp_path / "a.parquet")
    assert (samples.splits, notes(samples)) == (None, {})
