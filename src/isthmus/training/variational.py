"""The objective of variational autoencoders: a bound on the log-likelihood, with its two terms.

Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014, equation 10. For a sample x and a
code z that is drawn from the posterior q(z | x) = N(μ, σ²),

    loss = -log p(x | z) + β · ½ Σ (μ² + σ² - 1 - log σ²),

in nats. Both terms are **sums**, over the numbers of a sample and over the numbers of a code, and
the loss is their mean over the samples of a batch. With means instead of sums, the divergence would
weigh 784 / 32 times too much on MNIST, and the code would collapse. For β = 1 and binary pixels the
loss is minus the evidence lower bound (ELBO).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.data.corruption import binarize
from isthmus.models.registry import ACTIVATIONS, MODELS
from isthmus.models.tasks import Activation
from isthmus.training.objective import Forward, MeanOverSamples, Moment, Outcome

if TYPE_CHECKING:
    from isthmus.training.record import Record
    from isthmus.training.run import Run

SIGMA = 0.1  # standard deviation of a normal distribution around the output, of pixels from 0 to 1
COLLAPSED = 0.1  # nats of the KL divergence, below which a code says nothing of its sample

Likelihood = Callable[[Tensor, Tensor, Activation], Tensor]


def bernoulli(output: Tensor, x: Tensor, activation: Activation) -> Tensor:
    """Return -log p(x | z) in nats (N,) of independent Bernoulli distributions, whose logits are y.

    Reduction: sum over the numbers of each sample. Of x between 0 and 1 it is a cross-entropy and
    no likelihood.
    """
    losses = functional.binary_cross_entropy_with_logits(output, x, reduction="none")
    return losses.flatten(1).sum(1)


def gaussian(output: Tensor, x: Tensor, activation: Activation) -> Tensor:
    """Return -log p(x | z) in nats (N,), up to a constant, of a normal distribution around y.

    Its standard deviation is `SIGMA`. Reduction: sum over the numbers of each sample of
    (y - x)² / 2σ².
    """
    errors = (ACTIVATIONS[activation](output) - x).square()
    return errors.flatten(1).sum(1) / (2 * SIGMA**2)


LIKELIHOODS: dict[str, Likelihood] = {"bce": bernoulli, "mse": gaussian}  # by the loss's name


def divergences(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(q(z | x) ‖ p(z)) in nats for each number of each code, (N, D).

    In closed form for a standard normal prior p(z) (Kingma and Welling 2014, appendix B).
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance) / 2


@dataclass(frozen=True)
class Variational(MeanOverSamples):
    """Minus the evidence lower bound of a batch, with weights on its divergence.

    Parameters
    ----------
    likelihood : callable
        One of `LIKELIHOODS`.
    activation : str
        Of the model's output.
    code_size : int
    beta : float
        Weight of the divergence (Higgins et al., β-VAE, ICLR 2017).
    warm_up : float
        Share of the steps in which the weight rises from 0 to β (Bowman et al. 2016): a decoder
        that has learnt nothing would otherwise be ignored at first, and the code collapse.
    free_bits : float
        Nats of the divergence that each number of the code has for free, as a mean over the batch,
        or over the part of it that a process has (Kingma et al., Improving Variational Inference
        with Inverse Autoregressive Flow, 2016, equation 15).
    is_binarized : bool
        Whether the pixels are drawn as 0 or 1, with their values as probabilities.
    """

    likelihood: Likelihood
    activation: Activation
    code_size: int
    beta: float
    warm_up: float
    free_bits: float
    is_binarized: bool

    def __call__(self, forward: Forward, x: Tensor, targets: Tensor, moment: Moment) -> Outcome:
        """See `Objective`; the terms are those of the bound, without β and free bits."""
        rng = moment.make_rng()
        if self.is_binarized:
            x = targets = binarize(targets, rng)
        noise = torch.from_numpy(rng.normal((len(x), self.code_size))).to(x.device)
        output, _, mean, log_variance = forward(x, noise)
        reconstruction = self.likelihood(output, targets, self.activation).mean()
        each = divergences(mean, log_variance).mean(0)
        paid = each.clamp(min=self.free_bits).sum() if self._has_free(moment) else each.sum()
        terms = {"reconstruction": reconstruction, "kl": each.sum()}
        return Outcome(reconstruction + self._weight(moment) * paid, output, terms)

    def _has_free(self, moment: Moment) -> bool:
        # Epochs are compared by the bound itself.
        return moment.is_training and self.free_bits > 0

    def _weight(self, moment: Moment) -> float:
        done = moment.step / moment.steps
        if not moment.is_training or done >= self.warm_up:
            return self.beta
        return self.beta * done / self.warm_up


def make_variational(run: "Run", counts: Tensor | None) -> Variational:
    """Return the objective of variational autoencoders; see `make_objective`."""
    config, model_config = run.record.training_config, run.record.model_config
    return Variational(
        LIKELIHOODS[config.loss or "bce"],
        model_config.activation,
        model_config.code_size,
        1.0 if config.beta is None else config.beta,
        config.warm_up,
        config.free_bits,
        config.binarize,
    )


def loss_scale(record: "Record") -> float:
    """Return what a mean loss over pixels is multiplied by in the loss of a run; mostly 1."""
    model_config = record.model_config
    if MODELS[model_config.model].objective != "variational":
        return 1.0
    scale = 1 / (2 * SIGMA**2) if record.training_config.loss == "mse" else 1.0
    return scale * math.prod(model_config.shape)


def is_collapsed(terms: Mapping[str, float]) -> bool:
    """Return whether the terms of a validation loss say that the code says nothing."""
    return terms.get("kl", COLLAPSED) < COLLAPSED
