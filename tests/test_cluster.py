"""Encoding on a cluster: equal to the last bit, whatever is killed, stopped or broken."""

import io
import json
import logging
import os
import pickle
import platform
import re
import shutil
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from denoisers import untrained
from isthmus import (
    Codes,
    TrainedModel,
    configure,
    denoise,
    encode,
    load,
    predict_masks,
    predict_masks_on_cluster,
    write_shards,
)
from isthmus.cli import app
from isthmus.cluster import ranges
from isthmus.cluster.denoising import plan_denoising
from isthmus.cluster.encoding import compute_features, encode_on_cluster
from isthmus.cluster.failures import explained
from isthmus.cluster.gathering import choose_output
from isthmus.cluster.job import Job
from isthmus.cluster.parts import About, Parts
from isthmus.cluster.pictures import Pictures
from isthmus.cluster.pipeline import Outcome, Setup
from isthmus.cluster.sharding import shard_on_cluster
from isthmus.cluster.tasks import Block, FileTask, SampleTask
from isthmus.cluster.workload import Workload, locate, open_pictures, open_workload
from isthmus.data.cache import untracked
from isthmus.data.load import load_with
from isthmus.data.preprocess import Preprocessing
from isthmus.data.shardwriter import size_of_sample
from isthmus.denoising.ledger import Entry
from isthmus.denoising.sources import EVERY_PICTURE, denoise_part
from isthmus.errors import IsthmusError, OptionError, RunError, SourceError
from isthmus.files import write_bytes
from isthmus.latent.lance import placing
from isthmus.latent.lance.dataset import LanceCodes
from isthmus.runtime import computing_threads
from test_cli import isthmus

# Read when Ray is imported: it shall listen to this machine alone, and send nothing.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

Refused = Callable[..., AbstractContextManager[None]]
COUNT, ROWS, SIDE = 600, 64, 28
BROKEN = (540, 541, 599)  # in the last two blocks of ten
STORE_BYTES = 100 * 2**20
QUICKLY = {  # Ray notices at once that a node is gone
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 200,
    "health_check_failure_threshold": 3,
    "worker_niceness": 0,
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one core each, which this process has joined."""
    with warnings.catch_warnings(action="ignore"):
        import ray
        from ray.cluster_utils import Cluster

        common = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "node_ip_address": "127.0.0.1"}
        head = {**common, "include_dashboard": False, "_system_config": QUICKLY}
        nodes = Cluster(initialize_head=True, head_node_args=head)
        nodes.add_node(**common)
        ray.init(nodes.address, log_to_driver=False, logging_level=logging.CRITICAL)
        yield nodes
        ray.shutdown()
        nodes.shutdown()


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "MAX_ROWS", ROWS)


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    config = configure("conv-bn-2d", (1, SIDE, SIDE), 8)  # its sums depend on batch and threads
    preprocessing = Preprocessing(size=(SIDE, SIDE), channels=1)
    return TrainedModel(config, preprocessing, config.build().eval())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of classes, of which a few files are broken."""
    folder = tmp_path_factory.mktemp("sources") / "digits"
    digits = load("digits", limit=COUNT)
    assert digits.labels is not None
    for row, label in enumerate(digits.labels.tolist()):
        place = folder / digits.class_names[label] / f"{row:04d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits.values[row, ..., 0]).save(place)
    for place in np.array(sorted(folder.glob("*/*.png")))[list(BROKEN)]:
        place.write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def local(model: TrainedModel, folder: Path) -> Codes:
    with computing_threads(1):  # as many as each node has cores
        return encode(model, model.read(folder))


class Tracked:
    """Counts what was to be done, and does something when a part of it is done."""

    def __init__(
        self, after: int = -1, do: Callable[[], None] = lambda: None, title: str = "Encoding"
    ) -> None:
        self.totals: list[int | None] = []
        self._after, self._do, self._title = after, do, title

    def __call__(self, items: Iterable[Any], total: int | None, title: str) -> Iterator[Any]:
        if title == self._title:
            self.totals.append(total)
        for done, item in enumerate(items):
            if title == self._title and done == self._after and len(self.totals) == 1:
                self._do()
            yield item


def stop() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("out", "on", "words"),
    [
        ("codes.txt", "local", [".npy, .parquet, .lance"]),
        ("codes.npy", "head", ["--on is local, auto or the address"]),
        ("codes.npy", "127.0.0.1:1", ["no cluster of Ray answers at 127.0.0.1:1", "--on local"]),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    out: str,
    on: str,
    words: list[str],
    model: TrainedModel,
    folder: Path,
    tmp_path: Path,
    refused: Refused,
) -> None:
    with refused(OptionError, *words):
        encode_on_cluster(model, folder, tmp_path / out, on=on)
    assert not list(tmp_path.iterdir())


def test_a_file_of_others_is_not_replaced(
    model: TrainedModel, folder: Path, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "codes.parquet").write_bytes(b"mine")
    with refused(OptionError, "holds no codes of Isthmus"):
        encode_on_cluster(model, folder, tmp_path / "codes.parquet")


@pytest.mark.parametrize("count", [1, 64, 65, 200])
@pytest.mark.parametrize("broken", [set(), {0}, {63, 64}, {199}, set(range(60, 130))])
def test_ranges_hold_whole_batches_of_what_is_not_broken(count: int, broken: set[int]) -> None:
    broken = {row for row in broken if row < count}
    planned = list(ranges.plan_ranges(count, 64, broken))
    rows = [row for start, stop in planned for row in range(start, stop)]
    assert rows == list(range(count))
    good = [sum(row not in broken for row in range(*place)) for place in planned]
    assert all(number == 64 for number in good[:-1])


def test_a_job_is_stopped_and_loses_a_node_and_no_row_is_missing_or_twice(
    cluster: Any,
    model: TrainedModel,
    folder: Path,
    local: Codes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model.save(tmp_path / "model.safetensors")
    out = tmp_path / "codes.npy"
    arguments = ["encode", str(tmp_path / "model.safetensors"), str(folder), "--out", str(out)]
    arguments += ["--on", "auto", "--json"]
    monkeypatch.setattr("isthmus.cli.apply.track", Tracked(2 * ROWS, stop))
    stopped = CliRunner().invoke(app, arguments)
    assert stopped.exit_code == 130
    assert "the same command does the rest" in stopped.stderr
    assert not out.exists()
    parts = [path.name for path in tmp_path.glob("*.parts/*.npz")]
    kept = [name for name in parts if int(name[13:25]) <= BROKEN[0]]
    assert kept
    [node] = cluster.worker_nodes
    track = Tracked(ROWS, lambda: cluster.remove_node(node, allow_graceful=False))
    monkeypatch.setattr("isthmus.cli.apply.track", track)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.exception
    result = json.loads(done.stdout)
    assert result["resumed"] >= len(kept) * ROWS  # those that were being written were written, too
    assert track.totals[0] == COUNT - result["resumed"]
    assert result["n"] == COUNT - len(BROKEN)
    assert "3" in done.stderr.splitlines()[0]
    codes = Codes.load(out)
    np.testing.assert_array_equal(codes.z, local.z)
    assert codes.names == local.names
    np.testing.assert_array_equal(codes.labels, local.labels)
    assert (codes.layer, codes.shape, codes.origin) == ("code", (8,), local.origin)
    assert not list(tmp_path.glob("*.parts"))


def test_what_a_worker_raises_is_said_as_anywhere(refused: Refused) -> None:
    from ray.data.exceptions import UserCodeException
    from ray.exceptions import RayActorError, RayTaskError

    told = RayTaskError("decode_block", "a traceback", SourceError("photos/ is missing."))
    with refused(SourceError, "photos/ is missing."), explained():
        fail(UserCodeException(), told)
    with refused(IsthmusError, "the cluster gave up", "continues where it stopped"), explained():
        fail(RayActorError())


def fail(error: Exception, cause: Exception | None = None) -> None:
    raise error from cause


def test_parts_of_another_job_are_left_alone(
    cluster: Any, model: TrainedModel, folder: Path, tmp_path: Path, refused: Refused
) -> None:
    out = tmp_path / "codes.npy"
    parts = tmp_path / "codes.npy.parts"
    parts.mkdir()
    with refused(OptionError, "codes.npy.parts", "holds no parts"):
        encode_on_cluster(model, folder, out, on="auto")
    content = {"kind": "isthmus parts", "job": "0123456789abcdef"}
    (parts / "job.json").write_text(json.dumps(content))
    with refused(RunError, "parts of another job", "remove the folder"):
        encode_on_cluster(model, folder, out, on="auto")
    assert [path.name for path in parts.iterdir()] == ["job.json"]


def test_parts_are_gathered_into_tables(local: Codes, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    rows = np.flatnonzero(~np.isin(np.arange(COUNT), BROKEN))
    for name in ("codes.parquet", "codes.lance"):
        blocks = (local.z[start : start + ROWS] for start in range(0, len(local), ROWS))
        choose_output(tmp_path / name).write(local, blocks, rows)
    table = pq.read_table(tmp_path / "codes.parquet")
    np.testing.assert_array_equal(np.stack(table["z"].to_numpy()), local.z)
    assert table["name"].to_pylist() == list(local.names)
    assert local.labels is not None
    assert table["label"].to_pylist() == local.labels.tolist()
    assert table["row"].to_pylist() == rows.tolist()
    facts = json.loads(table.schema.metadata[b"isthmus"])
    assert facts["model_fingerprint"] == local.model_fingerprint
    codes = LanceCodes.open(tmp_path / "codes.lance").sample(len(local))
    np.testing.assert_array_equal(codes.z, local.z)
    assert codes.names == local.names


@pytest.mark.parametrize(
    "kind", ["folder", "tar", "tar.gz", "zip", "parquet", "shards", "masks", "array", "address"]
)
def test_each_range_of_each_source_is_decoded_as_the_whole(
    kind: str, photos: Path, tmp_path: Path
) -> None:
    source = make_source(kind, photos, tmp_path)
    preprocessing = Preprocessing(size=(9, 9), channels=1)
    expected = load_with(source, preprocessing)
    work = open_workload(locate(source, preprocessing))
    assert work.items.names == expected.names
    np.testing.assert_array_equal(work.items.labels, expected.labels)
    for start, stop in ((0, 2), (2, 5), (5, 6)):
        block = pickle.loads(pickle.dumps(work.block(start, stop)))
        values, broken, _ = block.decode()
        np.testing.assert_array_equal(values, expected.values[start:stop])
        assert not broken


@pytest.mark.parametrize(
    "kind", ["folder", "tar", "zip", "parquet", "shards", "masks", "array", "address"]
)
def test_any_rows_of_each_source_are_sent_as_they_are_in_shards(
    kind: str, photos: Path, tmp_path: Path
) -> None:
    source = locate(make_source(kind, photos, tmp_path), Preprocessing())
    pictures = Pictures.read(source, tmp_path / "out")
    samples = [one for one in pictures.layout.list_samples() if isinstance(one, dict)]
    given = pickle.loads(pickle.dumps(pictures.take(np.array([1, 4])))).open()
    assert list(given.list_samples()) == [samples[1], samples[4]]
    assert list(given.list_sizes()) == [size_of_sample(samples[1]), size_of_sample(samples[4])]


def test_what_is_compressed_as_a_whole_is_not_sharded_by_many(
    photos: Path, tmp_path: Path, refused: Refused
) -> None:
    source = make_source("tar.gz", photos, tmp_path)
    with refused(OptionError, source, "unpack it", "leave --on out"):
        shard_on_cluster(source, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def make_source(kind: str, photos: Path, folder: Path) -> Path | str:
    path = folder / f"source.{kind}"
    if kind == "folder":
        return photos
    if kind == "address":
        fsspec.filesystem("memory").put(str(photos), f"/{folder.name}", recursive=True)
        return f"memory://{folder.name}"
    if kind == "masks":
        return write_masks(folder / "masked.tar")
    if kind == "shards":
        write_shards(photos, folder / "shards")
        return folder / "shards"
    if kind == "array":
        np.save(folder / "values.npy", load(photos, size=9).values)
        return folder / "values.npy"
    if kind == "parquet":
        write_parquet(photos, path)
        return path
    forms = {"tar": "tar", "tar.gz": "gztar", "zip": "zip"}
    return Path(shutil.make_archive(str(folder / "source"), forms[kind], photos))


def write_masks(path: Path) -> Path:
    """Write a shard of six pictures, each of its own gray, with masks and records."""
    with tarfile.open(path, "w") as archive:
        for number in range(6):
            members = {"json": b'{"caption": "a street"}'}
            for kind, value in (("png", 9 * number), ("seg.png", number % 2)):
                content = io.BytesIO()
                Image.fromarray(np.full((9, 9), value, np.uint8)).save(content, "PNG")
                members[kind] = content.getvalue()
            for kind, written in members.items():
                member = tarfile.TarInfo(f"{number}.{kind}")
                member.size = len(written)
                archive.addfile(member, io.BytesIO(written))
    return path


def write_parquet(photos: Path, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted(photos.glob("*/*"))
    pictures = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
    labels = [file.parent.name for file in files]
    pq.write_table(pa.table({"image": pictures, "label": labels}), path)


def test_a_machine_without_the_source_says_so(
    photos: Path, refused: Refused, tmp_path: Path
) -> None:
    work = open_workload(locate(photos, Preprocessing(size=(9, 9), channels=1)))
    block = work.block(0, 2)
    photos.rename(tmp_path / "elsewhere")
    with refused(SourceError, photos, platform.node(), "by the same path"):
        block.decode()


def test_an_archive_that_has_changed_is_listed_again(tmp_path: Path, refused: Refused) -> None:
    preprocessing, archive = Preprocessing(size=(9, 9), channels=1), tmp_path / "pictures.zip"

    def pack(*names: str, color: str = "teal") -> Workload:
        with zipfile.ZipFile(archive, "w") as file:
            for name in names:
                Image.new("RGB", (9, 9), color).save(content := io.BytesIO(), "PNG")
                file.writestr(name, content.getvalue())
        return open_workload(locate(archive, preprocessing))

    before = pack("a.png", "b.png").block(0, 2)
    other = pack("a.png", "c.png").block(0, 2)
    with refused(SourceError, archive, platform.node(), "differs"):
        before.decode()
    dark = other.decode().values
    bright = pack("a.png", "c.png", color="white").block(0, 2).decode().values
    assert (bright > dark).all()


def test_scales_of_integers_that_differ_between_blocks_are_refused(
    model: TrainedModel, tmp_path: Path, refused: Refused
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name, highest in (("dark", 200), ("bright", 60_000)):
        values = np.linspace(0, highest, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.int32)
        Image.fromarray(values).save(source / f"{name}.tif")
    work = open_workload(locate(source, model.preprocessing))
    task = SampleTask(model, partial(compute_features, layer="code"), "Encoding", {})
    job = Job.plan(task, work, tmp_path / "codes.npy", 1, 1)
    job.parts.begin()
    for place in job.ranges():
        block = Block(place, [], work.block(*place).decode())
        job.parts.write(task.do(block, job.parts.files))
    with refused(SourceError, "dark.tif", "as of 8 bits", "bright.tif", "--stretch"):
        list(job.results())
    assert not job.parts.folder.exists()


def test_codes_are_placed_on_a_map_as_on_one_machine(
    cluster: Any,
    model: TrainedModel,
    local: Codes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(placing, "BLOCK_ROWS", 200)
    model.save(tmp_path / "model.safetensors")
    LanceCodes.store(local, "codes.lance")
    arguments = ["map", "model.safetensors", "codes.lance", "--max-samples", "60", "--out"]
    for out in (["here.png"], ["there.png", "--on", "auto"]):
        done = CliRunner().invoke(app, [*arguments, *out])
        assert done.exit_code == 0, done.output
    for kind in ("csv", "png"):
        assert Path(f"here.{kind}").read_bytes() == Path(f"there.{kind}").read_bytes()
    assert len(Path("there.csv").read_text().splitlines()) == len(local) + 1
    assert not list(tmp_path.glob("*.parts"))
    refusal = CliRunner().invoke(app, ["map", "model.safetensors", "digits", "--on", "auto"])
    assert "write one by isthmus encode --on" in str(refusal.exception)


def test_shards_are_those_of_one_machine_also_when_the_job_is_stopped(
    cluster: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(shutil.copytree(folder, tmp_path / "source"))
    os.truncate(sorted(source.glob("*/*"))[100], 2**40)  # a file of holes, which is left out
    write_shards(source, tmp_path / "here", samples_per_shard=90)
    arguments = ["data", "shard", str(source), "--samples-per-shard", "90", "--json", "--on"]
    arguments += ["auto", "--out", str(tmp_path / "there")]
    monkeypatch.setattr("isthmus.cli.shards.track", Tracked(2, stop, "Writing shards"))
    stopped = CliRunner().invoke(app, arguments)
    assert stopped.exit_code == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "here",
        "source",
        "there.parts",
        "there.sizes.parts",
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["resumed"] >= 2
    assert [row["samples"] for row in result["shards"]] == [90] * 6 + [59]
    [(_, reason)] = result["skipped"]
    assert "holes" in reason
    contents = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("here", "there")
    ]
    assert contents[0] == contents[1]
    assert not list(tmp_path.glob("*.parts"))


def make_model(name: str, side: int = SIDE, **options: Any) -> TrainedModel:
    config = configure(name, (1, side, side), **options)
    preprocessing = Preprocessing(size=(side, side), channels=1)
    made = TrainedModel(config, preprocessing, config.build().eval())
    return TrainedModel.from_bytes(made.to_bytes())


def contents_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_table_of_predictions_is_that_of_one_machine(
    cluster: Any, folder: Path, tmp_path: Path
) -> None:
    model = make_model("cnn-small", class_names=tuple("abc"))
    model.save(tmp_path / "model.safetensors")
    source = folder / "3"
    arguments = ["predict", str(tmp_path / "model.safetensors"), str(source), "--json"]
    results = {}
    for name, further in (("here", []), ("there", ["--on", "auto"])):
        out = tmp_path / f"{name}.csv"
        with computing_threads(1):
            done = CliRunner().invoke(app, [*arguments, "--out", str(out), *further])
        assert done.exit_code == 0, done.output
        results[name] = json.loads(done.stdout)
    assert (tmp_path / "here.csv").read_bytes() == (tmp_path / "there.csv").read_bytes()
    assert results["there"] == {
        **results["here"],
        "table": str(tmp_path / "there.csv"),
        "resumed": 0,
    }
    assert results["there"]["n"] == len(list(source.iterdir()))
    assert not list(tmp_path.glob("*.parts"))


def test_masks_are_those_of_one_machine(cluster: Any, folder: Path, tmp_path: Path) -> None:
    model = make_model("fcn8s", 32, class_names=("paper", "caf\udce9"), options={"width": 0.1})
    source = folder / "9"  # with a broken one
    with computing_threads(1):
        here = predict_masks(model, source, tmp_path / "here")
    there = predict_masks_on_cluster(model, source, tmp_path / "there", on="auto")
    assert contents_of(tmp_path / "here") == contents_of(tmp_path / "there")
    assert [row["shares"] for row in there.rows] == [row["shares"] for row in here.rows]
    assert there.skipped == here.skipped
    assert len(there.skipped) == 1
    assert not list(tmp_path.glob("*.parts"))


def test_denoising_goes_on_and_gives_the_files_of_one_machine(
    cluster: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(shutil.copytree(folder / "9", tmp_path / "source"))
    write_other_formats(source)
    model = TrainedModel.from_bytes(untrained().to_bytes())
    model.save(tmp_path / "model.safetensors")
    with computing_threads(1):
        here = denoise(model, source, tmp_path / "here")
    out = tmp_path / "there"
    work = open_pictures(locate(source, model.preprocessing, None, EVERY_PICTURE))
    job = plan_denoising(FileTask(model, denoise_part, Entry, "Denoising"), work, out)
    job.parts.begin()
    for place in list(job.ranges())[:3]:  # as a worker does that is then killed
        block = Block(place, (), work.block(*place))
        job.parts.write(job.task.do(block, job.parts.files))
    (job.parts.files / work.items.names[1]).unlink()
    (job.parts.files / "half").mkdir()
    monkeypatch.setattr("isthmus.cli.denoise.track", track := Tracked(title="Denoising"))
    arguments = ["denoise", tmp_path / "model.safetensors", source, "--on", "auto", "--json"]
    outcome = isthmus(*arguments, "--out", out)
    assert outcome.code == 0, outcome.err
    assert track.totals == [len(work) - 2]
    result = json.loads(outcome.out)
    assert result["denoised"] == here.count == len(work) - 1
    assert [tuple(pair) for pair in result["skipped"]] == list(here.skipped)
    assert result["lost"] == [asdict(loss) for loss in here.lost]
    assert contents_of(tmp_path / "here") == contents_of(out)
    assert not (out / "half").exists()
    assert not list(tmp_path.glob("*.parts"))


def write_other_formats(folder: Path) -> None:
    """Write an animation, 16 bits, and colors with a description."""
    frames = [Image.new("L", (12, 9), gray) for gray in (60, 90)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:], duration=70)
    Image.fromarray(np.arange(300, dtype=np.uint16).reshape(15, 20)).save(folder / "deep.tif")
    exif = Image.Exif()
    exif[0x010E] = "a street"
    Image.new("RGB", (40, 30), "teal").save(folder / "color.jpg", exif=exif, dpi=(300, 300))


def test_a_job_that_is_given_up_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.png").write_bytes(b"no picture")
    Image.new("L", (9, 9)).save(source / "b.png")
    model = untrained()
    work = open_pictures(locate(source, model.preprocessing, None, EVERY_PICTURE))
    task = FileTask(model, denoise_part, Entry, "Denoising")
    job = Job.plan(task, work, tmp_path / "out", 1, 1)
    late = Block((1, 2), (), work.block(1, 2))

    def do_in_turn(task: Any, setup: Setup, blocks: Iterable[Block]) -> Iterator[Outcome]:
        part = task.do(next(iter(blocks)), setup.parts.files)
        try:
            yield Outcome(part.range, part.is_whole, part.broken)
        finally:  # a worker ends what it has begun
            assert setup.parts.are_wanted()
            setup.parts.write(task.do(late, setup.parts.files))

    monkeypatch.setattr("isthmus.cluster.job.do_blocks", do_in_turn)
    with refused(SourceError, "a.png", "cannot be decoded"), job.completed(untracked):
        pass
    assert list(tmp_path.iterdir()) == [source]
    part = task.do(late, job.parts.files)  # by a worker that nothing could stop
    assert (job.parts.files / "b.png").exists()
    job.parts.write(part)
    assert list(tmp_path.iterdir()) == [source]


def test_an_output_is_whole_or_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    about = About("0123456789abcdef", "Denoising", "source", 2, {})
    parts = Parts(tmp_path / "out.parts", about)
    parts.begin()
    write_bytes(parts.files / "in/a.png", b"a")
    write_bytes(parts.files / "in/.half.tmp", b"half")
    with refused(IsthmusError, "b.png has disappeared"):
        parts.publish(tmp_path / "out", {"in/a.png", "b.png"})
    os.link(parts.files / "in/a.png", parts.files / "b.png")  # as where case makes no difference
    with refused(IsthmusError, "are one file"):
        parts.publish(tmp_path / "out", {"in/a.png", "b.png"})
    assert not (tmp_path / "out").exists()
    (parts.files / "b.png").unlink()
    parts.publish(tmp_path / "out", {"in/../in/a.png"})  # another form of the name that is listed
    assert contents_of(tmp_path / "out") == {"in/a.png": b"a"}
    with monkeypatch.context() as patch:  # killed before anything is removed
        patch.setattr(shutil, "rmtree", lambda folder, **options: None)
        parts.remove()
    assert not parts.folder.exists()
    left = next(tmp_path.glob(".out.parts.*.tmp"))
    left.rename(re.sub(r"-\d+-\d+-", "-4194304-1-", str(left)))
    parts.begin()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.parts"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict", "classes", "digits/"], ["--out a name", ".parquet", "--masks"]),
        (["predict", "classes", "digits/", "--out", "a.png"], ["--out a name", ".csv"]),
        (["predict", "classes", "digits/", "digits/", "--out", "a.csv"], ["one source", "not 2"]),
        (["predict", "classes", "digits/", "--masks", "digits/m"], ["needs a segmenter"]),
        (["predict", "classes", "digits/", "--out", "digits/a.csv"], ["lies in", "digits"]),
        (["encode", "codes", "digits/", "--out", "digits/a.npy"], ["lies in", "digits"]),
        (["denoise", "codes", "digits/", "--out", "digits/clean"], ["lies in", "digits"]),
        (["denoise", "codes", "digits/", "--out", "full"], ["full exists already"]),
        (["denoise", "codes", "a.npy", "--out", "clean"], ["a.npy is an array", "leave out --on"]),
        (["denoise", "digits/", "--estimate"], ["--estimate", "a source alone"]),
    ],
)
def test_what_cannot_be_applied_on_a_cluster_is_refused(
    cluster: Any,
    arguments: list[str],
    words: list[str],
    model: TrainedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    model.save("codes.safetensors")
    make_model("cnn-small", class_names=tuple("abc")).save("classes.safetensors")
    for name in ("digits/one.png", "full/one.png"):
        Path(name).parent.mkdir()
        Image.new("L", (SIDE, SIDE)).save(name)
    np.save("a.npy", np.zeros((2, SIDE, SIDE), np.uint8))
    before = sorted(tmp_path.rglob("*"))
    given = [f"{one}.safetensors" if one in ("codes", "classes") else one for one in arguments]
    outcome = isthmus(*given, "--on", "auto")
    assert (outcome.code, outcome.out) == (2, "")
    assert all(word in outcome.err for word in words)
    assert sorted(tmp_path.rglob("*")) == before
