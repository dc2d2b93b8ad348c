"""`Preprocessing`: from the bytes of a picture to the input of a model, and back.

A model is only right about pixels prepared as its training data was. So `Preprocessing` is saved
with the weights, and nothing else decides how a file becomes an array and an array a batch.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from isthmus.data.masks.mask import Mask, read_mask
from isthmus.data.pictures.bounds import Slot
from isthmus.data.pictures.decoding import Picture, decode_pages, decode_picture
from isthmus.data.pictures.opening import explain, open_picture, read_content
from isthmus.data.pictures.pixels import central_square, recolor, resize
from isthmus.data.reading import PictureFacts
from isthmus.errors import IsthmusError, OptionError, suggest

if TYPE_CHECKING:
    import torch

MIN_OVERSAMPLING = 2.0  # a JPEG is decoded at this many times the sides it is resized to, or more
NAN = float("nan")


@dataclass(frozen=True)
class Preprocessing:
    """How a sample reaches a model, and how the model's output becomes a sample again.

    Parameters
    ----------
    crop : int, optional
        Side in pixels of the central square that is cut out first. Of a smaller picture, it is
        the largest square that fits.
    size : (int, int), optional
        Height and width in pixels after resizing, by a triangle filter with antialiasing. The
        aspect ratio is not kept.
    channels : int, optional
        1 for gray, 3 for RGB; None keeps what the source has.
    background : str
        Color behind transparent pixels, as a CSS name or #rrggbb.
    stretch : (float, float), optional
        Values in a file that become black and white; by default those of its type.
    bands : tuple of int, optional
        Which bands of a file become the channels, from 0.
    low, high : float
        Values of a sample that become 0 and 1 at the model's input: 0 and 255 for images, the
        smallest and the largest value of the training split for signals.

    Raises
    ------
    OptionError
        If a size or crop is out of range, a color is unknown, `stretch` is no range, there are
        neither one nor three bands, or `low` is not below `high`.
    """

    crop: int | None = None
    size: tuple[int, int] | None = None
    channels: int | None = None
    background: str = "white"
    low: float = 0.0
    high: float = 255.0
    stretch: tuple[float, float] | None = field(default=None, metadata={"omit_empty": True})
    bands: tuple[int, ...] | None = field(default=None, metadata={"omit_empty": True})

    def __post_init__(self) -> None:
        for name, sides in (("size", self.size or ()), ("crop", (self.crop,))):
            if any(side is not None and not 1 <= side <= 8192 for side in sides):
                value = "x".join(dict.fromkeys(map(str, sides)))
                raise OptionError(f"{name} must be from 1 to 8192 pixels, not {value}.")
        try:
            ImageColor.getrgb(self.background)
        except ValueError:
            near = suggest(self.background, ImageColor.colormap)
            raise OptionError(
                f"{self.background!r} is not a color{near}; give a name such as white, or #rrggbb."
            ) from None
        low, high = self.stretch or (0.0, 1.0)
        if not -math.inf < low < high < math.inf:
            raise OptionError(
                f"stretch must be two numbers, the lower one first, not {low}, {high}."
            )
        if self.bands is not None and (len(self.bands) not in (1, 3) or min(self.bands) < 0):
            raise OptionError(f"bands must be one or three numbers from 0, not {self.bands}.")
        if not self.low < self.high:
            raise OptionError(f"low must be below high, not {self.low} and {self.high}.")

    def with_range(self, low: float, high: float) -> "Preprocessing":
        """Return a copy that maps `low` to 0 and `high` to 1."""
        return replace(self, low=float(low), high=float(high))

    def resolve(self, shape: tuple[int, ...]) -> "Preprocessing":
        """Return a copy that names the size and channels that it gave: those of `shape` (H, W, C).

        It gives the same pixels for the same source, and pictures of that shape for any other,
        as a model needs them.
        """
        height, width, channels = shape
        return replace(self, size=(height, width), channels=channels)

    def decode_and_fit(self, file: bytes | str) -> NDArray[np.uint8]:
        """Decode a picture, given as the content or the path of its file, and `fit` it.

        A JPEG that will be much smaller is decoded at a half, a quarter or an eighth of its
        sides, which libjpeg does several times faster than in full. What is decoded remains at
        least twice as large as the result, so that resizing still averages over enough pixels.

        Returns
        -------
        (H, W, C) uint8
            C is `channels`, or 1 for a gray picture and 3 for any other.

        Raises
        ------
        SourceError
            With the reason, if the file is broken or no picture.
        """
        return self.decode_and_measure(file)[0]

    def decode_and_measure(self, file: bytes | str) -> tuple[NDArray[np.uint8], PictureFacts]:
        """Do as `decode_and_fit`, and also say what the file holds.

        The smallest and largest value in the facts are those of a file whose scale is finer than
        eight bits, or is stretched; of others, NaN: whoever needs them finds them in the pixels.
        """
        with Slot() as slot:
            return self._fit_picture(decode_picture(file, self, True, slot))

    def decode_pages(
        self, file: bytes | str, pages: Sequence[int]
    ) -> Iterator[tuple[NDArray[np.uint8], PictureFacts] | IsthmusError]:
        """Do as `decode_and_measure` for pages or frames of one file, numbered from 0.

        A page that cannot be decoded gives the reason.
        """
        for picture in decode_pages(file, self, pages):
            if isinstance(picture, Picture):
                yield self._fit_picture(picture)
            else:
                yield picture

    def _fit_picture(self, picture: Picture) -> tuple[NDArray[np.uint8], PictureFacts]:
        low, high = picture.values or (NAN, NAN)
        facts = PictureFacts(
            picture.height, picture.width, picture.kind, low, high, picture.pages, picture.is_turned
        )
        pixels = picture.pixels
        if picture.scale == 1 or self.size is None:
            return self.fit(pixels), facts
        # Crop and resize are one step here, because the crop seldom begins at a whole pixel of what
        # was decoded.
        if self.channels is not None:
            pixels = recolor(pixels, self.channels, self.background)
        box = self._box(picture.width, picture.height, picture.scale)
        return resize(pixels, self.size, box), facts

    def decode_mask(self, file: bytes | str) -> Mask:
        """Decode a mask, upright and whole.

        Raises
        ------
        MaskError
            If it is a picture that does not hold a class for each pixel.
        SourceError
            With the reason, if the file is broken or no picture.
        """
        try:
            with Slot() as slot, open_picture(read_content(file)) as picture:
                slot.take(picture.width * picture.height)
                return read_mask(picture)
        except Exception as error:  # decoders of damaged files raise anything
            raise explain(error) from error

    def fit_mask(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Crop and resize one mask (H, W) as `fit` does a picture.

        A mean of classes is not a class, so each pixel takes the class at its center.
        """
        mask = self.apply_crop(mask)
        if self.size is None or mask.shape == self.size:
            return mask
        height, width = self.size
        return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))

    def undo_fit_mask(self, fitted: NDArray[np.uint8], sides: tuple[int, ...]) -> NDArray[np.uint8]:
        """Bring a fitted mask to its size and place in a whole one of these sides.

        Returns
        -------
        (H, W) uint8
            With 255 (void) outside the crop.
        """
        whole = np.full(sides, 255, np.uint8)
        part = self.apply_crop(whole)  # a view
        height, width = part.shape
        resized = Image.fromarray(fitted).resize((width, height), Image.Resampling.NEAREST)
        part[:] = np.asarray(resized)
        return whole

    def _box(self, width: int, height: int, scale: int) -> tuple[float, float, float, float]:
        """Return the part that `fit` uses, of a picture of those sides decoded at a reduced scale.

        It is (left, top, right, bottom) in pixels of what was decoded, fractions included.
        """
        if self.crop is None:
            return (0, 0, width / scale, height / scale)
        side = min(self.crop, width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return (left / scale, top / scale, (left + side) / scale, (top + side) / scale)

    def decode(self, file: bytes | str) -> NDArray[np.uint8]:
        """Decode a picture upright and whole: (H, W, 1) uint8 if gray, or else (H, W, 3).

        Raises
        ------
        SourceError
            With the reason, if the file is broken or no picture.
        """
        return decode_picture(file, self).pixels

    def reduction(self, width: int, height: int) -> int:
        """Return by how much the sides of a JPEG can be divided when decoding: 1, 2, 4 or 8."""
        if self.size is None:
            return 1
        # The shortest side that is resized against the longest that results: a picture is reduced
        # only if both of its sides stay large enough.
        largest = min(width, height, self.crop or width) / (MIN_OVERSAMPLING * max(self.size))
        return max(divisor for divisor in (1, 2, 4, 8) if divisor <= max(1, largest))

    def fit(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Crop, resize and recolor one picture of (H, W, C) uint8."""
        cropped = self.apply_crop(pixels)
        # A copy of a small part, else all of the picture would stay in memory as long as it.
        pixels = cropped.copy() if 4 * cropped.size < pixels.size else cropped
        if self.channels is not None:
            pixels = recolor(pixels, self.channels, self.background)
        if self.size is not None and pixels.shape[:2] != self.size:
            pixels = resize(pixels, self.size)
        return pixels

    def apply_crop(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the part of a picture (H, W, C) or mask (H, W) that `fit` uses, as a view."""
        return pixels if self.crop is None else central_square(pixels, self.crop)

    def undo_fit(self, fitted: NDArray[np.uint8], whole: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring a fitted picture to its size and place in the whole one that it came from.

        Returns
        -------
        (H, W, C) uint8
            Height and width are those of `whole`, channels those of `fitted`.
        """
        sides = self.apply_crop(whole).shape[:2]
        if fitted.shape[:2] != sides:
            fitted = resize(fitted, sides)
        if sides == whole.shape[:2]:
            return fitted
        # A copy, because recoloring returns `whole` itself where there is nothing to do.
        result = recolor(whole, fitted.shape[2], self.background).copy()
        self.apply_crop(result)[:] = fitted
        return result

    def changes_shape(self, shape: tuple[int, ...]) -> bool:
        """Return whether `fit` may change pictures of this shape (H, W, C)."""
        height, width, channels = shape
        return (
            (self.crop is not None and (height, width) != (self.crop, self.crop))
            or (self.size is not None and (height, width) != self.size)
            or (self.channels is not None and channels != self.channels)
        )

    def to_input(self, values: "torch.Tensor") -> "torch.Tensor":
        """Scale samples to a model's input.

        Channels-last in memory is how samples are stored already, and what convolutions on a CPU
        are fastest with, so no pixel is moved.

        Parameters
        ----------
        values : (N, H, W, C) uint8 or (N, L, C) float32
            Samples on any device; they are left as they are.

        Returns
        -------
        x : (N, C, H, W) or (N, C, L) float32
            In [0, 1] for images, channels-last in memory. Signals leave that range where they
            leave the range of the training split.
        """
        import torch

        last = values.ndim - 1
        # A copy even of float32, as what follows works in place. Images start at 0: without the
        # subtraction there is one pass over memory less.
        x = values.permute(0, last, *range(1, last)).to(torch.float32, copy=True)
        return x.sub_(self.low).div_(self.high - self.low) if self.low else x.div_(self.high)

    def from_output(self, x: "torch.Tensor") -> "torch.Tensor":
        """Undo `to_input`: (N, C, H, W) to (N, H, W, C) uint8, (N, C, L) to (N, L, C) float32."""
        values = (x * (self.high - self.low) + self.low).permute(0, *range(2, x.ndim), 1)
        if x.ndim == 3:
            return values.contiguous()
        # `byte` alone cuts off fractions and wraps around beyond 255.
        return values.round().clamp(0, 255).byte().contiguous()
