"""Losses, by name; each is a mean over a batch, so that its scale depends on no batch size."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.data.samples import VOID
from isthmus.models.registry import ACTIVATIONS
from isthmus.models.tasks import Activation

NO_CLASS = -1  # labels of samples have no void, so this ignores none

# From the output before its activation, the targets and the activation's name to a scalar. Losses
# take the output before its activation as cross-entropies are exact from logits only.
Loss = Callable[[Tensor, Tensor, Activation], Tensor]


def binary_cross_entropy(output: Tensor, x: Tensor, activation: Activation) -> Tensor:
    """Binary cross-entropy in nats between logits and targets x, both (N, C, H, W) or (N, C, L).

    The targets are values in [0, 1], not only 0 and 1, so the least loss is their entropy and not
    0. Reduction: mean over all numbers of the batch.
    """
    return functional.binary_cross_entropy_with_logits(output, x)


def mean_squared_error(output: Tensor, x: Tensor, activation: Activation) -> Tensor:
    """Mean squared error between the activated output and x, both (N, C, H, W) or (N, C, L).

    Reduction: mean over all numbers of the batch.
    """
    return functional.mse_loss(ACTIVATIONS[activation](output), x)


def cross_entropy(
    output: Tensor,
    targets: Tensor,
    activation: Activation,
    smoothing: float = 0.0,
    weights: Tensor | None = None,
) -> Tensor:
    """Cross-entropy in nats between logits and classes; void pixels are left out.

    Reduction: mean over samples, or over all pixels of the batch that are not void, weighted by
    the `weights` of their classes.

    Parameters
    ----------
    output : (N, K) or (N, K, H, W) float32
        Logits.
    targets : (N,) or (N, H, W) int64
        Classes, and 255 (void) in masks.
    activation : str
        The output activation, always "softmax".
    smoothing : float
        Share of each label that is spread over all classes (Szegedy et al., Rethinking the
        Inception Architecture, 2016).
    weights : (K,) float32, optional
        Weights of the classes.
    """
    return functional.cross_entropy(
        output, targets, weights, ignore_index=_ignored(targets), label_smoothing=smoothing
    )


def sum_weights(targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return what `cross_entropy` is a mean over, (): weights of samples or pixels, added up."""
    counted = targets[targets != _ignored(targets)]
    return (
        counted.new_tensor(len(counted), dtype=torch.float32)
        if weights is None
        else weights[counted].sum()
    )


def _ignored(targets: Tensor) -> int:
    return VOID if targets.ndim == 3 else NO_CLASS


LOSSES: dict[str, Loss] = {
    "bce": binary_cross_entropy,
    "mse": mean_squared_error,
    "cross-entropy": cross_entropy,
}


def make_loss(name: str, smoothing: float = 0.0, weights: Tensor | None = None) -> Loss:
    """Return the loss to train by.

    Parameters
    ----------
    name : str
        A key of `LOSSES`.
    smoothing : float
        See `cross_entropy`.
    weights : (K,) float32, optional
        Of the classes; see `class_weights`.
    """
    if name != "cross-entropy":
        return LOSSES[name]
    return partial(cross_entropy, smoothing=smoothing, weights=weights)


def class_weights(counts: Tensor) -> Tensor:
    """Return weights (K,) float32 of classes, from how often they occur in what is trained on.

    Each is the median of all counts over its own (Eigen and Fergus, ICCV 2015), that of an absent
    class 0.

    Parameters
    ----------
    counts : (K,) int64
        Samples or pixels of each class.
    """
    # Of the classes that occur: absent ones would pull the median, and all weights, to 0.
    median = counts[counts > 0].double().median()
    return torch.where(counts > 0, median / counts.clamp(min=1), 0.0).float()
