"""What a model is to answer: labels or masks, and whether the samples have them."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.data.samples import VOID, Samples
from isthmus.data.split import Split
from isthmus.errors import OptionError
from isthmus.metrics import accuracy, confusion, mean_iou
from isthmus.models.config import ModelConfig
from isthmus.models.registry import Task

Targets = NDArray[np.int64] | NDArray[np.uint8]


def required_targets(samples: Samples, task: Task) -> Targets | None:
    """Return the labels (N,) or masks (N, H, W) that a task needs; nothing to reconstruct.

    Raises
    ------
    SettingsError
        If the samples have none, or of a single class.
    """
    if task == "reconstruct":
        return None
    name = samples.origin.source or "the array"
    truth = samples.labels if task == "classify" else samples.masks
    if truth is None:
        raise OptionError(f"{name} has no {_lacking(samples, task)}")
    present = [samples.class_names[i] for i in np.flatnonzero(class_counts(samples, truth))]
    if len(present) < 2:
        raise OptionError(
            f"all of {name} is of one class, {''.join(present) or 'void'}; give samples of two or "
            "more classes."
        )
    return truth


def check_classes(samples: Samples, labels: Targets, split: Split) -> None:
    """Refuse classes of samples that there is nothing to learn from.

    Raises
    ------
    SettingsError
        If a class has no sample at all, or none to train on.
    """
    trained_on = class_counts(samples, labels, split.train)
    for i in np.flatnonzero(trained_on == 0):
        name, others = samples.class_names[i], int((labels == i).sum())
        raise OptionError(
            f"the class {name} has no sample to train on"
            + (f", only {others:,} to choose and report by; " if others else "; ")
            + "give it more, or remove it."
        )


def class_counts(
    samples: Samples, truth: Targets, indices: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Count the samples or pixels of each class, void left out: (K,)."""
    total = np.zeros(VOID + 1 + len(samples.class_names), np.int64)
    indices = np.arange(len(truth)) if indices is None else indices
    for part in np.array_split(indices, len(indices) // 1024 + 1):
        total += np.bincount(truth[part].ravel(), minlength=len(total))
    if truth.dtype == np.uint8:
        total[VOID] = 0
    return total[: len(samples.class_names)]


def _lacking(samples: Samples, task: Task) -> str:
    """Say what is missing and how to give it."""
    if task == "segment":
        return (
            "masks; give folders of images and masks, such as images/a.jpg and masks/a.png, with "
            "the class of each pixel as its value."
        )
    names = list(samples.names)
    within = [name for name in names if "/" in name]
    if 0 < len(within) < len(names):
        outside = next(name for name in names if "/" not in name)
        return (
            f"labels for {len(names) - len(within):,} of its {len(names):,} images, such as "
            f"{outside}; put each into the folder of its class."
        )
    return "labels; put the images of each class into a folder of its own, or give a CSV."


class Meter:
    """What comes out over batches; nothing for autoencoders, which have their loss."""

    def __init__(self, model_config: ModelConfig) -> None:
        self.task = model_config.task
        self.classes = len(model_config.class_names)
        self.void = VOID if model_config.task == "segment" else None
        self.confusion = torch.zeros(self.classes, self.classes, dtype=torch.int64)

    def add(self, output: Tensor, truth: Tensor) -> None:
        """Count a batch of logits (N, K) or (N, K, H, W) beside labels or masks."""
        if self.task != "reconstruct":
            predicted = output.argmax(1)
            self.confusion += confusion(predicted, truth, self.classes, self.void).cpu()

    def values(self) -> dict[str, float]:
        """Return the `accuracy` over samples or pixels, and for masks the mean `iou`."""
        if self.task == "reconstruct":
            return {}
        values = {"accuracy": accuracy(self.confusion)}
        if self.task == "segment":
            iou = mean_iou(self.confusion)
            values["iou"] = 0.0 if math.isnan(iou) else iou  # all is void
        return values

    def error(self, loss: float) -> float:
        """Return what to choose a model by, the lower the better."""
        values = self.values()
        return 1 - list(values.values())[-1] if values else loss
