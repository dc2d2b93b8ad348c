"""What the user does wrong: one sentence that names the culprit, exit code 2, nothing left."""

import gzip
import json
import math
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from isthmus.inference.trained import TrainedModel
from test_cli import Outcome, done, isthmus, pictures


def nothing() -> None:
    """Leave the folder as it is."""


@dataclass(frozen=True)
class Bad:
    """A command that has to fail, what its message has to name (a pattern), and why it fails."""

    command: str
    names: str
    prepare: Callable[[], object] = nothing


# -- the folder that bad commands run in: "photos" and "run", trained on them ---------------


@pytest.fixture(scope="module", autouse=True)
def surroundings(session_cache: Path) -> Iterator[None]:
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(session_cache))
        torch.set_num_threads(1)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    pictures(folder / "photos", shape=(8, 8, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done(
            "train", "photos", "--model", "linear", "--code-size", 3, "--epochs", 2, "--out", "run"
        )
    return folder


@pytest.fixture
def here(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = Path(shutil.copytree(template, tmp_path / "here"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ISTHMUS_DATA", str(folder / "data"))
    record = json.loads(Path("run/run.json").read_text())
    record["origin"]["source"] = str(folder / "photos")
    Path("run/run.json").write_text(json.dumps(record))
    return folder


def content_of(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def refused(outcome: Outcome, names: str) -> None:
    """Hold an outcome against what an error has to look like."""
    last = outcome.err.splitlines()[-1]
    assert outcome.code == 2
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    assert re.fullmatch(r"isthmus: (?!.*\.\.)(?!.*[.!?] [A-Z]).+\.", last), outcome.err
    assert outcome.err.count("isthmus: ") == 1
    assert re.search(names, last), outcome.err


# -- making things bad ----------------------------------------------------------------------


def csv(*lines: str) -> Callable[[], object]:
    return lambda: Path("bad.csv").write_text("\n".join(lines) + "\n")


def array(name: str, **arrays: Any) -> Callable[[], object]:
    return lambda: np.savez(name, **arrays)


def idx(name: str, keep: int | None = None) -> Callable[[], object]:
    """Write ten images of 8 × 8 as IDX and cut the file."""
    sides = b"".join(side.to_bytes(4, "big") for side in (10, 8, 8))
    noise = np.random.default_rng(0).integers(0, 256, 640, np.uint8).tobytes()
    content = b"\0\0\x08\x03" + sides + noise
    content = gzip.compress(content) if name.endswith(".gz") else content
    return lambda: Path(name).write_bytes(content[:keep])


def folder_of_texts() -> None:
    Path("texts").mkdir()
    Path("texts/notes.txt").write_text("no picture")


def repainted() -> None:
    Path("photos/000.png").write_bytes(Path("photos/001.png").read_bytes())


def damaged(file: str, content: bytes | None = None, keep: int = 60) -> Callable[[], object]:
    """Replace a file of the run, or keep but its first bytes."""

    def damage() -> None:
        path = Path("run", file)
        path.write_bytes(path.read_bytes()[:keep] if content is None else content)

    return damage


def edited(*keys: str, to: Any) -> Callable[[], object]:
    """Put another value into run.json."""

    def edit() -> None:
        content = json.loads(Path("run/run.json").read_text())
        inner = content
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = to
        Path("run/run.json").write_text(json.dumps(content))

    return edit


def reweighted(about: Callable[[dict[str, Any]], Any]) -> Callable[[], object]:
    """Change what the weights file says about its model."""

    def change() -> None:
        file = "run/model.safetensors"
        with safetensors.safe_open(file, "pt") as opened:
            content = json.loads(opened.metadata()["isthmus"])
        weights = safetensors.torch.load_file(file)
        safetensors.torch.save_file(weights, file, {"isthmus": json.dumps(about(content))})

    return change


def larger_code(about: dict[str, Any]) -> dict[str, Any]:
    return {**about, "config": {**about["config"], "code_size": 7}}


SIGNALS = np.random.default_rng(0).normal(size=(50, 30)).astype(np.float32)
WITH_NAN = np.where(np.arange(1500).reshape(50, 30) == 95, np.nan, SIGNALS)

SOURCES = {
    "missing": Bad("train nowhere", "'nowhere'"),
    "missing, name too long": Bad(f"train {'n' * 300}", "nnn"),
    "missing home": Bad("train ~nobody-of-that-name/photos", "~nobody-of-that-name"),
    "empty folder": Bad("train empty", "empty holds no pictures", Path("empty").mkdir),
    "folder of texts": Bad("train texts", "notes.txt", folder_of_texts),
    "empty text": Bad("train a.txt", "a.txt is empty", Path("a.txt").touch),
    "unknown kind": Bad("train a.xyz", "a.xyz is of no known kind", Path("a.xyz").touch),
    "broken picture": Bad("train a.png", "a.png", lambda: Path("a.png").write_bytes(b"none")),
    "broken archive": Bad("train a.zip", "a.zip", lambda: Path("a.zip").write_bytes(b"none")),
    "csv, ragged": Bad(
        "train bad.csv", "line 3 has 4 values where 5", csv("label,a,b,c,d", "1,0,0,0,0", "1,0,0,0")
    ),
    "csv, no number": Bad(
        "train bad.csv", "line 3, column 2", csv("label,a,b,c,d", "1,0,0,0,0", "1,cat,0,0,0")
    ),
    "csv, 783 pixels": Bad(
        "train bad.csv",
        "783",
        csv(",".join(["label", *(f"p{i}" for i in range(783))]), *[",".join(["0"] * 784)] * 5),
    ),
    "csv, pixel of 256": Bad("train bad.csv", "256", csv("label,a", "1,0", "1,256")),
    "csv, empty": Bad("train bad.csv", "bad.csv", csv("")),
    "idx, cut": Bad("train a-idx3-ubyte", "a-idx3-ubyte is cut short", idx("a-idx3-ubyte", 500)),
    "idx.gz, cut": Bad(
        "train a-idx3-ubyte.gz", "a-idx3-ubyte.gz is cut short", idx("a-idx3-ubyte.gz", 300)
    ),
    "npz without images": Bad("train a.npz", "no array of images", array("a", a=np.arange(3))),
    "npz, cut": Bad("train a.npz", "a.npz", lambda: Path("a.npz").write_bytes(b"PK\3\4none")),
    "signals with NaN": Bad("train a.npz", "signal 3 of .*a.npz", array("a", signals=WITH_NAN)),
    "constant signals": Bad("train a.npz", "constant at 1", array("a", signals=np.ones((50, 30)))),
    "two samples": Bad("train digits --limit 2", "2 samples are too few"),
    "set that was not fetched": Bad("train mnist", "isthmus data fetch mnist"),
    "unknown set to fetch": Bad("data fetch nowhere", "'nowhere'"),
}

SETTINGS = {
    name: Bad(f"train digits --limit 60 {options}", names)
    for name, options, names in (
        ("size 0", "--size 0", "size must be from 1"),
        ("size of words", "--size axb", "'axb'"),
        ("size of three", "--size 1x2x3", "'1x2x3'"),
        ("crop 0", "--crop 0", "crop must be from 1"),
        ("background", "--background nowhere", "'nowhere' is not a color"),
        ("limit 0", "--limit 0", "limit must be at least 1, not 0"),
        ("code size 0", "--code-size 0", "code size must be at least 1, not 0"),
        ("epochs 0", "--epochs 0", "epochs must be at least 1, not 0"),
        ("batch size 0", "--batch-size 0", "batch size must be at least 1, not 0"),
        ("batch beyond the data", "--batch-size 1000", "1,000 exceeds the 46 samples"),
        ("patience 0", "--patience 0", "patience must be at least 1, not 0"),
        ("seed -1", "--seed -1", "seed must be from 0"),
        ("lr -1", "--lr -1", "lr must be a number above 0, not -1"),
        ("lr nan", "--lr nan", "lr must be a number above 0, not nan"),
        ("lr inf", "--lr inf", "lr must be a number above 0, not inf"),
        ("momentum 1", "--optimizer sgd --momentum 1", "momentum must be from 0"),
        ("weight decay -1", "--weight-decay -1", "weight decay must be at least 0"),
        ("validation 0", "--validation 0", "validation must be a fraction"),
        ("test 1.5", "--test 1.5", "test must be a fraction"),
        ("nothing to train on", "--validation 0.9 --test 0.9", "smaller fractions"),
        ("max minutes -1", "--epochs 1 --max-minutes -1", "minutes"),
        ("max minutes nan", "--epochs 1 --max-minutes nan", "minutes"),
        ("model", "--model convv", "no model 'convv'"),
        ("optimizer", "--optimizer adma", "no optimizer 'adma'"),
        ("schedule", "--schedule cosin", "no schedule 'cosin'"),
        ("loss", "--loss bec", "no loss 'bec'"),
        ("device", "--device gpu", "no device 'gpu'"),
        ("precision", "--precision 16", "no precision '16'"),
        ("signals' model on images", "--model conv1d", "conv1d takes signals, not images"),
        ("bce without sigmoid", "--model linear --loss bce", "take mse"),
        ("batch of one to normalize over", "--model conv-bn-2d --batch-size 1", "at least 2"),
    )
} | {
    "images' model on signals": Bad(
        "train a.npz --model conv-pool",
        "conv-pool takes images, not signals",
        array("a", signals=SIGNALS),
    ),
    "mirrored signals": Bad("train a.npz --flip", "flip", array("a", signals=SIGNALS)),
}

PLACES = {
    "run exists": Bad("train digits --out run", "run is a run already"),
    "run into a full folder": Bad("train digits --out photos", "photos exists already"),
    "run below a file": Bad(
        "train digits --limit 60 --out a.txt/run", "a.txt/run cannot be made", Path("a.txt").touch
    ),
    "report below a file": Bad(
        "report run --out a.txt/a.html", "a.txt/a.html", Path("a.txt").touch
    ),
    "picture below a file": Bad(
        "reconstruct run photos --out a.txt/a.png", "a.txt/a.png", Path("a.txt").touch
    ),
    "picture beyond all memory": Bad(
        "morph run photos/000.png photos/001.png --steps 100000000000000 --out a.png",
        "isthmus morph ran out of memory while codes were computed; give a smaller --steps",
    ),
    "picture of nothing": Bad("reconstruct run photos --limit 0", "limit must be at least 1"),
    "picture of the wrong kind": Bad(
        "reconstruct run a.npz", "holds signals", array("a", signals=SIGNALS)
    ),
    "no model to reconstruct by": Bad("reconstruct nowhere photos", "nowhere"),
    "run is complete": Bad("resume run", "2 of 2 epochs"),
    "run has as many epochs": Bad("resume run --epochs 2", "2 of 2 epochs"),
    "evaluate on nowhere": Bad("evaluate run nowhere", "'nowhere'"),
    "evaluate on the wrong kind": Bad(
        "evaluate run a.npz", "holds signals", array("a", signals=SIGNALS)
    ),
    "summary of nothing": Bad("summary nowhere", "'nowhere'"),
    "summary of a wrong shape": Bad("summary conv --shape 28x28", "conv takes images"),
    "activations of a folder": Bad("activations run photos", "photos holds several samples"),
    "summary of a run in another shape": Bad("summary run --code-size 5", "leave both options out"),
    "plain run of no denoiser": Bad("evaluate run --plain run", "only a denoiser"),
    "summary of no shape": Bad("summary conv --shape wide", "'wide'"),
    "weights of another code": Bad("evaluate run", "model.safetensors", reweighted(larger_code)),
    "weights of no spec": Bad("evaluate run", "model.safetensors", reweighted(lambda _: 3)),
    "weights of a new version": Bad(
        "evaluate run", "model.safetensors", reweighted(lambda about: {**about, "config": {"x": 1}})
    ),
}

READERS = ("evaluate run", "report run", "resume run --epochs 3")
BROKEN: dict[str, tuple[str, Callable[[], object], tuple[str, ...]]] = {
    "no run": ("run is not a run folder", lambda: Path("run/run.json").unlink(), READERS),
    "another format": ("format 99", edited("format", to=99), (*READERS, "summary run")),
    "run.json, cut": ("run.json", damaged("run.json"), (*READERS, "summary run")),
    "run.json, a list": ("run.json", damaged("run.json", b"[]"), READERS[:1]),
    "run.json, no text": ("run.json", damaged("run.json", b"\xff\xfe"), READERS[:1]),
    "run.json, no spec": ("run.json", edited("model_config", to=3), READERS[:1]),
    "run.json, unknown model": ("run.json", edited("model_config", "model", to="new"), READERS[:1]),
    "run.json, no epochs": ("run.json", edited("training_config", "epochs", to="x"), READERS[:1]),
    "run.json, no fingerprint": ("run.json", edited("data", to={}), READERS[:1]),
    "weights, cut": ("model.safetensors", damaged("model.safetensors"), READERS[:2]),
    "weights, other bytes": (
        "model.safetensors",
        damaged("model.safetensors", b"other bytes" * 99),
        READERS[:2],
    ),
    "no weights": (
        "model.safetensors",
        lambda: Path("run/model.safetensors").unlink(),
        READERS[:2],
    ),
    "history, cut": ("history.jsonl", damaged("history.jsonl"), READERS),
    "split, cut": ("split.npz", damaged("split.npz"), READERS),
    "split, empty": ("split.npz", damaged("split.npz", b""), READERS),
    "checkpoint, cut": ("state.pt", damaged("checkpoint/state.pt", keep=3000), READERS[2:]),
    "checkpoint, empty": ("state.pt", damaged("checkpoint/state.pt", b""), READERS[2:]),
    "source has changed": ("photos is not the data", repainted, READERS),
    "source has gone": ("photos", lambda: shutil.rmtree("photos"), READERS),
}
RUNS = {
    f"{command}: {name}": Bad(command, names, prepare)
    for name, (names, prepare, commands) in BROKEN.items()
    for command in commands
}

TABLE = SOURCES | SETTINGS | PLACES | RUNS


@pytest.mark.parametrize("name", TABLE)
def test_a_bad_command_is_refused_in_one_sentence_and_leaves_nothing(
    name: str, here: Path, session_cache: Path
) -> None:
    bad = TABLE[name]
    bad.prepare()
    before = content_of(here)
    outcome = isthmus(*shlex.split(bad.command))
    refused(outcome, bad.names)
    assert content_of(here) == before
    assert list(session_cache.rglob("*.tmp")) == []


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("nowhere", "nowhere"),
        ("data nowhere", "nowhere"),
        ("train", "source"),
        ("train digits --nowhere", "--nowhere"),
        ("train digits --epochs many", "--epochs"),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_command_that_does_not_parse_names_the_culprit(command: str, names: str) -> None:
    outcome = isthmus(*command.split())
    assert outcome.code == 2
    assert outcome.out == ""
    assert names in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.usefixtures("here")
def test_a_device_that_is_not_there_is_refused() -> None:
    device = "mps" if torch.cuda.is_available() else "cuda"
    outcome = isthmus("train", "digits", "--limit", 60, "--device", device, "--out", "new")
    refused(outcome, f"no {device} device")
    assert not Path("new").exists()


def test_a_report_wants_a_whole_epoch(here: Path) -> None:
    shutil.rmtree(here / "run" / "checkpoint")
    (here / "run" / "history.jsonl").unlink()
    refused(isthmus("report", "run"), "isthmus resume run")
    assert not (here / "run" / "report.html").exists()


def test_fetching_without_a_network_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    refused(isthmus("data", "fetch", "lfw"), "lfw.tgz cannot be fetched from https://")
    assert [path for path in (here / "data").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["linear", "dense", "conv"])
def test_a_diverging_loss_stops_and_keeps_good_weights(here: Path, name: str) -> None:
    options = ("--model", name, "--optimizer", "sgd", "--lr", 1e30, "--epochs", 5)
    refused(isthmus("train", "digits", "--limit", 100, *options, "--out", "new"), "lower lr")
    weights = safetensors.torch.load_file(here / "new" / "model.safetensors")
    assert all(bool(torch.isfinite(tensor).all()) for tensor in weights.values())
    model = TrainedModel.load(here / "new")
    assert all(math.isfinite(line) for line in model.encode(model.read("digits", limit=3))[:, 0])
    assert list((here / "new").rglob("*.tmp")) == []


# -- a full disk ----------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command")
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.usefixtures("here")
def test_a_full_disk_for_the_cache_is_refused(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE", str(small_disk))
    noise = np.random.default_rng(0).integers(0, 256, (400, 64, 64), np.uint8)
    np.savez("a.npz", images=noise)
    refused(isthmus("train", "a.npz", "--out", "new"), "No space left")
    assert not Path("new").exists()
    assert set(names_in(small_disk)) <= {"samples"}


@pytest.mark.usefixtures("here")
def test_a_full_disk_for_a_new_run_is_refused(small_disk: Path) -> None:
    outcome = isthmus("train", "digits", "--limit", 100, "--out", small_disk / "run")
    refused(outcome, "No space left")
    assert str(small_disk / "run") in outcome.err
    assert names_in(small_disk) == []


@pytest.mark.usefixtures("here")
def test_a_disk_that_fills_while_training_leaves_a_run_that_resumes(
    small_disk: Path, tmp_path: Path
) -> None:
    run = small_disk / "run"
    options = ("--limit", 100, "--model", "dense-selu", "--epochs", 4)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(1024 * 1024 - 200 * 1024))  # room for the weights, not the checkpoint
    refused(isthmus("train", "digits", *options, "--out", run), "No space left")
    assert list(run.rglob("*.tmp")) == []
    assert TrainedModel.load(run).encode(TrainedModel.load(run).read("digits", limit=3)).shape == (
        3,
        30,
    )
    moved = Path(shutil.copytree(run, tmp_path / "moved"))
    done("resume", moved)
    done("train", "digits", *options, "--out", tmp_path / "whole")
    assert (moved / "last.safetensors").read_bytes() == (
        tmp_path / "whole" / "last.safetensors"
    ).read_bytes()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(here: Path) -> None:
    (here / "closed").mkdir(mode=0o500)
    refused(isthmus("train", "digits", "--limit", 60, "--out", "closed/run"), "closed/run")
    assert list((here / "closed").iterdir()) == []
