"""The named data sets: what they hold, how they are fetched, and what is refused."""

import gc
import gzip
import hashlib
import io
import tarfile
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import isthmus
from isthmus.data.catalog import Dataset, Remote, fetch
from isthmus.errors import SourceError

Refused = Callable[..., AbstractContextManager[None]]
Require = Callable[[str], Path]
T = TypeVar("T")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def counts(labels: Any) -> list[int]:
    return [int(count) for count in np.bincount(labels)]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty data folder to the one test."""
    folder = tmp_path / "data"
    monkeypatch.setenv("ISTHMUS_DATA", str(folder))
    return folder


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], str]]:
    """Give a function that serves a folder and returns its address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers: list[ThreadingHTTPServer] = []

    def start(folder: Path) -> str:
        handler = partial(Quiet, directory=str(folder))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()  # Pooch leaves the connections of failed downloads to the collector.


def toy(*files: Remote) -> Dataset:
    return Dataset(name="toy", description="", counts="", origin="", files=files)


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


# Fetching


def test_the_real_mnist_is_fetched_and_loads(
    require: Require, serve: Callable[[Path], str], elsewhere: Path
) -> None:
    real = require("mnist")
    address = serve(real)
    mnist = isthmus.DATASETS["mnist"]
    row = replace(
        mnist, files=tuple(replace(file, url=address + file.name) for file in mnist.files)
    )
    before = row.is_present
    fetched = fetch(row)
    assert fetched == [elsewhere / "mnist" / file.name for file in mnist.files]
    assert (before, row.is_present) == (False, True)
    assert all(file.read_bytes() == (real / file.name).read_bytes() for file in fetched)
    assert fetch(row) == []
    assert isthmus.load("mnist", limit=7).values.shape == (7, 28, 28, 1)


@pytest.fixture
def site(serve: Callable[[Path], str], tmp_path: Path) -> tuple[Path, str]:
    """Give an empty folder and the address at which it is served."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder, serve(folder)


def test_only_files_that_are_missing_are_fetched(site: tuple[Path, str], elsewhere: Path) -> None:
    folder, address = site
    for name in ("one", "two"):
        (folder / name).write_text(name)
    row = toy(*(Remote(address + name, name, sha256(name.encode())) for name in ("one", "two")))
    (elsewhere / "toy").mkdir(parents=True)
    (elsewhere / "toy/one").write_text("mine")
    assert fetch(row) == [elsewhere / "toy/two"]
    assert (elsewhere / "toy/one").read_text() == "mine"
    assert sorted(path.name for path in row.folder.iterdir()) == ["one", "two"]


def test_files_packed_again_count_as_published(site: tuple[Path, str], elsewhere: Path) -> None:
    folder, address = site
    content = b"published" * 100
    (folder / "set.gz").write_bytes(gzip.compress(content, compresslevel=1, mtime=0))
    row = toy(Remote(address + "set.gz", "set.gz", sha256(content)))
    assert fetch(row) == [elsewhere / "toy/set.gz"]
    (elsewhere / "toy/set.gz").write_bytes(gzip.compress(content, compresslevel=9, mtime=0))
    row.verify()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("set.tar", b"something else"),
        ("set.gz", gzip.compress(b"something else", mtime=0)),
        ("set.gz", gzip.compress(b"published" * 100, mtime=0)[:-12]),
        ("set.gz", b"<html>Please log in</html>"),
    ],
)
def test_wrong_content_is_deleted_and_refused(
    name: str, content: bytes, site: tuple[Path, str], elsewhere: Path, refused: Refused
) -> None:
    folder, address = site
    (folder / name).write_bytes(content)
    row = toy(Remote(address + name, name, sha256(b"published" * 100)))
    with refused(SourceError, address + name, "was deleted"):
        fetch(row)
    assert list((elsewhere / "toy").iterdir()) == []
    assert not row.is_present


@pytest.mark.parametrize("path", ["nothing/here.tar", ""])
def test_an_address_without_the_file_is_refused(
    path: str, site: tuple[Path, str], elsewhere: Path, refused: Refused
) -> None:
    _, address = site
    url = address + path if path else "http://127.0.0.1:1/here.tar"
    with refused(SourceError, "here.tar cannot be fetched from", url, elsewhere / "toy"):
        fetch(toy(Remote(url, "here.tar", sha256(b""))))
    assert [path for path in elsewhere.rglob("*") if path.is_file()] == []


def test_a_file_without_a_published_checksum_records_that_of_the_first_download(
    site: tuple[Path, str], elsewhere: Path, refused: Refused
) -> None:
    folder, address = site
    (folder / "set.zip").write_bytes(b"whatever came first")
    row = toy(Remote(address + "set.zip", "set.zip"))
    file, *more = fetch(row)
    assert more == []
    assert file == elsewhere / "toy/set.zip"
    record = file.with_name("set.zip.sha256").read_text()
    assert record == f"{sha256(b'whatever came first')}  set.zip\n"
    row.verify()
    file.write_bytes(b"something else")
    with refused(SourceError, file, "SHA-256"):
        row.verify()


def test_a_data_folder_that_cannot_be_written_is_named(
    site: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    folder, address = site
    (folder / "set.tar").write_bytes(b"published")
    (tmp_path / "occupied").write_text("a file where a folder is wanted")
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path / "occupied"))
    with refused(SourceError, "set.tar", tmp_path / "occupied"):
        fetch(toy(Remote(address + "set.tar", "set.tar")))
