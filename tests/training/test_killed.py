"""Runs whose process was killed: whatever the moment, they resume to the bits of one go."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from isthmus import IsthmusError, Run, Samples, TrainingConfig, load, resume, train
from isthmus.errors import OptionError
from isthmus.training.resuming import is_finished
from isthmus.training.run import best_epoch
from isthmus.training.train import Training

QUICK = TrainingConfig(epochs=2, batch_size=32)
IMPATIENT = TrainingConfig(
    epochs=9, batch_size=32, optimizer="sgd", lr=3, schedule="constant", patience=1
)


class Snapshots:
    """Copies a run as a process that is killed leaves it, before each file that gets its name."""

    def __init__(self) -> None:
        self.run: Path | None = None  # nothing is copied
        self.taken: list[Path] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        run = self.run
        if run and event == "os.rename" and run in Path(os.fsdecode(arguments[1])).parents:
            self._copy(run)

    def of(self, training: Training, run: Path) -> list[Path]:
        """Walk through the training of a run, and return copies, also one of the end."""
        self.taken = []
        try:
            for _ in training:
                self.run = run  # from the first step on, when there is one
        finally:
            self.run = None
        self._copy(run)
        return self.taken

    def _copy(self, run: Path) -> None:
        copy = run.with_name(f"{run.name}-killed") / str(len(self.taken))
        shutil.copytree(run, copy, ignore=shutil.ignore_patterns(".*"))
        self.taken.append(copy)


snapshots = Snapshots()
sys.addaudithook(snapshots)  # which cannot be taken away, and does nothing for other tests


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=100)


def finish(steps: Iterator[Any]) -> None:
    for _ in steps:
        pass


def files(run: Path) -> dict[str, Any]:
    """Return all that a run has, without how long it took."""
    found: dict[str, Any] = {
        str(file.relative_to(run)): file.read_bytes()
        for file in run.rglob("*")
        if file.is_file() and file.name not in (".lock", "run.json", "state.pt")
    }
    lines = [json.loads(line) for line in found.pop("history.jsonl").splitlines()]
    checkpoint = Run.open(run).checkpoint()
    assert checkpoint is not None
    assert checkpoint["history"] == lines
    for line in (*lines, checkpoint["counters"]):
        line.pop("seconds")
        line.pop("images_per_second", None)
    return {**found, "history": lines, "counters": checkpoint["counters"]}


@pytest.mark.parametrize(
    ("model", "config"),
    [
        ("linear", replace(QUICK, corrupt="gaussian:0.3")),
        ("linear", IMPATIENT),
        ("encoder", QUICK),
    ],
    ids=["denoiser", "patience", "classifier"],
)
def test_a_run_that_is_killed_at_any_file_resumes_to_the_bits_of_one_go(
    model: str, config: TrainingConfig, digits: Samples, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    runs = snapshots.of(train(digits, model, out=out, config=config), out)
    whole = files(out)
    assert len(runs) > 8
    for run in runs[:-1]:
        assert not is_finished(Run.open(run))
        finish(resume(run, digits))
        assert files(run) == whole, run.name
    for run in runs:
        assert is_finished(Run.open(run))
        with pytest.raises(OptionError, match="larger"):
            resume(run, digits)


def test_a_run_of_an_older_version_may_have_a_history_that_is_newer(
    digits: Samples, tmp_path: Path
) -> None:
    """Its checkpoint came last, and has no history."""
    out = tmp_path / "run"
    runs = snapshots.of(train(digits, "linear", out=out, config=QUICK), out)
    history = (out / "history.jsonl").read_bytes()
    killed = next(Run.open(run) for run in runs if len(Run.open(run).history()) == 1)
    checkpoint = killed.checkpoint()
    assert checkpoint is not None
    del checkpoint["history"]
    killed.write_checkpoint(checkpoint)
    killed.store.write("history.jsonl", history)
    finish(resume(killed))
    assert files(killed.path) == files(out)


def test_nothing_tells_of_an_epoch_whose_checkpoint_was_not_written(
    digits: Samples, tmp_path: Path
) -> None:
    """The second time it may be cut short, and then be no longer the best."""
    out = tmp_path / "run"
    runs = snapshots.of(train(digits, "linear", out=out, config=QUICK), out)
    untrained = Run.open(runs[0])
    for run in runs:
        counters = (Run.open(run).checkpoint() or {"counters": {"step": 0}})["counters"]
        assert len(Run.open(run).history()) <= counters["step"] / 2  # steps of an epoch
        assert len(Run.open(run).epochs.numbers()) <= counters["step"] / 2
        # The first epoch is always the best so far.
        is_first = Run.open(run).model().fingerprint == untrained.model().fingerprint
        assert is_first or counters["step"]
        if not is_finished(Run.open(run)):
            finish(resume(run, digits, max_minutes=1e-9))  # one step, or only what is missing
        best = best_epoch(Run.open(run).history())
        assert best["validation_loss"] == pytest.approx(validation_loss(run, digits), rel=1e-2)


def validation_loss(run: Path, samples: Samples) -> float:
    """Return the loss of the best weights, as `linear` has it."""
    values = samples.values[Run.open(run).split().validation]
    parts = [(output - x).square().mean() for x, output in Run.open(run).model().outputs(values)]
    return float(torch.stack(parts).mean())


def test_what_was_lost_is_written_again(digits: Samples, tmp_path: Path) -> None:
    run = tmp_path / "run"
    finish(train(digits, "linear", out=run, config=QUICK))
    whole = files(run)
    for name in ("last.safetensors", "history.jsonl", "epochs/0002.npy.gz"):
        (run / name).unlink()
        training = resume(run, digits)
        assert list(training) == []  # nothing is trained
        assert files(run) == whole


def test_patience_that_has_ended_is_said_and_may_be_made_larger(
    digits: Samples, tmp_path: Path, refused: Any
) -> None:
    run = tmp_path / "run"
    finish(train(digits, "linear", out=run, config=IMPATIENT))
    done = len(Run.open(run).history())
    for epochs in (None, 20):
        with refused(OptionError, run, f"{done} of", "larger patience"):
            resume(run, digits, epochs=epochs)
    finish(resume(run, digits, patience=done + 1))
    record = Run.open(run).record
    assert len(Run.open(run).history()) > done
    assert record.training_config.patience == done + 1


# -- the machine ----------------------------------------------------------------------------


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Give `torch.set_num_threads`, and restore the number afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def weights(run: Run) -> bytes | None:
    return run.store.read("last.safetensors")


@pytest.mark.parametrize("model", ["conv", "conv-bn-2d", "cnn-tiny"])
def test_deterministic_weights_do_not_depend_on_the_number_of_threads(
    model: str, digits: Samples, threads: Callable[[int], None]
) -> None:
    config = TrainingConfig(epochs=1, batch_size=40, precision="32", deterministic=True)
    found = set()
    for count in (1, 2):
        threads(count)
        training = train(digits, model, config=config)
        for _ in training:
            assert torch.get_num_threads() == count  # the caller's own
        found.add(weights(training.run))
        assert training.run.record.environment["threads"] == 1
    assert len(found) == 1


def test_a_resumed_run_keeps_its_threads(
    digits: Samples, tmp_path: Path, threads: Callable[[int], None]
) -> None:
    if (os.cpu_count() or 1) < 2:
        pytest.skip("one core has one thread")
    config = TrainingConfig(epochs=2, batch_size=40, precision="32")
    threads(2)
    whole = train(digits, "conv", config=config)
    for progress in whole:
        if progress.validation_loss is not None and progress.epoch == 1:
            whole.run.save(tmp_path / "part")  # as if it were killed now
    threads(1)
    resumed = resume(tmp_path / "part", digits)
    finish(resumed)
    assert [note.code for note in resumed.notes] in ([], ["kept-threads"])
    assert weights(resumed.run) == weights(whole.run)
    assert torch.get_num_threads() == 1


def begun_with(run: Run, **environment: Any) -> None:
    """Write to run.json that a run was begun on another machine."""
    record = run.record
    changed = replace(record, environment={**record.environment, **environment})
    replace(run, record=changed).write_record()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"torch": "1.0"}, "started with torch 1.0 and continues with torch 2"),
        ({"threads": 4096}, "4,096 threads and continues"),
        ({"system": "Plan9 vax"}, "Plan9 vax"),
    ],
)
def test_what_differs_from_the_begin_is_said(
    environment: dict[str, Any], said: str, digits: Samples, tmp_path: Path
) -> None:
    finish(train(digits, "linear", out=tmp_path / "run", config=QUICK))
    assert resume(tmp_path / "run", digits, epochs=3).notes == ()
    begun_with(Run.open(tmp_path / "run"), **environment)
    (note,) = resume(tmp_path / "run", digits, epochs=3).notes
    assert said in note.text
    assert str(tmp_path / "run") in note.text


def test_precision_stays_and_a_device_that_is_gone_is_asked_for(
    digits: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Any
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run = tmp_path / "run"
    finish(train(digits, "linear", out=run, config=QUICK))
    begun_with(Run.open(run), precision="bf16-mixed", device="NVIDIA H100 80GB HBM3")
    with refused(OptionError, run, "NVIDIA H100", "no cuda device", "--device cpu"):
        resume(run, digits, epochs=3)
    training = resume(run, digits, epochs=3, device="cpu")
    assert any("the device NVIDIA H100" in note.text for note in training.notes)
    assert not any("the precision" in note.text for note in training.notes)
    finish(training)
    config = Run.open(run).record.training_config
    assert (config.device, config.precision) == ("cpu", "auto")
    training = resume(run, digits, epochs=4, precision="32")
    assert any("the precision bf16 and" in note.text for note in training.notes)
    finish(training)
    assert Run.open(run).record.training_config.precision == "32"
    with pytest.raises(IsthmusError, match="auto, cpu, cuda, mps"):
        resume(run, digits, epochs=5, device="gpu")
