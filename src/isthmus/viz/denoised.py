"""An image with noise, without it and clean: pixel by pixel, nothing is resized."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.viz.canvas import LABEL, TEXT, shorten
from isthmus.viz.mosaic import Box, Mosaic, resize, to_rgb

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pixels = NDArray[np.uint8]

# Pixels of the file. A page shows 1,000 of them next to each other; of more, it would reduce them.
WIDE, NARROW = 484, 237  # of a picture: two next to each other, or four
ZOOM = 3  # pixels along a side of each pixel of a part that is enlarged
GAP, CAPTION, HEAD = 10, 26, 34
GAIN = 4  # by which differences are multiplied


@dataclass(frozen=True, eq=False)
class Shown:
    """One of the pictures of an image.

    Parameters
    ----------
    title : str
    pixels : (H, W, C) uint8
    """

    title: str
    pixels: Pixels


def denoised_figure(head: str, pictures: Sequence[Shown]) -> "Figure":
    """Draw pictures of one image: of a large one its middle, and below it the busiest part.

    Every pixel is a pixel of the file. Of what is enlarged, it is a square of whole pixels.

    Parameters
    ----------
    head : str
        Above all.
    pictures : sequence of Shown
        All of the same sides. The second one says which part is the busiest.
    """
    side = max(pictures[0].pixels.shape[:2])
    if side <= NARROW:
        factor = NARROW // side
        return _draw(head, [(pictures, Box(0, 0, *_sides(pictures[0])), factor, 4)])
    rows = [(pictures, _middle(pictures[0].pixels), 1, 2)]
    part = busiest(pictures[1].pixels, NARROW // ZOOM)
    titles = [f"a part, {ZOOM} times enlarged", *[""] * (len(pictures) - 1)]
    parts = [Shown(title, one.pixels) for title, one in zip(titles, pictures, strict=True)]
    return _draw(head, [*rows, (parts, part, ZOOM, 4)])


def difference(pixels: NDArray[Any], others: NDArray[Any]) -> Pixels:
    """Return how images (H, W, C) from 0 to 1 differ, multiplied by 4: gray where they do not."""
    return to_pixels(0.5 + GAIN * (pixels - others))


def to_pixels(image: NDArray[Any]) -> Pixels:
    """Return an image (H, W, C) from 0 to 1 as uint8; what lies outside is clipped."""
    return np.asarray(np.round(255 * image.clip(0, 1)), np.uint8)


def busiest(pixels: Pixels, side: int) -> Box:
    """Return the square of an image (H, W, C) whose pixels vary most, of a grid of squares."""
    height, width = pixels.shape[:2]
    tall, wide = min(side, height), min(side, width)
    boxes = [
        Box(left, top, wide, tall)
        for top in range(0, height - tall + 1, max(1, tall // 2))
        for left in range(0, width - wide + 1, max(1, wide // 2))
    ]
    return max(boxes, key=lambda box: float(_cut(pixels, box).var()))


def _draw(head: str, groups: list[tuple[Sequence[Shown], Box, int, int]]) -> "Figure":
    """Draw groups of pictures, each a part of all, enlarged, in so many columns."""
    height = HEAD + sum(
        (box.height * factor + CAPTION + GAP) * -(-len(pictures) // columns)
        for pictures, box, factor, columns in groups
    )
    width = max(
        GAP + (box.width * factor + GAP) * min(columns, len(pictures))
        for pictures, box, factor, columns in groups
    )
    mosaic, top = Mosaic(width, height), HEAD
    mosaic.write(GAP, HEAD / 2, shorten(head, width // 9), LABEL, ha="left", va="center")
    for group in groups:
        top = _draw_group(mosaic, top, *group)
    return mosaic.to_figure()


def _draw_group(
    mosaic: Mosaic, top: int, pictures: Sequence[Shown], box: Box, factor: int, columns: int
) -> int:
    """Draw a group of pictures; return the top of what comes next."""
    wide, tall = box.width * factor, box.height * factor
    for number, picture in enumerate(pictures):
        left = GAP + (wide + GAP) * (number % columns)
        y = top + (tall + CAPTION + GAP) * (number // columns)
        mosaic.paste(resize(to_rgb(_cut(picture.pixels, box)), wide, tall), left, y)
        mosaic.write(
            left, y + tall + 4, shorten(picture.title, wide // 8), TEXT, ha="left", va="top"
        )
    return top + (tall + CAPTION + GAP) * -(-len(pictures) // columns)


def _middle(pixels: Pixels) -> Box:
    """Return the part in the middle of an image that fits a page."""
    height, width = pixels.shape[:2]
    wide, tall = min(WIDE, width), min(WIDE, height)
    return Box((width - wide) // 2, (height - tall) // 2, wide, tall)


def _cut(pixels: Pixels, box: Box) -> Pixels:
    return pixels[box.top : box.top + box.height, box.left : box.left + box.width]


def _sides(picture: Shown) -> tuple[int, int]:
    height, width = picture.pixels.shape[:2]
    return width, height
