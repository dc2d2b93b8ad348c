"""Variational autoencoders: the loss is the formula, and chance follows from counters."""

import math
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from isthmus import (
    Run,
    Samples,
    TrainedModel,
    TrainingConfig,
    diagnose,
    evaluate,
    load,
    resume,
    train,
)
from isthmus.data.random import StepRng
from isthmus.errors import OptionError
from isthmus.models.config import configure
from isthmus.models.variational import VariationalAutoencoder
from isthmus.training.objective import Moment
from isthmus.training.variational import LIKELIHOODS, SIGMA, Variational
from isthmus.viz.curves import curves
from test_cli import done, isthmus

SHAPE, CODE = (1, 5, 4), 3
BINARY = TrainingConfig(epochs=2, batch_size=32, binarize=True, warm_up=0.5, free_bits=0.02)


@pytest.fixture(scope="module")
def digits(session_cache: Path) -> Samples:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(session_cache))
        return load("digits", limit=240)


@pytest.fixture(scope="module")
def trained(digits: Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("variational") / "run"
    deque(train(digits, "dense-vae", out=out, code_size=4, config=BINARY), 0)
    return out


def make_module() -> VariationalAutoencoder:
    torch.manual_seed(0)
    module = configure("dense-vae", SHAPE, CODE).build()
    assert isinstance(module, VariationalAutoencoder)
    for weight in module.encoder[-1].parameters():  # far from the prior, so that each term counts
        weight.data.normal_()
    return module


def make_moment(step: int = 0, is_training: bool = True) -> Moment:
    return Moment(step, 10, is_training, lambda: StepRng(1, 0, step, 8))


def make_objective(loss: str = "bce", **options: Any) -> Variational:
    values = {"beta": 1.0, "warm_up": 0.0, "free_bits": 0.0, "is_binarized": False, **options}
    return Variational(LIKELIHOODS[loss], "sigmoid", CODE, **values)


def log_density(distribution: Any, x: torch.Tensor) -> torch.Tensor:
    values: torch.Tensor = distribution.log_prob(x)
    return values


@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_the_loss_is_a_sum_over_pixels_and_numbers_and_a_mean_over_samples(loss: str) -> None:
    module, x = make_module(), torch.rand(8, *SHAPE)
    x = x.round() if loss == "bce" else x
    result = make_objective(loss)(module, x, x, make_moment())
    noise = torch.from_numpy(make_moment().make_rng().normal((8, CODE)))
    mean, log_variance = module.posterior(x)
    posterior = Normal(mean, (log_variance / 2).exp())
    output = module.decode(posterior.mean + posterior.stddev * noise)
    if loss == "bce":
        likelihood = log_density(Bernoulli(logits=output), x)
    else:
        density = Normal(output.sigmoid(), SIGMA)
        likelihood = log_density(density, x) + math.log(SIGMA * math.sqrt(2 * math.pi))
    kl = kl_divergence(posterior, Normal(torch.zeros(()), torch.ones(()))).sum(1)
    torch.testing.assert_close(result.terms["reconstruction"], -likelihood.flatten(1).sum(1).mean())
    torch.testing.assert_close(result.terms["kl"], kl.mean())
    torch.testing.assert_close(result.loss, kl.mean() - likelihood.flatten(1).sum(1).mean())
    torch.testing.assert_close(result.output, output)


def test_the_weight_of_the_divergence_rises_and_free_bits_cost_nothing() -> None:
    module, x = make_module(), torch.rand(8, *SHAPE)

    def weight(step: int, is_training: bool = True) -> float:
        objective = make_objective(beta=3.0, warm_up=0.5)
        loss, _, terms = objective(module, x, x, make_moment(step, is_training))
        return ((loss - terms["reconstruction"]) / terms["kl"]).item()

    assert [weight(step) for step in (0, 1, 4, 5, 9)] == pytest.approx(
        [0, 0.6, 2.4, 3, 3], rel=1e-3
    )
    assert weight(0, is_training=False) == pytest.approx(3, rel=1e-3)  # where epochs are compared
    free = make_objective(free_bits=500.0)(module, x, x, make_moment())
    paid = (free.loss - free.terms["reconstruction"]).item()
    assert paid == pytest.approx(CODE * 500, rel=1e-4)
    validation = make_objective(free_bits=500.0)(module, x, x, make_moment(is_training=False))
    torch.testing.assert_close(validation.loss, sum(validation.terms.values()))


def test_pixels_are_drawn_with_their_values_as_probabilities() -> None:
    seen = []

    def forward(x: torch.Tensor, noise: torch.Tensor) -> Any:
        seen.append(x)
        zeros = torch.zeros(len(x), CODE)
        return torch.zeros_like(x), zeros, zeros, zeros

    x = torch.full((8, 1, 100, 100), 0.3)
    x[:, :, :50] = torch.tensor([0.0, 1.0]).repeat(50)
    for step in (1, 1, 2):
        make_objective(is_binarized=True)(forward, x, x, make_moment(step))
    assert set(seen[0].flatten().tolist()) == {0.0, 1.0}
    assert torch.equal(seen[0][:, :, :50], x[:, :, :50])
    assert float(seen[0][:, :, 50:].mean()) == pytest.approx(0.3, abs=0.01)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])


def test_stopping_anywhere_is_exact_to_the_bit(
    digits: Samples, trained: Path, tmp_path: Path
) -> None:
    moment = 1e-9  # minutes: enough for a single step
    parts = tmp_path / "parts"
    training = train(digits, "dense-vae", out=parts, code_size=4, config=BINARY, max_minutes=moment)
    deque(training, 0)
    for _ in range(3):
        deque(resume(parts, max_minutes=moment), 0)
    deque(resume(parts), 0)
    last = "last.safetensors"
    assert (parts / last).read_bytes() == (trained / last).read_bytes()
    names = ("loss", "validation_loss", "validation_kl", "validation_reconstruction")
    ends = [Run.open(run).history()[-1] for run in (parts, trained)]
    assert [ends[0][name] for name in names[1:]] == [ends[1][name] for name in names[1:]]


def test_the_code_is_the_mean_wherever_it_is_computed(digits: Samples, trained: Path) -> None:
    model = TrainedModel.load(trained)
    z = model.encode(digits.values[:6])
    assert np.array_equal(z, model.encode(digits.values[:6]))  # nothing is drawn
    assert z.shape == (6, 4)
    assert np.array_equal(model.reconstruct(digits.values[:6]), model.decode(z))
    (x,) = model.inputs(digits.values[:6])
    assert isinstance(model.module, VariationalAutoencoder)
    with torch.inference_mode():
        mean, log_variance = model.module.posterior(x)
        drawn = model.module(x, torch.ones(6, 4))
    np.testing.assert_allclose(mean.numpy(), z, atol=1e-6)
    torch.testing.assert_close(drawn.code, mean + (log_variance / 2).exp())


def test_history_and_curves_have_the_terms(trained: Path) -> None:
    history = Run.open(trained).history()
    for line in history:
        terms = line["validation_reconstruction"] + line["validation_kl"]
        assert line["validation_loss"] == pytest.approx(terms)
    figure = curves(history, "bce")
    losses, terms = figure.axes
    assert "KL" in losses.get_ylabel()
    assert [line.get_label() for line in terms.lines] == ["reconstruction", "KL divergence"]
    assert np.asarray(terms.lines[1].get_ydata()).tolist() == [
        line["validation_kl"] for line in history
    ]


def test_a_collapse_is_said_while_training_and_by_the_doctor(tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ("train", "digits", "--limit", 240, "--model", "dense-vae", "--code-size", 4)
    outcome = done(*command, "--epochs", 3, "--batch-size", 16, "--beta", 1000, "--out", out)
    assert outcome.err.count("it has collapsed, and the decoder ignores it") == 1
    assert "posterior-collapse: The posterior has collapsed" in outcome.out
    (finding,) = diagnose(out).findings
    assert "lower --beta than 1000" in finding.advice
    assert finding.numbers["active"] == 0
    assert evaluate(Run.open(out))["likelihood"]["active_units"] == 0


def test_what_a_run_does_already_is_no_advice() -> None:
    for options, advice in (
        ({"warm_up": 1.0}, "Train again with --free-bits 0.1."),
        ({"warm_up": 1.0, "free_bits": 0.1}, "Train longer, or again with a lower --beta than 1."),
    ):
        config = TrainingConfig(epochs=1, **options)  # type: ignore[arg-type]
        training = train(load("digits", limit=200), "dense-vae", config=config)
        list(training)
        found = {one.code: one.advice for one in diagnose(training.run).findings}
        assert found["posterior-collapse"] == advice


def test_a_healthy_one_is_not_said_to_collapse(digits: Samples) -> None:
    config = TrainingConfig(epochs=12, loss="mse", warm_up=0.5)
    training = train(digits, "dense-vae", code_size=4, config=config)
    *_, last = training
    assert not last.warnings
    found = {finding.code for finding in diagnose(training.run).findings}
    assert not found & {"posterior-collapse", "inactive-code", "collapsed-code", "blow-up"}


@pytest.mark.parametrize(
    ("model", "config", "fragment"),
    [
        ("dense", {"beta": 2.0}, "dense is no variational autoencoder; leave beta out"),
        ("conv", {"binarize": True}, "take the model vae or dense-vae"),
        ("vae", {"beta": 0.0}, "beta must be above 0"),
        ("vae", {"warm_up": 1.5}, "warm up must be from 0 to 1"),
        ("vae", {"free_bits": float("nan")}, "free bits must be"),
        ("vae", {"binarize": True, "loss": "mse"}, "need the loss bce"),
        ("vae", {"binarize": True, "corrupt": "gaussian:0.1"}, "leave one of them out"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    model: str, config: dict[str, Any], fragment: str, digits: Samples
) -> None:
    with pytest.raises(OptionError, match=fragment):
        train(digits, model, config=TrainingConfig(**config))


def test_the_command_line_refuses_too(tmp_path: Path) -> None:
    outcome = isthmus("train", "digits", "--binarize", "--out", tmp_path / "run")
    assert outcome.code == 2
    assert "conv is no variational autoencoder" in outcome.err
    assert not (tmp_path / "run").exists()
