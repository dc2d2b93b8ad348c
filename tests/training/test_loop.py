"""The training loop: exact, resumable, honest about what goes wrong."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus import (
    IsthmusError,
    Progress,
    Run,
    Samples,
    TrainedModel,
    TrainingConfig,
    load,
    resume,
    train,
)
from isthmus.data.corruption import Corruption
from isthmus.data.random import SampleRng
from isthmus.errors import OptionError, RunError, TrainingError
from isthmus.training.optim import OPTIMIZERS, SCHEDULES
from isthmus.training.train import Training

QUICK = TrainingConfig(epochs=4, batch_size=32)


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=240)


def finish(steps: Iterator[Progress]) -> list[Progress]:
    return [progress for progress in steps if progress.validation_loss is not None]


def stop_after(steps: Training, epoch: int) -> None:
    for progress in steps:
        if progress.validation_loss is not None and progress.epoch == epoch:
            break
    steps.close()


def weights(run: Path) -> tuple[bytes, bytes]:
    return (run / "model.safetensors").read_bytes(), (run / "last.safetensors").read_bytes()


@pytest.mark.parametrize(("optimizer", "schedule"), list(product(OPTIMIZERS, SCHEDULES)))
def test_stopping_and_resuming_gives_the_weights_of_one_go_bit_by_bit(
    optimizer: str, schedule: str, digits: Samples, tmp_path: Path
) -> None:
    config = replace(QUICK, optimizer=optimizer, schedule=schedule, momentum=0.5)
    finish(train(digits, "conv-pool", out=tmp_path / "once", config=config))
    stop_after(train(digits, "conv-pool", out=tmp_path / "twice", config=config), epoch=2)
    finish(resume(tmp_path / "twice"))
    assert weights(tmp_path / "once") == weights(tmp_path / "twice")
    histories = [
        [(line["epoch"], line["loss"], line["validation_loss"]) for line in Run.open(run).history()]
        for run in (tmp_path / "once", tmp_path / "twice")
    ]
    assert histories[0] == histories[1]


def test_stopping_within_an_epoch_is_exact_too(digits: Samples, tmp_path: Path) -> None:
    config = replace(QUICK, epochs=2)
    finish(train(digits, "conv-bn-2d", out=tmp_path / "once", config=config))
    moment = 1e-9  # minutes: enough for a single step
    finish(train(digits, "conv-bn-2d", out=tmp_path / "many", config=config, max_minutes=moment))
    pieces = 1
    while Run.open(tmp_path / "many").history()[-1]["epoch"] < 2:
        finish(resume(tmp_path / "many", max_minutes=moment))
        pieces += 1
    assert pieces == 2 * (192 // 32)
    assert (tmp_path / "once/last.safetensors").read_bytes() == (
        tmp_path / "many/last.safetensors"
    ).read_bytes()


def test_a_denoiser_stopped_anywhere_is_exact_too(digits: Samples, tmp_path: Path) -> None:
    config = replace(QUICK, epochs=2, corrupt="gaussian:0.4,masked:0.1", flip=True)
    finish(train(digits, "conv-pool", out=tmp_path / "once", config=config))
    stop_after(train(digits, "conv-pool", out=tmp_path / "between", config=config), epoch=1)
    finish(resume(tmp_path / "between"))
    moment = 1e-9  # minutes: enough for a single step
    finish(train(digits, "conv-pool", out=tmp_path / "within", config=config, max_minutes=moment))
    for _ in range(3):
        finish(resume(tmp_path / "within", max_minutes=moment))
    finish(resume(tmp_path / "within"))
    assert weights(tmp_path / "between") == weights(tmp_path / "once")
    assert weights(tmp_path / "within")[1] == weights(tmp_path / "once")[1]


def test_noise_is_fresh_in_training_and_frozen_in_validation(
    digits: Samples, tmp_path: Path
) -> None:
    # At such a rate no weight moves: what changes from epoch to epoch is the noise alone.
    still = TrainingConfig(epochs=3, batch_size=32, optimizer="sgd", lr=1e-30, schedule="constant")
    losses, validation = {}, {}
    for corrupt in (None, "gaussian:0.5"):
        config = replace(still, corrupt=corrupt)
        epochs = finish(train(digits, "linear", out=tmp_path / str(corrupt), config=config))
        losses[corrupt] = [progress.loss for progress in epochs]
        (validation[corrupt],) = {progress.validation_loss or 0.0 for progress in epochs}
    assert validation["gaussian:0.5"] > 1.05 * validation[None]
    assert losses[None] == pytest.approx([losses[None][0]] * 3, rel=1e-6)
    assert min(abs(np.diff(losses["gaussian:0.5"]))) > 1e-4 * losses["gaussian:0.5"][0]


def test_a_run_says_its_noise_and_what_it_made_of_the_samples(
    digits: Samples, tmp_path: Path
) -> None:
    config = replace(QUICK, epochs=1, seed=3, corrupt="gaussian:0.50, masked:.1")
    finish(train(digits, "dense", out=tmp_path / "noisy", config=config))
    finish(train(digits, "dense", out=tmp_path / "clean", config=replace(config, corrupt=None)))
    record, split = Run.open(tmp_path / "noisy").record, Run.open(tmp_path / "noisy").split()
    assert record.training_config.corrupt == "gaussian:0.5,masked:0.1"
    assert set(record.data["noise"]) == {"validation", "test"}
    for part, expected in record.data["noise"].items():
        indices = getattr(split, part)
        x = record.preprocessing.to_input(torch.from_numpy(digits.values[indices]))
        y = Corruption.parse("gaussian:0.5,masked:0.1").apply(x, SampleRng(3, indices))
        seen = y.permute(0, 2, 3, 1).contiguous().numpy()
        assert hashlib.sha256(seen.tobytes()).hexdigest()[:16] == expected
    clean = Run.open(tmp_path / "clean").record
    assert clean.training_config.corrupt is None
    assert "noise" not in clean.data


def test_a_denoiser_takes_noise_away(tmp_path: Path) -> None:
    digits = load("digits")
    config = TrainingConfig(epochs=20, batch_size=64, corrupt="gaussian:0.3", loss="mse")
    epochs = finish(train(digits, "dense", out=tmp_path / "run", config=config))
    run = Run.open(tmp_path / "run")
    indices = run.split().validation
    x = run.record.preprocessing.to_input(torch.from_numpy(digits.values[indices]))
    noisy = Corruption.parse("gaussian:0.3").apply(x, SampleRng(0, indices))
    best = min(progress.validation_loss or 0.0 for progress in epochs)
    assert best < 0.5 * float((noisy - x).square().mean())


def test_one_seed_gives_one_model_and_another_another(digits: Samples, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(hash(name) % 1000)  # the caller's random numbers do not matter
        finish(train(digits, out=tmp_path / name, config=replace(QUICK, seed=seed)))
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert weights(tmp_path / "a") != weights(tmp_path / "c")


def test_training_leaves_the_callers_random_numbers_alone(digits: Samples, tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    finish(train(digits, "dense", out=tmp_path / "run", config=replace(QUICK, epochs=1)))
    assert torch.rand(1) == expected


def test_three_steps_can_be_taken_and_left(digits: Samples, tmp_path: Path) -> None:
    steps = train(digits, out=tmp_path / "run", config=QUICK)
    taken = [next(steps) for _ in range(3)]
    assert [progress.step for progress in taken] == [1, 2, 3]
    assert all(0 < progress.loss < 2 for progress in taken)
    assert all(progress.steps == 4 * (192 // 32) for progress in taken)


def test_every_epoch_is_a_line_of_history(digits: Samples, tmp_path: Path) -> None:
    epochs = finish(train(digits, out=tmp_path / "run", config=QUICK))
    lines = [
        json.loads(line)
        for line in (tmp_path / "run/history.jsonl").read_text().split("\n")
        if line
    ]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert [line["validation_loss"] for line in lines] == [p.validation_loss for p in epochs]
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert sorted(line["seconds"] for line in lines) == [line["seconds"] for line in lines]


def test_the_best_weights_are_kept_beside_the_last(digits: Samples, tmp_path: Path) -> None:
    config = TrainingConfig(
        epochs=12, batch_size=16, optimizer="sgd", lr=0.5, schedule="constant", momentum=0.95
    )
    epochs = finish(train(digits, "dense", out=tmp_path / "run", config=config))
    losses = [progress.validation_loss or 0.0 for progress in epochs]
    run = Run.open(tmp_path / "run")
    held_out = digits.values[run.split().validation]

    def loss(file: str) -> float:
        model = TrainedModel.load(tmp_path / "run" / file)
        parts = [
            torch.nn.functional.binary_cross_entropy_with_logits(output, x, reduction="sum")
            for x, output in model.outputs(held_out)
        ]
        return float(sum(parts)) / held_out.size

    assert loss("model.safetensors") == pytest.approx(min(losses), rel=2e-3)  # bf16 while training
    assert loss("last.safetensors") == pytest.approx(losses[-1], rel=2e-3)


def test_patience_stops_early(digits: Samples, tmp_path: Path) -> None:
    config = TrainingConfig(epochs=60, batch_size=32, lr=0.01, patience=2, schedule="constant")
    epochs = finish(train(digits, "dense", out=tmp_path / "run", config=config))
    best = max(i for i, progress in enumerate(epochs) if progress.is_best)
    assert len(epochs) == best + 3 < 60


def test_more_epochs_make_a_finished_run_longer(digits: Samples, tmp_path: Path) -> None:
    finish(train(digits, out=tmp_path / "run", config=QUICK))
    epochs = finish(resume(tmp_path / "run", epochs=6))
    assert [progress.epoch for progress in epochs] == [5, 6]
    assert Run.open(tmp_path / "run").record.training_config.epochs == 6
    with pytest.raises(OptionError, match="6 of 5 epochs"):
        resume(tmp_path / "run", epochs=5)


def test_with_a_constant_rate_a_longer_run_equals_one_go(digits: Samples, tmp_path: Path) -> None:
    constant = replace(QUICK, schedule="constant")
    finish(train(digits, out=tmp_path / "long", config=constant))
    finish(train(digits, out=tmp_path / "short", config=replace(constant, epochs=2)))
    finish(resume(tmp_path / "short", epochs=4))
    assert weights(tmp_path / "long") == weights(tmp_path / "short")


def test_a_diverging_loss_keeps_the_last_good_weights(digits: Samples, tmp_path: Path) -> None:
    wild = TrainingConfig(epochs=8, batch_size=32, optimizer="sgd", lr=1e18, schedule="one-cycle")
    with pytest.raises(TrainingError, match="lower lr"):
        finish(train(digits, "linear", out=tmp_path / "run", config=wild))
    module = TrainedModel.load(tmp_path / "run").module
    assert all(weight.isfinite().all() for weight in module.parameters())


def test_divergence_after_good_epochs_keeps_the_best_of_them(
    digits: Samples, tmp_path: Path
) -> None:
    good = replace(QUICK, schedule="constant")
    finish(train(digits, "linear", out=tmp_path / "run", config=good))
    best = (tmp_path / "run/model.safetensors").read_bytes()
    run = json.loads((tmp_path / "run/run.json").read_text())
    run["training_config"]["lr"] = 1e30
    del run["seal"]  # it is changed on purpose
    (tmp_path / "run/run.json").write_text(json.dumps(run))
    with pytest.raises(TrainingError, match=r"those of epoch \d"):
        finish(resume(tmp_path / "run", epochs=8))
    assert (tmp_path / "run/model.safetensors").read_bytes() == best


def test_two_cannot_train_one_run(digits: Samples, tmp_path: Path) -> None:
    steps = train(digits, out=tmp_path / "run", config=QUICK)
    next(steps)
    with pytest.raises(RunError, match="in use by another"):
        next(resume(tmp_path / "run"))
    steps.close()
    assert next(resume(tmp_path / "run")).step == 1


def test_best_weights_that_somebody_deleted_are_missed(digits: Samples, tmp_path: Path) -> None:
    finish(train(digits, out=tmp_path / "run", config=replace(QUICK, epochs=2)))
    run = Run.open(tmp_path / "run")
    checkpoint = run.checkpoint() or {}
    checkpoint["counters"]["best_step"] -= 1  # so that the last weights are not the best
    run.write_checkpoint(checkpoint)
    (tmp_path / "run/model.safetensors").unlink()
    with pytest.raises(RunError, match=r"model\.safetensors is missing"):
        finish(resume(tmp_path / "run", digits, epochs=4))


def test_changed_data_is_refused(digits: Samples, tmp_path: Path) -> None:
    finish(train(digits, out=tmp_path / "run", config=replace(QUICK, epochs=1)))
    with pytest.raises(RunError, match="not the data"):
        next(resume(tmp_path / "run", load("digits", limit=200), epochs=2))


def test_arrays_train_and_must_be_given_again(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 9, 7, 4), np.uint8)
    samples = load(images)
    finish(train(samples, "linear", out=tmp_path / "run", config=replace(QUICK, batch_size=16)))
    with pytest.raises(RunError, match="give the samples again"):
        resume(tmp_path / "run", epochs=5)
    assert len(finish(resume(tmp_path / "run", samples, epochs=5))) == 1


def test_signals_train_and_come_back_in_their_own_units(tmp_path: Path) -> None:
    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, (400, 1))
    waves = 40 + 10 * np.sin(np.linspace(0, 6, 50) + phases)
    samples = load(waves[..., None].astype(np.float32))
    config = TrainingConfig(epochs=40, batch_size=32)
    finish(train(samples, out=tmp_path / "run", code_size=4, config=config))
    run = Run.open(tmp_path / "run")
    assert run.record.model_config.model == "conv1d"
    model = run.model()
    test = samples.values[run.split().test]
    error = np.abs(model.reconstruct(test) - test).mean()
    assert error < 2  # of an amplitude of 10, around 40
    assert model.encode(test).shape == (len(test), 4)


def test_event_files_tell_the_history(digits: Samples, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = replace(QUICK, tensorboard=True)
    stop_after(train(digits, out=tmp_path / "run", config=config), epoch=2)
    finish(resume(tmp_path / "run"))
    events = EventAccumulator(str(tmp_path / "run/tensorboard"))
    events.Reload()
    written = [event.value for event in events.Scalars("loss/validation")]
    history = [line["validation_loss"] for line in Run.open(tmp_path / "run").history()]
    assert written == pytest.approx(history)


def test_several_processes_train_one_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "-m",
        "isthmus",
        "train",
        "digits",
        "--limit",
        "240",
        "--epochs",
        "2",
        "--batch-size",
        "32",
        "--model",
        "conv-bn-2d",
        "--precision",
        "32",
        "--out",
        str(out),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    run = Run.open(out)
    assert run.record.environment["processes"] == 2
    assert [line["epoch"] for line in run.history()] == [1, 2]
    assert done.stdout.count("epochs in") == 1  # only the first process speaks
    assert run.model().encode(load("digits", limit=5)).shape == (5, 2)


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"batch_size": 100_000}, "exceeds the 192 samples"),
        ({"batch_size": 1}, "at least 2"),
        ({"lr": float("nan")}, "lr must be"),
        ({"loss": "bce", "model": "linear"}, "take mse"),
        ({"optimizer": "adamm"}, "adamw, adam, adamax, sgd, adadelta"),
        ({"schedule": "exp"}, "one-cycle, constant, cosine, step"),
        ({"validation": 1.0}, "between 0 and 1"),
    ],
)
def test_settings_that_make_no_sense_are_said_and_leave_nothing(
    change: dict[str, object], fragment: str, digits: Samples, tmp_path: Path
) -> None:
    model = str(change.pop("model", "conv-bn-2d"))
    with pytest.raises(IsthmusError, match=fragment):
        train(digits, model, out=tmp_path / "run", config=replace(QUICK, **change))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
