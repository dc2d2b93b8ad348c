"""WebDataset shards: what is read of them, and that shards of a source are read as the source."""

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from planting import add_file, changed, counts, left_out, notes, png

from isthmus import Reading, Run, Samples, TrainingConfig, load, train, write_shards
from isthmus.errors import OptionError, SourceError
from test_cli import done, isthmus

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


def test_a_pattern_names_some_of_the_shards(tmp_path: Path, refused: Refused) -> None:
    for number in range(3):
        write_shard(tmp_path / f"train-{number:02}.tar", labeled([number]))
    pattern = tmp_path / "train-{01..02}.tar"
    assert list(load(pattern).names) == ["000001.png", "000002.png"]
    (tmp_path / "classnames.txt").write_text("cat\ndog\nowl\n")
    assert counts(load(pattern)) == {"cat": 0, "dog": 1, "owl": 1}
    with refused(SourceError, "names 5 files, of which 2 are missing, such as train-03.tar"):
        load(tmp_path / "train-{00..04}.tar")
    with refused(SourceError, "names 0 files"):
        load(tmp_path / "train-{3..1}.tar")


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


@pytest.mark.parametrize("record", [{"width": 5, "label": None}, {"filename": "0", "width": 5}])
def test_folders_of_classes_with_other_records_are_classes(
    record: dict[str, object], tmp_path: Path
) -> None:
    members = {}
    for kind in ("cat", "dog"):
        members[f"{kind}/0.png"] = png(len(kind))
        members[f"{kind}/0.json"] = json.dumps(record).encode()
    path = tmp_path / "a.tar"
    samples = load(write_shard(path, members))
    assert counts(samples) == {"cat": 1, "dog": 1}
    assert left_out(samples) == {".json": 2}
    told = {
        name: b'{"label": 3}' if name.endswith("json") else one for name, one in members.items()
    }
    samples = load(write_shard(path, told))
    assert counts(samples) == {"3": 2}
    assert notes(samples)["labels-from-records"].endswith("; --layout folders")


# -- writing ---------------------------------------------------------------------------------------


def assert_same(samples: Samples, source: Samples) -> None:
    assert np.array_equal(samples.values, source.values)
    assert list(samples.names) == list(source.names)
    for one, other in ((samples.labels, source.labels), (samples.splits, source.splits)):
        assert (None if one is None else one.tolist()) == (
            None if other is None else other.tolist()
        )
    assert samples.class_names == source.class_names
    assert samples.fingerprint == source.fingerprint


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_shards_of_digits_are_the_digits(tmp_path: Path) -> None:
    written = json.loads(
        done("data", "shard", "digits", "--out", tmp_path / "a", "--limit", 300,
             "--samples-per-shard", 120, "--json").out
    )  # fmt: skip
    assert [shard["samples"] for shard in written["shards"]] == [120, 120, 60]
    assert written["samples"] == 300
    assert_same(load(tmp_path / "a"), load("digits", limit=300))
    digits = load("digits", limit=300).values
    write_shards(digits, tmp_path / "b", size_mb=0.1)
    sizes = [path.stat().st_size for path in (tmp_path / "b").iterdir()]
    assert len(sizes) > 3
    assert max(sizes) <= 100_000 + tarfile.RECORDSIZE
    assert_same(load(tmp_path / "b"), load(digits))


def make_classes(folder: Path, names: list[str]) -> Path:
    """Write pictures into folders of splits and classes; of the validation, one class lacks."""
    places = [f"{split}/{kind}" for split in ("training", "val", "test") for kind in ("cat", "été")]
    for place in (place for place in places if place != "val/cat"):
        for number, name in enumerate(names):
            path = folder / place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(number + len(place)))
    return folder


@pytest.mark.parametrize("names", [["0.png", "1.png"], ["cat.0.png", "cat.1.png"]])
def test_shards_of_a_folder_have_its_files_classes_splits_and_order(
    names: list[str], tmp_path: Path
) -> None:
    source = make_classes(tmp_path / "photos", names)
    Image.new("RGB", (5, 6), "red").save(source / "val/été/2.jpg", quality=50)
    written = write_shards(source, tmp_path / "shards", samples_per_shard=3)
    assert [shard["name"] for shard in written["shards"]] == [
        *("test-000000.tar", "test-000001.tar", "train-000000.tar", "train-000001.tar"),
        "val-000000.tar",
    ]
    assert_same(load(tmp_path / "shards"), load(source))
    with tarfile.open(tmp_path / "shards/val-000000.tar") as archive:
        members = archive.getmembers()
        file = archive.extractfile("val/été/2.jpg" if names[0] == "0.png" else "000008.jpg")
        assert file is not None
        assert file.read() == (source / "val/été/2.jpg").read_bytes()
    assert {(one.mtime, one.uid, one.gid, one.uname, one.mode) for one in members} == {
        (0, 0, 0, "", 0o644)
    }
    write_shards(source, tmp_path / "again", samples_per_shard=3)
    assert contents(tmp_path / "again") == contents(tmp_path / "shards")


def test_shards_of_shards_and_of_pictures_without_classes(tmp_path: Path) -> None:
    names = ["a.png", "b.png", "b/c.png", "d.e.png"]
    source = tmp_path / "photos"
    for number, name in enumerate(names):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number))
    reading = Reading(classes_from="none")
    write_shards(source, tmp_path / "one", reading=reading)
    write_shards(tmp_path / "one", tmp_path / "two", samples_per_shard=1)
    for shards in ("one", "two"):
        assert_same(load(tmp_path / shards), load(source, reading=reading))


def test_shards_of_real_faces(tmp_path: Path, require: Callable[[str], Path]) -> None:
    faces = tmp_path / "faces.tar"
    with tarfile.open(require("lfw") / "lfw.tar") as lfw, tarfile.open(faces, "w") as some:
        for member in (member for member, _ in zip(lfw, range(90), strict=False)):
            some.addfile(member, lfw.extractfile(member) if member.isfile() else None)
    write_shards(faces, tmp_path / "shards", limit=40, size_mb=0.1)
    assert len([*tmp_path.glob("shards/*.tar")]) > 2
    assert_same(load(tmp_path / "shards", size=32), load(faces, size=32, limit=40))


def test_a_picture_that_is_broken_stays_so(tmp_path: Path) -> None:
    source = make_classes(tmp_path / "photos", [f"{i}.png" for i in range(3)])
    (source / "test/cat/1.png").write_bytes(png(1)[:60])
    write_shards(source, tmp_path / "shards")
    samples = load(tmp_path / "shards")
    assert_same(samples, load(source))
    assert [name for name, _ in samples.skipped] == ["test/cat/1.png"]


def test_nothing_is_replaced_and_nothing_is_left_of_what_fails(
    tmp_path: Path, photos: Path, refused: Refused
) -> None:
    (photos / "cat/a\nb").mkdir()
    (photos / "cat/0.png").rename(photos / "cat/a\nb/0.png")
    out = tmp_path / "out"
    with refused(OptionError, "does not fit into a line"):
        write_shards(photos, out, reading=Reading(classes_from="parent"))
    for path in (photos, photos / "cat/shards"):
        answer = isthmus("data", "shard", photos, "--out", path)
        assert (answer.code, f"{path} " in answer.err) == (2, True)
    for options in (["--size-mb", 0], ["--samples-per-shard", 0], ["--stretch", "0:9"]):
        assert isthmus("data", "shard", photos, *options, "--out", out).code == 2
    assert isthmus("data", "shard", "waveforms", "--out", out).code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_run_on_shards_goes_on_with_their_source(tmp_path: Path, photos: Path) -> None:
    write_shards(photos, tmp_path / "shards", samples_per_shard=4)
    samples = load(tmp_path / "shards/shard-{000000..000001}.tar")
    config = TrainingConfig(epochs=1)
    for _ in train(samples, "linear", code_size=2, out=tmp_path / "run", config=config):
        pass
    assert_same(Run.open(tmp_path / "run").samples(), samples)
    assert_same(Run.open(tmp_path / "run", data=photos).samples(), samples)


# -- masks -----------------------------------------------------------------------------------------


def plant_masks(folder: Path, palette: bool = False) -> Path:
    """Write eight pictures with masks of three classes in two splits, with and without colors."""
    draw = np.random.default_rng(3)
    for kind in ("images", "masks"):
        for split in ("train", "test"):
            (folder / kind / split).mkdir(parents=True)
    for number in range(8):
        name = f"{('train', 'test')[number % 2]}/{number}"
        (folder / f"images/{name}.png").write_bytes(png(number))
        values = draw.integers(0, 3, (6, 5), np.uint8)
        colors = np.array([(0, 0, 0), (200, 10, 10), (10, 200, 10)], np.uint8)
        Image.fromarray(colors[values] if palette else values).save(folder / f"masks/{name}.png")
    lines = (
        ["road 0 0 0", "car 200 10 10", "class 3 10 200 10"] if palette else ["road", "", "tree"]
    )
    name = "label_colors.txt" if palette else "classes.txt"
    (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return folder


def require_same_masks(samples: Samples, other: Samples) -> None:
    assert samples.masks is not None
    assert other.masks is not None
    np.testing.assert_array_equal(samples.masks, other.masks)
    assert samples.class_names == other.class_names
    assert list(samples.names) == list(other.names)
    assert samples.fingerprint == other.fingerprint


@pytest.mark.parametrize("palette", [False, True])
def test_masks_go_with_their_pictures(palette: bool, tmp_path: Path) -> None:
    source = plant_masks(tmp_path / "set", palette)
    done("data", "shard", source, "--out", tmp_path / "shards", "--samples-per-shard", 3)
    require_same_masks(load(source), load(tmp_path / "shards"))
    shard = tmp_path / "shards/train-000000.tar"
    with tarfile.open(shard) as archive:
        written = archive.extractfile("images/train/0.seg.png")
        assert written is not None
        assert written.read() == (source / "masks/train/0.png").read_bytes()
    assert load(shard).class_names == load(source).class_names
    samples = load(tmp_path / "shards")
    assert samples.report is not None
    assert samples.report.layout == "WebDataset, 4 shards, masks"


def test_masks_of_a_real_set_are_read_alike(tmp_path: Path, require: Callable[[str], Path]) -> None:
    require("camvid")
    write_shards("camvid", tmp_path / "named", limit=40)  # whose void pixels are numbered 11
    require_same_masks(load("camvid", limit=40), load(tmp_path / "named"))
    archive = require("camvid") / "camvid.tar"
    write_shards(archive, tmp_path / "files", limit=40)
    require_same_masks(load(archive, limit=40), load(tmp_path / "files"))


def test_a_sample_with_a_broken_mask_is_left_out(tmp_path: Path) -> None:
    source = plant_masks(tmp_path / "set")
    for number in range(8, 24):  # of which one in ten may be broken
        for kind in ("images", "masks"):
            shutil.copy(source / kind / "train/0.png", source / kind / f"train/{number}.png")
    (source / "masks/train/9.png").write_bytes(b"")
    skipped = write_shards(source, tmp_path / "shards")["skipped"]
    require_same_masks(load(source), load(tmp_path / "shards"))
    assert [
        name for name, _ in skipped
    ] == []  # it is copied as it is, and left out when it is read
    assert "its mask" in load(tmp_path / "shards").skipped[0][1]


def test_masks_of_others_are_read_unless_there_are_labels(tmp_path: Path) -> None:
    members: dict[str, bytes] = {}
    for key in range(3):
        content = io.BytesIO()
        Image.fromarray(np.arange(30, dtype=np.uint8).reshape(6, 5) % 2).save(content, "PNG")
        members |= {f"{key}.jpg": png(key), f"{key}.json": b'{"caption": "a street"}'}
        members[f"{key}.mask.png"] = content.getvalue()
    path = write_shard(tmp_path / "a.tar", members)
    samples = load(path)
    assert samples.masks is not None
    assert samples.class_names == ("0", "1")
    labels = {f"{key}.cls": b"%d" % (key % 2) for key in range(3)}
    samples = load(write_shard(tmp_path / "b.tar", members | labels))
    assert (samples.masks, counts(samples)) == (None, {"0": 2, "1": 1})
    assert "--classes-from none" in notes(samples)["labels-not-masks"]
    assert load(tmp_path / "b.tar", reading=Reading(classes_from="none")).masks is not None
    members |= {f"{key}.jpg": png(key) for key in (7, 8)}
    samples = load(write_shard(tmp_path / "c.tar", members), reading=Reading(layout="WebDataset"))
    assert samples.masks is None
    assert "2 of 5 have none" in notes(samples)["no-masks"]
