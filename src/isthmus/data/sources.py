"""What a source holds before any pixel is decoded, in the same words for every kind of source."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import SourceError


@dataclass(frozen=True, eq=False)
class Found:
    """What a source holds.

    Either `values` is given, an array of all samples, or `files`, which goes through the
    pictures in the order of `names` as paths or contents (or the reason why there is none) and
    can be walked once.
    """

    names: Sequence[str]
    values: NDArray[Any] | None = None
    files: Iterable[str | bytes | SourceError] = ()
    labels: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()
    splits: NDArray[np.uint8] | None = None


def spread(count: int, limit: int | None) -> NDArray[np.int64]:
    """Return at most `limit` indices below `count`, spread evenly so that no class is lost.

    Examples
    --------
    >>> spread(10, 4).tolist()
    [0, 3, 6, 9]
    """
    if limit is None or limit >= count:
        return np.arange(count)
    return np.round(np.linspace(0, count - 1, limit)).astype(np.int64)


def classes_of(
    labels: NDArray[Any] | None, path: Path
) -> tuple[tuple[str, ...], NDArray[np.int64] | None]:
    """Turn labels of any kind into class names, sorted, and their indices.

    Examples
    --------
    >>> classes_of(np.array([7, 3, 7]), Path("labels.csv"))
    (('3', '7'), array([1, 0, 1]))
    """
    if labels is None:
        return (), None
    if labels.dtype.kind == "f":
        if not (labels == np.floor(labels)).all():
            raise SourceError(f"{path} has labels that are no whole numbers.")
        labels = labels.astype(np.int64)
    kinds, indices = np.unique(labels, return_inverse=True)
    return tuple(map(str, kinds.tolist())), indices.astype(np.int64)
