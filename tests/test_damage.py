"""Damaged and hostile files of a run: one sentence that names the file and the way out."""

import io
import json
import os
import random
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from damage import READ, damages, is_plausible, judge
from isthmus import IsthmusError, Run, Session, TrainedModel, load, resume, train
from isthmus.errors import ModelError, RunError
from isthmus.models.config import configure
from isthmus.studio.content import Content
from isthmus.studio.storage import Storage
from isthmus.training.config import TrainingConfig
from test_cli import isthmus

Refused = Callable[..., AbstractContextManager[None]]
TRIED = 8  # faults of each file, another choice for each file; `make soak` tries all of them


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a small run, and make codes and a map of it."""
    folder = tmp_path_factory.mktemp("whole")
    run, samples = folder / "run", load("digits", limit=60)
    for _ in train(samples, "linear", code_size=3, out=run, config=TrainingConfig(epochs=2)):
        pass
    session = Session(run)
    codes = session.encode(samples)
    codes.save(run / "codes.npy")
    (run / "maps").mkdir()
    session.map(codes, "pca").save(run / "maps" / "map.npz")
    return run


@pytest.fixture
def run(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the run into the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(whole, tmp_path / "run"))


@pytest.mark.parametrize("file", READ)
def test_a_damaged_file_is_refused_or_answers_as_before(file: str, whole: Path, run: Path) -> None:
    content, right = (whole / file).read_bytes(), READ[file](whole)
    faults = list(damages(file, content))
    for fault in random.Random(file).sample(faults, min(TRIED, len(faults))):
        (run / file).write_bytes(content)
        if fault.apply(run / file) and not is_plausible(fault.file, fault.name):
            is_right, text = judge(file, run, right)
            assert is_right, f"{fault.name}: {text[:500]}"
    assert not Path("executed").exists()


# -- what each file must be -----------------------------------------------------------------


def _edit(run: Path, *keys: str, to: Any) -> None:
    record = json.loads((run / "run.json").read_text())
    inner = record
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    (run / "run.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("keys", "value", "sentence"),
    [
        (("model_config", "code_size"), "3", 'model_config.code_size is "3" and should be a whole'),
        (("model_config", "code_size"), True, "is true and should be a whole number"),
        (("model_config", "activation"), "relu", '"sigmoid" or "identity" or "softmax"'),
        (("model_config", "shape"), [1, 10**6, 10**6], "numbers, more than"),
        (("preprocessing", "size"), [8], "preprocessing.size is a list of 1 and should be a list"),
        (("preprocessing", "low"), float("nan"), "preprocessing.low is NaN and should be a number"),
        (("preprocessing", "size"), [9, 9], "its preprocessing makes images (1, 9, 9)"),
        (("training_config", "epochs"), None, "training_config.epochs is null"),
        (("training_config", "moon"), 1, 'has the field "moon"'),
        (("data", "train"), 0, "data.train is 0 and should be at least 1"),
        (("data", "fingerprint"), "elsewhere/x", "should be 16 hexadecimal digits"),
        (("training_config", "seed"), 1, "changed since it was written"),
    ],
)
def test_run_json_says_which_field_is_wrong(
    keys: tuple[str, ...], value: Any, sentence: str, run: Path, refused: Refused
) -> None:
    _edit(run, *keys, to=value)
    with refused(RunError, run / "run.json", sentence, "restore it from a copy"):
        Run.open(run)


def test_the_place_of_the_data_may_be_corrected_by_hand(run: Path) -> None:
    _edit(run, "origin", "source", to="elsewhere")
    assert Run.open(run).record.origin.source == "elsewhere"


def _write_split(run: Path, **parts: Any) -> None:
    with np.load(run / "split.npz") as arrays:
        np.savez_compressed(run / "split.npz", **{**arrays, **parts})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda split: {"test": split["validation"]}, "both in validation and in test"),
        (lambda split: {"train": split["train"] + 10**6}, "has the sample"),
        (lambda split: {"train": split["train"][:0]}, "train has 0 samples and"),
        (lambda split: {"train": split["train"] + 0.5}, "should be whole numbers"),
        (lambda split: {"test": -split["test"] - 1}, "test has the sample -"),
        (lambda split: {"train": np.full_like(split["train"], 3)}, "twice in train"),
    ],
)
def test_a_split_has_each_sample_once(
    change: Callable[[Any], dict[str, Any]], sentence: str, run: Path, refused: Refused
) -> None:
    with np.load(run / "split.npz") as arrays:
        split = dict(arrays)
    np.savez_compressed(run / "split.npz", **{**split, **change(split)})
    with refused(RunError, run / "split.npz", sentence, "restore it from a copy"):
        next(resume(run, epochs=3))


def test_a_damaged_run_is_refused_by_the_command_in_one_line(run: Path) -> None:
    content = bytearray((run / "checkpoint/state.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (run / "checkpoint/state.pt").write_bytes(content)
    outcome = isthmus("resume", run, "--epochs", 3)
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1
    assert "state.pt is damaged" in outcome.err


def _weights(run: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> bytes:
    content = (run / "model.safetensors").read_bytes()
    about = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    weights = {name: change(one) for name, one in safetensors.torch.load(content).items()}
    return safetensors.torch.save(weights, about)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda w: w.to(torch.bfloat16), "is bfloat16 and should be float32"),
        (lambda w: w * float("nan"), "holds only NaN or infinity"),
        (lambda w: w[:-1].clone(), "in the model that it describes"),
        (lambda w: w + 1, "its weights are not as they were written"),
    ],
)
def test_weights_are_those_that_were_written(
    change: Callable[[torch.Tensor], torch.Tensor], sentence: str, run: Path, refused: Refused
) -> None:
    (run / "model.safetensors").write_bytes(_weights(run, change))
    with refused(ModelError, run / "model.safetensors", sentence, "train the model again"):
        TrainedModel.load(run)


def test_the_weights_of_another_run_are_refused(run: Path, refused: Refused) -> None:
    other = TrainedModel.load(run)
    config = configure("linear", other.shape, 2)
    (run / "model.safetensors").write_bytes(
        TrainedModel(config, other.preprocessing, config.build().eval()).to_bytes()
    )
    with refused(ModelError, run / "model.safetensors", "not of the model that run.json describes"):
        Run.open(run).model()


def test_a_missing_checkpoint_is_not_trained_over(run: Path, refused: Refused) -> None:
    (run / "checkpoint/state.pt").unlink()
    with refused(RunError, run / "checkpoint/state.pt", "it is missing"):
        next(resume(run, epochs=3))


def test_a_damaged_map_is_drawn_again_and_that_is_said(run: Path) -> None:
    said: list[str] = []
    session = Session(run, say=said.append)
    codes = session.codes()
    fitted_map, file = session.stored_map(codes, "pca")
    file.write_bytes(file.read_bytes()[:-40])
    again, _ = Session(run, say=said.append).stored_map(codes, "pca")
    assert np.array_equal(again.xy, fitted_map.xy)
    assert said == [f"the map {file.name} was damaged; it is drawn again."]


# -- files from strangers -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "shape", "code_size", "options"),
    [
        ("conv", (3, 64, 64), 10**9, {}),
        ("conv", (3, 64, 64), 10**40, {}),
        ("dense", (3, 8192, 8192), 3, {}),
        ("conv1d", (1, 2**40), 3, {}),
        ("cnn-autoencoder", (3, 16384, 16384), 3, {}),
        ("cnn-autoencoder", (3, 64, 64), 3, {"width": 10**9}),
    ],
)
def test_a_model_beyond_memory_is_refused_before_memory_is_asked_for(
    model: str, shape: tuple[int, ...], code_size: int, options: dict[str, Any]
) -> None:
    with pytest.raises(IsthmusError, match=r"smaller|at most"):
        configure(model, shape, code_size, options=options).build()


def test_the_bound_on_weights_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configure("linear", (1, 8, 8), 4)
    monkeypatch.setenv("ISTHMUS_MAX_WEIGHTS", "100")
    with pytest.raises(ModelError, match=r"580 weights, more than 100; .*ISTHMUS_MAX_WEIGHTS"):
        config.build()


def test_no_code_in_a_checkpoint_is_run(run: Path, refused: Refused) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, ("touch executed",)

    file = io.BytesIO()
    torch.save({"counters": Harm()}, file)
    (run / "checkpoint/state.pt").write_bytes(file.getvalue())
    with refused(RunError, "state.pt"):
        next(resume(run, epochs=3))
    assert not Path("executed").exists()


@pytest.mark.parametrize("name", ["studio", "maps", "checkpoint", "index", "encoders/mine"])
def test_a_folder_that_is_a_link_leads_nothing_out_of_the_run(
    name: str, run: Path, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model-0-precious").mkdir()
    shutil.rmtree(run / name, ignore_errors=True)
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).symlink_to(tmp_path / "mine")
    for use in (Run.open, lambda run: Content(Session(run))):
        with refused(RunError, run / name, "is a link that leads out of"):
            use(run)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["model-0-precious"]


def test_a_lock_that_is_a_link_and_a_pipe_are_refused(
    run: Path, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "precious").write_text("content")
    (run / ".lock").unlink()
    (run / ".lock").symlink_to(tmp_path / "precious")
    with refused(RunError, run / ".lock", "is a link"):
        resume(run, epochs=3)
    assert (tmp_path / "precious").read_text() == "content"
    (run / ".lock").unlink()
    (run / "history.jsonl").unlink()
    os.mkfifo(run / "history.jsonl")
    with refused(RunError, run / "history.jsonl", "is no regular file"):
        resume(run, epochs=3)


def test_weights_may_be_a_link_as_in_the_cache_of_a_hub(run: Path, tmp_path: Path) -> None:
    shutil.move(run / "model.safetensors", tmp_path / "blob")
    (run / "model.safetensors").symlink_to(tmp_path / "blob")
    before = (tmp_path / "blob").read_bytes()
    for _ in resume(run, epochs=3):
        pass
    assert (tmp_path / "blob").read_bytes() == before  # the link was replaced, not followed
    assert Run.open(run).model().name == "linear"


def test_the_studio_reads_and_writes_nothing_beyond_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    storage = Storage(tmp_path / "studio")
    storage.write("codes.bin", b"")
    for name in (
        "../secret.txt",
        str(tmp_path / "secret.txt"),
        "a/../../secret.txt",
        "..\\a",
        "NUL",
    ):
        for use in (storage.read, storage.column, lambda name: storage.write(name, b"")):
            with pytest.raises(IsthmusError, match="no name of a file"):
                use(name)
        with pytest.raises(IsthmusError, match="no name of a file"):
            storage.seal({}, [name])
    assert (tmp_path / "secret.txt").read_text() == "secret"
