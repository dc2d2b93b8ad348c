"""The named data sets: what they hold, and what is missing or damaged."""

import gzip
import io
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import isthmus
from isthmus.data.fetching import fetch
from isthmus.errors import SourceError

Refused = Callable[..., AbstractContextManager[None]]
Require = Callable[[str], Path]
T = TypeVar("T")


def counts(labels: Any) -> list[int]:
    return [int(count) for count in np.bincount(labels)]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty data folder to the one test."""
    folder = tmp_path / "data"
    monkeypatch.setenv("ISTHMUS_DATA", str(folder))
    return folder


# What the sets hold


def test_digits_ship_with_a_dependency_and_need_no_folder(elsewhere: Path) -> None:
    samples = isthmus.load("digits")
    assert samples.describe() == "1,797 images of 8 × 8, gray, 10 classes"
    original = load_digits()
    assert np.array_equal(samples.values[..., 0], np.round(original.images * 255 / 16))
    assert samples.values.max() == 255
    assert samples.labels is not None
    assert np.array_equal(samples.labels, original.target)
    assert samples.class_names == tuple("0123456789")
    assert samples.splits is None
    assert not samples.allows_flip
    assert not elsewhere.exists()


def test_digits_are_limited_and_resized() -> None:
    samples = isthmus.load("digits", limit=50, size=5, channels=3)
    assert samples.values.shape == (50, 5, 5, 3)
    whole = isthmus.load("digits", size=5, channels=3)
    assert np.array_equal(samples.values[-1], whole.values[-1])
    assert samples.labels is not None
    assert whole.labels is not None
    assert samples.labels.tolist() == [int(whole.labels[int(name)]) for name in samples.names]


def test_mnist_is_whole_and_has_its_own_test_part(require: Require) -> None:
    require("mnist")
    samples = isthmus.load("mnist")
    assert samples.describe() == "70,000 images of 28 × 28, gray, 10 classes"
    assert samples.splits is not None
    assert counts(samples.splits) == [60_000, 0, 10_000]
    assert samples.labels is not None
    assert counts(samples.labels[:60_000])[:3] == [5923, 6742, 5958]
    assert samples.labels[60_000:60_005].tolist() == [7, 2, 1, 0, 4]
    assert samples.names[60_000] == "test/0"
    split = isthmus.split_samples(samples)
    assert split.test.tolist() == list(range(60_000, 70_000))
    assert (len(split.train), len(split.validation)) == (54_000, 6_000)


def test_fashion_mnist_names_its_classes(require: Require) -> None:
    require("fashion-mnist")
    samples = isthmus.load("fashion-mnist", limit=700)
    assert samples.class_names[:2] == ("T-shirt/top", "trouser")
    assert samples.class_names[-1] == "ankle boot"
    assert len(samples.class_names) == 10
    assert samples.labels is not None
    assert samples.labels[0] == 9
    assert samples.splits is not None
    assert counts(samples.splits) == [600, 0, 100]


@pytest.fixture(scope="module")
def faces(require: Require, session_cache: Path) -> isthmus.Samples:
    """Decode the faces once for the tests below."""
    require("lfw")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(session_cache))
        return isthmus.load("lfw")


def test_lfw_is_whole_and_cropped(faces: isthmus.Samples) -> None:
    assert faces.values.shape == (13_233, 32, 32, 3)
    assert faces.values.dtype == np.uint8
    assert faces.names[0] == "AJ_Cook/AJ_Cook_0001.jpg"
    assert len(faces.class_names) == 5_749
    assert faces.skipped == ()
    assert faces.allows_flip
    assert faces.origin.preprocessing == isthmus.Preprocessing(crop=90, size=(32, 32))


def test_lfw_is_not_decoded_again(faces: isthmus.Samples) -> None:
    def refuse(items: Iterable[T], total: int, title: str) -> Iterable[T]:
        raise AssertionError(f"{title}: {total} of {items}")

    again = isthmus.load("lfw", track=refuse)
    assert again.fingerprint == faces.fingerprint
    assert again.allows_flip


def test_the_users_preprocessing_comes_before_that_of_the_set(elsewhere: Path) -> None:
    (elsewhere / "lfw").mkdir(parents=True)
    picture = io.BytesIO()
    Image.new("RGB", (130, 130)).save(picture, "JPEG")
    with tarfile.open(elsewhere / "lfw/lfw.tar", "w") as archive:
        member = tarfile.TarInfo("lfw/Ada/Ada_0001.jpg")
        member.size = picture.tell()
        picture.seek(0)
        archive.addfile(member, picture)
    asked = isthmus.load("lfw", size=(10, 12), channels=1)
    wanted = isthmus.Preprocessing(crop=90, size=(10, 12), channels=1)
    assert asked.origin.preprocessing == wanted
    assert asked.values.shape == (1, 10, 12, 1)
    assert isthmus.load("lfw", crop=50).origin.preprocessing.crop == 50


def test_cats_and_dogs_have_their_own_split(require: Require) -> None:
    require("cats-dogs")
    samples = isthmus.load("cats-dogs", limit=400)
    assert samples.values.shape == (400, 64, 64, 3)
    assert samples.class_names == ("cat", "dog")
    assert samples.labels is not None
    assert samples.splits is not None
    assert counts(samples.labels) == [200, 200]
    assert counts(samples.splits) == [200, 0, 200]
    assert len(isthmus.split_samples(samples).test) == 200


def test_the_real_files_hold_what_was_published(require: Require) -> None:
    for name in ("mnist", "fashion-mnist"):
        require(name)
        row = isthmus.DATASETS[name]
        assert row.is_present
        row.verify()


# What is missing or damaged


@pytest.mark.parametrize(
    "name", ["mnist", "fashion-mnist", "lfw", "cats-dogs", "voc2012", "cub200"]
)
def test_a_set_that_is_not_there_says_how_to_fetch_it(
    name: str, elsewhere: Path, refused: Refused
) -> None:
    assert not isthmus.DATASETS[name].is_present
    with refused(SourceError, name, elsewhere / name, f"isthmus data fetch {name}"):
        isthmus.load(name)


def test_a_set_that_cannot_be_fetched_says_where_it_is(elsewhere: Path, refused: Refused) -> None:
    row = isthmus.DATASETS["camvid"]
    assert not row.is_present
    for attempt in (lambda: isthmus.load("camvid"), lambda: fetch(row)):
        with refused(SourceError, "https://github.com/", "CamVid", elsewhere / "camvid"):
            attempt()


def test_the_birds_need_both_of_their_archives(elsewhere: Path) -> None:
    row = isthmus.DATASETS["cub200"]
    (elsewhere / "cub200").mkdir(parents=True)
    for file, present in zip(row.files, (False, True), strict=True):
        (elsewhere / "cub200" / file.name).write_bytes(b"")
        assert row.is_present == present


def linked(folder: Path, real: Path) -> Path:
    folder.mkdir(parents=True)
    for file in real.iterdir():
        (folder / file.name).symlink_to(file)
    return folder


def test_a_damaged_copy_is_refused(
    require: Require, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    folder = linked(tmp_path / "mnist", require("mnist"))
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path))
    file = folder / "train-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(file.read_bytes()))
    content[-1] ^= 1
    file.unlink()
    file.write_bytes(gzip.compress(content, mtime=0))
    with refused(SourceError, file, "SHA-256", "isthmus data fetch mnist"):
        isthmus.load("mnist")
    file.write_bytes(gzip.compress(content, mtime=0)[:2000])
    with refused(SourceError, file, "cut short or damaged"):
        isthmus.load("mnist")
    file.unlink()
    assert not isthmus.DATASETS["mnist"].is_present


def test_every_file_is_known_by_its_content_and_encrypted_on_its_way() -> None:
    files = [file for row in isthmus.DATASETS.values() for file in row.files]
    assert len(files) == 13
    assert [file.url for file in files if not file.url.startswith("https://")] == []
    assert [file.name for file in files if not re.fullmatch("[0-9a-f]{64}", file.sha256)] == []
    assert all(file.size > 0 for file in files)
    assert len({file.sha256 for file in files}) == 13


@pytest.fixture
def labels(require: Require, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a copy of one file of MNIST in a data folder and a state folder of their own."""
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path))
    monkeypatch.setenv("ISTHMUS_STATE", str(tmp_path / "state"))
    file = tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"
    file.parent.mkdir()
    file.write_bytes((require("mnist") / file.name).read_bytes())
    return file


def test_what_was_verified_is_not_read_again_until_it_changes(
    labels: Path, tmp_path: Path, refused: Refused
) -> None:
    row = isthmus.DATASETS["mnist"]
    row.verify()
    (record,) = (tmp_path / "state/verified").iterdir()
    # Of the same size and the same time, as a program that means harm would leave it.
    status, content = labels.stat(), bytearray(labels.read_bytes())
    content[-6] ^= 1
    labels.write_bytes(content)
    os.utime(labels, ns=(status.st_atime_ns, status.st_mtime_ns))
    with refused(SourceError, labels, "isthmus data fetch mnist"):
        row.verify()
    # Only who may write to the folder of the user can say that it was verified.
    known = json.loads(record.read_bytes())
    record.write_text(json.dumps(known | {"changed": labels.stat().st_ctime_ns}))
    row.verify()


@pytest.mark.parametrize("damage", ["gone", "", "[]"])
def test_without_its_record_a_file_is_verified_again(
    damage: str, labels: Path, tmp_path: Path, refused: Refused
) -> None:
    row = isthmus.DATASETS["mnist"]
    row.verify()
    (record,) = (tmp_path / "state/verified").iterdir()
    record.unlink() if damage == "gone" else record.write_text(damage)
    row.verify()
    assert json.loads(record.read_bytes())["path"] == str(labels)
    labels.write_bytes(b"something else")
    with refused(SourceError, labels):
        row.verify()


def test_a_state_folder_that_cannot_be_written_is_no_obstacle(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "occupied").write_text("a file where a folder is wanted")
    monkeypatch.setenv("ISTHMUS_STATE", str(tmp_path / "occupied"))
    isthmus.DATASETS["mnist"].verify()
