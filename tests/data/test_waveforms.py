"""The waveforms that a generator makes: the same always, whatever part is taken."""

from pathlib import Path

import numpy as np
import pytest

from isthmus import DATASETS, Samples, load
from isthmus.data.readers.waveforms import CLASSES, COUNT, LENGTH, NOISE, read_waveforms


@pytest.fixture(scope="module")
def samples() -> Samples:
    return load("waveforms")


def test_they_are_signals_with_classes(samples: Samples) -> None:
    assert DATASETS["waveforms"].is_present
    assert samples.values.shape == (COUNT, LENGTH, 1)
    assert samples.is_signal
    assert samples.class_names == CLASSES
    assert samples.labels is not None
    assert np.bincount(samples.labels).min() > COUNT / len(CLASSES) * 0.8


def test_they_are_the_same_every_time(samples: Samples) -> None:
    again = read_waveforms(Path("anywhere"), None)
    assert np.array_equal(samples.values, np.asarray(again.values))


def test_a_limit_takes_a_part_and_changes_none(samples: Samples) -> None:
    part = load("waveforms", limit=101)
    rows = [int(name) for name in part.names]
    assert rows[0] == 0
    assert rows[-1] == COUNT - 1
    assert np.array_equal(part.values, samples.values[rows])
    assert samples.labels is not None
    assert np.array_equal(np.asarray(part.labels), samples.labels[rows])
    assert len(np.unique(np.asarray(part.labels))) == len(CLASSES)


def test_they_stay_in_range_and_differ(samples: Samples) -> None:
    values = samples.values[..., 0]
    assert np.abs(values).max() < 1 + 6 * NOISE
    assert np.abs(values).max(1).min() > 2 * NOISE
    assert len(np.unique(values.round(4), axis=0)) == COUNT


def test_square_waves_have_two_levels_and_sines_many(samples: Samples) -> None:
    assert samples.labels is not None

    def close_to_their_height(name: str) -> float:
        waves = samples.values[samples.labels == CLASSES.index(name), :, 0]
        heights = np.abs(waves).max(1, keepdims=True)
        return float((np.abs(waves) > 0.6 * heights).mean())

    assert close_to_their_height("square") > 0.95
    assert close_to_their_height("sine") < 0.75


def test_noise_lies_on_all(samples: Samples) -> None:
    assert samples.labels is not None
    square = samples.values[samples.labels == CLASSES.index("square"), :, 0]
    within = np.abs(square) - np.median(np.abs(square), axis=1, keepdims=True)
    assert np.median(np.abs(within)) == pytest.approx(0.6745 * NOISE, rel=0.1)
