"""`Known`: what the checks of a source know of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.data.items import Items
from isthmus.data.reading import Reading, ValueFacts
from isthmus.data.samples import Origin


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of the samples of a source.

    Parameters
    ----------
    items : Items
    splits : (N,) uint8, optional
    origin : Origin
    sizes : (N, 2) int64
        Height and width, before cropping and resizing; 0 if unknown.
    lows, highs : (N,) float64
        Smallest and largest value of each sample, on the scale of its file.
    pages : (N,) int64
        Pages or frames in the file of each sample.
    kinds : mapping
        Files by bits and channels, such as "8-bit RGB".
    values : ValueFacts, optional
        Of a source that is an array.
    is_signal : bool
    duplicates : sequence of groups of rows
        Samples that are equal.
    turned_with_masks : int
        Pictures that EXIF turned, of those with masks.
    """

    items: Items
    splits: NDArray[np.uint8] | None
    origin: Origin
    sizes: NDArray[np.int64]
    lows: NDArray[np.float64]
    highs: NDArray[np.float64]
    pages: NDArray[np.int64]
    kinds: Mapping[str, int]
    values: ValueFacts | None
    is_signal: bool
    duplicates: Sequence[Sequence[int]]
    turned_with_masks: int = 0

    @property
    def reading(self) -> Reading:
        """What the user decided."""
        return self.origin.reading or Reading()

    @property
    def low(self) -> float | None:
        """The smallest value of all."""
        values = self.lows if self.values is None else [self.values.low]
        return _finite(np.min(values, initial=math.inf))

    @property
    def high(self) -> float | None:
        """The largest value of all."""
        values = self.highs if self.values is None else [self.values.high]
        return _finite(np.max(values, initial=-math.inf))

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """How many samples each class has; (0,) without labels."""
        if self.items.labels is None:
            return np.zeros(0, np.int64)
        labels = self.items.labels
        return np.bincount(labels[labels >= 0], minlength=len(self.items.class_names))


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
