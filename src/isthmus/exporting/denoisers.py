"""Compare the answers of an exported denoiser with those of its model, for images of any sides."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.exporting.answers import Program
from isthmus.exporting.checks import cut_photographs
from isthmus.inference.contract import CLEAN
from isthmus.inference.trained import TrainedModel

# Images of each batch, and their height and width: single pixels, odd sides, long and narrow ones.
BATCHES = ((1, 1, 1), (1, 1, 97), (2, 3, 2), (7, 33, 17), (1, 301, 5), (4, 64, 64), (1, 203, 181))
DEVIATION = 0.1  # of the noise


def compare_denoiser(model: TrainedModel, program: Program) -> dict[str, Any]:
    """Compare a program with the denoiser that it was made from.

    Parameters
    ----------
    model : TrainedModel
        In float32.
    program : callable
        Perhaps in another precision.

    Returns
    -------
    dict
        As `compare`; differences are those of clean images, from 0 to 1.
    """
    random = np.random.default_rng(0)
    differences = []
    for count, height, width in BATCHES:
        images = _noisy(model, count, height, width, random)
        wanted = [model.denoise(image) for image in images]
        difference = np.abs(program(images)[CLEAN] - np.stack(wanted))
        differences.append(np.nan_to_num(difference, nan=np.inf).reshape(-1))
    joined = np.concatenate(differences)
    largest = float(joined.max())
    return {
        "description": "parts of two photographs with noise, from 1 × 1 pixel",
        "samples": sum(batch[0] for batch in BATCHES),
        "batches": [batch[0] for batch in BATCHES],
        "max_difference": largest,
        "outputs": {CLEAN: {"max": largest, "mean": float(joined.mean(dtype=np.float64))}},
    }


def _noisy(
    model: TrainedModel, count: int, height: int, width: int, random: np.random.Generator
) -> NDArray[np.float32]:
    pixels = cut_photographs(count, height, width, model.shape[0], random)
    noise = random.normal(0, DEVIATION, pixels.shape)
    return np.asarray(pixels / 255 + noise, np.float32)
