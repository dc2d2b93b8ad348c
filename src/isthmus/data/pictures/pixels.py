"""Numbers that become pixels of eight bits, and arrays of pixels made larger, smaller or gray."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from isthmus.data.pictures.strips import map_strips
from isthmus.errors import SourceError

Stretch = tuple[float, float]

TOLERANCE = 1e-3  # how far, in parts of the scale, a number may lie outside it and be clipped

GRAY_MODES = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")


def format_stretch(stretch: Stretch) -> str:
    """Return LOW:HIGH.

    Examples
    --------
    >>> format_stretch((0.0, 4095.0)), format_stretch((-0.5, 0.5))
    ('0:4095', '-0.5:0.5')
    """
    return ":".join(str(int(value)) if value == int(value) else str(value) for value in stretch)


def as_pixels(values: NDArray[Any], name: str, stretch: Stretch | None = None) -> NDArray[np.uint8]:
    """Convert numbers of any type to eight bits, without clipping.

    Unsigned 16-bit integers are divided by 257, booleans become 0 and 255, fractions in [0, 1]
    are multiplied by 255.

    Parameters
    ----------
    values : array
    name : str
        What holds the numbers, for the message.
    stretch : (float, float), optional
        The values that become black and white instead; those beyond are clipped. It is only used
        if it `suits` the numbers.

    Raises
    ------
    SourceError
        If the numbers are in none of these ranges, or some are NaN or infinite.
    """
    if stretch is not None and suits(stretch, values):
        return stretch_values(values, stretch, name)
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:  # of either byte order
        return scale_to_bytes(values, 65535)
    low, high = value_range(values, name)
    if values.dtype.kind in "iu" and low >= 0 and high <= 255:
        return values.astype(np.uint8)
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        return map_strips(lambda part: np.round(part * 255.0).astype(np.uint8), values)
    raise SourceError(
        f"{name} holds {values.dtype} values from {low:g} to {high:g}, which are not pixels; "
        "give whole numbers from 0 to 255 or fractions from 0 to 1, or say which values are black "
        f"and white by --stretch, such as {propose_stretch(low, high)}."
    )


def suits(stretch: Stretch, values: NDArray[Any]) -> bool:
    """Return whether numbers of this type can be those that a stretch was chosen for.

    A model that was trained on fractions from -1 to 1, or on 12 bits, also gets pictures of eight
    bits, whose scale is known. They would become white or black.

    Examples
    --------
    >>> photo = np.array([0, 200], np.uint8)
    >>> suits((-1, 1), photo), suits((0, 4095), photo), suits((10, 220), photo)
    (False, False, True)
    """
    if values.dtype.kind not in "iu":
        return values.dtype.kind == "f"
    low, high = stretch
    limits = np.iinfo(values.dtype)
    is_of_fractions = high <= 1 and values.size > 0 and int(values.max()) > 1
    return limits.min <= low and high <= limits.max and not is_of_fractions


def scale_to_bytes(values: NDArray[Any], white: int) -> NDArray[np.uint8]:
    """Scale whole numbers from 0 to `white` to 0 to 255, rounded."""
    # 257 = 65,535 / 255 keeps white white; a shift by 8 bits would too, but rounds down.
    step = np.float32(white / 255)
    return map_strips(lambda part: np.round(part / step).astype(np.uint8), values)


def integers_to_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert integers of a type that is wider than their scale: of 8 or of 16 bits.

    Raises
    ------
    SourceError
        If some are negative or beyond both scales.
    """
    low, high = value_range(values, "it")
    if low >= 0 and high <= 65535:
        return values.astype(np.uint8) if high <= 255 else scale_to_bytes(values, 65535)
    raise SourceError(
        f"it holds integers from {low:.0f} to {high:.0f}; say which of them are black and white by "
        f"--stretch, such as {propose_stretch(low, high)}, or auto"
    )


def floats_to_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert floats from 0 to 1, or slightly beyond; those of another scale declare none.

    Raises
    ------
    SourceError
        If some are negative or larger than 1.
    """
    low, high = value_range(values, "it")
    if low >= -TOLERANCE and high <= 1 + TOLERANCE:
        return map_strips(
            lambda part: np.asarray(np.round(np.clip(part, 0, 1) * 255.0), np.uint8), values
        )
    raise SourceError(
        f"it holds floats from {low:g} to {high:g}; give fractions from 0 to 1, or say which of "
        f"them are black and white by --stretch, such as {propose_stretch(low, high)}, or auto"
    )


def stretch_values(values: NDArray[Any], stretch: Stretch, name: str = "it") -> NDArray[np.uint8]:
    """Map the values of `stretch` to 0 and 255, and those beyond to the nearer of the two."""
    low, high = stretch
    if values.dtype == np.uint8:  # by a table, as there are only so many values
        table = stretch_values(np.arange(256, dtype=np.float64), stretch)
        return map_strips(lambda part: np.asarray(table[part]), values)
    value_range(values, name)

    def stretch_part(part: NDArray[Any]) -> NDArray[np.uint8]:
        shares = (part - np.float64(low)) / (high - low)
        return np.round(np.clip(shares, 0, 1, out=shares) * 255).astype(np.uint8)

    return map_strips(stretch_part, values)


def value_range(values: NDArray[Any], name: str) -> Stretch:
    """Return the smallest and the largest value.

    Raises
    ------
    SourceError
        If some are no numbers, or no real ones.
    """
    if values.dtype.kind not in "biuf":
        raise SourceError(f"{name} holds values of type {values.dtype}, which are not pixels.")
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not (np.isfinite(low) and np.isfinite(high)):
        count = int((~np.isfinite(values)).sum())
        raise SourceError(
            f"{name} holds NaN or infinity in {count:,} of {values.size:,} values, which are not "
            "pixels; replace them by numbers."
        )
    return low, high


def composite(picture: Image.Image, background: str, gray: bool) -> Image.Image:
    """Put a transparent picture on a background color; gray stays gray on gray."""
    color = ImageColor.getrgb(background)[:3]
    opaque = Image.alpha_composite(Image.new("RGBA", picture.size, (*color, 255)), picture)
    return opaque.convert("L" if gray and len(set(color)) == 1 else "RGB")


def central_square(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the central square of a picture or mask, as a view."""
    height, width = pixels.shape[:2]
    side = min(side, height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def recolor(pixels: NDArray[np.uint8], channels: int, background: str) -> NDArray[np.uint8]:
    """Convert (H, W, C) to `channels`; to gray by the luma weights of ITU-R BT.601."""
    current = pixels.shape[-1]
    if current == channels:
        return pixels
    if current not in (1, 3, 4) or channels not in (1, 3):
        raise SourceError(f"pictures of {current} channels cannot become pictures of {channels}.")
    picture = Image.fromarray(pixels[..., 0] if current == 1 else pixels)
    if current == 4:
        picture = composite(picture, background, gray=False)
    recolored = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return recolored.reshape(*pixels.shape[:2], channels)


def resize(
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


def propose_stretch(low: float, high: float) -> str:
    """Return a range that a person may have meant.

    Examples
    --------
    >>> propose_stretch(0.0, 3970.0), propose_stretch(-0.98, 1.0)
    ('0:4095', '-1:1')
    """
    if -1 <= low < -0.75 and 0.75 < high <= 1:
        return "-1:1"  # as much of PyTorch wants pictures
    if low >= 0 and high == int(high) < 2**16:
        high = float(2 ** max(1, int(high).bit_length()) - 1)  # 12 bits: 4095
        low = 0.0
    return ":".join(
        f"{value:.0f}" if value == int(value) else f"{value:.6g}" for value in (low, high)
    )
