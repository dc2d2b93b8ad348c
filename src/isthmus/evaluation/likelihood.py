"""How probable a variational autoencoder finds samples: bounds on log p(x), in nats a sample.

The evidence lower bound (ELBO) is E[log p(x | z)] - KL(q(z | x) ‖ p(z)). The importance-weighted
bound (Burda et al., Importance Weighted Autoencoders, ICLR 2016, equation 8) averages over k codes
within the logarithm,

    log 1/k Σ p(x, z_i) / q(z_i | x),

and comes nearer to log p(x) with every code. All terms are sums over the numbers of a sample, as in
the loss; see `training.variational`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from isthmus.data.cache import Track, untracked
from isthmus.data.corruption import binarize
from isthmus.data.random import FIXED_LATENT, SampleRng
from isthmus.evaluation.setup import EvaluationSetup, draw
from isthmus.inference.trained import TrainedModel
from isthmus.metrics import MIN_PROBABILITY
from isthmus.models.variational import VariationalAutoencoder
from isthmus.training.variational import LIKELIHOODS, SIGMA, divergences

DRAWS = 100  # k, as published bounds have it at least
MAX_MACS = 2**42  # multiplications of the decoder for the bound; about a minute of two cores
ACTIVE = 0.01  # variance of the means of a unit's posteriors over samples; Burda et al. 2016


@dataclass(frozen=True)
class Bounds:
    """What is measured of each sample of a batch.

    Parameters
    ----------
    mean : (n, D)
        Of the posteriors.
    reconstruction, kl : (n,)
        The terms of the loss, in nats; see `training.variational`.
    weighted : (n,)
        The importance-weighted bound, without the constant of the likelihood.
    """

    mean: Tensor
    reconstruction: Tensor
    kl: Tensor
    weighted: Tensor


def measure_likelihood(setup: EvaluationSetup, track: Track = untracked) -> dict[str, Any] | None:
    """Measure bounds on the log-likelihood of test samples.

    Pixels are drawn as 0 or 1 if the run was trained so (`binarize`), always the same ones for a
    sample. With the loss bce and without that, values between 0 and 1 have a cross-entropy and no
    likelihood, and the numbers compare only models of the same data.

    Parameters
    ----------
    setup : EvaluationSetup
    track : callable
        Shows progress.

    Returns
    -------
    dict or None
        `elbo` = `constant` - `reconstruction` - `kl`, in nats, means over all `n` test samples;
        `bound`, the importance-weighted bound for `draws` codes, the mean over `bound_n` of them,
        with its standard error `bound_error`; `active_units` of `units`, those numbers of the code
        whose mean varies between samples by more than 0.01; `binarized`, whether pixels are 0 or 1;
        `density`, "bernoulli" or "normal"; and of binarized ones `independent`, the log-likelihood
        of pixels that are independent of each other, with the means of the training samples. None
        of a model that is not variational, and of a denoiser, whose inputs are other samples.
    """
    model, config = setup.model, setup.run.record.training_config
    if not isinstance(model.module, VariationalAutoencoder) or setup.corruption is not None:
        return None
    bound_rows = draw(np.arange(len(setup.test)), _affordable(model))
    measured = list(_measure(setup, bound_rows, track))
    means = torch.cat([part.mean for part in measured])
    weighted = torch.cat([part.weighted for part in measured]).double()
    reconstruction, kl = (
        torch.cat([getattr(part, name) for part in measured]).double().mean().item()
        for name in ("reconstruction", "kl")
    )
    constant = 0.0 if config.loss == "bce" else _normal_constant(model)
    result: dict[str, Any] = {
        "n": len(setup.test),
        "elbo": constant - reconstruction - kl,
        "reconstruction": reconstruction,
        "kl": kl,
        "constant": constant,
        "bound": constant + weighted.mean().item(),
        "bound_error": weighted.std(correction=0).item() / math.sqrt(len(weighted)),
        "bound_n": len(weighted),
        "draws": DRAWS,
        "active_units": count_active(means),
        "units": model.code_size,
        "binarized": config.binarize,
        "density": "bernoulli" if config.loss == "bce" else "normal",
    }
    if config.binarize:
        result["independent"] = _independent(setup)
    return result


def count_active(means: Tensor) -> int:
    """Count the units whose means (N, D) vary by more than `ACTIVE` between samples."""
    return int((means.double().var(0, correction=0) > ACTIVE).sum())


def _measure(
    setup: EvaluationSetup, bound_rows: NDArray[np.int64], track: Track
) -> Iterator[Bounds]:
    """Yield what is measured of the test samples, batch by batch."""
    model, rows = setup.model, np.arange(len(setup.test))
    has_bound = np.isin(rows, bound_rows)
    # As many samples at a time as their draws fill a batch of the decoder.
    size = max(1, model.batch_size // DRAWS)
    blocks = np.array_split(rows, -(-len(rows) // size))
    for block in track(blocks, len(blocks), "Measuring the likelihood"):
        x = torch.cat(list(model.inputs(setup.test.take(block))))
        with torch.inference_mode():
            yield _measure_batch(setup, x, setup.indices[block], has_bound[block])


def _measure_batch(
    setup: EvaluationSetup, x: Tensor, indices: NDArray[np.int64], has_bound: NDArray[np.bool_]
) -> Bounds:
    model, config = setup.model, setup.run.record.training_config
    module = model.module
    assert isinstance(module, VariationalAutoencoder)  # for the type checker
    rng = SampleRng(config.seed, indices, FIXED_LATENT)
    if config.binarize:
        x = binarize(x, rng)
    mean, log_variance = module.posterior(x)
    noise = torch.from_numpy(rng.normal((len(x), DRAWS, model.code_size))).to(x.device)

    def lost(output: Tensor, x: Tensor) -> Tensor:
        return LIKELIHOODS[config.loss or "bce"](output, x, model.config.activation)

    deviation = (log_variance / 2).exp()
    first = lost(module.decode(mean + deviation * noise[:, 0]), x)
    kept = torch.from_numpy(has_bound).to(x.device)
    mean_, log_variance_, noise, x = mean[kept], log_variance[kept], noise[kept], x[kept]
    z = mean_[:, None] + deviation[kept][:, None] * noise
    parts = torch.split(z.flatten(0, 1), model.batch_size)
    output = torch.cat([module.decode(part) for part in parts])
    losses = lost(output, x.repeat_interleave(DRAWS, 0)).reshape(len(x), DRAWS)
    # log p(z) - log q(z | x), in which the constants of both normal distributions cancel.
    prior = (noise.square() - z.square() + log_variance_[:, None]).sum(2) / 2
    weighted = torch.logsumexp(prior - losses, 1) - math.log(DRAWS)
    return Bounds(mean, first, divergences(mean, log_variance).sum(1), weighted)


def _affordable(model: TrainedModel) -> int:
    """Return for how many samples the bound is computed."""
    macs = sum(layer.macs for layer in model.layers if layer.name.startswith("decoder."))
    return max(1, MAX_MACS // max(1, macs * DRAWS))


def _normal_constant(model: TrainedModel) -> float:
    """Return log of (2πσ²)^(-n/2) for the n numbers of a sample."""
    return -math.prod(model.shape) * math.log(2 * math.pi * SIGMA**2) / 2


def _independent(setup: EvaluationSetup) -> float:
    """Return the mean log-likelihood of binarized test samples if their pixels are independent."""
    chances = torch.from_numpy(setup.pixels.mean(0)).clamp(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    total, start = 0.0, 0
    for x in setup.model.inputs(setup.test):
        rows = setup.indices[start : start + len(x)]
        start += len(x)
        x = binarize(x, SampleRng(setup.run.record.training_config.seed, rows, FIXED_LATENT))
        x = x.flatten(1).cpu()
        total -= functional.binary_cross_entropy(chances.expand_as(x), x, reduction="sum").item()
    return total / start
