"""Maps of errors: how far each pixel of a reconstruction is from its original."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# The error of one pixel is mostly noise, and a defect covers several. anomalib smooths maps of 256
# pixels with a deviation of 4; this is half of that, as codes of a few numbers blur already.
SMOOTHING = 1 / 128  # standard deviation, as a share of the longer side …
MIN_SMOOTHING = 1.0  # … and at least so many pixels


def error_maps(values: NDArray[Any], rebuilt: NDArray[Any], scale: float) -> NDArray[np.float32]:
    """Return the squared error of each pixel or step, the mean of its channels, smoothed.

    Parameters
    ----------
    values, rebuilt : (N, H, W, C) uint8 or (N, L, C) float32
    scale : float
        The range of the values, 255 for images; errors are shares of it.

    Returns
    -------
    (N, H, W) or (N, L) float32
    """
    errors = squared_errors(values, rebuilt, scale).mean(-1)
    return smooth(errors)


def squared_errors(
    values: NDArray[Any], rebuilt: NDArray[Any], scale: float
) -> NDArray[np.float32]:
    """Return the squared differences of two arrays of one shape, in units of `scale`."""
    apart = (values.astype(np.float32) - rebuilt.astype(np.float32)) / np.float32(scale)
    return np.asarray(np.square(apart, out=apart))


def smooth(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return maps (N, H, W) or (N, L), each pixel averaged with those near it by a Gaussian."""
    from scipy.ndimage import gaussian_filter

    sides = maps.shape[1:]
    deviation = max(MIN_SMOOTHING, SMOOTHING * max(sides))
    return np.asarray(
        gaussian_filter(maps, (0.0, *(deviation for _ in sides)), mode="nearest"), np.float32
    )
