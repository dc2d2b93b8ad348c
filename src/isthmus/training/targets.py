"""What a model is to answer: labels or masks, and whether the samples have them."""

import numpy as np
from numpy.typing import NDArray

from isthmus.data.samples import VOID, Samples, Split
from isthmus.errors import SettingsError
from isthmus.models.zoo import Task

Truth = NDArray[np.int64] | NDArray[np.uint8]


def truth_of(samples: Samples, task: Task) -> Truth | None:
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
        raise SettingsError(f"{name} has no {_lacking(samples, task)}")
    present = [samples.class_names[i] for i in np.flatnonzero(counts(samples, truth))]
    if len(present) < 2:
        raise SettingsError(
            f"all of {name} is of one class, {''.join(present) or 'void'}; give samples of two or "
            "more classes."
        )
    return truth


def check_classes(samples: Samples, labels: Truth, split: Split) -> None:
    """Refuse classes of samples that there is nothing to learn from.

    Raises
    ------
    SettingsError
        If a class has no sample at all, or none to train on.
    """
    trained_on = counts(samples, labels, split.train)
    for i in np.flatnonzero(trained_on == 0):
        name, others = samples.class_names[i], int((labels == i).sum())
        raise SettingsError(
            f"the class {name} has no sample to train on"
            + (f", only {others:,} to choose and report by; " if others else "; ")
            + "give it more, or remove it."
        )


def counts(
    samples: Samples, truth: Truth, indices: NDArray[np.int64] | None = None
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
