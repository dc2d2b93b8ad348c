"""Sheets of thumbnails: many small pictures of samples in one file.

A page loads one file for a thousand samples instead of a thousand files. Cells are in rows, from
the top left, as samples are; the last sheet is only as tall as it must be.
"""

import io
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from isthmus.data.samples import VOID
from isthmus.viz.masks import colors

PER_SHEET, COLUMNS = 1024, 32
MAX_SIDE = 64  # of a cell; larger samples are shown smaller
# Up to this side files keep every pixel: 1,024 digits of MNIST take 170 KB, less than as a JPEG.
MAX_LOSSLESS_SIDE = 32
QUALITY = 75  # of lossy sheets
LINE_WIDTH, LINE_HEIGHT = 64, 32  # of a signal's picture
PAPER, INK = 255, 40  # gray levels of a signal's picture
MASK_SUFFIX = "png"  # which has palettes: the class of a pixel can be read back

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Layout:
    """How the thumbnails of samples lie in sheets.

    Parameters
    ----------
    width, height : int
        Of a cell, in pixels.
    lossless : bool
        Whether sheets keep the pixels of their cells.
    exact : bool
        Whether a cell has the sample's own pixels.
    suffix : str
        Of the files: "webp", or where Pillow lacks it "png" or "jpg".
    """

    width: int
    height: int
    lossless: bool
    exact: bool
    suffix: str

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> "Layout":
        """Choose a layout for samples (H, W, C), or signals (L, C)."""
        if len(shape) == 2:
            return cls(LINE_WIDTH, LINE_HEIGHT, True, False, _suffix(True))
        height, width = shape[:2]
        scale = min(1.0, MAX_SIDE / max(height, width))
        cell = (max(1, round(width * scale)), max(1, round(height * scale)))
        lossless = max(height, width) <= MAX_LOSSLESS_SIDE
        return cls(*cell, lossless, lossless, _suffix(lossless))

    def to_json(self, folder: str) -> dict[str, Any]:
        """Return what a page must know of the sheets in a folder."""
        content = asdict(self)
        suffix = content.pop("suffix")
        pattern = f"{folder}/{{n}}.{suffix}"
        return {"pattern": pattern, "per_sheet": PER_SHEET, "columns": COLUMNS, **content}

    def sheet(self, images: Pixels) -> bytes:
        """Return the file of a sheet of at most 1,024 images (n, H, W, C) uint8."""
        cells = images if self.exact else np.stack([self._shrink(image) for image in images])
        return self._save(Image.fromarray(_drop_gray(_arrange(cells))))

    def signal_sheet(self, signals: NDArray[np.float32], low: float, high: float) -> bytes:
        """Return the file of a sheet of signals (n, L, C), drawn as lines between low and high."""
        levels = np.clip((signals - low) / (high - low), 0, 1)
        cells = np.stack([draw_line(signal, self.width, self.height) for signal in levels])
        return self._save(Image.fromarray(_arrange(cells[..., None])[..., 0]))

    def mask_sheet(self, masks: Pixels, classes: int) -> bytes:
        """Return the PNG of a sheet of masks (n, H, W) in the colors of classes, void transparent.

        A pixel of the file is the index of its class, or 255 for void and outside.
        """
        cells = np.stack([self._shrink_mask(mask) for mask in masks])
        picture = Image.fromarray(_arrange(cells[..., None], VOID)[..., 0], mode="P")
        palette = np.zeros((VOID + 1, 3), np.uint8)
        palette[:classes] = colors(classes)
        picture.putpalette(palette.tobytes())
        content = io.BytesIO()
        picture.save(content, "PNG", optimize=True, transparency=VOID)
        return content.getvalue()

    def _shrink(self, image: Pixels) -> Pixels:
        # The mean of the pixels below: nothing rings and nothing shimmers.
        picture = Image.fromarray(_drop_gray(image))
        size = (self.width, self.height)
        small = np.asarray(picture.resize(size, Image.Resampling.BOX, reducing_gap=None))
        return small.reshape(self.height, self.width, -1)

    def _shrink_mask(self, mask: Pixels) -> Pixels:
        size = (self.width, self.height)
        return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))

    def _save(self, picture: Image.Image) -> bytes:
        content = io.BytesIO()
        if self.suffix == "webp":
            picture.save(
                content, "WEBP", lossless=self.lossless, quality=QUALITY, method=4, exact=True
            )
        elif self.suffix == "png":
            picture.save(content, "PNG", optimize=True)
        else:
            picture.save(content, "JPEG", quality=QUALITY + 5)
        return content.getvalue()


def sheet_count(samples: int) -> int:
    """Return how many sheets hold so many samples."""
    return math.ceil(samples / PER_SHEET)


def png(image: Pixels) -> bytes:
    """Return one image (H, W, C) uint8 as a PNG."""
    content = io.BytesIO()
    Image.fromarray(_drop_gray(image)).save(content, "PNG")
    return content.getvalue()


def draw_line(signal: NDArray[np.float32], width: int, height: int) -> Pixels:
    """Draw a signal (L, C) in [0, 1] as dark lines on white, (height, width) uint8.

    A column of pixels is dark from the smallest to the largest value of its steps, so that no peak
    of a long signal is lost.
    """
    # Each column also has the first step of the next one, which joins them.
    steps = np.linspace(0, len(signal) - 1, width + 1)
    picture = np.full((height, width), PAPER, np.uint8)
    places = np.rint((1 - signal) * (height - 1)).astype(np.int64)
    for column in range(width):
        first, last = math.floor(steps[column]), math.ceil(steps[column + 1])
        block = places[first : last + 1]
        for top, bottom in zip(block.min(0), block.max(0), strict=True):
            picture[top : bottom + 1, column] = INK
    return picture


def _arrange(cells: Pixels, fill: int = 0) -> Pixels:
    """Lay cells (n, h, w, C) out in rows of 32: (rows · h, 32 · w, C)."""
    count, height, width, channels = cells.shape
    rows = math.ceil(count / COLUMNS)
    grid = np.full((rows * COLUMNS, height, width, channels), fill, np.uint8)
    grid[:count] = cells
    grid = grid.reshape(rows, COLUMNS, height, width, channels).swapaxes(1, 2)
    return np.ascontiguousarray(grid.reshape(rows * height, COLUMNS * width, channels))


def _drop_gray(image: Pixels) -> Pixels:
    return image[..., 0] if image.shape[-1] == 1 else image


def _suffix(lossless: bool) -> str:
    if features.check("webp"):
        return "webp"
    return "png" if lossless else "jpg"
