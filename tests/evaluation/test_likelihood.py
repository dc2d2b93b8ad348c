"""Bounds on the likelihood: exact where it is known, in order where it is not, and shown."""

from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from isthmus import Run, Samples, TrainedModel, TrainingConfig, evaluate, load, train
from isthmus.data.corruption import binarize
from isthmus.data.random import FIXED_LATENT, SampleRng
from isthmus.evaluation.likelihood import count_active
from isthmus.evaluation.setup import plan_evaluation
from isthmus.models.variational import VariationalAutoencoder
from isthmus.reports.card import write_card
from isthmus.reports.run import write_report
from test_cli import done


@pytest.fixture(scope="module")
def digits(session_cache: Path) -> Samples:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(session_cache))
        return load("digits", limit=300)


@pytest.fixture(scope="module")
def folder(digits: Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("likelihood") / "run"
    config = TrainingConfig(epochs=12, batch_size=32, binarize=True)
    deque(train(digits, "dense-vae", out=out, code_size=4, config=config), 0)
    return out


def measured(run: Run, model: TrainedModel | None = None) -> dict[str, Any]:
    likelihood: dict[str, Any] = evaluate(run, model=model, cache=False)["likelihood"]
    return likelihood


def test_the_bounds_are_in_order_and_better_than_independent_pixels(folder: Path) -> None:
    found = measured(Run.open(folder))
    assert found["elbo"] == pytest.approx(-found["reconstruction"] - found["kl"])
    assert found["bound"] > found["elbo"] + 0.1
    assert found["elbo"] > found["independent"]
    assert (found["n"], found["bound_n"], found["draws"], found["units"]) == (30, 30, 100, 4)
    assert found["kl"] > 0.1
    assert 1 <= found["active_units"] <= 4
    assert measured(Run.open(folder)) == found  # nothing is drawn from a state


def test_the_bound_is_the_likelihood_where_the_code_is_ignored(folder: Path) -> None:
    run, model = Run.open(folder), TrainedModel.load(folder)
    module = model.module
    assert isinstance(module, VariationalAutoencoder)
    first = next(module.decoder.parameters())  # of the layer that reads the code
    for weight in (*module.encoder[-1].parameters(), first):
        weight.data.zero_()  # the posterior is the prior, and all codes give the same picture
    found = measured(run, model)
    setup = plan_evaluation(run, run.samples(), None, model)
    (x,) = model.inputs(setup.test)
    x = binarize(x, SampleRng(run.record.training_config.seed, setup.indices, FIXED_LATENT))
    chances = model.activate(model.module(x)).double()
    exact = (x * chances.log() + (1 - x) * (1 - chances).log()).flatten(1).sum(1).mean().item()
    assert found["kl"] == 0
    assert found["active_units"] == 0
    assert found["elbo"] == pytest.approx(exact, rel=1e-5)
    assert found["bound"] == pytest.approx(exact, rel=1e-5)


def test_a_normal_density_has_its_constant(digits: Samples) -> None:
    training = train(digits, "dense-vae", code_size=2, config=TrainingConfig(epochs=1, loss="mse"))
    deque(training, 0)
    found = measured(training.run)
    assert found["density"] == "normal"
    assert found["constant"] == pytest.approx(-64 * np.log(2 * np.pi * 0.1**2) / 2)
    assert found["elbo"] == pytest.approx(found["constant"] - found["reconstruction"] - found["kl"])
    assert found["bound"] > found["elbo"]
    assert "independent" not in found


def test_units_are_active_if_their_means_vary_by_more_than_a_hundredth() -> None:
    rng = np.random.default_rng(0)
    means = rng.standard_normal((4000, 3)).astype(np.float32) * np.sqrt([0.012, 0.008, 2])
    assert count_active(torch.from_numpy(means)) == 2
    assert count_active(torch.zeros(1, 5)) == 0


def test_other_models_and_denoisers_have_no_likelihood(digits: Samples) -> None:
    config = TrainingConfig(epochs=1)
    for model, changed in (("dense", config), ("dense-vae", replace(config, corrupt="masked:0.2"))):
        training = train(digits, model, code_size=2, config=changed)
        deque(training, 0)
        assert "likelihood" not in evaluate(training.run, cache=False)


def test_command_report_and_card_say_it(folder: Path, tmp_path: Path) -> None:
    run = Run.open(folder)
    bound = f"{evaluate(run)['likelihood']['bound']:.2f} ±"
    shown = done("evaluate", folder).out
    page = write_report(run, out=tmp_path / "report.html").read_text()
    card = (write_card(run, out=tmp_path / "card") / "README.md").read_text()
    for text in (shown, page, card):
        assert bound in text
        assert "importance-weighted bound, k = 100" in text
        assert "Pixels are drawn" in " ".join(text.split())
