"""What classifiers and segmenters answer, in pictures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus import metrics
from isthmus.data.samples import Samples
from isthmus.evaluation.predictions import most_confident_mistakes, targets_in_model_classes
from isthmus.inference import TrainedModel
from isthmus.viz import classes as class_figures
from isthmus.viz.canvas import shorten
from isthmus.viz.masks import segmentations

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MISTAKES = 16
GRID, OVERLAID = 24, 8  # pictures on a sheet of classes, and of masks


def classified(
    model: TrainedModel, samples: Samples, matrix: list[list[int]]
) -> dict[str, "Figure"]:
    """Draw how right a classifier is on samples with labels.

    Parameters
    ----------
    model : TrainedModel
    samples : Samples
    matrix : (K, K)
        The confusion on these samples; see `score_predictions`.

    Returns
    -------
    dict
        "confusion", "reliability" and the most confident "mistakes".
    """
    labels, names = targets_in_model_classes(model, samples), model.config.class_names
    probabilities = model.probabilities(samples)
    bins = metrics.reliability(torch.from_numpy(probabilities), torch.from_numpy(labels))
    chosen = most_confident_mistakes(probabilities, labels, MISTAKES)
    titles = [_title(probabilities[i], names, names[labels[i]]) for i in chosen]
    none = f"No mistakes among {len(labels):,} samples."
    return {
        "confusion": class_figures.confusion(np.array(matrix), names),
        "reliability": class_figures.reliability(bins),
        "mistakes": class_figures.labelled_samples(
            [samples.values[i] for i in chosen], titles, empty=none
        ),
    }


def segmented(model: TrainedModel, samples: Samples) -> "Figure":
    """Draw images with what a segmenter answers; if they have masks of its classes, with these."""
    known = set(model.config.class_names)
    told = samples.masks is not None and known.issuperset(samples.class_names)
    predicted = np.asarray(model.predict(samples), np.uint8)
    truths = targets_in_model_classes(model, samples) if told else None
    return segmentations(samples.values, predicted, model.config.class_names, truths)


def answers(model: TrainedModel, read: Sequence[Samples]) -> "Figure":
    """Draw samples with the class that each gets, or images with the classes over them.

    The first 24 samples of all sources; of images with masks the first 8 of the first. Where a
    sample has a label that the model knows, and gets another, the picture says so.
    """
    if model.config.task == "segment" and read[0].masks is not None:
        return segmented(model, read[0].take(np.arange(min(OVERLAID, len(read[0])))))
    few = np.concatenate([samples.values[:GRID] for samples in read])[:GRID]
    names = [name for samples in read for name in samples.names[:GRID]][:GRID]
    if model.config.task == "segment":
        return segmented(model, Samples(few[:OVERLAID], names[:OVERLAID]))
    known = model.config.class_names
    truths = [label for samples in read for label in _labels(samples, known)][:GRID]
    titles = [
        _title(row, known, truth)
        for row, truth in zip(model.probabilities(few), truths, strict=True)
    ]
    return class_figures.labelled_samples(list(few), titles)


def _title(probabilities: NDArray[np.float32], known: Sequence[str], truth: str | None) -> str:
    """Name the most probable class of a sample and, if it is another one, the true class."""
    answer = known[int(probabilities.argmax())]
    text = f"{shorten(answer, 14)} {probabilities.max():.0%}"
    return text if truth in (None, answer) else f"{text}\nis {shorten(str(truth), 14)}"


def _labels(samples: Samples, known: Sequence[str]) -> list[str | None]:
    """Return the labels of the first samples, None where the model knows no such class."""
    count = min(GRID, len(samples))
    if samples.labels is None:
        return [None] * count
    names = [samples.class_names[label] for label in samples.labels[:count]]
    return [name if name in known else None for name in names]
