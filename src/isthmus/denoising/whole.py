"""Clean numbers become a file as the original was: of its mode and its bits, where they exist."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isthmus.data.pictures.pixels import Stretch
from isthmus.data.pictures.scales import bits_of
from isthmus.data.pictures.whole import BYTES, WORDS
from isthmus.denoising.formats import WITH_ALPHA
from isthmus.denoising.originals import Original, Page
from isthmus.denoising.wide import WRITERS, Sheet
from isthmus.denoising.writing import MAX_PALETTE, choose_pages, save_images
from isthmus.errors import IsthmusError, first_sentence

WITH_WORDS = ("JPEG2000", "PNG", "PPM", "TIFF")  # 16 bits of gray
WITH_COLORED_WORDS = ("PNG", "PPM", "TIFF")
WITH_ONE_BIT = ("BMP", "DIB", "PCX", "PNG", "PPM", "TGA", "TIFF")
WITH_PALETTE = ("BMP", "DIB", "PCX", "PNG", "TGA", "TIFF")
BY_PILLOW = (np.dtype(np.uint16), np.dtype(np.int32), np.dtype(np.float32))  # of gray


def encode_whole(
    path: PurePath, original: Original, pages: Sequence[tuple[Page, NDArray[Any]]]
) -> tuple[bytes, set[str]]:
    """Return the content of a file in the format of its suffix, and what it does not keep.

    Parameters
    ----------
    path : path
    original : Original
        Whole.
    pages : sequence of (Page, (H, W, C) array)
        The pages of the original, and the same numbers without their noise.

    Raises
    ------
    IsthmusError
        If they cannot be written.
    """
    kind, pages, lost = choose_pages(path, pages)
    is_animated = len(pages) > 1 and kind != "TIFF"
    sheets = [_fit(page, clean, kind, is_animated, lost) for page, clean in pages]
    if kind in WRITERS and any(map(_is_beyond_pillow, sheets)):
        try:
            content = WRITERS[kind](sheets, original, lost)
        except Exception as error:  # whatever a description leads to
            raise IsthmusError(f"{path} cannot be written: {first_sentence(error)}.") from error
        return content, lost | original.lost
    images = [_to_image(sheet, kind, lost) for sheet in sheets]
    return save_images(path, images, [page for page, _ in pages], original, lost, original.is_gray)


def _fit(page: Page, clean: NDArray[Any], kind: str, is_animated: bool, lost: set[str]) -> Sheet:
    """Return what a format can hold of a page."""
    alpha = page.alpha
    if alpha is not None and kind not in WITH_ALPHA:
        lost.add(f"transparency: {kind} has none")
        alpha = None
    scaled = _choose_scale(page, clean, kind, is_animated, alpha is not None)
    if scaled is None:
        bits = bits_of(page.kind)
        if clean.dtype == np.float32 and bits > 32:
            lost.add("precision beyond 32 bits")
        return Sheet(clean, alpha, page.kind)
    dtype, white = scaled
    if white == BYTES[1]:
        lost.add("more than 8 bits")
    elif bits_of(page.kind) < 16:
        lost.add(f"{bits_of(page.kind)} bits, written as 16")
    values = _rescale(clean, page.black_white, dtype, white)
    if alpha is not None:
        alpha = _rescale(alpha, _scale_of_alpha(page), dtype, white)
    return Sheet(values, alpha, page.kind)


def _choose_scale(
    page: Page, clean: NDArray[Any], kind: str, is_animated: bool, has_alpha: bool
) -> tuple[type[np.generic], float] | None:
    """Return the type and the white that numbers get; None if they stay."""
    if clean.dtype == np.uint8:
        return None
    is_gray = clean.shape[2] == 1 and not has_alpha
    if is_animated or kind not in (WITH_WORDS if is_gray else WITH_COLORED_WORDS):
        return np.uint8, BYTES[1]
    bits = bits_of(page.kind)
    is_declared = 8 < bits < 16 and page.black_white == (0.0, 2.0**bits - 1)
    if is_declared or (kind != "TIFF" and clean.dtype != np.uint16):
        return np.uint16, WORDS[1]
    return None


def _scale_of_alpha(page: Page) -> Stretch:
    """Return the scale of alpha, which no stretch changes."""
    assert page.alpha is not None
    high = np.iinfo(page.alpha.dtype).max if page.alpha.dtype.kind in "iu" else 1.0
    bits = bits_of(page.kind)
    return 0.0, float(2**bits - 1 if 8 < bits < 16 else high)


def _rescale(
    values: NDArray[Any], scale: Stretch, dtype: type[np.generic], white: float
) -> NDArray[Any]:
    low, high = scale
    shares = (values - np.float32(low)) / np.float32(high - low)
    return np.asarray(np.round(shares.clip(0, 1) * np.float32(white)), dtype)


def _is_beyond_pillow(sheet: Sheet) -> bool:
    count = sheet.values.shape[2]
    if sheet.values.dtype == np.uint8:
        return count not in (1, 3)
    return count > 1 or sheet.alpha is not None or sheet.values.dtype not in BY_PILLOW


def _to_image(sheet: Sheet, kind: str, lost: set[str]) -> Image.Image:
    """Return a page as Pillow writes it."""
    if sheet.kind == "1-bit" and kind in WITH_ONE_BIT and sheet.alpha is None:
        return Image.fromarray(sheet.values[..., 0] > BYTES[1] / 2)
    is_indexed = sheet.kind.startswith("palette") and kind in WITH_PALETTE
    # A GIF has palettes alone; Pillow makes one for gray without loss.
    if is_indexed or (kind == "GIF" and sheet.joined.shape[2] > 1):
        image = _index(sheet)
        if image is not None:
            return image
        if is_indexed:
            lost.add("the palette: written as colors")
        else:
            lost.add(f"colors: a GIF has {MAX_PALETTE}")
            # A GIF has no gray with transparency, but a palette that may be gray.
            sheet = sheet._replace(values=np.broadcast_to(sheet.values, _colored(sheet)))
    array = sheet.joined
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def _colored(sheet: Sheet) -> tuple[int, int, int]:
    height, width, _ = sheet.values.shape
    return height, width, 3


def _index(sheet: Sheet) -> Image.Image | None:
    """Return a page with a palette; None if it has too many colors, or half transparency."""
    colors = np.broadcast_to(sheet.values, _colored(sheet)).reshape(-1, 3)
    clear = np.zeros(len(colors), bool)
    if sheet.alpha is not None:
        clear = sheet.alpha.reshape(-1) == 0
        if (sheet.alpha.reshape(-1)[~clear] < BYTES[1]).any():
            return None
    palette, found = np.unique(colors[~clear], axis=0, return_inverse=True)
    extra = int(clear.any())  # a color for what is transparent
    if len(palette) + extra > MAX_PALETTE:
        return None
    places = np.full(len(colors), len(palette))
    places[~clear] = found.reshape(-1)
    indexed = Image.fromarray(places.reshape(sheet.values.shape[:2]).astype(np.uint8))
    indexed.putpalette(np.concatenate([palette, np.zeros((extra, 3), np.uint8)]).tobytes())
    if extra:
        indexed.info["transparency"] = len(palette)
    return indexed
