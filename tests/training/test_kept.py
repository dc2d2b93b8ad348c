"""Epochs that a run keeps: the same samples, also after a stop, and training is not changed."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus import Progress, Run, Samples, TrainedModel, TrainingConfig, load, resume, train
from isthmus.data.items import Items
from isthmus.training import kept
from isthmus.training.kept import MAX_KEPT, KeptEpochs, kept_epochs
from isthmus.training.store import MemoryStore

QUICK = TrainingConfig(epochs=4, batch_size=32)


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=240)


def finish(steps: Iterator[Progress]) -> None:
    for _ in steps:
        pass


def files(run: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (run / "epochs").iterdir()}


def test_the_last_epoch_is_what_the_last_weights_make_of_the_samples(
    digits: Samples, tmp_path: Path
) -> None:
    finish(train(digits, "dense", code_size=4, out=tmp_path / "a", config=QUICK))
    run = Run.open(tmp_path / "a")
    assert run.epochs.numbers() == [1, 2, 3, 4]
    given = run.epochs.inputs()
    assert given is not None
    inputs, rows = given
    assert set(rows.tolist()) <= set(run.split().test.tolist())
    np.testing.assert_array_equal(inputs, digits.values[rows])
    last = TrainedModel.load(tmp_path / "a" / "last.safetensors")
    answers = run.epochs.read(4)
    assert answers is not None
    assert answers.dtype == np.uint8
    # Training on the CPU computes in this precision: bfloat16 has two to three digits.
    difference = np.abs(answers.astype(int) - last.reconstruct(inputs).astype(int))
    assert difference.max() <= 4
    first = run.epochs.read(1)
    assert first is not None
    assert not np.array_equal(first, answers)
    assert run.epochs.read(9) is None


def test_samples_are_spread_over_the_classes(digits: Samples) -> None:
    training = train(digits, "dense", code_size=4, config=replace(QUICK, epochs=1))
    finish(training)
    given = training.run.epochs.inputs()
    assert given is not None
    assert digits.labels is not None
    tested = digits.labels[training.run.split().test].tolist()
    assert sorted(digits.labels[given[1]].tolist()) == sorted(set(tested))


def test_a_run_that_was_stopped_keeps_the_same_files(digits: Samples, tmp_path: Path) -> None:
    noisy = replace(QUICK, corrupt="gaussian:0.3")
    finish(train(digits, "dense", code_size=4, out=tmp_path / "whole", config=noisy))
    steps = train(digits, "dense", code_size=4, out=tmp_path / "parts", config=noisy)
    for progress in steps:
        if progress.step == 9:  # in the middle of the second epoch
            break
    steps.close()
    finish(resume(tmp_path / "parts"))
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_a_killed_process_leaves_files_that_are_written_again(
    digits: Samples, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    finish(train(digits, "dense", code_size=4, out=out, config=replace(QUICK, epochs=2)))
    expected = files(out)
    # As if it had been killed between the samples of an epoch and its checkpoint.
    Run.open(out).epochs.write(3, np.zeros((2, 8, 8, 1), np.uint8))
    finish(resume(out, epochs=3))
    assert Run.open(out).epochs.numbers() == [1, 2, 3]
    assert {name: files(out)[name] for name in expected} == expected
    third = Run.open(out).epochs.read(3)
    assert third is not None
    assert third.shape[0] > 2


def test_keeping_changes_neither_weights_nor_random_numbers(
    digits: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(QUICK, epochs=2)

    def weights_and_number(name: str) -> tuple[bytes, float]:
        torch.manual_seed(5)
        finish(train(digits, "conv-bn-2d", code_size=4, out=tmp_path / name, config=config))
        return (tmp_path / name / "last.safetensors").read_bytes(), float(torch.rand(1))

    with_epochs = weights_and_number("a")
    monkeypatch.setattr("isthmus.training.loop.Loop._keep_answers", lambda self: None)
    assert weights_and_number("b") == with_epochs
    assert not (tmp_path / "b" / "epochs").exists()


def test_a_denoiser_keeps_its_noisy_inputs(digits: Samples) -> None:
    config = replace(QUICK, epochs=1, corrupt="masked:0.5")
    training = train(digits, "dense", code_size=4, config=config)
    finish(training)
    run, given = training.run, training.run.epochs.inputs()
    assert given is not None
    inputs, rows = given
    np.testing.assert_array_equal(inputs, run.add_noise(run.model(), digits.values[rows], rows))
    assert (inputs == 0).mean() > (digits.values[rows] == 0).mean() + 0.1


def test_classifiers_keep_probabilities_and_segmenters_masks(digits: Samples) -> None:
    training = train(digits, "cnn-tiny", config=replace(QUICK, epochs=1))
    finish(training)
    answers = training.run.epochs.read(1)
    assert answers is not None
    assert answers.shape[1:] == (10,)
    np.testing.assert_allclose(answers.sum(1), 1, atol=1e-2)
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (24, 16, 16, 3), np.uint8)
    masks = (images[..., 0] > 128).astype(np.uint8)
    names = Items([str(i) for i in range(24)], None, ("dark", "light"))
    samples = Samples(images, names, masks=masks)
    options = {"width": 0.05, "batch_norm": False}
    config = TrainingConfig(epochs=1, batch_size=8)
    training = train(samples, "fcn32s", code_size=8, options=options, config=config)
    finish(training)
    answers = training.run.epochs.read(1)
    assert answers is not None
    assert answers.dtype == np.uint8
    assert answers.shape[1:] == (16, 16)
    assert set(np.unique(answers)) <= {0, 1}


def test_a_saved_run_has_its_epochs(digits: Samples, tmp_path: Path) -> None:
    training = train(digits, "dense", code_size=4, config=replace(QUICK, epochs=2))
    finish(training)
    saved = training.run.save(tmp_path / "saved")
    assert saved.epochs.numbers() == [1, 2]
    np.testing.assert_array_equal(saved.epochs.read(2), training.run.epochs.read(2))


def test_of_many_epochs_some_are_kept_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore({})
    epochs = KeptEpochs(store)
    for epoch in range(1, 301):
        epochs.write(epoch, np.array([[epoch]], np.int32))
        numbers = epochs.numbers()
        assert set(numbers) == kept_epochs(epoch)
        assert numbers[0] == 1
        assert numbers[-1] == epoch
        assert len(numbers) <= MAX_KEPT
        steps = np.diff(numbers)[1:-1]
        assert len(steps) == 0 or steps.max() == steps.min()
    last = epochs.read(300)
    assert last is not None
    assert last.item() == 300


def test_large_samples_are_fewer() -> None:
    assert [kept.shown_count(size) for size in (64, 2**14, 2**15, 2**22)] == [16, 16, 8, 4]
