"""What a model makes of every sample: codes and numbers by which a page colors and sorts.

All of it in one pass over the samples, in blocks, as neither probabilities nor masks of all samples
need fit the memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from isthmus.data.samples import VOID, Samples
from isthmus.errors import OptionError
from isthmus.evaluation.predictions import targets_in_model_classes
from isthmus.inference.model import Model

if TYPE_CHECKING:  # it imports torch, which a model in an ONNX file does without
    from isthmus.data.corruption import Corruption
    from isthmus.inference.trained import TrainedModel

BLOCK = 1024  # samples; as many as a sheet has, so that predicted masks become sheets at once


@dataclass(frozen=True)
class Noise:
    """The noise that a denoiser's inputs always have.

    Parameters
    ----------
    corruption : Corruption
    seed : int
    indices : (N,) int64
        Of the samples in the data of the run.
    """

    corruption: "Corruption"
    seed: int
    indices: NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """What a model makes of a block of samples.

    Parameters
    ----------
    z : (n, D) float32
    numbers : dict of (n,) arrays
        By the name of the column.
    masks : (n, H, W) uint8, optional
        Predicted by a segmenter.
    """

    z: NDArray[np.float32]
    numbers: dict[str, NDArray[Any]] = field(default_factory=dict)
    masks: NDArray[np.uint8] | None = None


def answer(model: Model, samples: Samples, noise: Noise | None = None) -> Iterator[Answers]:
    """Yield what a model makes of samples, in blocks of 1,024.

    An autoencoder has `loss`, the mean squared error on the model's scale as `isthmus.evaluate`
    measures it, of a denoiser from the noisy input to the clean sample. A classifier has
    `predicted` and `confidence`, with labels also `correct`. A segmenter has masks, and with masks
    of the samples `accuracy` over pixels and mean `iou`, in which void does not count.
    """
    targets = _targets(model, samples)
    for start in range(0, len(samples), BLOCK):
        block = slice(start, start + BLOCK)
        values = samples.values[block]
        if model.task == "reconstruct":
            yield _reconstruct(model, values, noise, block)
        elif model.task == "classify":
            yield _classify(model, values, None if targets is None else targets[block])
        elif model.task == "segment":
            yield _segment(model, values, None if targets is None else targets[block])
        else:
            yield Answers(model.encode(values))


def pixel_scores(
    predicted: NDArray[np.uint8], targets: NDArray[np.uint8], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the accuracy and the mean IoU of each mask (n, H, W), both (n,) float32.

    The mean is over the classes of the ground truth, as in `metrics.mean_iou`. A mask that is all
    void has 0.
    """
    size = (len(targets), classes)
    shown, found = (masks.reshape(len(masks), -1) for masks in (targets, predicted))
    rows = np.broadcast_to(np.arange(len(shown))[:, None], shown.shape)
    counted = shown != VOID
    pixels = _count(rows, shown, counted, size)
    guessed = _count(rows, found, counted, size)
    right = _count(rows, shown, counted & (shown == found), size)
    union = pixels + guessed - right
    iou = np.divide(right, union, out=np.zeros(size), where=union > 0)
    present = np.maximum((pixels > 0).sum(1), 1)
    accuracy = right.sum(1) / np.maximum(pixels.sum(1), 1)
    mean = np.where(pixels > 0, iou, 0).sum(1) / present
    return accuracy.astype(np.float32), mean.astype(np.float32)


def _count(
    rows: NDArray[np.int64],
    classes: NDArray[np.uint8],
    counted: NDArray[np.bool_],
    size: tuple[int, int],
) -> NDArray[np.int64]:
    """Count the pixels of each class in each mask, of those that count."""
    cells = rows[counted] * size[1] + classes[counted]
    return np.bincount(cells, minlength=size[0] * size[1]).reshape(size)


def _targets(model: Model, samples: Samples) -> NDArray[Any] | None:
    """Return labels or masks as the model's classes; None if there are none that it knows."""
    if model.task not in ("classify", "segment"):
        return None
    try:
        return targets_in_model_classes(model, samples)
    except OptionError:
        return None


def _reconstruct(model: Model, values: NDArray[Any], noise: Noise | None, block: slice) -> Answers:
    if not hasattr(model, "passes"):
        # A file answers in samples, whose pixels are rounded: the error keeps about two digits.
        y, x = (_scaled(model, some) for some in (model.reconstruct(values), values))
        return Answers(model.encode(values), {"loss": _mse(y, x)})
    z, loss = _pass(cast("TrainedModel", model), values, noise, block)
    return Answers(z if noise is None else model.encode(values), {"loss": loss})


def _pass(
    model: "TrainedModel", values: NDArray[Any], noise: Noise | None, block: slice
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the codes of the inputs, and the errors of what is decoded from them."""
    from isthmus.data.corruption import with_fixed_noise
    from isthmus.metrics import mse

    corruption, seed, indices = None, 0, np.empty(0, np.int64)
    if noise is not None:
        corruption, seed, indices = noise.corruption, noise.seed, noise.indices[block]
    codes, losses = [], []
    for x, noisy in with_fixed_noise(model.inputs(values), corruption, seed, indices):
        z, y = model.passes(noisy)
        codes.append(z.cpu().numpy())
        losses.append(mse(model.activate(y), x).cpu().numpy())
    return np.concatenate(codes), np.concatenate(losses)


def _scaled(model: Model, values: NDArray[Any]) -> NDArray[np.float32]:
    """Return samples on the model's scale, in which 0 and 1 are the ends of the range."""
    low, high = model.preprocessing.low, model.preprocessing.high
    return (values.astype(np.float32) - low) / (high - low)


def _mse(y: NDArray[np.float32], x: NDArray[np.float32]) -> NDArray[np.float32]:
    errors: NDArray[np.float32] = np.square(y - x).reshape(len(x), -1).mean(1)
    return errors


def _classify(model: Model, values: NDArray[Any], targets: NDArray[Any] | None) -> Answers:
    probabilities = model.probabilities(values)
    predicted = probabilities.argmax(1)
    numbers = {"predicted": predicted, "confidence": probabilities.max(1)}
    if targets is not None:
        numbers["correct"] = (predicted == targets).astype(np.uint8)
    return Answers(model.encode(values), numbers)


def _segment(model: Model, values: NDArray[Any], targets: NDArray[Any] | None) -> Answers:
    masks = model.predict(values).astype(np.uint8)
    numbers: dict[str, NDArray[Any]] = {}
    if targets is not None:
        scores = pixel_scores(masks, targets, len(model.class_names))
        numbers = dict(zip(("accuracy", "iou"), scores, strict=True))
    return Answers(model.encode(values), numbers, masks)
