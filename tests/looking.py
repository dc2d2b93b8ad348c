"""How tests look at pictures: by the pixels of the file and the text that is on it."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from isthmus.viz.canvas import BORDER, to_pixels

Pixels = NDArray[np.uint8]
MAX_FACTOR = 200  # by which samples are enlarged


class Box(NamedTuple):
    """A rectangle in pixels; the right and the bottom edge are outside."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def overlaps(self, other: "Box") -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


def noise(*shape: int, seed: int = 0) -> Pixels:
    """Make samples that look like nothing else in a picture."""
    return np.random.default_rng(seed).integers(1, 255, shape, np.uint8)


def in_color(image: NDArray[Any]) -> Pixels:
    """Return an image (H, W) or (H, W, C) with three channels."""
    image = image[..., None] if image.ndim == 2 else image
    gray = image.shape[2] < 3
    return np.broadcast_to(image[..., :1], (*image.shape[:2], 3)) if gray else image[..., :3]


def find_all(picture: Pixels, image: NDArray[Any]) -> list[Box]:
    """Return where a picture shows an image, every pixel as a square of the same size."""
    image = in_color(image)
    rows, columns = np.nonzero(picture[..., 0] == image[0, 0, 0])
    is_start = (picture[rows, columns] == image[0, 0]).all(-1)
    for up, left in ((1, 0), (0, 1)):  # of the first pixel, only the first one of its square
        before = (picture[rows - up, columns - left] == image[0, 0]).all(-1)
        is_start &= ~before | (rows < up) | (columns < left)
    places = []
    for top, left in zip(rows[is_start].tolist(), columns[is_start].tolist(), strict=True):
        for factor in range(1, MAX_FACTOR):
            height, width = factor * image.shape[0], factor * image.shape[1]
            shown = picture[top : top + height, left : left + width]
            if shown.shape[:2] != (height, width):
                break
            if not np.array_equal(shown[0, ::factor], image[0]):
                continue
            if np.array_equal(shown, image.repeat(factor, 0).repeat(factor, 1)):
                places.append(Box(left, top, left + width, top + height))
                break
    return places


def find(picture: Pixels, image: NDArray[Any]) -> Box:
    """Return the one place where a picture shows an image."""
    places = find_all(picture, image)
    assert len(places) == 1, places
    return places[0]


def frames(picture: Pixels) -> list[Box]:
    """Return the insides of the frames in a picture, row by row."""
    line = (picture == rgb(BORDER)).all(-1)
    corners = line.copy()
    corners[1:] &= ~line[:-1]
    corners[:, 1:] &= ~line[:, :-1]
    boxes = []
    for top, left in np.argwhere(corners).tolist():
        width = int((~line[top, left:]).argmax())
        height = int((~line[top:, left]).argmax())
        if min(width, height) > 4:
            boxes.append(Box(left + 1, top + 1, left + width - 1, top + height - 1))
    return boxes


def cells(picture: Pixels, box: Box, rows: int, columns: int) -> NDArray[np.int64]:
    """Return the colors (rows, columns, 3) in the middles of the cells of a box."""
    y = box.top + (np.arange(rows) + 0.5) * box.height / rows
    x = box.left + (np.arange(columns) + 0.5) * box.width / columns
    return np.asarray(picture[y.astype(int)][:, x.astype(int)], np.int64)


def curve(picture: Pixels, box: Box, color: str) -> NDArray[np.float64]:
    """Return how high the curve of a color is above the bottom of a box, column by column."""
    left, top, right, bottom = map(int, box)
    near = np.abs(picture[top:bottom, left:right].astype(int) - rgb(color)).max(-1) < 40
    with np.errstate(invalid="ignore"):
        rows = (near * np.arange(bottom - top)[:, None]).sum(0) / near.sum(0)
    return np.asarray(bottom - top - 0.5 - rows, np.float64)


def rgb(color: str) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in to_rgb(color))


def texts(figure: Figure) -> list[tuple[str, Box]]:
    """Return what is written on a figure, and where, row by row."""
    figure.draw_without_rendering()
    height = figure.bbox.height
    found = []
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if text.get_text() and text.get_visible():
            box = text.get_window_extent()
            place = Box(box.x0, height - box.y1, box.x1, height - box.y0)
            found.append((text.get_text(), place))
    return sorted(found, key=lambda one: (round(one[1].bottom), one[1].left))


def words(figure: Figure) -> list[str]:
    """Return what is written on a figure, row by row."""
    return [text for text, _ in texts(figure)]


def assert_nothing_is_cut_off(figure: Figure) -> None:
    """Check that nothing reaches the edges of a picture, and that no text is outside."""
    picture = to_pixels(figure)
    height, width = picture.shape[:2]
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        assert (edge == 255).all()
    ticks = [
        text for axes in figure.axes for text in axes.get_xticklabels() + axes.get_yticklabels()
    ]
    hidden = {text.get_text() for text in ticks}  # some belong to ticks that are not in view
    for text, box in texts(figure):
        if text not in hidden:
            assert box.left >= 0, text
            assert box.top >= 0, text
            assert box.right <= width, text
            assert box.bottom <= height, text
