"""Training a model further on other samples, with and without what its optimizer remembers."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from isthmus import Items, Run, Samples, TrainedModel, TrainingConfig, load, resume, train
from isthmus.errors import ModelError, OptionError

Refused = Callable[..., AbstractContextManager[None]]
QUICK = TrainingConfig(epochs=1, batch_size=16)


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=400)


@pytest.fixture(scope="module")
def run(digits: Samples) -> Run:
    config = replace(QUICK, epochs=5)
    return finish(digits.take(np.arange(200)), model="dense", code_size=8, config=config)


def finish(samples: Samples, **options: Any) -> Run:
    training = train(samples, **{"config": QUICK, **options})
    for _ in training:
        pass
    return training.run


def steps_of_optimizer(run: Run) -> int:
    checkpoint = run.checkpoint()
    assert checkpoint is not None
    return int(checkpoint["optimizer"]["state"][0]["step"])


def settings_of_optimizer(run: Run, *names: str) -> dict[str, float]:
    checkpoint = run.checkpoint()
    assert checkpoint is not None
    return {name: checkpoint["optimizer"]["param_groups"][0][name] for name in names}


def error(run: Run, samples: Samples) -> float:
    model = run.model()
    return float(np.square(model.reconstruct(samples) / 255 - samples.values / 255).mean())


def test_a_model_is_trained_further_on_other_samples(digits: Samples, run: Run) -> None:
    others = digits.take(np.arange(200, 400))
    further = finish(others, start=run, config=replace(QUICK, epochs=5))
    assert error(further, digits) < error(run, digits)
    assert error(further, digits) < error(finish(others, model="dense", code_size=8), digits)
    assert further.record.model_config == run.record.model_config
    assert further.record.data["start"] == run.model().fingerprint
    assert further.history()[-1]["epoch"] == 5


def test_the_optimizer_of_a_run_remembers_and_that_of_a_model_does_not(
    digits: Samples, run: Run
) -> None:
    same, steps = digits.take(np.arange(200)), 10  # of 16 samples in an epoch of 160
    assert steps_of_optimizer(run) == 5 * steps
    assert steps_of_optimizer(finish(same, start=run)) == 6 * steps
    assert steps_of_optimizer(finish(same, start=run.model())) == steps
    other = replace(QUICK, optimizer="adam")
    assert steps_of_optimizer(finish(same, start=run, config=other)) == steps


@pytest.mark.parametrize(
    ("optimizer", "change"),
    [
        ("adamw", {"weight_decay": 20.0}),
        ("adam", {"weight_decay": 1.0}),
        ("sgd", {"momentum": 0.9}),
    ],
)
def test_the_optimizer_has_the_settings_of_the_new_run(
    optimizer: str, change: dict[str, Any], digits: Samples, tmp_path: Path
) -> None:
    config = replace(QUICK, optimizer=optimizer, momentum=0.5)
    first = finish(digits, model="linear", code_size=8, config=config)
    same = finish(digits, start=first, config=config)
    changed = replace(config, **change)
    other = finish(digits, start=first, config=changed)
    assert settings_of_optimizer(other, *change) == change
    assert settings_of_optimizer(same, *change) != change
    assert other.model().to_bytes() != same.model().to_bytes()
    # They are kept by a run that is stopped before its first step is saved.
    training = train(digits, start=first, config=changed, out=tmp_path / "run")
    next(training)
    training.close()
    for _ in resume(tmp_path / "run", digits):
        pass
    assert Run.open(tmp_path / "run").model().to_bytes() == other.model().to_bytes()


def test_momentum_starts_from_a_run_without_it(digits: Samples) -> None:
    still = replace(QUICK, optimizer="sgd")
    run = finish(digits, model="linear", code_size=8, config=still)
    moved = finish(digits, start=run, config=replace(still, momentum=0.9))
    assert settings_of_optimizer(moved, "momentum") == {"momentum": 0.9}
    again = finish(digits, start=moved, config=still)
    assert settings_of_optimizer(again, "momentum") == {"momentum": 0.0}


def test_the_model_that_training_starts_from_stays_as_it_is(digits: Samples, run: Run) -> None:
    model = run.model()
    before = model.to_bytes()
    finish(digits, start=model)
    assert model.to_bytes() == before
    assert run.model().to_bytes() == before


def test_a_run_that_was_stopped_resumes_from_the_same_weights(
    digits: Samples, run: Run, tmp_path: Path
) -> None:
    config = replace(QUICK, epochs=2)
    whole = finish(digits, start=run, config=config)
    training = train(digits, start=run, config=config, out=tmp_path / "run")
    next(training)  # the first checkpoint holds the weights to start from, and no step
    training.close()
    for _ in resume(tmp_path / "run", digits):
        pass
    assert Run.open(tmp_path / "run").model().to_bytes() == whole.model().to_bytes()


def test_signals_keep_the_range_of_the_model() -> None:
    values = np.random.default_rng(0).uniform(0, 1, (60, 8, 1)).astype(np.float32)
    items = Items([str(i) for i in range(60)])
    run = finish(Samples(values, items), model="linear", code_size=2)
    further = finish(Samples(values * 3, items), start=run)
    assert further.record.preprocessing == run.record.preprocessing


@pytest.mark.parametrize(
    "options",
    [
        {"model": "dense"},
        {"code_size": 8},
        {"options": {}},
        {"config": replace(QUICK, encoder_from="runs/a")},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_the_model_has_already_is_not_asked_for(
    options: dict[str, Any], digits: Samples, run: Run, refused: Refused
) -> None:
    with refused(OptionError, "leave model, code size, options and encoder from out"):
        train(digits, start=run, **options)


def test_samples_and_task_must_be_those_of_the_model(
    digits: Samples, run: Run, refused: Refused
) -> None:
    with refused(ModelError, "(1, 8, 8)", "400 images of 4 × 4"):
        train(replace(digits, values=digits.values[:, :4, :4]), start=run)
    with refused(ModelError, "dense", "classifier"):
        train(digits, start=run, task="classify")
    classifier = finish(digits, model="encoder")
    nine = digits.items.select(np.asarray(digits.labels) < 9)
    values = digits.values[np.asarray(digits.labels) < 9]
    renamed = replace(nine, class_names=nine.class_names[:9])
    with refused(ModelError, "10 classes", "9 classes"):
        train(Samples(values, renamed), start=classifier)
    further = finish(digits, start=classifier)
    assert isinstance(further.model(), TrainedModel)


def test_weights_are_not_shared(digits: Samples, run: Run) -> None:
    model = run.model()
    training = train(digits, start=model, config=QUICK)
    for _ in training:
        pass
    weights = zip(
        model.module.state_dict().values(),
        training.run.model().module.state_dict().values(),
        strict=True,
    )
    assert not any(torch.equal(old, new) for old, new in weights)
