"""What a source holds before any pixel is decoded, in the same words for every kind of source."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import SourceError

Content = str | bytes | SourceError  # the path of a file, its content, or why there is none


@dataclass(frozen=True, eq=False)
class Manifest:
    """What a source holds.

    Either `values` is given, an array of all samples, or `files`, which goes through the
    pictures in the order of `names` as paths or contents (or the reason why there is none) and
    can be walked once.

    Parameters
    ----------
    names : sequence of str
        Of the samples.
    values : array, optional
    files : iterable
    labels : (N,) int64, optional
        Classes of whole samples.
    class_names : tuple of str
        Of the labels or, with masks, of the pixels; empty where the masks alone tell how many
        there are.
    splits : (N,) uint8, optional
    masks : iterable, optional
        Goes through the masks as `files` through the pictures: for each pixel a value.
    mask_names : sequence of str
    legend : 256 bytes, optional
        The class that each value of a mask stands for, if not its own number; 255 for void.
    """

    names: Sequence[str]
    values: NDArray[Any] | None = None
    files: Iterable[Content] = ()
    labels: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()
    splits: NDArray[np.uint8] | None = None
    masks: Iterable[Content] | None = None
    mask_names: Sequence[str] = ()
    legend: bytes | None = None


def evenly_spaced(count: int, limit: int | None) -> NDArray[np.int64]:
    """Return at most `limit` indices below `count`, spread evenly so that no class is lost.

    Examples
    --------
    >>> evenly_spaced(10, 4).tolist()
    [0, 3, 6, 9]
    """
    if limit is None or limit >= count:
        return np.arange(count)
    return np.round(np.linspace(0, count - 1, limit)).astype(np.int64)


def encode_labels(
    labels: NDArray[Any] | None, path: Path
) -> tuple[tuple[str, ...], NDArray[np.int64] | None]:
    """Turn labels of any kind into class names, sorted, and their indices.

    Examples
    --------
    >>> encode_labels(np.array([7, 3, 7]), Path("labels.csv"))
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
