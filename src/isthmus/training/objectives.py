"""Losses, each the mean over all numbers of a batch."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from isthmus.models.zoo import ACTIVATIONS, Activation

Loss = Callable[[Tensor, Tensor, Activation], Tensor]


def binary_cross_entropy(output: Tensor, x: Tensor, activation: Activation) -> Tensor:
    """Binary cross-entropy in nats between logits and targets x in [0, 1]."""
    return functional.binary_cross_entropy_with_logits(output, x)


def mean_squared_error(output: Tensor, x: Tensor, activation: Activation) -> Tensor:
    """Mean squared error between the activated output and x."""
    return functional.mse_loss(ACTIVATIONS[activation](output), x)


LOSSES: dict[str, Loss] = {"bce": binary_cross_entropy, "mse": mean_squared_error}
