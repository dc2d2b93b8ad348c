"""Classifiers and segmenters train by the same loop: exact, resumable, refused in one sentence."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus import (
    Progress,
    Run,
    Samples,
    TrainedModel,
    TrainingConfig,
    evaluate,
    load,
    resume,
    train,
)
from isthmus.data.items import Items
from isthmus.data.samples import VOID
from isthmus.errors import IsthmusError, ModelError, OptionError
from isthmus.models.config import configure
from isthmus.models.layers import Classifier
from isthmus.training.losses import class_weights, make_loss
from isthmus.training.targets import Meter

Refused = Callable[..., AbstractContextManager[None]]
QUICK = TrainingConfig(epochs=4, batch_size=32, augment="shift:0.1,color:0.2", label_smoothing=0.1)


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=300)


@pytest.fixture(scope="module")
def strokes(digits: Samples) -> Samples:
    """Digits with masks: paper, pen, and void at the edges of strokes."""
    values = load("digits", limit=300, size=32).values
    masks = np.where(values[..., 0] > 150, 1, 0).astype(np.uint8)
    masks[(values[..., 0] > 100) & (values[..., 0] < 180)] = 255
    return Samples(values, Items(digits.names, class_names=("paper", "pen")), masks=masks)


@pytest.fixture(scope="module")
def autoencoder(digits: Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "dense"
    finish(train(digits, "dense", out=out, code_size=16, config=TrainingConfig(epochs=20)))
    return out


def finish(steps: Iterator[Progress]) -> list[Progress]:
    return [progress for progress in steps if progress.validation_loss is not None]


def test_a_classifier_learns_digits_and_says_how_right_it_is(tmp_path: Path) -> None:
    digits = load("digits")
    out = tmp_path / "run"
    epochs = finish(train(digits, "cnn-tiny", out=out, config=TrainingConfig(epochs=6)))
    run = Run.open(out)
    assert [p.scores["accuracy"] for p in epochs] == [
        line["validation_accuracy"] for line in run.history()
    ]
    result = evaluate(run, own=digits)
    test = digits.take(run.split().test)
    model = run.model()
    predicted, probabilities = model.predict(test), model.probabilities(test)
    assert test.labels is not None
    assert result["test"]["accuracy"] == (predicted == test.labels).mean() > 0.95
    np.testing.assert_array_equal(probabilities.argmax(1), predicted)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert np.array(result["test"]["confusion"]).sum() == len(test)
    assert result["baselines"]["majority"] < 0.2
    assert result["baselines"]["pixels"]["knn_4"] > 0.9
    assert model.encode(test).shape == (len(test), model.config.code_size)


def test_a_segmenter_finds_strokes_and_void_counts_nowhere(
    strokes: Samples, tmp_path: Path
) -> None:
    options = {"width": 0.1, "batch_norm": True}
    config = TrainingConfig(epochs=6, batch_size=16)
    epochs = finish(train(strokes, "fcn8s", out=tmp_path / "run", options=options, config=config))
    assert {"accuracy", "iou"} == epochs[-1].scores.keys()
    run = Run.open(tmp_path / "run")
    test = strokes.take(run.split().test)
    result = evaluate(run, own=strokes)["test"]
    predicted = run.model().predict(test)
    assert test.masks is not None
    valid = test.masks != 255
    right = (predicted == test.masks)[valid].mean()
    assert result["pixel_accuracy"] == pytest.approx(right)
    both = [
        ((predicted == k) & (test.masks == k)).sum()
        / (((predicted == k) | (test.masks == k)) & valid).sum()
        for k in (0, 1)
    ]
    assert result["mean_iou"] == pytest.approx(np.mean(both))
    assert result["mean_iou"] > 0.7


@pytest.mark.parametrize("epoch", [1, 2])
def test_dropout_and_augmentation_resume_bit_by_bit(
    epoch: int, digits: Samples, tmp_path: Path
) -> None:
    finish(train(digits, "cnn-small", out=tmp_path / "once", config=QUICK))
    steps = train(digits, "cnn-small", out=tmp_path / "twice", config=QUICK)
    for progress in steps:
        if progress.epoch > epoch and progress.step % 3 == 0:
            break
    steps.close()
    finish(resume(tmp_path / "twice", digits))
    for file in ("model.safetensors", "last.safetensors"):
        assert (tmp_path / "once" / file).read_bytes() == (tmp_path / "twice" / file).read_bytes()


def test_the_model_that_is_kept_is_the_most_accurate(digits: Samples, tmp_path: Path) -> None:
    finish(train(digits, "cnn-small", out=tmp_path / "run", config=replace(QUICK, epochs=8)))
    run = Run.open(tmp_path / "run")
    best = [line for line in run.history() if line["is_best"]][-1]
    assert best["validation_accuracy"] == max(line["validation_accuracy"] for line in run.history())
    held_out = digits.take(run.split().validation)
    assert held_out.labels is not None
    accuracy = (run.model().predict(held_out) == held_out.labels).mean()
    assert accuracy == pytest.approx(best["validation_accuracy"], abs=0.04)  # bf16 in training


@pytest.mark.parametrize(("model", "lr_scale"), [("cnn-small", 0.2), ("alexnet", 0.1)])
def test_models_without_batch_normalization_start_at_a_part_of_the_usual_rate(
    model: str, lr_scale: float, digits: Samples, tmp_path: Path
) -> None:
    def rate(name: str, lr: float | None = None) -> float | None:
        out = tmp_path / f"{name}-{lr}"
        options = {"width": 0.05} if name == "alexnet" else {}
        config = TrainingConfig(epochs=1, lr=lr)
        finish(train(few, name, out=out, code_size=16, options=options, config=config))
        return Run.open(out).record.training_config.lr

    few = load("digits", limit=50, size=16)
    usual = rate("cnn-tiny")
    assert usual is not None
    assert rate(model) == pytest.approx(lr_scale * usual)
    assert rate(model, 0.003) == 0.003


def test_a_frozen_encoder_stays_and_its_head_learns(
    digits: Samples, autoencoder: Path, tmp_path: Path
) -> None:
    config = TrainingConfig(epochs=60, encoder_from=str(autoencoder), freeze=True, lr=0.05)
    finish(train(digits, task="classify", out=tmp_path / "probe", config=config))
    probe, source = TrainedModel.load(tmp_path / "probe"), TrainedModel.load(autoencoder)
    np.testing.assert_array_equal(probe.encode(digits), source.encode(digits))
    assert isinstance(probe.module, Classifier)
    assert probe.config.options == {"base": "dense"}
    assert (probe.predict(digits) == digits.labels).mean() > 0.7


def test_fine_tuning_starts_from_the_encoder_also_after_a_stop_before_the_first_epoch(
    digits: Samples, autoencoder: Path, tmp_path: Path
) -> None:
    config = TrainingConfig(epochs=2, encoder_from=str(autoencoder), lr=1e-9)
    source = TrainedModel.load(autoencoder)
    for name in ("run", "gone"):
        next(train(digits, task="classify", out=tmp_path / name, config=config))
        if name == "gone":  # the encoder is in the run from the start
            moved = autoencoder.with_name("moved")
            shutil.move(autoencoder, moved)
        try:
            finish(resume(tmp_path / name, digits))
        finally:
            if name == "gone":
                shutil.move(moved, autoencoder)
        learned = TrainedModel.load(tmp_path / name).encode(digits)
        np.testing.assert_allclose(learned, source.encode(digits), atol=1e-3)


def test_a_classifier_of_its_own_takes_over_the_encoder_that_fits_it(
    digits: Samples, tmp_path: Path
) -> None:
    options = {"width": 16}
    learned = tmp_path / "autoencoder"
    quick = TrainingConfig(epochs=1)
    finish(train(digits, "cnn-autoencoder", out=learned, options=options, config=quick))
    config = TrainingConfig(epochs=1, encoder_from=str(learned), freeze=True)
    finish(train(digits, "cnn", out=tmp_path / "cnn", options=options, config=config))
    features = [TrainedModel.load(run).encode(digits) for run in (learned, tmp_path / "cnn")]
    np.testing.assert_allclose(features[0], features[1], rtol=1e-6)


def test_rare_classes_weigh_more_if_asked(digits: Samples, tmp_path: Path) -> None:
    assert digits.labels is not None
    few = np.flatnonzero(digits.labels == 1)[:6]
    chosen = np.concatenate([np.flatnonzero(digits.labels == 0)[:24], few])
    parts = np.concatenate([np.arange(24) % 3, np.arange(6) % 3]).astype(np.uint8)
    two = Samples(
        digits.values[chosen],
        Items([digits.names[i] for i in chosen], digits.labels[chosen], ("zero", "one")),
        splits=parts,
    )
    chances = []
    for weighted in (False, True):
        config = TrainingConfig(epochs=6, batch_size=8, class_weights=weighted, lr=3e-4)
        out = tmp_path / str(weighted)
        finish(train(two, "cnn-small", out=out, config=config))
        chances.append(TrainedModel.load(out).probabilities(two)[:, 1].mean())
    assert chances[1] > chances[0] + 0.02


def test_the_loss_is_what_it_says() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0], [1.0, 4.0, 0.0]])
    targets = torch.tensor([0, 1, 1])
    log = logits.log_softmax(1)
    own = log[torch.arange(3), targets]
    smooth = make_loss("cross-entropy", smoothing=0.3)(logits, targets, "softmax")
    assert smooth.item() == pytest.approx(-(0.7 * own + 0.3 * log.mean(1)).mean().item(), rel=1e-5)
    weights = torch.tensor([20 / 20, 20 / 80, 0.0])  # the median count is 20
    weighted = make_loss("cross-entropy", weights=class_weights(torch.tensor([20, 80, 0])))
    expected = -(weights[targets] * own).sum() / weights[targets].sum()
    assert weighted(logits, targets, "softmax").item() == pytest.approx(expected.item(), rel=1e-5)
    masks = torch.tensor([[[0, 255]], [[255, 255]], [[1, 1]]])
    maps = logits[:, :, None, None].expand(3, 3, 1, 2)
    void = make_loss("cross-entropy")(maps, masks, "softmax")
    assert void.item() == pytest.approx(-(log[0, 0] + 2 * log[2, 1]).item() / 3, rel=1e-5)


def test_what_lacks_labels_or_classes_is_refused(
    photos: Path, strokes: Samples, digits: Samples, tmp_path: Path, refused: Refused
) -> None:
    out = tmp_path / "run"
    classify = partial(train, task="classify", out=out)
    assert digits.labels is not None
    shutil.rmtree(photos / "dog")
    with refused(OptionError, "one class", "cat"):
        classify(load(photos, size=16))
    with refused(OptionError, "no labels"):
        classify(strokes)
    with refused(OptionError, "no masks", "masks/a.png"):
        train(digits, "fcn8s", out=out)
    emptied = replace(digits, items=replace(digits.items, class_names=(*digits.class_names, "ten")))
    with refused(OptionError, "class ten", "no sample"):
        classify(emptied)
    unseen = replace(
        digits, splits=np.where(digits.labels == 7, 2, np.arange(300) % 2).astype("u1")
    )
    with refused(OptionError, "class 7", "no sample to train on"):
        classify(unseen)
    assert not out.exists()


def test_settings_that_do_not_go_with_the_task_are_refused(
    digits: Samples, autoencoder: Path, tmp_path: Path, refused: Refused
) -> None:
    def begin(model: str, **config: object) -> None:
        next(train(digits, model, out=tmp_path / "run", config=TrainingConfig(**config)))  # type: ignore[arg-type]

    cases: list[tuple[type[IsthmusError], str, dict[str, object], tuple[str, ...]]] = [
        (OptionError, "cnn-small", {"loss": "mse"}, ("mse", "cnn-small", "cross-entropy")),
        (OptionError, "dense", {"loss": "cross-entropy"}, ("cross-entropy", "dense", "bce")),
        (OptionError, "dense", {"class_weights": True}, ("dense", "class weights")),
        (ModelError, "cnn-small", {"encoder_from": str(autoencoder)}, ("dense", "cnn-small")),
        (ModelError, "cnn-small", {"encoder_from": "nowhere"}, ("nowhere",)),
    ]
    for kind, model, config, culprits in cases:
        with refused(kind, *culprits):
            begin(model, **config)
    with refused(OptionError, "freeze", "encoder"):
        TrainingConfig(freeze=True)
    with refused(OptionError, "16 × 16", "8x8"):
        train(
            load("digits", size=16, limit=50),
            task="classify",
            out=tmp_path / "run",
            config=TrainingConfig(encoder_from=str(autoencoder)),
        )
    assert not (tmp_path / "run").exists()


def test_what_an_autoencoder_does_is_refused_of_a_classifier_and_the_other_way_round(
    digits: Samples, autoencoder: Path, tmp_path: Path, refused: Refused
) -> None:
    next(train(digits, "cnn-small", out=tmp_path / "run", config=QUICK))
    classifier = TrainedModel.load(tmp_path / "run")
    with refused(ModelError, "cnn-small", "classifier", "an autoencoder"):
        classifier.reconstruct(digits)
    with refused(ModelError, "cnn-small", "classifier"):
        classifier.decode(np.zeros((1, 128), np.float32))
    with refused(ModelError, "dense", "an autoencoder", "a classifier or a segmenter"):
        TrainedModel.load(autoencoder).predict(digits)


def test_dropout_leaves_the_callers_random_numbers_alone(digits: Samples, tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    finish(train(digits, "cnn-small", out=tmp_path / "run", config=replace(QUICK, epochs=1)))
    assert torch.equal(torch.rand(3), expected)


def test_scores_of_masks_that_are_all_void_are_zero_and_no_nan() -> None:
    meter = Meter(configure("fcn8s", (3, 32, 32), class_names=("sky", "road")))
    meter.add(torch.zeros(1, 2, 4, 4), torch.full((1, 4, 4), VOID))
    assert meter.values() == {"accuracy": 0.0, "iou": 0.0}
    assert meter.error(loss=0.5) == 1.0
