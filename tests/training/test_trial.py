"""How a training computes: as was measured once, by threads that sleep while they wait."""

import json
import os
import threading
import time
from pathlib import Path

import pytest
import torch

from isthmus import Run, Samples, TrainingConfig, load, resume, train
from isthmus.runtime import computing_threads
from isthmus.training.trial import choose_way
from isthmus.training.waiting import ShortWaits, read_tasks

LONG = TrainingConfig(epochs=1, batch_size=1)  # 1,437 steps, enough to be measured
TURNED = {"32": 1.0, "bf16": 0.1}  # seconds, which nothing here takes


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty state folder."""
    folder = tmp_path / "state"
    monkeypatch.setenv("ISTHMUS_STATE", str(folder))
    return folder


def begin(digits: Samples, out: Path, config: TrainingConfig = LONG) -> str:
    """Return the precision of a new run."""
    training = train(digits, "linear", out=out, config=config)
    next(training)
    training.close()
    return str(Run.open(out).record.environment["precision"])


def test_what_is_fastest_is_measured_once_and_kept(
    digits: Samples, tmp_path: Path, state: Path
) -> None:
    random = torch.get_rng_state()
    first = begin(digits, tmp_path / "first")
    assert torch.equal(torch.get_rng_state(), random)
    [file] = (state / "speeds").glob("*.json")
    measured = file.read_bytes()
    assert begin(digits, tmp_path / "second") == first
    assert file.read_bytes() == measured
    # What was measured decides, whatever would be measured now.
    content = json.loads(measured)
    has_both = len(content["asked"]["precisions"]) == 2
    content["seconds"] = {name: TURNED[name] for name in content["asked"]["precisions"]}
    file.write_text(json.dumps(content))
    assert begin(digits, tmp_path / "third") == ("bf16-mixed" if has_both else "32-true")
    # A run stays as it was begun.
    resumed = resume(tmp_path / "first", digits)
    next(resumed)
    resumed.close()
    assert not resumed.notes
    assert Run.open(tmp_path / "first").record.environment["precision"] == first
    # Another batch is measured for itself.
    begin(digits, tmp_path / "fourth", TrainingConfig(epochs=2, batch_size=2))
    assert len(list((state / "speeds").glob("*.json"))) == 2


def test_a_damaged_measurement_is_made_again(digits: Samples, tmp_path: Path, state: Path) -> None:
    begin(digits, tmp_path / "first")
    [file] = (state / "speeds").glob("*.json")
    content = json.loads(file.read_bytes())
    negative = json.dumps({**content, "seconds": {"32": -1.0}}).encode()
    for number, damage in enumerate((b"{", b"[]", b'{"asked": 1}', negative)):
        file.write_bytes(damage)
        begin(digits, tmp_path / str(number))
        again = json.loads(file.read_bytes())
        assert again["asked"] == content["asked"]
        assert min(again["seconds"].values()) > 0


def test_short_trainings_and_those_that_are_told_how_are_not_measured(
    digits: Samples, tmp_path: Path, state: Path
) -> None:
    begin(digits, tmp_path / "short", TrainingConfig(epochs=1, batch_size=64))
    told = TrainingConfig(epochs=1, batch_size=1, deterministic=True)
    begin(digits, tmp_path / "told", told)
    assert not (state / "speeds").exists()


def test_without_a_state_folder_nothing_is_measured(
    digits: Samples, tmp_path: Path, state: Path
) -> None:
    state.write_text("occupied")
    short = TrainingConfig(epochs=1, batch_size=64)
    assert begin(digits, tmp_path / "run") == begin(digits, tmp_path / "short", short)


def test_another_precision_must_be_faster_by_a_clear_margin() -> None:
    assert choose_way({"32": 0.100, "bf16": 0.105}, "bf16").precision == "bf16"
    assert choose_way({"32": 0.100, "bf16": 0.115}, "bf16").precision == "32"
    assert choose_way({"32": 0.001}, "32").threads == 1
    assert choose_way({"32": 0.100}, "32").threads is None


# -- waiting ----------------------------------------------------------------------------------


on_linux = pytest.mark.skipif(not read_tasks(), reason="only Linux says what threads do")


def sleepers() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name == "isthmus-sleepers"]


@on_linux
def test_threads_sleep_while_the_machine_is_busy() -> None:
    with ShortWaits() as waits:
        for share, is_short in ((0, False), (0.5, True), (0, True), (0, True), (0.05, True)):
            waits.note(share)
            assert (waits.is_short, len(sleepers())) == (is_short, is_short)
        for _ in range(4):
            assert waits.is_short
            waits.note(0.01)
        assert not waits.is_short
        assert not sleepers()
        waits.note(0.5)
    assert not sleepers()


def places() -> set[frozenset[int]]:
    return {frozenset(os.sched_getaffinity(task)) for task in read_tasks()}


@on_linux
def test_each_thread_of_a_busy_machine_has_a_core_of_its_own() -> None:
    before = places()
    cores = len(os.sched_getaffinity(0))
    with computing_threads(cores), ShortWaits() as waits:
        waits.set_short(is_short=True)
        torch.zeros(cores * 2**18).exp_()
        waits.look(time.perf_counter() + 1)
        assert cores == 1 or places() > before
    assert places() == before


@on_linux
def test_weights_do_not_depend_on_how_threads_wait() -> None:
    config = TrainingConfig(epochs=1, batch_size=40, precision="32")
    found = []
    with computing_threads(2):
        for is_short in (False, True):
            with ShortWaits() as waits:
                waits.set_short(is_short=is_short)
                training = train(load("digits", limit=60), "dense-selu", config=config)
                for _ in training:
                    assert waits.is_short == is_short
            assert training.run.record.environment["threads"] == 2
            found.append(training.run.model().fingerprint)
    assert found[0] == found[1]
