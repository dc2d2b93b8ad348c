"""The doctor: each illness of a training is found, and healthy runs hear nothing."""

import json
from collections import deque
from contextlib import suppress
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from isthmus import Diagnosis, Run, Samples, Session, TrainingConfig, diagnose, load, train
from isthmus.errors import RunError, TrainingError
from isthmus.evaluation.diagnosis.kept import FILE, read_kept
from isthmus.inference.contract import MODEL_FILE
from isthmus.models.layers import require_encoder
from isthmus.studio.history import read_history
from isthmus.training.store import MemoryStore
from test_cli import done, isthmus


@pytest.fixture(scope="module")
def digits(session_cache: Path) -> Samples:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(session_cache))
        return load("digits", limit=600)


def trained(samples: Samples, model: str = "dense", out: Path | None = None, **config: Any) -> Run:
    """Train a run, in memory unless there is a folder, until its end or its failure."""
    code_size = config.pop("code_size", 8 if model in ("dense", "linear") else None)
    training = train(samples, model, out=out, code_size=code_size, config=TrainingConfig(**config))
    with suppress(TrainingError):
        deque(training, 0)
    return training.run


def copied(run: Run) -> Run:
    """Return a copy of a run in memory."""
    store = run.store
    assert isinstance(store, MemoryStore)
    return replace(run, store=MemoryStore(store._files))


def codes(diagnosis: Diagnosis) -> list[str]:
    return [finding.code for finding in diagnosis.findings]


@pytest.fixture(scope="module")
def memory(digits: Samples) -> Run:
    return trained(digits, "linear", epochs=30)


@pytest.fixture(scope="module")
def healthy(memory: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return memory.save(tmp_path_factory.mktemp("healthy") / "run").path


@pytest.fixture(scope="module")
def failed(digits: Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a run whose loss is no number from the second epoch on."""
    folder = tmp_path_factory.mktemp("failed") / "run"
    trained(digits, out=folder, epochs=5, batch_size=32, optimizer="sgd", lr=100.0)
    return folder


# -- healthy runs hear nothing ------------------------------------------------------------------


def test_nothing_is_found_in_a_healthy_run(healthy: Path) -> None:
    diagnosis = diagnose(healthy)
    assert diagnosis == Diagnosis(str(healthy))
    assert diagnosis.is_healthy
    assert not (healthy / FILE).exists()


def test_nor_in_a_healthy_classifier(digits: Samples) -> None:
    assert codes(diagnose(trained(digits, "cnn-tiny", epochs=3))) == []


def test_a_denoiser_that_does_harm_is_found(digits: Samples) -> None:
    (finding,) = diagnose(trained(digits, "linear", epochs=10, corrupt="gaussian:0.05")).findings
    assert finding.code == "no-better-than-noisy"
    assert "--code-size" in finding.advice


def test_the_last_lines_of_a_training_say_only_what_looks_wrong(tmp_path: Path) -> None:
    options = ("train", "digits", "--limit", 600, "--model", "linear", "--code-size", 8)
    well = done(*options, "--epochs", 30, "--out", tmp_path / "well").out
    assert [line.partition(":")[0] for line in well.splitlines()] == [
        str(tmp_path / "well"),
        "Next",
    ]
    ill = done(*options, "--epochs", 8, "--lr", 1e-9, "--out", tmp_path / "ill").out
    assert [line.partition(":")[0] for line in ill.splitlines() if line[0] != " "] == [
        str(tmp_path / "ill"),
        "lr-too-low",
        "Next",
    ]


# -- illnesses ----------------------------------------------------------------------------------


def test_a_loss_that_became_no_number_is_recorded_and_found(failed: Path) -> None:
    (finding,) = diagnose(failed).findings
    assert finding.code == "not-finite"
    assert "NaN in epoch" in finding.text or "infinite in epoch" in finding.text
    assert "without --lr: sgd takes 0.1" in finding.advice


def test_a_run_that_failed_before_its_first_epoch_can_be_examined(digits: Samples) -> None:
    run = trained(digits, "linear", epochs=2, optimizer="sgd", lr=1e4)
    assert run.history() == []
    (finding,) = diagnose(run).findings
    assert finding.code == "not-finite"
    assert "the untrained ones" in finding.text


def test_a_failure_that_a_resumed_run_has_passed_counts_no_more(memory: Run) -> None:
    run, steps = copied(memory), memory.history()[-1]["step"]
    run.write_failure({"epoch": 31, "step": steps + 1, "loss": "NaN", "lr": 0.1})
    assert codes(diagnose(run)) == ["not-finite"]
    run.write_failure({"epoch": 9, "step": steps - 1, "loss": "NaN", "lr": 0.1})
    assert codes(diagnose(run)) == []


def test_a_loss_that_blew_up_is_found(digits: Samples) -> None:
    (finding,) = diagnose(trained(digits, epochs=5, lr=10.0)).findings
    assert finding.code == "blow-up"
    assert finding.numbers["highest"] > 100
    assert "adamw takes 0.005" in finding.advice


def test_a_loss_that_was_low_and_is_not_any_more_is_found(memory: Run) -> None:
    run, history = copied(memory), memory.history()
    steps = history[0]["step"]  # of an epoch
    last = {**history[-1], "epoch": 31.0, "step": 31 * steps, "loss": history[0]["loss"]}
    run.write_history([*history, {**last, "is_best": False}])
    assert codes(diagnose(run)) == ["blow-up"]


@pytest.mark.parametrize("lr", [1e-9, 1e-6])
def test_a_learning_rate_that_never_moved_is_found(digits: Samples, lr: float) -> None:
    (finding,) = diagnose(trained(digits, "linear", epochs=7, lr=lr)).findings
    assert finding.code == "lr-too-low"
    assert f"{lr:g}" in finding.text
    assert "adamw takes 0.005" in finding.advice


def test_a_training_that_was_stopped_in_its_warm_up_is_found(digits: Samples) -> None:
    training = train(digits, "dense", config=TrainingConfig(epochs=100), max_minutes=1e-5)
    deque(training, 0)
    (finding,) = diagnose(training.run).findings
    assert finding.code == "warm-up"
    assert "resume(run)" in finding.advice


def test_overfitting_is_found(digits: Samples) -> None:
    few = digits.take(np.arange(0, 600, 40))
    options: dict[str, Any] = {"schedule": "constant", "optimizer": "adam", "lr": 0.003}
    (finding,) = diagnose(trained(few, epochs=60, code_size=32, **options)).findings
    assert finding.code == "overfitting"
    assert finding.numbers["last"] > finding.numbers["lowest"]
    assert "--patience" in finding.advice


def test_too_short_a_training_is_told_to_train_longer(digits: Samples) -> None:
    (finding,) = diagnose(trained(digits, epochs=1)).findings
    assert finding.code in ("no-better-than-mean", "no-better-than-pca", "constant-output")
    assert "resume(run, epochs=30)" in finding.advice


def test_a_classifier_that_learnt_nothing_is_found(digits: Samples) -> None:
    run = trained(digits, "cnn-small", epochs=1, lr=1e-4, validation=0.2)
    assert codes(diagnose(run)) in (["one-class"], ["no-better-than-majority"])


def changed(run: Run, change: Any) -> Run:
    """Return a copy of a run whose weights were changed."""
    copy = copied(run)
    model = copy.model()
    with torch.no_grad():
        change(list(require_encoder(model.module).encoder.children())[-1])
    copy.store.write(MODEL_FILE, model.to_bytes())
    return copy


def test_dead_numbers_of_the_code_are_found(memory: Run) -> None:
    def kill(last: torch.nn.Linear) -> None:
        last.weight[[2, 5]] = 0

    found = {finding.code: finding for finding in diagnose(changed(memory, kill)).findings}
    assert "2 of the 8 numbers" in found["dead-code"].text
    assert "2, 5" in found["dead-code"].text
    assert "a code of 6" in found["dead-code"].advice


def test_codes_that_are_all_the_same_are_found(memory: Run) -> None:
    def collapse(last: torch.nn.Linear) -> None:
        last.weight.zero_()

    (finding,) = diagnose(changed(memory, collapse)).findings
    assert finding.code == "collapsed-code"


def test_codes_on_a_line_are_found(memory: Run) -> None:
    def flatten(last: torch.nn.Linear) -> None:
        last.weight[1:] = last.weight[:1]

    finding = diagnose(changed(memory, flatten)).findings[0]
    assert finding.code == "collapsed-code"
    assert "on a line" in finding.text


# -- what it needs, keeps and prints ------------------------------------------------------------


def test_the_command_prints_findings_and_keeps_them_for_the_studio(failed: Path) -> None:
    outcome = done("doctor", failed)
    assert outcome.out.startswith("not-finite: The loss became")
    content = json.loads(done("doctor", failed, "--json").out)
    assert content["run"] == str(failed)
    (finding,) = content["findings"]
    assert finding.keys() == {"code", "text", "advice", "numbers"}
    said = f"{finding['text']} {finding['advice']}"
    assert read_history(Session(failed))["findings"] == [said]
    shown = diagnose(failed)._repr_html_() or ""
    assert finding["advice"] in unescape(shown)


def test_kept_findings_count_no_more_once_the_run_was_trained_on(failed: Path) -> None:
    diagnose(failed)
    run = Run.open(failed)
    assert read_kept(run.store) != []
    (failed / "history.jsonl").touch()
    assert read_kept(run.store) != []
    content = (failed / FILE).read_text()
    (failed / FILE).write_text(content.replace("The loss", "The moon"))
    assert read_kept(run.store) == []
    (failed / FILE).write_text(content)
    run.write_failure({"epoch": 2, "step": 9, "loss": "infinite", "lr": 0.1})
    assert read_kept(run.store) == []


def test_without_its_data_history_and_weights_are_examined(digits: Samples, tmp_path: Path) -> None:
    np.save(tmp_path / "digits.npy", digits.values)
    samples = load(str(tmp_path / "digits.npy"))
    run = trained(samples, "linear", out=tmp_path / "run", epochs=2, lr=1e-9)
    (tmp_path / "digits.npy").rename(tmp_path / "moved.npy")
    diagnosis = diagnose(run.path)
    assert codes(diagnosis) == ["lr-too-low"]
    assert "Only history and weights were examined: the data of" in diagnosis.unexamined[0]
    assert diagnose(run.path, data=tmp_path / "moved.npy").unexamined == ()


def test_a_run_without_an_epoch_cannot_be_examined(healthy: Path, tmp_path: Path) -> None:
    Run.open(healthy).save(tmp_path / "new")
    (tmp_path / "new" / "history.jsonl").unlink()
    with pytest.raises(RunError, match="no whole epoch yet"):
        diagnose(tmp_path / "new")
    assert isthmus("doctor", tmp_path / "new").code == 2
