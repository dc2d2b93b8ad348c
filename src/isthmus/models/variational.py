"""Variational autoencoders: the encoder returns a normal distribution over codes, not one code.

Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014. They are built from the rows without
chance: only the last layer of the encoder has twice as many outputs, a mean and a log-variance for
each number of the code.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from isthmus.models.autoencoders import conv, dense
from isthmus.models.layers import Autoencoder, is_on_meta

# Standard deviation of what the log-variances are at first, around 0. Every posterior then starts
# near the prior; drawn like other layers, some are so narrow or wide that the first steps are lost.
FIRST_SPREAD = 0.1


class Draw(NamedTuple):
    """What a pass with noise returns; flat, as several processes look for gradients in it.

    Parameters
    ----------
    output : (N, C, H, W) or (N, C, L)
        For the drawn codes, before the output activation.
    code : (N, D)
        Drawn from the posterior q(z | x), a normal distribution for each sample.
    mean, log_variance : (N, D)
        Of the posterior.
    """

    output: Tensor
    code: Tensor
    mean: Tensor
    log_variance: Tensor


class GaussianCode(nn.Linear):
    """The last layer of a variational encoder: a mean and a log-variance for each number of a code.

    As a layer it returns the mean. So whatever uses an encoder (codes, exports, a classifier on
    top of it) needs to know nothing of distributions.
    """

    def __init__(self, inputs: int, code_size: int) -> None:
        super().__init__(inputs, 2 * code_size)

    def forward(self, features: Tensor) -> Tensor:
        """Turn features (N, F) into means (N, D)."""
        return self.posterior(features)[0]

    def posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Turn features (N, F) into means and log-variances, (N, D) each."""
        mean, log_variance = super().forward(features).chunk(2, dim=1)
        return mean, log_variance

    def only_mean(self) -> nn.Linear:
        """Return the layer that computes the mean alone, for programs that need no more."""
        code_size = self.out_features // 2
        layer = nn.Linear(self.in_features, code_size, device="meta")
        layer.weight = nn.Parameter(self.weight.detach()[:code_size].clone())
        layer.bias = nn.Parameter(self.bias.detach()[:code_size].clone())
        return layer


class VariationalAutoencoder(Autoencoder):
    """An encoder to a distribution over codes, and a decoder.

    Without noise it is an autoencoder like others: the code is the mean.
    """

    encoder: nn.Sequential

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance (N, D) of q(z | x) for samples x (N, C, H, W) or (N, C, L).

        A log-variance is the natural logarithm of the square of a standard deviation.
        """
        last = self.encoder[-1]
        assert isinstance(last, GaussianCode)  # for the type checker
        return last.posterior(self.encoder[:-1](x))

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor | Draw:  # type: ignore[override]
        """Encode, then decode: the mean, or with noise ε (N, D) the code μ + σ·ε.

        So gradients reach μ and σ (Kingma and Welling 2014, section 2.4). The noise is an
        argument, as it follows from counters in training.
        """
        if noise is None:
            return super().forward(x)
        mean, log_variance = self.posterior(x)
        code = mean + (log_variance / 2).exp() * noise
        return Draw(self.decode(code), code, mean, log_variance)


def variational_conv(shape: Sequence[int], code_size: int) -> VariationalAutoencoder:
    """Return `conv` with a mean and a log-variance for each number of the code."""
    return _with_posterior(conv(shape, code_size), code_size)


def variational_dense(shape: Sequence[int], code_size: int) -> VariationalAutoencoder:
    """Return `dense` with a mean and a log-variance for each number of the code."""
    return _with_posterior(dense(shape, code_size), code_size)


def _with_posterior(autoencoder: Autoencoder, code_size: int) -> VariationalAutoencoder:
    """Replace the last layer of an encoder by one that returns a distribution."""
    encoder = autoencoder.encoder
    assert isinstance(encoder, nn.Sequential)  # for the type checker
    last = encoder[-1]
    assert isinstance(last, nn.Linear)
    layer = GaussianCode(last.in_features, code_size)
    if not is_on_meta(layer):
        with torch.no_grad():
            layer.weight[:code_size] = last.weight
            layer.weight[code_size:].normal_(std=FIRST_SPREAD / last.in_features**0.5)
            layer.bias.zero_()
    encoder[-1] = layer
    return VariationalAutoencoder(encoder, autoencoder.decoder)
