"""How a training computes: as was measured once, by threads that sleep while they wait."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from isthmus import Run, Samples, TrainingConfig, load, resume, train
from isthmus.runtime import choose_precision, computing_threads
from isthmus.training import trial
from isthmus.training.trial import faster_precision
from isthmus.training.waiting import ShortWaits, find_team, read_waits

LONG = TrainingConfig(epochs=1, batch_size=1)  # 1,437 steps, enough to be measured
TURNED = {"32": 1.0, "bf16": 0.1}  # seconds, which nothing here takes
with_both = pytest.mark.skipif(
    choose_precision("cpu") != "bf16", reason="only float32 is fast here, so nothing is measured"
)


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


@with_both
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
    file.write_text(json.dumps({**content, "seconds": TURNED}))
    assert begin(digits, tmp_path / "third") == "bf16-mixed"
    # A run stays as it was begun.
    resumed = resume(tmp_path / "first", digits)
    next(resumed)
    resumed.close()
    assert not resumed.notes
    assert Run.open(tmp_path / "first").record.environment["precision"] == first
    # Unless it is to be chosen again, which happens at the first step.
    file.unlink()
    resumed = resume(tmp_path / "first", digits, precision="auto")
    assert not file.exists()
    file.write_text(json.dumps({**content, "seconds": {"32": 0.1, "bf16": 1.0}}))
    next(resumed)
    resumed.close()
    assert Run.open(tmp_path / "first").record.training_config.precision == "32"
    # Another batch is measured for itself.
    begin(digits, tmp_path / "fourth", TrainingConfig(epochs=2, batch_size=2))
    assert len(list((state / "speeds").glob("*.json"))) == 2


@with_both
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
    digits: Samples, tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[object] = []
    monkeypatch.setattr(trial, "_measure", lambda *given: measured.append(given))
    state.write_text("occupied")
    short = TrainingConfig(epochs=1, batch_size=64)
    assert begin(digits, tmp_path / "run") == begin(digits, tmp_path / "short", short)
    assert not measured


def test_float32_must_be_faster_by_a_clear_margin() -> None:
    assert faster_precision({"32": 0.100, "bf16": 0.105}) == "bf16"
    assert faster_precision({"32": 0.100, "bf16": 0.115}) == "32"
    assert faster_precision({}) == "bf16"


def test_hooks_of_all_optimizers_are_called(digits: Samples, tmp_path: Path) -> None:
    seen: list[object] = []
    hook = register_optimizer_step_post_hook(lambda optimizer, *_: seen.append(optimizer))
    try:
        begin(digits, tmp_path / "run", TrainingConfig(epochs=1, batch_size=64))
    finally:
        hook.remove()
    assert len(seen) == 1


# -- threads and waiting ----------------------------------------------------------------------


on_linux = pytest.mark.skipif(not read_waits(), reason="only Linux says what threads do")


CHOOSES_AND_LEAVES = """
import os, threading
from isthmus import TrainingConfig, load, resume, train
from isthmus.runtime import thread_count
from isthmus.training import waiting
from isthmus.training.machine import describe_computing

digits, cores = load("digits", limit=100), thread_count()

def begin(training):
    next(training)
    training.close()
    return training.run.record.environment["threads"], describe_computing(training.run)

# A small model computes in one thread, also when it is resumed; a larger one in all.
small = TrainingConfig(epochs=20, batch_size=1, precision="32")
chosen = 1, " in float32 by 1 thread"
assert begin(train(digits, "linear", out="small", config=small)) == chosen
again = resume("small", digits)
assert begin(again) == chosen and not again.notes
large = TrainingConfig(epochs=1000, batch_size=64, precision="32")
training = train(digits, "dense", config=large)
# On a machine that always counts as busy; the training is left and never closed.
waiting.BUSY, waiting.SECONDS_BETWEEN_LOOKS = -1, 0
for _, progress in zip(range(2), training):
    pass
assert training.run.record.environment["threads"] == cores
is_asleep = any(one.name == "isthmus-sleepers" for one in threading.enumerate())
assert is_asleep == (1 < cores == len(os.sched_getaffinity(0)))
"""


@on_linux
def test_threads_are_chosen_and_left_without_an_end(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", CHOOSES_AND_LEAVES],
        cwd=tmp_path,
        env=environment,
        timeout=300,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def sleepers() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "isthmus-sleepers"]


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
        waits.note(0.5)
        assert sleepers()
    for one in sleepers():
        one.join(timeout=60)
    assert not sleepers()


def places() -> dict[int, set[int]]:
    return {task: os.sched_getaffinity(task) for task in read_waits()}


@on_linux
def test_each_thread_of_libgomp_has_a_core_of_its_own_on_a_busy_machine() -> None:
    cores = os.sched_getaffinity(0)
    with computing_threads(len(cores)), ShortWaits() as waits:
        others = set(find_team()) - {threading.get_native_id()}
        before = places()
        waits.set_short(is_short=True)
        waits.look(time.perf_counter() + 1)
        now = places()
        assert {task for task in before.keys() & now if now[task] != before[task]} == others
        assert len(set.union(set(), *(now[task] for task in others))) == len(others)
        # Who places such a thread otherwise is not overruled.
        moved = {task: cores - now[task] for task in list(others)[:1]}
        for task, place in moved.items():
            os.sched_setaffinity(task, place)
        waits.look(time.perf_counter() + 2)
        assert places().items() >= moved.items()
    expected, after = {**before, **moved}, places()
    assert all(after[task] == expected[task] for task in expected.keys() & after)


@on_linux
def test_people_are_told_what_to_do_when_other_programs_hold_a_training_up() -> None:
    with computing_threads(len(os.sched_getaffinity(0))), ShortWaits() as waits:
        now = time.perf_counter()
        for seconds, is_short in ((10, False), (30, True), (40, False)):
            waits.set_short(is_short=is_short)
            waits.look(now + seconds)
        assert waits.seconds == pytest.approx(20, abs=1)
    *_, last = train(load("digits", limit=60), "dense", config=TrainingConfig(epochs=1))
    assert last.warnings == {}
    for seconds, held_up, is_said in ((30, 21, True), (50, 21, False), (12, 11, False)):
        progress = replace(last, seconds=seconds, seconds_held_up=held_up)
        assert ("OMP_NUM_THREADS=1" in progress.warnings.get("held-up", "")) == is_said


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
