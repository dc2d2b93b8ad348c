"""From the bytes of a picture to the input of a model, as one object.

A model is only as good as the pixels it is given: `Preprocessing` is saved with the weights and
is the one place that decides how a file becomes an array and an array becomes a batch.
"""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from isthmus.errors import OptionError, SourceError

if TYPE_CHECKING:
    import torch

SPARE = 2.0  # how many times larger than needed a JPEG is decoded at least
EXIF_WITHIN = 2**16  # bytes from the beginning of a JPEG, where EXIF stands if there is any
MASK_MODES = ("P", "L")  # one number a pixel, kept as it is
LOSSY = ("JPEG", "WEBP")  # formats that change a number or two
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
GRAY_MODES = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")


class MaskError(SourceError):
    """A readable picture that cannot be a mask; the message goes on after its name."""


@dataclass(frozen=True)
class Preprocessing:
    """How a sample reaches a model, and how the model's output becomes a sample again.

    Parameters
    ----------
    crop : int, optional
        Side of the central square that is cut out first; a smaller picture gives the largest
        square it has.
    size : (int, int), optional
        Height and width after resizing (triangle filter with antialiasing; the whole picture,
        so a picture of another shape is stretched).
    channels : int, optional
        1 for gray, 3 for RGB; None keeps what the source has.
    background : str
        Color that shows through transparent pixels; any name or hexadecimal code of CSS.
    low, high : float
        Values of a sample that become 0 and 1 at the model's input: 0 and 255 for images, the
        smallest and the largest value of the training part for signals.

    Raises
    ------
    SettingsError
        If a size, a crop or a color makes no sense.
    """

    crop: int | None = None
    size: tuple[int, int] | None = None
    channels: int | None = None
    background: str = "white"
    low: float = 0.0
    high: float = 255.0

    def __post_init__(self) -> None:
        for name, sides in (("size", self.size or ()), ("crop", (self.crop,))):
            if any(side is not None and not 1 <= side <= 8192 for side in sides):
                value = "x".join(dict.fromkeys(map(str, sides)))
                raise OptionError(f"{name} must be from 1 to 8192 pixels, not {value}.")
        try:
            ImageColor.getrgb(self.background)
        except ValueError:
            raise OptionError(
                f"{self.background!r} is no color; give a name such as white, or #rrggbb."
            ) from None
        if not self.low < self.high:
            raise OptionError(f"low must be below high, not {self.low} and {self.high}.")

    def with_range(self, low: float, high: float) -> "Preprocessing":
        """Return a copy that maps `low` to 0 and `high` to 1."""
        return replace(self, low=float(low), high=float(high))

    def resolve(self, shape: tuple[int, ...]) -> "Preprocessing":
        """Return a copy that names the size and channels that it gave: those of `shape` (H, W, C).

        It gives the same pixels, and the right ones for any other picture, as a model needs them.
        """
        height, width, channels = shape
        return replace(self, size=(height, width), channels=channels)

    def image(self, file: bytes | str) -> NDArray[np.uint8]:
        """Decode a picture, given as the content or the path of its file, and `fit` it.

        A JPEG that is to be made much smaller is decoded at a half, a quarter or an eighth of its
        sides, as its blocks allow, still at least twice as large as it will be.

        Returns
        -------
        (H, W, C) uint8
            C is `channels`, or 1 for a gray picture and 3 for any other.

        Raises
        ------
        SourceError
            With the reason, if the file is no picture or a broken one.
        """
        return self.decode_and_fit(file)[0]

    def decode_and_fit(self, file: bytes | str) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """Do as `image` does, and tell the height and width of the whole picture, upright."""
        pixels, shrunk = self._decoded(file, shrinking=True)
        if shrunk is None or self.size is None:
            return self.fit(pixels), (pixels.shape[0], pixels.shape[1])
        width, height, _ = shrunk
        if self.channels is not None:
            pixels = _recolored(pixels, self.channels, self.background)
        return _resized(pixels, self.size, self._box(*shrunk)), (height, width)

    def mask(self, file: bytes | str) -> NDArray[np.uint8]:
        """Decode a mask, given as the content or the path of its file, and `fit_mask` it.

        Returns
        -------
        (H, W) uint8
            The numbers of the file, of the same part of the scene as the pixels of `image`.

        Raises
        ------
        SourceError
            With the reason, if the file is no mask or a broken one.
        """
        return self.fit_mask(self.decode_mask(file))

    def decode_mask(self, file: bytes | str) -> NDArray[np.uint8]:
        """Decode a mask whole: (H, W) uint8, the indices of a palette or the values of gray.

        Raises
        ------
        MaskError
            If it is a picture, but one that cannot tell a class for each pixel.
        SourceError
            With the reason, if the file is no picture or a broken one.
        """
        try:
            with _opening(_content(file)) as opened:
                _reject_unfit(opened)
                return np.array(opened)
        except UNREADABLE as error:
            raise _complaint(error) from error

    def fit_mask(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Crop and resize one mask (H, W) as `fit` does a picture; each pixel keeps one class.

        What is new to a pixel is what the mask says at its center (nearest neighbor).
        """
        mask = self.cropped(mask)
        if self.size is None or mask.shape == self.size:
            return mask
        height, width = self.size
        return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))

    def _box(self, width: int, height: int, scale: int) -> tuple[float, float, float, float]:
        """Return what `fit` looks at of a picture of those sides that was decoded smaller."""
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
            With the reason, if the file is no picture or a broken one.
        """
        return self._decoded(file, shrinking=False)[0]

    def _decoded(
        self, file: bytes | str, shrinking: bool
    ) -> tuple[NDArray[np.uint8], tuple[int, int, int] | None]:
        """Decode a picture; if it came out smaller, tell its width, height and how many times."""
        try:
            content = _content(file)
            plain = _plain_jpeg(content)
            if plain is not None:
                height, width, colors = plain
                scale = self._scale(width, height) if shrinking else 1
                sides = {"min_height": -(-height // scale), "min_width": -(-width // scale)}
                pixels = simplejpeg.decode_jpeg(content, colors, **sides if scale > 1 else {})
                return pixels, (width, height, scale) if scale > 1 else None
            with _opening(content) as opened:
                return self._opened(opened, shrinking)
        except UNREADABLE as error:
            raise _complaint(error) from error

    def _opened(
        self, opened: Image.Image, shrinking: bool
    ) -> tuple[NDArray[np.uint8], tuple[int, int, int] | None]:
        """Decode what Pillow has opened; see `_decoded`."""
        width, height = opened.size
        if shrinking and opened.format == "JPEG":
            scale = self._scale(width, height)
            opened.draft(None, (-(-width // scale), -(-height // scale)))
        scale = round(width / opened.width)  # its last pixel may be a part of one
        upright = ImageOps.exif_transpose(opened)
        if upright.size != opened.size:
            width, height = height, width
        pixels = _eight_bits(upright, self.background)
        return pixels, (width, height, scale) if scale > 1 else None

    def _scale(self, width: int, height: int) -> int:
        """Return how many times smaller a JPEG of these sides can be decoded: 1, 2, 4 or 8."""
        if self.size is None:
            return 1
        spare = min(width, height, self.crop or width) / (SPARE * max(self.size))
        return max(scale for scale in (1, 2, 4, 8) if scale <= max(1, spare))

    def fit(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Crop, resize and recolor one picture of (H, W, C) uint8."""
        pixels = self.cropped(pixels)
        if self.channels is not None:
            pixels = _recolored(pixels, self.channels, self.background)
        if self.size is not None and pixels.shape[:2] != self.size:
            pixels = _resized(pixels, self.size)
        return pixels

    def cropped(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what `fit` looks at of a picture (H, W, C) or mask, as a view."""
        return pixels if self.crop is None else _central_square(pixels, self.crop)

    def put_back(self, fitted: NDArray[np.uint8], whole: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring a fitted picture to its size and place in the whole one that it was made from.

        Returns
        -------
        (H, W, C) uint8
            Of the height and width of `whole` and the channels of `fitted`.
        """
        sides = self.cropped(whole).shape[:2]
        if fitted.shape[:2] != sides:
            fitted = _resized(fitted, sides)
        if sides == whole.shape[:2]:
            return fitted
        around = _recolored(whole, fitted.shape[2], self.background).copy()
        self.cropped(around)[:] = fitted
        return around

    def changes_shape(self, shape: tuple[int, ...]) -> bool:
        """Return whether `fit` changes the shape (H, W, C) of a picture, and so the picture."""
        height, width, channels = shape
        return (
            (self.crop is not None and (height, width) != (self.crop, self.crop))
            or (self.size is not None and (height, width) != self.size)
            or (self.channels is not None and channels != self.channels)
        )

    def to_input(self, values: "torch.Tensor") -> "torch.Tensor":
        """Scale samples to a model's input.

        Parameters
        ----------
        values : (N, H, W, C) uint8 or (N, L, C) float32
            Samples on any device; they are left as they are.

        Returns
        -------
        x : (N, C, H, W) or (N, C, L) float32
            In [0, 1] for images (and channels-last in memory); signals may leave that range
            where they leave the range of the training part.
        """
        import torch

        last = values.ndim - 1
        x = values.permute(0, last, *range(1, last)).to(torch.float32, copy=True)
        return x.sub_(self.low).div_(self.high - self.low) if self.low else x.div_(self.high)

    def from_output(self, x: "torch.Tensor") -> "torch.Tensor":
        """Undo `to_input`: (N, C, H, W) to (N, H, W, C) uint8, (N, C, L) to (N, L, C) float32."""
        values = (x * (self.high - self.low) + self.low).permute(0, *range(2, x.ndim), 1)
        if x.ndim == 3:
            return values.contiguous()
        return values.round().clamp(0, 255).byte().contiguous()


def as_pixels(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Bring numbers of any type to eight bits, without clipping.

    Unsigned 16-bit numbers are divided by 257, truth values become 0 and 255, fractions in
    [0, 1] are multiplied by 255.

    Raises
    ------
    SourceError
        If the numbers fit none of these, naming `name` and their range.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:  # of either byte order
        return np.round(values / 257.0).astype(np.uint8)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if values.dtype.kind in "iu" and low >= 0 and high <= 255:
        return values.astype(np.uint8)
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.round(values * 255.0).astype(np.uint8)
    raise SourceError(
        f"{name} holds {values.dtype} values from {low:g} to {high:g}, which are no pixels; "
        "give whole numbers from 0 to 255 or fractions from 0 to 1."
    )


def _complaint(error: Exception) -> SourceError:
    """Say what a decoder complains about."""
    if isinstance(error, UnidentifiedImageError):
        return SourceError("not an image that Pillow can read")
    return SourceError(str(error) or type(error).__name__)


class _IgnoredWarnings:
    """Ignores all warnings while at least one thread is in it.

    The filters of `warnings` belong to the process: threads that each save and restore them, as
    `catch_warnings` does, restore each other's and leave the wrong ones behind. So the first
    thread in saves them, and the last one out restores them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = 0
        self._saved = warnings.catch_warnings(action="ignore")

    def __enter__(self) -> None:
        with self._lock:
            if not self._threads:
                self._saved = warnings.catch_warnings(action="ignore")
                self._saved.__enter__()
            self._threads += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._threads -= 1
            if not self._threads:
                self._saved.__exit__(None, None, None)


_ignored_warnings = _IgnoredWarnings()


@contextmanager
def _opening(content: bytes) -> Iterator[Image.Image]:
    """Open a picture with Pillow, whose warnings tell a user nothing that an error would not."""
    with _ignored_warnings, Image.open(io.BytesIO(content)) as opened:
        yield opened


def _content(file: bytes | str) -> bytes:
    if isinstance(file, bytes):
        return file
    with open(file, "rb", buffering=0) as opened:  # noqa: PTH123 - a Path takes twice as long
        return opened.read()


def _reject_unfit(opened: Image.Image) -> None:
    """Refuse a picture that cannot be a mask."""
    if opened.format in LOSSY:
        raise MaskError(f"is a {opened.format}, which does not keep values; save a PNG")
    if opened.mode not in MASK_MODES:
        raise MaskError(
            f"is of mode {opened.mode}; save a PNG of palette indices (P) or of 8-bit gray "
            "values (L), one for each class"
        )


def _plain_jpeg(content: bytes) -> tuple[int, int, str] | None:
    """Return height, width and colors of a JPEG that needs no more than decoding.

    That is one in gray or in the usual colors, whole, and not to be turned as its EXIF says;
    libjpeg-turbo by simplejpeg takes half the time that it takes by Pillow.
    """
    if not content.startswith(b"\xff\xd8") or b"Exif\0" in content[:EXIF_WITHIN]:
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None  # Pillow says what is wrong
    colors = {"Gray": "GRAY", "YCbCr": "RGB"}.get(space)
    return None if colors is None else (height, width, colors)


def _eight_bits(picture: Image.Image, background: str) -> NDArray[np.uint8]:
    """Return a decoded picture as (H, W, 1) or (H, W, 3) uint8."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        values = np.asarray(picture)
        if values.dtype.kind == "i" and values.min() >= 0 and values.max() <= 65535:
            values = values.astype(np.uint16)  # 16-bit files of some formats open as 32-bit
        return as_pixels(values, "it")[..., None]
    if picture.mode in ALPHA_MODES or "transparency" in picture.info:
        picture = _over(picture.convert("RGBA"), background, gray=picture.mode in GRAY_MODES)
    target = "L" if picture.mode in GRAY_MODES else "RGB"
    pixels = np.asarray(picture.convert(target))
    return pixels.reshape(*pixels.shape[:2], -1)


def _over(picture: Image.Image, background: str, gray: bool) -> Image.Image:
    """Lay a transparent picture over a color; gray stays gray over a gray color."""
    color = ImageColor.getrgb(background)[:3]
    opaque = Image.alpha_composite(Image.new("RGBA", picture.size, (*color, 255)), picture)
    return opaque.convert("L" if gray and len(set(color)) == 1 else "RGB")


def _central_square(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    side = min(side, height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def _recolored(pixels: NDArray[np.uint8], channels: int, background: str) -> NDArray[np.uint8]:
    """Bring (H, W, C) to `channels`; gray by the luma weights of ITU-R 601."""
    held = pixels.shape[-1]
    if held == channels:
        return pixels
    if held not in (1, 3, 4) or channels not in (1, 3):
        raise SourceError(f"pictures of {held} channels cannot become pictures of {channels}.")
    picture = Image.fromarray(pixels[..., 0] if held == 1 else pixels)
    if held == 4:
        picture = _over(picture, background, gray=False)
    recolored = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return recolored.reshape(*pixels.shape[:2], channels)


def _resized(
    pixels: NDArray[np.uint8],
    size: tuple[int, int],
    part: tuple[float, float, float, float] | None = None,
) -> NDArray[np.uint8]:
    """Bring (H, W, C), or a part of it (left, top, right, bottom), to a height and width."""
    sides = (size[1], size[0])  # Pillow says width first
    if pixels.shape[-1] == 3:
        return _plane(pixels, sides, part)
    planes = np.moveaxis(pixels, -1, 0)
    return np.stack([_plane(np.ascontiguousarray(of), sides, part) for of in planes], axis=-1)


def _plane(
    pixels: NDArray[np.uint8],
    sides: tuple[int, int],
    part: tuple[float, float, float, float] | None,
) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(pixels).resize(sides, Image.Resampling.BILINEAR, part))
