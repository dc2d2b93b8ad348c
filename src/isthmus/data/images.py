"""`Images`: images at their own sizes, which nothing resizes."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from isthmus.data.items import HasItems, Items
from isthmus.data.report import ReadingReport
from isthmus.data.samples import Origin
from isthmus.display import Displayed
from isthmus.errors import SourceError
from isthmus.files import fingerprint
from isthmus.text import count_of


class SignalsError(SourceError):
    """A source holds signals where images are wanted."""

    def __init__(self, source: str) -> None:
        super().__init__(
            f"{source} holds signals, and models that denoise at any size take images; give "
            "images, or leave --task denoise out."
        )


class Ragged(Sequence[NDArray[Any]]):
    """Images of differing sides in one array, one after the other.

    In memory or memory-mapped, a million of them are one buffer and not a million objects.

    Parameters
    ----------
    pixels : (B,) uint8 or float32
        All images, each in the order of (H, W, C).
    sides : (N, 2) int64
        Height and width of each.
    channels : int
        C, of all.

    Raises
    ------
    SourceError
        If there are more or fewer pixels than the sides say.
    """

    def __init__(self, pixels: NDArray[Any], sides: NDArray[np.int64], channels: int) -> None:
        self.pixels, self.sides, self.channels = pixels, sides, channels
        self._ends = np.cumsum(sides.prod(1) * channels)
        if len(pixels) != (self._ends[-1] if len(sides) else 0):
            raise SourceError(f"there are {len(pixels):,} numbers, not as many as the sides say.")

    @classmethod
    def of(cls, images: Sequence[NDArray[Any]]) -> "Ragged":
        """Join images (H, W, C) of one type and one number of channels."""
        sides = np.array([image.shape[:2] for image in images], np.int64).reshape(-1, 2)
        pixels = np.concatenate([image.reshape(-1) for image in images])
        return cls(pixels, sides, images[0].shape[2])

    def __len__(self) -> int:
        return len(self.sides)

    @overload
    def __getitem__(self, index: int) -> NDArray[Any]: ...

    @overload
    def __getitem__(self, index: slice) -> "Ragged": ...

    def __getitem__(self, index: int | slice) -> "NDArray[Any] | Ragged":
        """Return an image (H, W, C), a view; or some of them, copied."""
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        height, width = self.sides[index]
        end = self._ends[index]
        start = end - height * width * self.channels
        return self.pixels[start:end].reshape(height, width, self.channels)

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        return int(self.pixels.nbytes)

    def take(self, indices: NDArray[np.int64]) -> "Ragged":
        """Return the images at `indices`, copied, in that order."""
        return Ragged.of([self[int(index)] for index in indices])


def _join(images: Iterable[Any]) -> Ragged:
    """Join images that a user gives."""
    arrays = [image[..., None] if image.ndim == 2 else image for image in map(np.asarray, images)]
    if not arrays:
        raise SourceError("the list holds no images.")
    channels = arrays[0].shape[-1]
    for row, image in enumerate(arrays):
        is_image = image.ndim == 3 and image.size and image.shape[2] == channels
        if image.dtype != np.uint8 or not is_image or channels not in (1, 3):
            raise SourceError(
                f"image {row} of the list is {image.dtype} {image.shape}; give all as uint8, gray "
                "(H, W, 1) or RGB (H, W, 3)."
            )
    return Ragged.of(arrays)


@dataclass(frozen=True, eq=False, repr=False)
class Images(HasItems, Displayed):
    """N images of one number of channels, each of its own height and width.

    `Samples` are all of one shape, as a model with a code needs them. A denoiser takes an image of
    any size, and resizing would change the noise that it is to remove.

    `isthmus.load_images` reads them from files, and `Images.of` takes arrays.

    Parameters
    ----------
    values : Ragged
        N images (H, W, C) uint8: `values[0]` is the first, `values.sides` (N, 2) are all sizes.
    items : Items
        Names, labels and class names; see `Samples`.
    splits : (N,) uint8, optional
        The split that the source itself assigns to each image: its index in `SPLITS`.
    origin : Origin
    skipped : tuple of (name, reason)
        Files that could not be decoded.
    clean : Ragged, optional
        Of a source of pairs: the same images without noise, each of the sides of its noisy one.
    report : ReadingReport, optional
        What was read from the whole source.

    Raises
    ------
    SourceError
        If names, splits or clean images do not fit the values.
    """

    values: Ragged
    items: Items
    splits: NDArray[np.uint8] | None = None
    origin: Origin = field(default_factory=Origin)
    skipped: tuple[tuple[str, str], ...] = ()
    clean: Ragged | None = None
    report: ReadingReport | None = None

    @classmethod
    def of(
        cls,
        images: Iterable[NDArray[np.uint8]],
        clean: Iterable[NDArray[np.uint8]] | None = None,
        names: Sequence[str] | None = None,
    ) -> "Images":
        """Return images of arrays in memory.

        Parameters
        ----------
        images : iterable of N (H, W, C) or (H, W) uint8
            All gray or all RGB.
        clean : iterable of N arrays, optional
            The same without noise.
        names : sequence of N str, optional
            By default numbers.

        Raises
        ------
        SourceError
            If one is no such image, or its clean one is of another size.

        Examples
        --------
        >>> Images.of([np.zeros((3, 5), np.uint8), np.zeros((7, 4), np.uint8)])
        Images(2 images of 3 × 5 to 7 × 4, gray)
        """
        values = _join(images)
        names = list(map(str, range(len(values)))) if names is None else names
        return cls(values, Items(names), clean=None if clean is None else _join(clean))

    def __post_init__(self) -> None:
        name = self.origin.source or "the list"
        if not len(self.values):
            raise SourceError(f"{name} holds no images.")
        for noun, rows in (("names", self.names), ("splits", self.splits)):
            if rows is not None and len(rows) != len(self.values):
                raise SourceError(
                    f"{name} has {len(self.values):,} images but {len(rows):,} {noun}."
                )
        self._check_clean(name)

    def __repr__(self) -> str:
        return f"Images({self.describe()})"

    def __len__(self) -> int:
        return len(self.values)

    @property
    def channels(self) -> int:
        """C, of all images."""
        return self.values.channels

    @property
    def allows_flip(self) -> bool:
        """Whether a mirrored image is as likely as the image, as far as its noise is concerned."""
        return True

    @property
    def has_pairs(self) -> bool:
        """Whether each image has a clean one."""
        return self.clean is not None

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of the content: pixels, sides, names and clean images."""
        parts = [self.values, *([] if self.clean is None else [self.clean])]
        contents = [np.ascontiguousarray(part.pixels).data for part in parts]
        names = json.dumps(list(self.names)).encode()
        sides = np.ascontiguousarray(self.values.sides).data
        return fingerprint("images", self.channels, sides, *contents, names)

    def take(self, indices: NDArray[np.int64]) -> "Images":
        """Return the images at `indices`, copied, in that order."""
        return replace(
            self,
            values=self.values.take(indices),
            items=self.items.take(indices),
            splits=None if self.splits is None else self.splits[indices],
            clean=None if self.clean is None else self.clean.take(indices),
        )

    def describe(self) -> str:
        """Return one line for people: how many, of what sides."""
        areas = self.values.sides.prod(1)
        ends = [self.values.sides[row] for row in (areas.argmin(), areas.argmax())]
        smallest, largest = (f"{height} × {width}" for height, width in ends)
        sides = smallest if smallest == largest else f"{smallest} to {largest}"
        color = {1: "gray", 3: "RGB"}.get(self.channels, f"{self.channels} channels")
        pairs = ", noisy and clean" if self.has_pairs else ""
        return f"{count_of(len(self), 'image')} of {sides}, {color}{pairs}"

    def _check_clean(self, name: str) -> None:
        if self.clean is None:
            return
        if len(self.clean) != len(self) or self.clean.channels != self.channels:
            raise SourceError(
                f"{name} has {len(self):,} noisy images of {self.channels} channels and "
                f"{len(self.clean):,} clean ones of {self.clean.channels}."
            )
        wrong = (self.clean.sides != self.values.sides).any(1)
        if wrong.any():
            row = int(wrong.argmax())
            noisy, clean = (
                f"{height} × {width}"
                for height, width in (self.values.sides[row], self.clean.sides[row])
            )
            raise SourceError(
                f"{self.names[row]} of {name} is {noisy} with noise and {clean} without; give "
                "both the same size."
            )
