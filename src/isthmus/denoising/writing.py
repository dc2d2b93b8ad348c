"""Clean pixels become a file as the original was, as far as the model and the format allow."""

import io
import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isthmus.data.pictures.opening import prepare_heif
from isthmus.data.pictures.pixels import Stretch, recolor, suits
from isthmus.data.pictures.scales import bits_of
from isthmus.denoising.formats import (
    SAVE_OPTIONS,
    TIMED,
    WITH_ALPHA,
    WITH_EXIF,
    WITH_FRACTIONS,
    WITH_FRAMES,
    WITH_INTEGERS,
    WITH_PROFILE,
    WITH_RESOLUTION,
)
from isthmus.denoising.originals import EXIF_FOLDERS, Original, Page
from isthmus.errors import IsthmusError, first_sentence
from isthmus.runtime import ignored_warnings

MAX_PALETTE = 256  # colors of a GIF
MAX_TINT = 16  # of 255: so far do channels differ in gray pictures after a lossy compression


def encode_picture(
    path: PurePath, original: Original, pages: Sequence[tuple[Page, NDArray[np.uint8]]]
) -> tuple[bytes, set[str]]:
    """Return the content of a file in the format of its suffix, and what it does not keep.

    Parameters
    ----------
    path : path
    original : Original
    pages : sequence of (Page, (H, W, C) uint8)
        The pages of the original and what the model made of them.

    Raises
    ------
    IsthmusError
        If Pillow cannot write them.
    """
    kind, pages, lost = choose_pages(path, pages)
    images = [_to_image(page, clean, original, kind, lost) for page, clean in pages]
    is_gray = images[0].mode not in ("RGB", "RGBA")
    return save_images(path, images, [page for page, _ in pages], original, lost, is_gray)


def choose_pages(
    path: PurePath, pages: Sequence[tuple[Page, NDArray[Any]]]
) -> tuple[str, Sequence[tuple[Page, NDArray[Any]]], set[str]]:
    """Return the format of a file, the pages that it can hold, and what is lost by that."""
    kind = SAVE_OPTIONS[path.suffix.lower()]["format"]
    if len(pages) > 1 and kind not in WITH_FRAMES:
        return kind, pages[:1], {"pages or frames but the first"}
    return kind, pages, set()


def save_images(
    path: PurePath,
    images: Sequence[Image.Image],
    pages: Sequence[Page],
    original: Original,
    lost: set[str],
    is_gray: bool,
) -> tuple[bytes, set[str]]:
    """Return what Pillow writes into a file, and what is lost in all.

    Parameters
    ----------
    path : path
    images : sequence of Image
        Of the pages.
    pages : sequence of Page
    original : Original
    lost : set of str
        What is lost already.
    is_gray : bool
        Whether a color profile for gray fits.

    Raises
    ------
    IsthmusError
        If Pillow cannot write them.
    """
    options = dict(SAVE_OPTIONS[path.suffix.lower()])
    if options["format"] == "HEIF":
        prepare_heif()
    if options["format"] == "AVIF" and images[0].mode == "L":
        options["subsampling"] = "4:0:0"  # else gray comes back as colors
    options |= _describe_frames(images, pages, original, options["format"])
    described = _describe(original, options["format"], is_gray, lost)
    try:
        content = _save(images[0], {**options, **described})
    except Exception as error:  # encoders raise anything for descriptions that they do not like
        try:
            content = _save(images[0], options)
        except Exception:
            raise IsthmusError(f"{path} cannot be written: {first_sentence(error)}.") from error
        lost.add("profile, EXIF and resolution, which cannot be written")
    return content, lost | original.lost


def _save(image: Image.Image, options: dict[str, Any]) -> bytes:
    content = io.BytesIO()
    with ignored_warnings:
        image.save(content, **options)
    return content.getvalue()


def _to_image(
    page: Page, clean: NDArray[np.uint8], original: Original, kind: str, lost: set[str]
) -> Image.Image:
    """Return one page as Pillow writes it in a format."""
    if page.pixels.shape[2] == 1:
        clean = recolor(clean, 1, "white")  # gray stays gray, whatever the model has made of it
    elif clean.shape[2] == 1 and not _is_colorless(page.pixels):
        lost.add("color: the model is gray")
    clean = _undo_stretch(page, clean, original)
    if re.search(r"\d (bands|more)", page.kind):
        lost.add("further bands")
    if page.alpha is not None and kind not in WITH_ALPHA:
        lost.add(f"transparency: {kind} has none")
    elif page.alpha is not None:
        # A GIF has no gray with transparency, but a palette that may be gray.
        colored = recolor(clean, 3, "white") if kind == "GIF" else clean
        _note_depth(page, lost)
        return Image.fromarray(np.concatenate([colored, page.alpha[..., None]], axis=2))
    values = _restore_depth(page, clean, original, kind)
    if values is not None:
        lost.add("precision beyond 8 bits; the numbers keep their range")
        return Image.fromarray(values)
    _note_depth(page, lost)
    image = Image.fromarray(clean[..., 0] if clean.shape[2] == 1 else clean)
    if kind == "GIF" and image.mode == "RGB" and image.getcolors(MAX_PALETTE) is None:
        lost.add(f"colors: a GIF has {MAX_PALETTE}")
    return image


def _is_colorless(pixels: NDArray[np.uint8]) -> bool:
    return bool((pixels.max(axis=2) - pixels.min(axis=2)).max() <= MAX_TINT)


def _note_depth(page: Page, lost: set[str]) -> None:
    if bits_of(page.kind) > 8:
        lost.add("more than 8 bits")


def _stretch_of(original: Original, dtype: type[np.generic]) -> Stretch | None:
    """Return what a file with numbers of this type was stretched by, None if it was not."""
    stretch, values = original.preprocessing.stretch, original.first.values
    if stretch is None or values is None or not suits(stretch, np.array(values).astype(dtype)):
        return None
    return stretch


def _undo_stretch(page: Page, clean: NDArray[np.uint8], original: Original) -> NDArray[np.uint8]:
    """Bring pixels of eight bits back to the range of numbers that the file had."""
    stretch = _stretch_of(original, np.uint8) if bits_of(page.kind) == 8 else None
    if stretch is None:
        return clean
    low, high = stretch
    return np.asarray(np.round(low + clean / 255.0 * (high - low)), np.uint8)


def _restore_depth(
    page: Page, clean: NDArray[np.uint8], original: Original, kind: str
) -> NDArray[Any] | None:
    """Bring gray pixels back to the range of numbers that the file had; None if it had 8 bits."""
    found = re.fullmatch(r"(\d+)-bit (float )?gray", page.kind)
    if clean.shape[2] != 1 or found is None or bits_of(page.kind) <= 8:
        return None
    is_fractional = found[2] is not None
    if kind not in (WITH_FRACTIONS if is_fractional else WITH_INTEGERS):
        return None
    white = 1.0 if is_fractional else 2.0 ** bits_of(page.kind) - 1
    stretch = _stretch_of(original, np.float32 if is_fractional else np.uint16)
    low, high = stretch or (0.0, white)
    if kind != "TIFF" and stretch is None:
        high = 65535.0  # the scale of these formats, whatever the file declares
    values = low + clean[..., 0] / 255.0 * (high - low)
    if is_fractional:
        return values.astype(np.float32)
    return np.round(values).clip(0, 65535).astype(np.uint16)


def _describe_frames(
    images: Sequence[Image.Image], pages: Sequence[Page], original: Original, kind: str
) -> dict[str, Any]:
    """Return the options of Pillow for further pages, their durations and repetitions."""
    if len(images) == 1:
        return {}
    options: dict[str, Any] = {"save_all": True, "append_images": images[1:]}
    if kind not in TIMED:
        return options
    durations = [page.duration for page in pages]
    if all(duration is not None for duration in durations):
        options["duration"] = durations
    if original.loop is not None and kind != "AVIF":
        options["loop"] = original.loop
    if kind == "GIF" and any(page.alpha is not None for page in pages):
        options["disposal"] = 2  # else what is transparent would show the frame before
    return options


def _describe(original: Original, kind: str, is_gray: bool, lost: set[str]) -> dict[str, Any]:
    """Return the options of Pillow for what describes a picture, as far as the format has them."""
    options: dict[str, Any] = {}
    if original.profile and (kind not in WITH_PROFILE or is_gray != original.is_gray):
        lost.add("the color profile")
    elif original.profile:
        options["icc_profile"] = original.profile
    if original.exif is not None and kind in WITH_EXIF:
        options["exif"] = _fit_exif(original.exif, kind, lost).tobytes()
    elif original.exif is not None:
        lost.add("EXIF")
    if original.resolution and kind in WITH_RESOLUTION:
        options["dpi"] = original.resolution
    return options


def _fit_exif(exif: Image.Exif, kind: str, lost: set[str]) -> Image.Exif:
    """Return EXIF as a format can hold it: libtiff writes no folders within."""
    if kind != "TIFF" or not any(tag in exif for tag in EXIF_FOLDERS):
        return exif
    lost.add("EXIF of exposure and place, which a compressed TIFF cannot hold")
    kept = Image.Exif()
    for tag in exif:
        if tag not in EXIF_FOLDERS:
            kept[tag] = exif[tag]
    return kept
