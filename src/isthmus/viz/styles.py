"""Pictures of what a style bank paints: photographs by styles, strengths and mixes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isthmus.viz.grids import rows_of_samples
from isthmus.viz.mosaic import resize

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pixels = NDArray[np.uint8]
PAPER = 255  # where there is no picture


def style_grid(
    photos: Pixels, rebuilt: Pixels, styles: Sequence[tuple[str, Pixels, Pixels]]
) -> "Figure":
    """Draw photographs in columns; in rows themselves, as rebuilt, and painted in each style.

    Parameters
    ----------
    photos, rebuilt : (N, H, W, 3) uint8
    styles : sequence of (str, (H', W', 3) uint8, (N, H, W, 3) uint8)
        For each its name, its picture, which is drawn left of the paintings, and these.
    """
    blank = np.full_like(photos[0], PAPER)
    rows = [("photograph", _beside(blank, photos)), ("rebuilt", _beside(blank, rebuilt))]
    rows += [
        (name, _beside(fill(picture, *photos.shape[1:3]), painted))
        for name, picture, painted in styles
    ]
    return rows_of_samples(rows)


def strength_grid(strengths: Sequence[float], styles: Sequence[tuple[str, Pixels]]) -> "Figure":
    """Draw one photograph in rows of styles, the stronger the further right.

    Parameters
    ----------
    strengths : sequence of float
    styles : sequence of (str, (S, H, W, 3) uint8)
        For each its name, and the photograph painted at each strength.
    """
    captions = [[""] * len(strengths) for _ in styles]
    captions[-1] = [f"strength {strength:g}" for strength in strengths]
    return rows_of_samples(list(styles), captions)


def mix_grid(corners: Sequence[str], paintings: Pixels) -> "Figure":
    """Draw one photograph in mixes of four styles, each alone in a corner.

    Parameters
    ----------
    corners : sequence of str
        Names of the styles at the top left, top right, bottom left and bottom right.
    paintings : (R, R, H, W, 3) uint8
        By rows and columns.
    """
    last = len(paintings) - 1
    rows = [("", row) for row in paintings]
    captions = [[""] * len(paintings) for _ in rows]
    for name, (row, column) in zip(
        corners, ((0, 0), (0, last), (last, 0), (last, last)), strict=True
    ):
        captions[row][column] = name
    return rows_of_samples(rows, captions)


def fill(picture: Pixels, height: int, width: int) -> Pixels:
    """Return the middle of a picture, in sides of so many pixels."""
    scale = min(picture.shape[0] / height, picture.shape[1] / width)
    tall, wide = (max(1, int(scale * side)) for side in (height, width))
    top, left = (picture.shape[0] - tall) // 2, (picture.shape[1] - wide) // 2
    return resize(picture[top : top + tall, left : left + wide], width, height)


def _beside(picture: Pixels, others: Pixels) -> Pixels:
    return np.concatenate([picture[None], others])
