"""`Preprocessing`: from the bytes of a picture to the input of a model, and back.

A model is only right about pixels prepared as its training data was. So `Preprocessing` is saved
with the weights, and nothing else decides how a file becomes an array and an array a batch.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from isthmus.data.masks import Mask, read_mask
from isthmus.errors import OptionError, SourceError, suggest
from isthmus.runtime import ignored_warnings

if TYPE_CHECKING:
    import torch

MIN_OVERSAMPLING = 2.0  # a JPEG is decoded at this many times the sides it is resized to, or more
EXIF_SEARCH_BYTES = 2**16  # at the start of a JPEG, where its EXIF is if it has any; at most 64 KB
# What simplejpeg and Pillow raise for broken files; `SyntaxError` comes from Pillow's PNG reader.
DECODE_ERRORS = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
GRAY_MODES = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")


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
        If a size or crop is out of range, a color is unknown, or `low` is not below `high`.
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

    def decode_and_measure(self, file: bytes | str) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """Do as `decode_and_fit`, and also return the height and width of the whole picture."""
        pixels, reduced = self._decode(file, may_reduce=True)
        if reduced is None or self.size is None:
            return self.fit(pixels), (pixels.shape[0], pixels.shape[1])
        # Crop and resize are one step here, because the crop seldom begins at a whole pixel of what
        # was decoded.
        width, height, _ = reduced
        if self.channels is not None:
            pixels = _recolor(pixels, self.channels, self.background)
        return _resize(pixels, self.size, self._box(*reduced)), (height, width)

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
            with _open_picture(_read_content(file)) as picture:
                return read_mask(picture)
        except DECODE_ERRORS as error:
            raise _explain(error) from error

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
        return self._decode(file, may_reduce=False)[0]

    def _decode(
        self, file: bytes | str, may_reduce: bool
    ) -> tuple[NDArray[np.uint8], tuple[int, int, int] | None]:
        """Decode a picture; if at a reduced scale, also return its width, height and the divisor.

        Plain JPEGs are decoded by simplejpeg, in half the time that Pillow needs with the same
        libjpeg-turbo; all others by Pillow.
        """
        try:
            content = _read_content(file)
            plain = _inspect_plain_jpeg(content)
            if plain is not None:
                height, width, colors = plain
                scale = self._reduction(width, height) if may_reduce else 1
                # simplejpeg takes the smallest scale that keeps these sides; libjpeg rounds up.
                sides = {"min_height": -(-height // scale), "min_width": -(-width // scale)}
                pixels = simplejpeg.decode_jpeg(content, colors, **sides if scale > 1 else {})
                return pixels, (width, height, scale) if scale > 1 else None
            with _open_picture(content) as picture:
                return self._decode_opened(picture, may_reduce)
        except DECODE_ERRORS as error:
            raise _explain(error) from error

    def _decode_opened(
        self, picture: Image.Image, may_reduce: bool
    ) -> tuple[NDArray[np.uint8], tuple[int, int, int] | None]:
        """Decode a picture that Pillow has opened; see `_decode`."""
        width, height = picture.size
        if may_reduce and picture.format == "JPEG":
            scale = self._reduction(width, height)
            # Pillow may choose another scale, so that it is read from the result.
            picture.draft(None, (-(-width // scale), -(-height // scale)))
        scale = round(width / picture.width)  # rounded: the last pixel may stand for fewer
        upright = ImageOps.exif_transpose(picture)
        if upright.size != picture.size:  # turned by a quarter; by a half, sides stay
            width, height = height, width
        pixels = _to_eight_bits(upright, self.background)
        return pixels, (width, height, scale) if scale > 1 else None

    def _reduction(self, width: int, height: int) -> int:
        """Return by how much the sides of a JPEG can be divided when decoding: 1, 2, 4 or 8."""
        if self.size is None:
            return 1
        # The shortest side that is resized against the longest that results: a picture is reduced
        # only if both of its sides stay large enough.
        largest = min(width, height, self.crop or width) / (MIN_OVERSAMPLING * max(self.size))
        return max(divisor for divisor in (1, 2, 4, 8) if divisor <= max(1, largest))

    def fit(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Crop, resize and recolor one picture of (H, W, C) uint8."""
        pixels = self.apply_crop(pixels)
        if self.channels is not None:
            pixels = _recolor(pixels, self.channels, self.background)
        if self.size is not None and pixels.shape[:2] != self.size:
            pixels = _resize(pixels, self.size)
        return pixels

    def apply_crop(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the part of a picture (H, W, C) or mask (H, W) that `fit` uses, as a view."""
        return pixels if self.crop is None else _central_square(pixels, self.crop)

    def undo_fit(self, fitted: NDArray[np.uint8], whole: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring a fitted picture to its size and place in the whole one that it came from.

        Returns
        -------
        (H, W, C) uint8
            Height and width are those of `whole`, channels those of `fitted`.
        """
        sides = self.apply_crop(whole).shape[:2]
        if fitted.shape[:2] != sides:
            fitted = _resize(fitted, sides)
        if sides == whole.shape[:2]:
            return fitted
        # A copy, because recoloring returns `whole` itself where there is nothing to do.
        result = _recolor(whole, fitted.shape[2], self.background).copy()
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


def as_pixels(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Convert numbers of any type to eight bits, without clipping.

    Unsigned 16-bit integers are divided by 257, booleans become 0 and 255, fractions in [0, 1]
    are multiplied by 255.

    Parameters
    ----------
    values : array
    name : str
        What holds the numbers, for the message.

    Raises
    ------
    SourceError
        If the numbers are in none of these ranges.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:  # of either byte order
        # 257 = 65,535 / 255 keeps white white; a shift by 8 bits would too, but rounds down.
        return np.round(values / 257.0).astype(np.uint8)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if values.dtype.kind in "iu" and low >= 0 and high <= 255:
        return values.astype(np.uint8)
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.round(values * 255.0).astype(np.uint8)
    raise SourceError(
        f"{name} holds {values.dtype} values from {low:g} to {high:g}, which are not pixels; "
        "give whole numbers from 0 to 255 or fractions from 0 to 1."
    )


def _explain(error: Exception) -> SourceError:
    """Turn an error of a decoder into one of ours."""
    if isinstance(error, UnidentifiedImageError):
        return SourceError("not an image that Pillow can read")
    return SourceError(str(error) or type(error).__name__)


@contextmanager
def _open_picture(content: bytes) -> Iterator[Image.Image]:
    """Open a picture with Pillow, whose warnings tell a user nothing that an error would not."""
    with ignored_warnings, Image.open(io.BytesIO(content)) as picture:
        yield picture


def _read_content(file: bytes | str) -> bytes:
    if isinstance(file, bytes):
        return file
    with open(file, "rb", buffering=0) as opened:  # noqa: PTH123 - a Path takes twice as long
        return opened.read()


def _inspect_plain_jpeg(content: bytes) -> tuple[int, int, str] | None:
    """Return height, width and colors of a JPEG that simplejpeg can decode alone.

    It is gray or in the usual color space, and has no EXIF, which may ask for a rotation.
    """
    if not content.startswith(b"\xff\xd8") or b"Exif\0" in content[:EXIF_SEARCH_BYTES]:
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None  # Pillow reports what is wrong
    # CMYK and YCCK are left to Pillow, which knows that Adobe's programs store them inverted.
    colors = {"Gray": "GRAY", "YCbCr": "RGB"}.get(space)
    return None if colors is None else (height, width, colors)


def _to_eight_bits(picture: Image.Image, background: str) -> NDArray[np.uint8]:
    """Return a decoded picture as (H, W, 1) or (H, W, 3) uint8."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        values = np.asarray(picture)
        if values.dtype.kind == "i" and values.min() >= 0 and values.max() <= 65535:
            values = values.astype(np.uint16)  # 16-bit files of some formats open as 32-bit
        return as_pixels(values, "it")[..., None]
    # Palettes, and gray or RGB without alpha, may name one color that is transparent.
    if picture.mode in ALPHA_MODES or "transparency" in picture.info:
        picture = _composite(picture.convert("RGBA"), background, gray=picture.mode in GRAY_MODES)
    target = "L" if picture.mode in GRAY_MODES else "RGB"
    pixels = np.asarray(picture.convert(target))
    return pixels.reshape(*pixels.shape[:2], -1)


def _composite(picture: Image.Image, background: str, gray: bool) -> Image.Image:
    """Put a transparent picture on a background color; gray stays gray on gray."""
    color = ImageColor.getrgb(background)[:3]
    opaque = Image.alpha_composite(Image.new("RGBA", picture.size, (*color, 255)), picture)
    return opaque.convert("L" if gray and len(set(color)) == 1 else "RGB")


def _central_square(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    side = min(side, height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def _recolor(pixels: NDArray[np.uint8], channels: int, background: str) -> NDArray[np.uint8]:
    """Convert (H, W, C) to `channels`; to gray by the luma weights of ITU-R BT.601."""
    current = pixels.shape[-1]
    if current == channels:
        return pixels
    if current not in (1, 3, 4) or channels not in (1, 3):
        raise SourceError(f"pictures of {current} channels cannot become pictures of {channels}.")
    picture = Image.fromarray(pixels[..., 0] if current == 1 else pixels)
    if current == 4:
        picture = _composite(picture, background, gray=False)
    recolored = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return recolored.reshape(*pixels.shape[:2], channels)


def _resize(
    pixels: NDArray[np.uint8],
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> NDArray[np.uint8]:
    """Resize (H, W, C), or a box in it (left, top, right, bottom), to a height and width."""
    sides = (size[1], size[0])  # Pillow wants the width first
    if pixels.shape[-1] == 3:
        return _resize_channels(pixels, sides, box)
    # Pillow has no mode for most numbers of channels, and drops the axis of a single one.
    planes = np.moveaxis(pixels, -1, 0)
    return np.stack(
        [_resize_channels(np.ascontiguousarray(plane), sides, box) for plane in planes], axis=-1
    )


def _resize_channels(
    pixels: NDArray[np.uint8],
    sides: tuple[int, int],
    box: tuple[float, float, float, float] | None,
) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(pixels).resize(sides, Image.Resampling.BILINEAR, box))
