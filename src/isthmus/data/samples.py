"""`Samples`: N images or signals of one shape, with their items and origin."""

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.items import HasItems, Items
from isthmus.data.preprocess import Preprocessing
from isthmus.data.reading import Reading
from isthmus.data.report import ReadingReport
from isthmus.display import Displayed
from isthmus.errors import SourceError
from isthmus.fields import from_json
from isthmus.files import fingerprint
from isthmus.text import count_of

SPLITS = ("train", "validation", "test")
VOID = 255  # in a mask: a pixel that counts nowhere


@dataclass(frozen=True)
class Origin:
    """What `load` was asked for.

    Parameters
    ----------
    source : str
        A set's name, a path, or an address without what is secret; empty for arrays.
    preprocessing : Preprocessing
        What the pixels went through.
    limit : int, optional
    reading : Reading, optional
        What the user decided about how the source is read; None if nothing.
    """

    source: str = ""
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    limit: int | None = None
    reading: Reading | None = field(default=None, metadata={"omit_empty": True})

    @classmethod
    def build(cls, content: Any) -> "Origin":
        """Return the origin that `files.to_json` turned into this JSON object."""
        return from_json(cls, content, "origin")


@dataclass(frozen=True, eq=False, repr=False)
class Samples(HasItems, Displayed):
    """N samples of one shape, in memory or memory-mapped.

    Parameters
    ----------
    values : (N, H, W, C) uint8 or (N, L, C) float32
        Images, or signals of L steps and C channels.
    items : Items
        Names, which say where each sample came from and are unique within the source; labels, of
        all samples or None; class names, of the samples or, with masks, of their pixels.
    splits : (N,) uint8, optional
        The split that the source itself assigns to each sample: its index in `SPLITS`.
    origin : Origin
        Where they come from and how, so that they can be loaded again.
    skipped : tuple of (name, reason)
        Files that could not be decoded.
    allows_flip : bool
        Whether a mirrored sample is as likely as the sample, as with photographs.
    masks : (N, H, W) uint8, optional
        Index of each pixel's class in `class_names`, or 255 (void) for a pixel that counts
        nowhere. Samples with masks have no labels.
    report : ReadingReport, optional
        What was read from the whole source, also of samples that were taken from it. None for
        arrays and plain single pictures, of which `isthmus.check_data` makes one.

    Raises
    ------
    SourceError
        If names, splits, labels or masks do not fit the values, a signal holds NaN or infinity,
        or a mask holds a class that does not exist.
    """

    values: NDArray[Any]
    items: Items
    splits: NDArray[np.uint8] | None = None
    origin: Origin = field(default_factory=Origin)
    skipped: tuple[tuple[str, str], ...] = ()
    allows_flip: bool = False
    masks: NDArray[np.uint8] | None = None
    report: ReadingReport | None = None

    def __post_init__(self) -> None:
        name = self.origin.source or "the array"
        kind = (self.values.ndim, str(self.values.dtype))
        if kind not in ((4, "uint8"), (3, "float32")):
            raise SourceError(
                f"{name} has values of {self.values.dtype} {self.values.shape}; "
                "images are uint8 (N, H, W, C), signals float32 (N, L, C)."
            )
        if 0 in self.values.shape:
            raise SourceError(f"{name} holds no samples: its shape is {self.values.shape}.")
        for noun, rows in (("names", self.names), ("splits", self.splits)):
            if rows is not None and len(rows) != len(self.values):
                raise SourceError(
                    f"{name} has {len(self.values):,} samples but {len(rows):,} {noun}."
                )
        if self.labels is not None and self.labels.min() < 0:
            culprit = self.names[int(self.labels.argmin())]
            raise SourceError(f"{culprit} of {name} has no class; label all samples, or none.")
        if self.is_signal:  # images are whole numbers, which cannot be NaN
            self._reject_not_finite(name)
        if self.masks is not None:
            self._check_masks(self.masks, name)

    def __repr__(self) -> str:
        return f"Samples({self.describe()})"

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample: (H, W, C) or (L, C)."""
        return tuple(self.values.shape[1:])

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample as a model sees it: (C, H, W) or (C, L)."""
        *sides, channels = self.shape
        return (channels, *sides)

    @property
    def is_signal(self) -> bool:
        """Whether these are signals rather than images."""
        return self.values.ndim == 3

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of the content: values, names, labels, masks and classes."""
        # Buffers of the arrays themselves: `tobytes` would copy a set that may exceed the memory.
        parts = [part for part in (self.values, self.labels, self.masks) if part is not None]
        contents = [np.ascontiguousarray(array).data for array in parts]
        # Labels and masks would otherwise look alike: both are bytes.
        last = () if self.masks is None else ("masks",)
        names = json.dumps(list(self.names)).encode()
        return fingerprint(self.shape, *contents, names, self.class_names, *last)

    def take(self, indices: NDArray[np.int64]) -> "Samples":
        """Return the samples at `indices`, copied, in that order."""
        return replace(
            self,
            values=np.asarray(self.values[indices]),
            items=self.items.take(indices),
            splits=None if self.splits is None else self.splits[indices],
            masks=None if self.masks is None else np.asarray(self.masks[indices]),
        )

    def describe(self) -> str:
        """Return one line for people: how many, of what shape, of how many classes."""
        if self.is_signal:
            text = f"{count_of(len(self), 'signal')} of {self.shape[0]} × {self.shape[1]}"
        else:
            height, width, channels = self.shape
            color = {1: "gray", 3: "RGB"}.get(channels, f"{channels} channels")
            text = f"{count_of(len(self), 'image')} of {height} × {width}, {color}"
        if not self.class_names:
            return text
        kind = "masks of " if self.masks is not None else ""
        return f"{text}, {kind}{count_of(len(self.class_names), 'class', 'classes')}"

    def _check_masks(self, masks: NDArray[np.uint8], name: str) -> None:
        wanted = self.values.shape[:3]
        if masks.dtype != np.uint8 or masks.shape != wanted or self.is_signal:
            raise SourceError(
                f"{name} has masks of {masks.dtype} {masks.shape}; for images of "
                f"{self.values.shape} they are uint8 {wanted}."
            )
        if self.labels is not None:
            raise SourceError(f"{name} has labels and masks; give one of them.")
        count = len(self.class_names)
        # In blocks: masks may be memory-mapped and larger than memory.
        for start in range(0, len(masks), 256):
            block = masks[start : start + 256]
            if (block + np.uint8(1)).max() > count:  # void wraps to 0: one quick pass
                wrong = (block >= count) & (block != VOID)
                culprit, value = (
                    self.names[start + int(wrong.any(axis=(1, 2)).argmax())],
                    block[wrong][0],
                )
                raise SourceError(
                    f"the mask of {culprit} in {name} holds the class {value}, but there are "
                    f"{count} classes; repair it, or set what belongs to no class to {VOID}."
                )

    def _reject_not_finite(self, name: str) -> None:
        for start in range(0, len(self), 4096):
            wrong = ~np.isfinite(self.values[start : start + 4096]).all(axis=(1, 2))
            if wrong.any():
                culprit = self.names[start + int(wrong.argmax())]
                raise SourceError(f"signal {culprit} of {name} holds NaN or infinity; repair it.")
