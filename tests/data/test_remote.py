"""Sources elsewhere: read as a local copy of the same files, and honest where the network is not.

fsspec's memory:// stands for all stores, and a server on this machine for the web.
"""

import base64
import functools
import gzip
import json
import shutil
import tarfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np
import pytest
from fsspec.registry import known_implementations
from planting import left_out, plant, png, spread, write_tar, write_zip

from isthmus import Run, Samples, TrainingConfig, check_data, load, load_images, train, write_shards
from isthmus.errors import NetworkError, OptionError, SourceError
from isthmus.files import to_json
from test_cli import done, isthmus

Refused = Callable[..., AbstractContextManager[None]]


def put(path: Path) -> str:
    """Copy a file or folder into fsspec's memory, below an address of its own."""
    place = f"memory://{uuid.uuid4().hex}/{path.name}"
    fsspec.filesystem("memory").put(str(path), place, recursive=path.is_dir())
    return place


def take_apart(path: Path, archive: Path, wanted: Callable[[int, str], bool]) -> Path:
    """Unpack some files of a real archive."""
    with tarfile.open(archive) as opened:
        members = [one for number, one in enumerate(opened) if wanted(number, one.name)]
        opened.extractall(path, members, filter="data")
    return path


def require_same(samples: Samples, other: Samples, place: str, address: str) -> None:
    """Compare all that is known of samples, but for where they are."""
    np.testing.assert_array_equal(samples.values, other.values)
    assert samples.fingerprint == other.fingerprint
    assert (samples.names, samples.class_names) == (other.names, other.class_names)
    for found, expected in ((samples.labels, other.labels), (samples.splits, other.splits)):
        assert (found is None) == (expected is None)
        assert found is None or expected is None or np.array_equal(found, expected)
    assert (samples.masks is None) == (other.masks is None)
    assert samples.skipped == other.skipped
    assert other.report is not None
    report = samples.report or check_data(place)  # a picture alone has none
    one, two = (json.dumps(to_json(replace(each, source=""))) for each in (report, other.report))
    assert one.replace(place, address) == two


# -- equal to local copies -------------------------------------------------------------------------


def test_real_folders_are_read_alike(require: Callable[[str], Path], tmp_path: Path) -> None:
    faces = take_apart(tmp_path / "a", require("lfw") / "lfw.tar", lambda n, _: n < 120)
    pets = require("cats-dogs") / "cats-dogs.tar"
    photos = take_apart(tmp_path / "b", pets, lambda n, _: n % 40 == 0)
    (photos / "cats-dogs/notes.txt").write_text("taken in spring")
    streets = require("camvid") / "camvid.tar"
    masked = take_apart(tmp_path / "c", streets, lambda _, name: name[-6:-4] in ("00", "90"))
    (first,) = list(photos.rglob("cat.*.jpg"))[:1]
    first.write_bytes(first.read_bytes()[:200])  # which is left out as broken
    for folder in (faces, masked, photos):
        address = put(folder)
        require_same(load(folder, size=24), load(address, size=24), str(folder), address)
    assert load(address, size=24).skipped
    assert left_out(load(address, size=24))[".txt"] == 1


def test_masks_and_pairs_are_read_alike(tmp_path: Path) -> None:
    plant(tmp_path / "pairs", spread(["noisy", "clean"], 4))
    address = put(tmp_path / "pairs")
    images, others = load_images(tmp_path / "pairs"), load_images(address)
    assert images.fingerprint == others.fingerprint
    assert others.clean is not None


def write_idx(path: Path, values: np.ndarray[Any, Any]) -> None:
    header = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    path.write_bytes(gzip.compress(header + values.tobytes()))


def test_files_of_all_kinds_are_read_alike(tmp_path: Path, photos: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 5), np.uint8)
    write_tar(tmp_path / "set.tar", spread(["cat", "dog"]))
    write_tar(tmp_path / "packed.tar.gz", spread(["cat", "dog"]), mode="w:gz")
    write_zip(tmp_path / "set.zip", {f"cat/{n}.png": png(n) for n in range(3)})
    np.save(tmp_path / "x.npy", pixels)
    np.savez(tmp_path / "x.npz", images=pixels, labels=np.arange(6) % 2)
    rows = "\n".join(",".join(map(str, (n % 2, *one.ravel()))) for n, one in enumerate(pixels))
    (tmp_path / "x.csv").write_text(rows)
    (tmp_path / "one.png").write_bytes(png(0))
    (tmp_path / "idx").mkdir()
    for part in ("train", "t10k"):
        write_idx(tmp_path / f"idx/{part}-images-idx3-ubyte.gz", pixels)
        write_idx(tmp_path / f"idx/{part}-labels-idx1-ubyte.gz", np.arange(6, dtype=np.uint8) % 3)
    write_shards(photos, tmp_path / "shards", samples_per_shard=2)
    (tmp_path / "archives").mkdir()
    for name in ("train", "test"):
        write_tar(tmp_path / f"archives/{name}.tar", spread(["cat", "dog"]))
    address = put(tmp_path)
    for place in tmp_path.iterdir():
        if place != photos:
            there = f"{address}/{place.name}"
            require_same(load(place), load(there), str(place), there)
    for name in (
        "idx/train-images-idx3-ubyte.gz",
        "shards/shard-{000000..000001}.tar",
        "shards/*.tar",
        "shards/shard-000000.tar",
    ):
        there = f"{address}/{name}"
        require_same(load(tmp_path / name), load(there), str(tmp_path / name), there)


def test_tables_are_read_alike(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for part in ("train", "test"):
        rows = {"image": [png(n) for n in range(4)], "label": [0, 1, 0, 1]}
        parquet.write_table(pa.table(rows), tmp_path / f"{part}-00000-of-00001.parquet")
    with pa.OSFile(str(tmp_path / "one.arrow"), "wb") as file:
        table = pa.table(rows)
        with pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    address = put(tmp_path)
    for name in ("test-00000-of-00001.parquet", "one.arrow"):
        there = f"{address}/{name}"
        require_same(load(tmp_path / name), load(there), str(tmp_path / name), there)
    (tmp_path / "one.arrow").unlink()
    address = put(tmp_path)
    require_same(load(tmp_path), load(address), str(tmp_path), address)


def test_an_archive_within_an_archive_elsewhere_and_files_of_this_machine(tmp_path: Path) -> None:
    packed = write_zip(tmp_path / "all.zip", {f"photos/{n}.png": png(n) for n in range(3)})
    chained = load(f"zip://photos::{put(packed)}")
    assert chained.fingerprint == load(packed).fingerprint
    assert load(f"file://{packed}").origin.source == str(packed)


# -- using them ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_commands_take_addresses_and_runs_find_their_data_again(
    photos: Path, tmp_path: Path
) -> None:
    address = put(photos)
    done("train", address, "--size", "16", "--epochs", "1", "--out", tmp_path / "run")
    assert json.loads((tmp_path / "run/run.json").read_text())["origin"]["source"] == address
    done("evaluate", tmp_path / "run")
    done("encode", tmp_path / "run", f"{address}/cat", "--out", tmp_path / "codes.npy")
    there = f"{address}/cat/0.png"
    assert done("reconstruct", tmp_path / "run", there, "--out", tmp_path / "a.png").err
    assert "6 images" in done("data", "check", address).out
    done("data", "shard", address, "--out", tmp_path / "shards")
    assert load(tmp_path / "shards").fingerprint == load(address).fingerprint
    done("denoise", tmp_path / "run", address, "--out", tmp_path / "clean")
    written = {path.relative_to(tmp_path / "clean") for path in (tmp_path / "clean").rglob("*.*")}
    assert written == {path.relative_to(photos) for path in photos.rglob("*.*")}


def test_copies_are_removed_and_nothing_elsewhere_is_changed(cache: Path, tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    address = put(write_tar(tmp_path / "set.tar", spread(["cat", "dog"])))
    before = files.find(address, detail=True)
    assert len(load(address)) == 6
    assert [path.name for path in (cache / "samples").iterdir() if "copies" in path.name] == []
    assert files.find(address, detail=True) == before
    files.pipe_file(
        address, write_tar(tmp_path / "set.tar", ["cat/0.png", "dog/1.png"]).read_bytes()
    )
    assert len(load(address)) == 2  # it is read again once it has changed


def test_what_isthmus_wrote_is_left_out(photos: Path, tmp_path: Path) -> None:
    config = TrainingConfig(epochs=1)
    for _ in train(load(photos), "linear", code_size=2, out=photos / "run", config=config):
        pass
    (photos / ".isthmus-denoise.jsonl").write_text("")
    address = put(photos)
    require_same(load(photos), load(address), str(photos), address)
    assert left_out(load(address)) == {"written by Isthmus": 1}


# -- what others may do ----------------------------------------------------------------------------


def test_hostile_names_stay_where_they_are(tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    place = f"memory://{uuid.uuid4().hex}"
    names = [
        "a.png",
        "b\nc.png",
        "../../out.png",
        "/etc/d.png",
        "e/../f.png",
        "C:/g.png",
        "h[1]*.png",
    ]
    for name in names:
        files.store[f"{files._strip_protocol(place)}/{name}"] = files.open(f"{place}/x", "wb")
        files.store[f"{files._strip_protocol(place)}/{name}"].write(png(1))
    samples = load(place)
    assert samples.names == ["a.png", "b\nc.png", "h[1]*.png"]
    assert left_out(samples)["names that lead out of the folder"] == 4


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("memory://nothing/here", "there is nothing at memory://nothing/here"),
        ("nosuch://bucket/x", "nosuch:// is no protocol"),
        (
            "zip://photos::memory://no.zip",
            "photos::memory://no.zip cannot be read (it is not there)",
        ),
    ],
)
def test_wrong_addresses_get_one_sentence(source: str, word: str) -> None:
    outcome = isthmus("data", "check", source)
    assert outcome.code == 2
    assert word in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_missing_package_is_named(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"class": "no_such_package.Files", "err": "Install no-such-package"}
    monkeypatch.setitem(known_implementations, "missing", row)
    with refused(OptionError, "missing://", "pip install no_such_package"):
        load("missing://bucket/photos")


# -- the web ---------------------------------------------------------------------------------------

USER = "Basic " + base64.b64encode(b"me:secret/word").decode()


class Web(SimpleHTTPRequestHandler):
    """Serves a folder; some of it only to who knows the password, and some of it never."""

    guarded: ClassVar[bool] = False
    failing: ClassVar[str] = ""

    def log_message(self, *words: object) -> None:
        """Print nothing."""

    def do_HEAD(self) -> None:
        if self._may_answer():
            super().do_HEAD()

    def do_GET(self) -> None:
        if self._may_answer():
            super().do_GET()

    def _may_answer(self) -> bool:
        is_known = self.headers.get("Authorization") == USER or "sig=token" in self.path
        code = 401 if self.guarded and not is_known else 0
        code = 503 if self.failing and self.failing in self.path else code
        if code:
            self.send_error(code)
        return not code


@pytest.fixture
def web(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve pictures, shards of them and an archive."""
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(Web, "guarded", False)
    monkeypatch.setattr(Web, "failing", "")
    for name in ("a b", "100% #1", "ü"):
        shutil.copy(photos / "dog/0.png", photos / f"cat/{name}.png")
    write_shards(photos, tmp_path / "shards", samples_per_shard=3)
    write_tar(tmp_path / "set.tar", spread(["cat", "dog"]))
    handler = functools.partial(Web, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_web_is_read_alike(web: str, tmp_path: Path, photos: Path) -> None:
    for name in ("photos", "shards", "set.tar", "shards/shard-{000000..000001}.tar"):
        there = f"{web}/{name}"
        require_same(load(tmp_path / name), load(there), str(tmp_path / name), there)
    assert load(f"{web}/photos/").fingerprint == load(photos).fingerprint


def test_a_network_fault_ends_and_is_no_broken_picture(
    web: str, refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Web, "failing", "dog/1.jpg")
    with refused(NetworkError, f"{web}/photos", "503"):
        load(f"{web}/photos")
    with refused(NetworkError, "503"):
        write_shards(f"{web}/photos", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(Web, "failing", "tar")
    with refused(NetworkError, f"{web}/set.tar", "503"):
        load(f"{web}/set.tar")
    with refused(NetworkError, "http://127.0.0.1:1/set.tar"):
        load("http://127.0.0.1:1/set.tar")
    with refused(SourceError, "there is nothing at", "none.zip"):
        load(f"{web}/none.zip")


@pytest.mark.slow
def test_secrets_are_nowhere(
    web: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path
) -> None:
    monkeypatch.setattr(Web, "guarded", True)
    host = web.removeprefix("http://")
    said = []
    sources = (f"http://me:secret%2Fword@{host}/photos", f"{web}/set.tar?sig=token&x=1")
    for number, source in enumerate(sources):
        folder = tmp_path / f"out/run{number}"
        said.append(done("train", source, "--size", "16", "--epochs", "1", "--out", folder))
        said.append(done("evaluate", folder, "--data", source))
        said.append(done("report", folder, "--data", source))
        assert len(Run.open(folder).samples()) in (6, 9)  # this process has seen them
    said.append(done("encode", folder, sources[0], "--out", tmp_path / "out/codes.npy"))
    said.append(done("data", "shard", source, "--out", tmp_path / "out/shards"))
    wrong = f"http://me:other@{host}/photos?sig=wrong&key=hidden"
    said += [isthmus("data", "check", wrong), isthmus("train", f"{web}/x.tar?key=hidden")]
    assert "401" in said[-2].err
    texts = "".join(f"{one.out}{one.err}" for one in said).encode()
    files = [path for top in (tmp_path / "out", cache) for path in top.rglob("*")]
    kept = [texts, *(path.read_bytes() for path in files if path.is_file())]
    for secret in (b"secret%2F", b"secret/word", b"sig=", b"me:other", b"key=hidden"):
        assert not any(secret in one for one in kept)


def test_keys_in_addresses_of_stores_are_hidden(photos: Path) -> None:
    place = f"memory://key:se/cret@bucket-{uuid.uuid4().hex}/photos"
    fsspec.filesystem("memory").put(str(photos), place, recursive=True)
    samples = load(place)
    assert samples.origin.source.startswith("memory://bucket-")
    assert "cret" not in json.dumps(to_json(check_data(place)))
    shutil.rmtree(photos)
    assert load(samples.origin.source).fingerprint == samples.fingerprint
