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

ERRORS = ("error", "peak", "relative")
MIN_SPREAD = 1e-4  # added to the variance of a sample: an empty one has none
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
    relative : (N,) float64, optional
        The error as a share of the variance of the sample's own values.
    """

    z: NDArray[np.float32]
    error: NDArray[np.float64] | None = None
    peak: NDArray[np.float64] | None = None
    relative: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.z)

    def take(self, rows: NDArray[np.int64]) -> "Measures":
        """Return the measures of some of the samples."""
        return Measures(self.z[rows], **{name: one[rows] for name, one in self.errors.items()})

    @property
    def errors(self) -> dict[str, NDArray[np.float64]]:
        """What is known of the reconstructions, by name; nothing for a model that makes none."""
        named = {name: getattr(self, name) for name in ERRORS}
        return {name: one for name, one in named.items() if one is not None}


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
    scale = value_range(model)
    errors = squared_errors(values, model.decode(z), scale).mean(-1)
    sides = tuple(range(1, errors.ndim))
    error = errors.mean(sides, np.float64)
    spread = np.var(values.reshape(len(values), -1) / scale, axis=1) + MIN_SPREAD
    return Measures(z, error, smooth(errors).max(sides).astype(np.float64), error / spread)


def value_range(model: Model) -> float:
    """Return black to white of the samples of a model: 255 for images."""
    return model.preprocessing.high - model.preprocessing.low


def join(parts: Sequence[Measures]) -> Measures:
    """Return measures of samples, one part after the other."""
    z = np.concatenate([part.z for part in parts])
    names = parts[0].errors
    return Measures(z, **{name: np.concatenate([p.errors[name] for p in parts]) for name in names})
