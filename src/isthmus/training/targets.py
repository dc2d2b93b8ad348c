"""The targets of training: labels or masks, their checks and counts, and scores against them."""

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
from isthmus.models.tasks import CLASS_TASKS, Task

Targets = NDArray[np.int64] | NDArray[np.uint8]
BLOCK_TARGETS = 1024  # counted at once; masks may be memory-mapped and larger than memory


def required_targets(samples: Samples, task: Task) -> Targets | None:
    """Return the labels (N,) or masks (N, H, W) that a task needs, and None to reconstruct.

    Raises
    ------
    OptionError
        If the samples have none.
    """
    if task not in CLASS_TASKS:
        return None
    targets = samples.labels if task == "classify" else samples.masks
    if targets is None:
        raise OptionError(f"{_name(samples)} has no {_describe_lack(samples, task)}")
    return targets


def reject_single_class(samples: Samples, targets: Targets) -> None:
    """Reject targets of one class; this reads all of them, which takes a while with masks.

    Raises
    ------
    OptionError
    """
    present = [samples.class_names[i] for i in np.flatnonzero(class_counts(samples, targets))]
    if len(present) < 2:
        raise OptionError(
            f"all of {_name(samples)} is of one class, {''.join(present) or 'void'}; give samples "
            "of two or more classes."
        )


def check_classes(samples: Samples, labels: Targets, split: Split) -> None:
    """Reject classes of samples that there is nothing to learn from.

    Raises
    ------
    OptionError
        If a class has no sample at all, or none to train on.
    """
    counts = class_counts(samples, labels, split.train)
    for i in np.flatnonzero(counts == 0):
        name, others = samples.class_names[i], int((labels == i).sum())
        raise OptionError(
            f"the class {name} has no sample to train on"
            + (f", only {others:,} to choose and report by; " if others else "; ")
            + "give it more, or remove it."
        )


def class_counts(
    samples: Samples, targets: Targets, indices: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Count the samples or pixels of each class, without void.

    Returns
    -------
    (K,) int64
    """
    # With room for void, however many classes there are; it is dropped at the end.
    total = np.zeros(VOID + 1 + len(samples.class_names), np.int64)
    indices = np.arange(len(targets)) if indices is None else indices
    for block in np.array_split(indices, len(indices) // BLOCK_TARGETS + 1):
        total += np.bincount(targets[block].ravel(), minlength=len(total))
    if targets.dtype == np.uint8:
        total[VOID] = 0
    return total[: len(samples.class_names)]


def _name(samples: Samples) -> str:
    return samples.origin.source or "the array"


def _describe_lack(samples: Samples, task: Task) -> str:
    """Say what is missing and how to give it."""
    if task == "segment":
        return (
            "masks; give folders of images and masks, such as images/a.jpg and masks/a.png, with "
            "the class of each pixel as its value."
        )
    names = list(samples.names)
    in_folders = [name for name in names if "/" in name]
    if 0 < len(in_folders) < len(names):
        outside = next(name for name in names if "/" not in name)
        return (
            f"labels for {len(names) - len(in_folders):,} of its {len(names):,} images, such as "
            f"{outside}; put each into the folder of its class."
        )
    return "labels; put the images of each class into a folder of its own, or give a CSV."


class Meter:
    """Scores over the batches of a validation split; none for autoencoders, which have a loss.

    The confusion matrix is summed rather than scores of batches averaged: the last batch is
    shorter, and a mean IoU over batches is not that of all pixels.
    """

    def __init__(self, model_config: ModelConfig) -> None:
        self.task = model_config.task
        self.classes = len(model_config.class_names)
        self.void = VOID if model_config.task == "segment" else None
        self.confusion = torch.zeros(self.classes, self.classes, dtype=torch.int64)

    def add(self, output: Tensor, targets: Tensor) -> None:
        """Count a batch: logits (N, K) or (N, K, H, W), and labels (N,) or masks (N, H, W)."""
        if self.task in CLASS_TASKS:
            predicted = output.argmax(1)  # of logits: softmax would not change the order
            self.confusion += confusion(predicted, targets, self.classes, self.void).cpu()

    def values(self) -> dict[str, float]:
        """Return the `accuracy` over samples or pixels, and for masks the mean `iou`."""
        if self.task not in CLASS_TASKS:
            return {}
        values = {"accuracy": accuracy(self.confusion)}
        if self.task == "segment":
            values["iou"] = mean_iou(self.confusion)
        # Where all pixels are void there is nothing to measure. NaN cannot stand in JSON, and no
        # comparison with it would find the best epoch.
        return {name: 0.0 if math.isnan(value) else value for name, value in values.items()}

    def error(self, loss: float) -> float:
        """Return what to choose a model by, less is better.

        That is the loss of an autoencoder, one minus the accuracy of a classifier and one minus
        the mean IoU of a segmenter: what people will judge it by. A classifier's loss rises again
        while its accuracy still does, when it becomes too sure of its few mistakes.
        """
        values = self.values()
        return 1 - list(values.values())[-1] if values else loss
