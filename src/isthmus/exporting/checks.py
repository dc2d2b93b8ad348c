"""`CheckSamples`: the samples that an exported file is checked on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isthmus.data.cache import Track, untracked
from isthmus.data.samples import Samples
from isthmus.errors import OptionError, RunError, SourceError
from isthmus.evaluation.predictions import targets_in_model_classes
from isthmus.evaluation.setup import draw
from isthmus.inference.trained import TrainedModel
from isthmus.training.run import Run

MAX_SAMPLES = 1_000  # to measure quality on; fewer are compared number by number
MAX_CALIBRATION = 512
MIN_CROP = 64  # side in pixels of what is cut out of a photograph


@dataclass(frozen=True, eq=False)
class CheckSamples:
    """Samples that a model was not trained on, and what it should answer.

    Parameters
    ----------
    inputs : (N, H, W, C) uint8 or (N, L, C) float32
        With noise, if the model was trained to remove it.
    clean : array
        The same samples without noise.
    targets : (N,) int64 or (N, H, W) uint8, optional
        Labels or masks.
    calibration : array, optional
        Inputs that the model was trained on, from which the ranges of numbers in between follow.
    description : str
        What the inputs are, to follow their number.
    """

    inputs: NDArray[Any]
    clean: NDArray[Any]
    targets: NDArray[Any] | None
    calibration: NDArray[Any] | None
    description: str


def of_run(run: Run, model: TrainedModel, track: Track = untracked) -> CheckSamples:
    """Return held-out samples of a run, or stand-ins that say why if its data is gone."""
    try:
        data = run.samples(track)
    except (RunError, SourceError) as error:  # not those that stop the work
        return stand_in_samples(model, str(error).rstrip("."))
    split = run.split()
    name, held_out = ("test", split.test) if len(split.test) else ("validation", split.validation)
    indices = draw(held_out, MAX_SAMPLES)
    chosen, fitted = data.take(indices), draw(split.train, MAX_CALIBRATION)
    calibration = data.take(fitted).values
    return CheckSamples(
        run.add_noise(model, chosen.values, indices),
        chosen.values,
        _targets(model, chosen),
        run.add_noise(model, calibration, fitted),
        f"samples of the {name} split",
    )


def of_samples(model: TrainedModel, samples: Samples | NDArray[Any]) -> CheckSamples:
    """Return given samples; every second one calibrates, and the others measure.

    Raises
    ------
    ModelError
        If they are not of the model's shape.
    OptionError
        If there are fewer than two, or they have a class that the model does not know.
    """
    if len(samples) < 2:
        raise OptionError(f"give two or more samples to check on, not {len(samples)}.")
    next(model.blocks(samples))  # rejects what the model does not take
    values = samples.values if isinstance(samples, Samples) else samples
    measured = np.arange(1, len(values), 2)[:MAX_SAMPLES]
    targets = _targets(model, samples) if isinstance(samples, Samples) else None
    inputs = _take(model, values[measured])
    return CheckSamples(
        inputs,
        inputs,
        None if targets is None else targets[measured],
        _take(model, values[::2][:MAX_CALIBRATION]),
        "of the samples given",
    )


def stand_in_samples(model: TrainedModel, reason: str, count: int = 264) -> CheckSamples:
    """Return parts of photographs, or random signals, where there are no held-out samples.

    Parameters
    ----------
    model : TrainedModel
    reason : str
        Why there are none, to be part of the description.
    count : int
    """
    random = np.random.default_rng(0)
    channels, *sides = model.config.shape
    if len(sides) == 1:
        low, high = model.preprocessing.low, model.preprocessing.high
        values: NDArray[Any] = random.uniform(low, high, (count, *sides, channels))
        values, name = values.astype(np.float32), "random signals"
    else:
        height, width = sides
        values, name = (
            cut_photographs(count, height, width, channels, random),
            "parts of two photographs",
        )
    return CheckSamples(values, values, None, None, f"{name}, as {reason}")


def _take(model: TrainedModel, values: NDArray[Any]) -> NDArray[Any]:
    """Return samples as the model takes them, with all axes."""
    return np.concatenate(list(model.blocks(values)))


def _targets(model: TrainedModel, samples: Samples) -> NDArray[Any] | None:
    """Return labels or masks in the classes of the model, if there are any to measure with."""
    targets = {"classify": samples.labels, "segment": samples.masks}.get(model.task)
    return None if targets is None else targets_in_model_classes(model, samples)


def cut_photographs(
    count: int, height: int, width: int, channels: int, random: np.random.Generator
) -> NDArray[np.uint8]:
    """Cut parts of any size out of the photographs of scikit-learn, and resize them."""
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    crops = np.empty((count, height, width, channels), np.uint8)
    for i in range(count):
        photograph = photographs[i % len(photographs)]
        side = int(random.integers(MIN_CROP, min(photograph.size)))
        left, top = (int(random.integers(0, whole - side)) for whole in photograph.size)
        box = (left, top, left + side, top + side)
        part = photograph.resize((width, height), Image.Resampling.BILINEAR, box)
        pixels = np.asarray(part.convert("L") if channels == 1 else part)
        pixels = pixels.reshape(height, width, -1)
        crops[i] = pixels[..., np.arange(channels) % pixels.shape[2]]
    return crops
