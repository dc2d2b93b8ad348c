"""The data set `waveforms`: a seeded generator, so that signals can be tried without any file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import Manifest, evenly_spaced
from isthmus.data.reading import Reading

COUNT, LENGTH = 4_000, 128
CYCLES = (1.5, 5.0)  # of a wave within the signal
NOISE = 0.05  # standard deviation
SEED = 0

Wave = Callable[[NDArray[np.float64]], NDArray[np.float64]]

SHAPES: dict[str, Wave] = {  # from time in cycles to values from -1 to 1
    "sine": lambda t: np.sin(2 * np.pi * t),
    "triangle": lambda t: 4 * np.abs(t - np.floor(t + 0.5)) - 1,
    "square": lambda t: np.where(t % 1 < 0.5, 1.0, -1.0),
    "sawtooth": lambda t: 2 * (t - np.floor(t + 0.5)),
}
CLASSES = (*SHAPES, *(f"double {name}" for name in SHAPES))


def read_waveforms(path: Path, limit: int | None, reading: Reading | None = None) -> Manifest:
    """Generate waveforms of eight classes: four shapes, single or the mean of two.

    Frequencies, phases and amplitudes are random, and noise is added. A sample depends on its
    number alone, so a limit changes no sample.

    Parameters
    ----------
    path : Path
        Not used.
    limit : int, optional
        At most as many samples, evenly spaced among all 4,000.
    reading : Reading, optional
        Not used.

    Returns
    -------
    Manifest
        Signals (N, 128, 1) float32, from about -1 to 1, and their labels.
    """
    rows = evenly_spaced(COUNT, limit)
    waveforms = [_generate(int(row)) for row in rows]
    return Manifest(
        [str(row) for row in rows],
        np.stack([signal for signal, _ in waveforms]).astype(np.float32)[..., None],
        labels=np.array([label for _, label in waveforms], np.int64),
        class_names=CLASSES,
    )


def _generate(number: int) -> tuple[NDArray[np.float64], int]:
    """Return the sample of a number, (128,), and its class."""
    rng = np.random.default_rng([SEED, number])
    label = int(rng.integers(len(CLASSES)))
    shape = list(SHAPES.values())[label % len(SHAPES)]
    count = 1 + label // len(SHAPES)
    waves = [shape(_draw_time(rng)) for _ in range(count)]
    amplitude = rng.uniform(0.5, 1.0)
    signal = amplitude * np.mean(waves, axis=0) + rng.normal(0, NOISE, LENGTH)
    return signal, label


def _draw_time(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the time of each step in cycles, for a random phase and frequency."""
    return rng.uniform() + rng.uniform(*CYCLES) * np.arange(LENGTH) / LENGTH
