"""Optimizers and learning-rate schedules, by name."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class OptimizerRow:
    """A row of `OPTIMIZERS`: what builds it, and its usual learning rate and weight decay."""

    build: Callable[..., torch.optim.Optimizer]
    lr: float
    weight_decay: float = 0.0
    options: tuple[tuple[str, Any], ...] = ()


FUSED = (("fused", True),)

OPTIMIZERS: dict[str, OptimizerRow] = {
    "adamw": OptimizerRow(
        torch.optim.AdamW, lr=5e-3, weight_decay=0.1, options=(*FUSED, ("betas", (0.9, 0.95)))
    ),
    "adam": OptimizerRow(torch.optim.Adam, lr=1e-3, options=FUSED),
    "adamax": OptimizerRow(torch.optim.Adamax, lr=2e-3),
    "sgd": OptimizerRow(torch.optim.SGD, lr=0.1, options=FUSED),
    "adadelta": OptimizerRow(torch.optim.Adadelta, lr=1.0),
}


def one_cycle(done: float) -> float:
    """Rise along a cosine for 30% of the steps, then fall along one to nearly nothing.

    Smith and Topin, Super-Convergence, 2018.
    """
    warm = 0.3
    if done < warm:
        return 0.04 + 0.96 * (0.5 - 0.5 * math.cos(math.pi * done / warm))
    return cosine((done - warm) / (1 - warm))


def constant(done: float) -> float:
    """Stay."""
    return 1.0


def cosine(done: float) -> float:
    """Fall along half a cosine to nearly nothing (Loshchilov and Hutter, SGDR, 2017)."""
    return 1e-4 + (1 - 1e-4) * (0.5 + 0.5 * math.cos(math.pi * done))


def step(done: float) -> float:
    """Divide by ten after half and again after three quarters of the steps."""
    return 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01


# From the share of all steps done, in [0, 1), to the share of the highest learning rate. They
# depend on nothing else, so a run that was stopped goes on as if it had not been.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "one-cycle": one_cycle,
    "constant": constant,
    "cosine": cosine,
    "step": step,
}
