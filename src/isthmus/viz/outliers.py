"""What is odd in a picture, painted over it."""

import numpy as np
from numpy.typing import NDArray

from isthmus.viz.masks import ERROR_COLOR
from isthmus.viz.mosaic import Pixels, bytes_of, to_rgb

MAX_OPACITY = 0.85  # of the color over the oddest pixel


def mark(image: Pixels, errors: NDArray[np.float32], level: float) -> Pixels:
    """Paint pixels red whose error is above a level, the more the larger it is.

    Parameters
    ----------
    image : (H, W, C) uint8
    errors : (H, W) float32
    level : float
        What is usual; nothing below it is painted.

    Returns
    -------
    (H, W, 3) uint8
    """
    above = np.maximum(errors - level, 0)
    opacity = MAX_OPACITY * above / (float(above.max()) or 1.0)
    color = np.array(bytes_of(ERROR_COLOR), np.float32)
    mixed = to_rgb(image) * (1 - opacity)[..., None] + color * opacity[..., None]
    return np.asarray(np.rint(mixed), np.uint8)
