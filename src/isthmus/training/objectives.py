"""Losses, each the mean over all numbers, samples or pixels of a batch."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.data.samples import VOID
from isthmus.models.registry import ACTIVATIONS, Activation

NO_CLASS = -1  # labels of samples have no void

Loss = Callable[[Tensor, Tensor, Activation], Tensor]


def binary_cross_entropy(output: Tensor, x: Tensor, activation: Activation) -> Tensor:
    """Binary cross-entropy in nats between logits and targets x in [0, 1]."""
    return functional.binary_cross_entropy_with_logits(output, x)


def mean_squared_error(output: Tensor, x: Tensor, activation: Activation) -> Tensor:
    """Mean squared error between the activated output and x."""
    return functional.mse_loss(ACTIVATIONS[activation](output), x)


def cross_entropy(
    output: Tensor,
    truth: Tensor,
    activation: Activation,
    smoothing: float = 0.0,
    weights: Tensor | None = None,
) -> Tensor:
    """Cross-entropy in nats between logits (N, K) or (N, K, H, W) and classes.

    Void pixels are left out.

    Parameters
    ----------
    output, truth, activation
        Logits, classes (N,) or (N, H, W) int64, and what makes probabilities of logits.
    smoothing : float
        The share of each label that all classes divide among them (Szegedy et al., Rethinking the
        Inception Architecture, 2016).
    weights : (K,), optional
        Of the classes; the mean is one by these weights.
    """
    void = VOID if truth.ndim == 3 else NO_CLASS
    return functional.cross_entropy(
        output, truth, weights, ignore_index=void, label_smoothing=smoothing
    )


LOSSES: dict[str, Loss] = {
    "bce": binary_cross_entropy,
    "mse": mean_squared_error,
    "cross-entropy": cross_entropy,
}


def make_loss(name: str, smoothing: float = 0.0, counts: Tensor | None = None) -> Loss:
    """Return the loss to train by.

    Parameters
    ----------
    name : str
        A key of `LOSSES`.
    smoothing : float
        See `cross_entropy`.
    counts : (K,), optional
        Samples or pixels of each class to train on, where classes are weighted: each by the
        median of all counts over its own (Eigen and Fergus, ICCV 2015), an absent one by 0.
    """
    if name != "cross-entropy":
        return LOSSES[name]
    weights = None
    if counts is not None:
        median = counts[counts > 0].double().median()
        weights = torch.where(counts > 0, median / counts.clamp(min=1), 0.0).float()
    return partial(cross_entropy, smoothing=smoothing, weights=weights)
