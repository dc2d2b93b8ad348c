"""`Measures`: what scores are made of, measured once for each sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.samples import Samples
from isthmus.detection.pixels import smooth, squared_errors
from isthmus.inference.model import Model

BATCHES_AT_ONCE = 4  # of the model; their reconstructions are in memory together


@dataclass(frozen=True, eq=False)
class Measures:
    """What a model makes of N samples.

    Parameters
    ----------
    z : (N, D) float32
        The codes.
    error : (N,) float64, optional
        Mean squared error of the reconstruction, in the [0, 1] range of pixels; None for a model
        that only encodes.
    peak : (N,) float64, optional
        The highest error in a map of errors, smoothed.
    """

    z: NDArray[np.float32]
    error: NDArray[np.float64] | None = None
    peak: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.z)

    def take(self, rows: NDArray[np.int64]) -> "Measures":
        """Return the measures of some of the samples."""
        error, peak = (None if one is None else one[rows] for one in (self.error, self.peak))
        return Measures(self.z[rows], error, peak)


def measure(
    model: Model,
    samples: Samples,
    rows: NDArray[np.int64] | None = None,
    *,
    track: Track = untracked,
) -> Measures:
    """Encode samples, and rebuild them if the model can.

    Parameters
    ----------
    model : Model
    samples : Samples
    rows : (n,) int64, optional
        Which of them; by default all. They are read batch by batch.
    track : callable
        Shows progress, in batches.

    Raises
    ------
    ModelError
        If the samples are not of the model's shape.
    """
    rows = np.arange(len(samples)) if rows is None else rows
    step = BATCHES_AT_ONCE * model.batch_size
    blocks = [rows[start : start + step] for start in range(0, len(rows), step)]
    parts = [
        measure_block(model, np.asarray(samples.values[block]))
        for block in track(blocks, len(blocks), "Measuring")
    ]
    return join(parts)


def measure_block(model: Model, values: NDArray[Any]) -> Measures:
    """Measure samples (n, H, W, C) uint8 or (n, L, C) float32 that are in memory."""
    z = model.encode(values)
    if model.task != "reconstruct":
        return Measures(z)
    errors = squared_errors(values, model.decode(z), value_range(model)).mean(-1)
    sides = tuple(range(1, errors.ndim))
    return Measures(z, errors.mean(sides, np.float64), smooth(errors).max(sides).astype(np.float64))


def value_range(model: Model) -> float:
    """Return black to white of the samples of a model: 255 for images."""
    return model.preprocessing.high - model.preprocessing.low


def join(parts: Sequence[Measures]) -> Measures:
    """Return measures of samples, one part after the other."""
    z = np.concatenate([part.z for part in parts])
    errors = [part.error for part in parts if part.error is not None]
    peaks = [part.peak for part in parts if part.peak is not None]
    return Measures(z, np.concatenate(errors), np.concatenate(peaks)) if errors else Measures(z)
