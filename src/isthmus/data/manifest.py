"""`Manifest`: what a source holds, in the same form for every kind of source.

Readers list and decide (names, labels, splits, which mask belongs to which picture) and decode
nothing. So a new kind of source is one function that returns a `Manifest`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.reading import Findings
from isthmus.errors import SourceError

NO_RANGES = "these files are read from the start only, and not by range"
MAX_NUMBER = 2**53  # of labels: larger ones are not told apart as numbers
Content = str | bytes | SourceError  # the path of a file, its content, or why it has none


class Contents(Iterable[Content]):
    """Files that are read while they are iterated, and of which a range can be taken.

    Parameters
    ----------
    read : callable
        Takes keys and yields the files in that order.
    keys : sequence or (N,) array
        What `read` knows them by, such as names in an archive or rows of a table.
    """

    def __init__(self, read: Callable[[Any], Iterable[Content]], keys: Any) -> None:
        self._read, self._keys = read, keys

    def __iter__(self) -> Iterator[Content]:
        return iter(self._read(self._keys))

    def part(self, start: int, stop: int) -> "Contents":
        """Return the files of a range; those before it are not read."""
        return Contents(self._read, self._keys[start:stop])

    def take(self, rows: NDArray[np.int64]) -> "Contents":
        """Return the files at rows, in that order; others are not read."""
        if isinstance(self._keys, np.ndarray):
            return Contents(self._read, self._keys[rows])
        return Contents(self._read, [self._keys[row] for row in rows.tolist()])


@dataclass(frozen=True, eq=False)
class Manifest:
    """The samples of a source, not yet decoded.

    A source holds either an array of all samples (`values`) or pictures (`files`).

    Parameters
    ----------
    names : sequence of N str
        Names of the samples, unique within the source.
    values : (N, H, W, C) uint8 or (N, L, C) float32, optional
        All samples, if the source is an array.
    files : iterable of N contents
        The pictures in the order of `names`, each as a path, as bytes, or as the reason why it
        cannot be read. An archive is read while this is iterated, so that happens only once.
    labels : (N,) int64, optional
        Index of each sample's class in `class_names`.
    class_names : tuple of str
        Names of the samples' classes or, with masks, of the pixels'; empty if only the masks
        tell how many classes there are.
    class_colors : tuple of int
        Colors of the same classes in the masks, as 0xRRGGBB; empty if they are not known.
    splits : (N,) uint8, optional
        Index in `SPLITS` of the split that the source itself assigns to each sample.
    masks : iterable of N contents, optional
        The masks, as `files` are the pictures.
    mask_names : sequence of N str
        Names of the masks, for messages.
    clean : iterable of N contents, optional
        The same pictures without noise, as `files` are the noisy ones.
    clean_names : sequence of N str
        Names of the clean pictures, for messages.
    legend : 256 bytes, optional
        The class that each value of a mask stands for, if not itself; 255 for void.
    pages : sequence of sequences of int, optional
        The pages of each file, from 0, that are samples; by default the first. There is a name for
        each of them.
    findings : Findings
        What was guessed, left out or looks wrong.
    """

    names: Sequence[str]
    values: NDArray[Any] | None = None
    files: Iterable[Content] = ()
    labels: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()
    class_colors: tuple[int, ...] = ()
    splits: NDArray[np.uint8] | None = None
    masks: Iterable[Content] | None = None
    mask_names: Sequence[str] = ()
    clean: Iterable[Content] | None = None
    clean_names: Sequence[str] = ()
    legend: bytes | None = None
    pages: Sequence[Sequence[int]] | None = None
    findings: Findings = field(default_factory=Findings)

    def part(self, start: int, stop: int) -> "Manifest":
        """Return the manifest of a range of the samples, without findings.

        It is of those with a file for each: of an array, or of pages, ranges are taken otherwise.
        """
        return replace(
            self,
            names=self.names[start:stop],
            files=_take_part(self.files, start, stop),
            labels=None if self.labels is None else self.labels[start:stop],
            splits=None if self.splits is None else self.splits[start:stop],
            masks=None if self.masks is None else _take_part(self.masks, start, stop),
            mask_names=self.mask_names[start:stop],
            clean=None if self.clean is None else _take_part(self.clean, start, stop),
            clean_names=self.clean_names[start:stop],
            findings=Findings(),
        )

    def take(self, rows: NDArray[np.int64]) -> "Manifest":
        """Return the manifest of the samples at rows, without findings; see `part`."""
        return replace(
            self,
            names=_take_names(self.names, rows),
            values=None if self.values is None else self.values[rows],
            files=_take_rows(self.files, rows),
            labels=None if self.labels is None else self.labels[rows],
            splits=None if self.splits is None else self.splits[rows],
            masks=None if self.masks is None else _take_rows(self.masks, rows),
            mask_names=_take_names(self.mask_names, rows),
            clean=None if self.clean is None else _take_rows(self.clean, rows),
            clean_names=_take_names(self.clean_names, rows),
            findings=Findings(),
        )


def _take_names(names: Sequence[str], rows: NDArray[np.int64]) -> Sequence[str]:
    return [names[row] for row in rows.tolist()] if names else ()


def _take_rows(files: Iterable[Content], rows: NDArray[np.int64]) -> Iterable[Content]:
    if isinstance(files, Contents):
        return files.take(rows)
    if not isinstance(files, Sequence):
        raise TypeError(NO_RANGES)
    return [files[row] for row in rows.tolist()] if files else files


def _take_part(files: Iterable[Content], start: int, stop: int) -> Iterable[Content]:
    if isinstance(files, Contents):
        return files.part(start, stop)
    if not isinstance(files, Sequence):  # a second range would begin where the first one ended
        raise TypeError(NO_RANGES)
    return files[start:stop]


def evenly_spaced(count: int, limit: int | None) -> NDArray[np.int64]:
    """Return at most `limit` indices below `count`, evenly spaced.

    Samples are usually sorted by class: the first `limit` would be those of the first class.

    Examples
    --------
    >>> evenly_spaced(10, 4).tolist()
    [0, 3, 6, 9]
    """
    if limit is None or limit >= count:
        return np.arange(count)
    # Not a slice with a step: that has exactly `limit` samples only if the step is whole.
    return np.round(np.linspace(0, count - 1, limit)).astype(np.int64)


def encode_labels(
    labels: NDArray[Any] | None, path: Path
) -> tuple[tuple[str, ...], NDArray[np.int64] | None]:
    """Turn labels of any type into sorted class names and their indices.

    Raises
    ------
    SourceError
        If labels are fractions, as of a regression target, or too large.

    Examples
    --------
    >>> encode_labels(np.array([7, 3, 7]), Path("labels.csv"))
    (('3', '7'), array([1, 0, 1]))
    """
    if labels is None:
        return (), None
    if labels.dtype.kind == "f":
        if not (np.isfinite(labels) & (labels == np.floor(labels))).all():
            raise SourceError(
                f"{path} has labels that are not whole numbers; give classes, or --label-column "
                "none."
            )
        if np.abs(labels).max(initial=0) > MAX_NUMBER:
            raise SourceError(
                f"{path} has labels of too many digits to tell them apart; give classes, or "
                "--label-column none."
            )
        labels = labels.astype(np.int64)
    # Sorted before they become names: as text, 10 would come before 2.
    classes, indices = np.unique(labels, return_inverse=True)
    return tuple(map(str, classes.tolist())), indices.astype(np.int64)
