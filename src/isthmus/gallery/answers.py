"""What classifiers and segmenters answer, in pictures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from isthmus import scores
from isthmus.data.samples import Samples
from isthmus.figures import classes as class_figures
from isthmus.figures.masks import segmentations
from isthmus.predictions import truth_of
from isthmus.trained import Trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MISTAKES = 16
GRID, OVERLAID = 24, 8  # pictures on a sheet of classes, and of masks


def classified(trained: Trained, samples: Samples, matrix: list[list[int]]) -> dict[str, "Figure"]:
    """Draw how right a classifier is on samples with labels.

    Parameters
    ----------
    trained : Trained
    samples : Samples
    matrix : (K, K)
        The confusion on these samples; see `judged`.

    Returns
    -------
    dict
        "confusion", "reliability" and the most confident "mistakes".
    """
    labels, names = truth_of(trained, samples), trained.spec.class_names
    probabilities = trained.probabilities(samples)
    bins = scores.reliability(torch.from_numpy(probabilities), torch.from_numpy(labels))
    return {
        "confusion": class_figures.confusion(np.array(matrix), names),
        "reliability": class_figures.reliability(bins),
        "mistakes": class_figures.mistakes(samples.values, probabilities, labels, names, MISTAKES),
    }


def segmented(trained: Trained, samples: Samples) -> "Figure":
    """Draw images with what a segmenter answers; if they have masks of its classes, with these."""
    known = set(trained.spec.class_names)
    told = samples.masks is not None and known.issuperset(samples.class_names)
    predicted = np.asarray(trained.predict(samples), np.uint8)
    truths = truth_of(trained, samples) if told else None
    return segmentations(samples.values, predicted, trained.spec.class_names, truths)


def answers(trained: Trained, read: Sequence[Samples]) -> "Figure":
    """Draw samples with the class that each gets, or images with the classes over them.

    The first 24 samples of all sources; of images with masks the first 8 of the first. Where a
    sample has a label that the model knows, and gets another, the picture says so.
    """
    if trained.spec.task == "segment" and read[0].masks is not None:
        return segmented(trained, read[0].take(np.arange(min(OVERLAID, len(read[0])))))
    few = np.concatenate([samples.values[:GRID] for samples in read])[:GRID]
    names = [name for samples in read for name in samples.names[:GRID]][:GRID]
    if trained.spec.task == "segment":
        return segmented(trained, Samples(few[:OVERLAID], names[:OVERLAID]))
    known = trained.spec.class_names
    truths = [label for samples in read for label in _labels(samples, known)][:GRID]
    titles = []
    for row, truth in zip(trained.probabilities(few), truths, strict=True):
        answer = known[row.argmax()]
        is_wrong = truth not in (None, answer)
        titles.append(f"{answer} {row.max():.0%}" + (f"\nis {truth}" if is_wrong else ""))
    return class_figures.labelled_samples(list(few), titles)


def _labels(samples: Samples, known: Sequence[str]) -> list[str | None]:
    """Return the labels of the first samples, None where the model knows no such class."""
    count = min(GRID, len(samples))
    if samples.labels is None:
        return [None] * count
    names = [samples.class_names[label] for label in samples.labels[:count]]
    return [name if name in known else None for name in names]
