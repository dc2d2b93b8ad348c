"""WebDataset shards: what is read of them, and that shards of a source are read as the source."""

import json
import tarfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from planting import add_file, changed, counts, left_out, notes, png

from isthmus import Reading, load
from isthmus.errors import SourceError

Refused = Callable[..., AbstractContextManager[None]]


def write_shard(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in members.items():
            add_file(archive, name, content)
    return path


def labeled(keys: list[int], kind: str = "cls", *labels: object) -> dict[str, bytes]:
    """Return the members of samples with these keys; the content of each label is given, or key."""
    members = {}
    for key, label in zip(keys, labels or keys, strict=True):
        members[f"{key:06}.png"] = png(key)
        members[f"{key:06}.{kind}"] = label if isinstance(label, bytes) else f"{label}".encode()
    return members


# -- reading ---------------------------------------------------------------------------------------


def test_shards_have_labels_splits_and_their_own_order(tmp_path: Path) -> None:
    write_shard(tmp_path / "set-train-00.tar", labeled([3, 1], "cls", 1, 0))
    write_shard(tmp_path / "set-train-01.tar", labeled([8, 2], "cls", 2, 0) | {"8.txt": b"an owl"})
    write_shard(tmp_path / "set-val-00.tar", labeled([5], "cls", 1))
    samples = load(tmp_path)
    assert [name[5:6] for name in samples.names] == ["3", "1", "8", "2", "5"]
    assert samples.class_names == ("0", "1", "2")
    assert samples.labels is not None
    assert samples.splits is not None
    assert (samples.labels.tolist(), samples.splits.tolist()) == ([1, 0, 2, 0, 1], [0, 0, 0, 0, 1])
    assert left_out(samples) == {".txt": 1}
    assert samples.report is not None
    assert samples.report.layout == "WebDataset, 3 shards, labels from .cls"
    (tmp_path / "classnames.txt").write_text("cat\ndog\nowl\nelk\n")
    assert counts(load(tmp_path)) == {"cat": 2, "dog": 2, "owl": 1, "elk": 0}
    assert counts(load(tmp_path / "set-train-01.tar")) == {"cat": 1, "dog": 0, "owl": 1, "elk": 0}


@pytest.mark.parametrize(
    ("kind", "labels", "found"),
    [
        ("cls", ["cat", "dog\n", "7"], {"7": 1, "cat": 1, "dog": 1}),
        ("cls", ["10", "9", "-1"], {"-1": 1, "9": 1, "10": 1}),
        ("json", ['{"label": 3, "class": "x"}', '{"class": 10}', '{"cls": 3}'], {"3": 2, "10": 1}),
        (
            "JSON",
            ['{"label": "cat"}', '{"label": "dog"}', '{"label": "cat"}'],
            {"cat": 2, "dog": 1},
        ),
    ],
)
@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_labels_are_numbers_or_names(
    kind: str, labels: list[str], found: dict[str, int], suffix: str, tmp_path: Path
) -> None:
    path = write_shard(tmp_path / f"a.{suffix}", labeled([0, 1, 2], kind, *labels))
    assert counts(load(path)) == found


def test_a_key_ends_at_the_first_dot_of_the_name(tmp_path: Path) -> None:
    members = {"v1.0/7.seg.png": png(0), "v1.0/7.png": png(1), "v1.0/7.cls": b"0"}
    members |= {"v2.0/7.PNG": png(2), "v2.0/7.cls": b"1", "v2.0/7.depth.tif": b""}
    samples = load(write_shard(tmp_path / "a.tar", members))
    assert list(samples.names) == ["v1.0/7.png", "v2.0/7.PNG"]
    assert counts(samples) == {"0": 1, "1": 1}
    assert left_out(samples) == {"another picture of a sample": 2}


def test_a_sample_in_two_shards_is_read_twice(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_shard(tmp_path / split / "0.tar", labeled([1, 2], "cls", 5, 6))
    samples = load(tmp_path)
    assert list(samples.names) == [
        *("test/0/000001.png", "test/0/000002.png", "train/0/000001.png", "train/0/000002.png")
    ]
    assert samples.splits is not None
    assert samples.splits.tolist() == [2, 2, 0, 0]
    assert "000001.png is in 2 of them" in notes(samples)["names-in-several-shards"]


def test_what_has_no_label_is_left_out_if_it_is_little(tmp_path: Path) -> None:
    contents = [b"0", b"1", b"0", b"1", b"\xff\xfe", b"0"]
    members = labeled([*range(6)], "cls", *contents)
    path = write_shard(tmp_path / "a.tar", members | {"orphan.cls": b"9"})
    samples = load(path)
    assert counts(samples) == {"0": 3, "1": 2}
    assert left_out(samples) == {"without a label in .cls or .json": 1, ".cls": 1}
    del members["000003.cls"]
    samples = load(write_shard(path, members))
    assert (samples.labels, len(samples)) == (None, 6)
    assert "2 of 6 are without a label" in notes(samples)["no-classes"]


def test_labels_that_the_list_of_classes_lacks_are_refused(
    tmp_path: Path, refused: Refused
) -> None:
    path = write_shard(tmp_path / "a.tar", labeled([0, 1], "cls", 0, 2))
    (tmp_path / "classnames.txt").write_text("cat\ndog\n")
    with refused(SourceError, path, "the label 2", "none of the 2 classes in classnames.txt"):
        load(path)


def test_a_damaged_shard_is_named(tmp_path: Path, refused: Refused) -> None:
    write_shard(tmp_path / "train-0.tar", labeled([0, 1]))
    path = write_shard(tmp_path / "train-1.tar", labeled([2, 3, 4, 5]))

    def cut(content: bytearray) -> None:
        del content[2000:]

    changed(path, cut)
    with refused(SourceError, path, "not a readable archive"):
        load(tmp_path)


def test_the_layout_can_be_given(tmp_path: Path, refused: Refused) -> None:
    members = {
        f"{kind}/{name}": content for kind in "ab" for name, content in labeled([0, 1]).items()
    }
    path = write_shard(tmp_path / "a.tar", members)
    assert counts(load(path)) == {"0": 2, "1": 2}
    for reading in (Reading(layout="folders"), Reading(classes_from="folder")):
        assert counts(load(path, reading=reading)) == {"a": 2, "b": 2}
    assert load(path, reading=Reading(classes_from="none")).labels is None
    (tmp_path / "0.png").write_bytes(png(0))
    with refused(SourceError, tmp_path, "does not have the layout WebDataset"):
        load(tmp_path, reading=Reading(layout="WebDataset"))


def test_folders_of_classes_with_other_records_are_classes(tmp_path: Path) -> None:
    record = json.dumps({"width": 5, "label": None}).encode()
    members = {f"{kind}/0.{end}": content for kind in ("cat", "dog")
               for end, content in (("png", png(len(kind))), ("json", record))}  # fmt: skip
    samples = load(write_shard(tmp_path / "a.tar", members))
    assert counts(samples) == {"cat": 1, "dog": 1}
    assert left_out(samples) == {".json": 2}
