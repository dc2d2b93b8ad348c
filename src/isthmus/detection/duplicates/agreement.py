"""Agreement: how far two pictures that are aligned show the same, on a scale from 0 to 1.

Compared are details: what is left of the brightness between a fine and a coarse blur, about 1/40
to 1/10 of the picture in size. Different pictures of the same thing share light and large shapes,
but not these; a copy keeps them when it is compressed, scaled or made brighter. Scaled to equal
strength, the details d and e of the two are compared in each of 4 × 4 windows, as structure is in
SSIM (Z. Wang et al., IEEE Transactions on Image Processing 13, 2004):

    s = (2 · Σ d e + c) / (Σ d² + Σ e² + c),    c: the mean of Σ d² + Σ e² over all windows

The agreement is (1 + s) / 2 of the worst window, or of the colors where those agree less. It is 1
for equal pictures, about 0.5 for unrelated ones, and near 0 for a picture and its negative.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from isthmus.detection.duplicates.alignment import Pictures, average, warp
from isthmus.detection.duplicates.thumbnails import SIDE

Agreements = NDArray[np.float64]

WINDOWS = 4  # on each side
FINE, COARSE = 1.5, 3.0  # blurs between which details are, in pixels of 64
MIN_DETAIL = 0.5  # gray levels of details below which nothing can be compared
COLOR_NOISE = 24.0  # levels of Cb and Cr; of crops, those at edges differ by so much
BLOCK = 1024  # pictures that are looked at together
MIN_INSIDE = 0.5  # share of each picture that the other shows


def measure_details(a: Pictures, b: Pictures, places: NDArray[np.float32]) -> Agreements:
    """Return the agreement of the details of pictures that are aligned.

    Parameters
    ----------
    a, b : (P, S, S) float32
        Brightness.
    places : (P, 4) float32
        Where b lies in a; see `align`.

    Returns
    -------
    (P,) float64
        From 0 to 1; 0 where the pictures share less than half, or have no details.
    """
    warped = warp(a, places)
    inside = warped.inside
    d, e = find_details(warped.pixels) * inside, find_details(b) * inside
    strength_d, strength_e = _strength(d, inside), _strength(e, inside)
    d *= (strength_e / np.maximum(strength_d, 1e-6))[:, None, None]
    energy, shared = average(d * d + e * e, WINDOWS), average(2 * d * e, WINDOWS)
    usual = energy.mean((1, 2), keepdims=True) + 1e-9
    similarity = ((shared + usual) / (energy + usual)).min((1, 2))
    share = inside.mean((1, 2))
    enough = np.minimum(share, share * places[:, 0] * places[:, 1]) >= MIN_INSIDE
    clear = np.minimum(strength_d, strength_e) >= MIN_DETAIL
    return np.asarray(np.where(enough & clear, (1 + similarity) / 2, 0), np.float64)


def measure_colors(a: Pictures, b: Pictures, places: NDArray[np.float32]) -> Agreements:
    """Return the agreement (P,) of colors, Cb and Cr (P, 2, 8, 8) less 128, of aligned pictures."""
    inside = warp(a[:, 0], places).inside[:, None]
    warped = np.stack([warp(a[:, part], places).pixels for part in (0, 1)], axis=1)
    noise = 2 * COLOR_NOISE**2 * inside.sum((1, 2, 3))
    shared = (2 * warped * b * inside).sum((1, 2, 3)) + noise
    energy = ((warped**2 + b**2) * inside).sum((1, 2, 3)) + noise
    return np.asarray((1 + shared / np.maximum(energy, 1e-9)) / 2, np.float64)


def find_plain(gray: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which of gray pictures (N, S, S) have no details to compare, such as a clear sky."""
    is_plain = np.zeros(len(gray), np.bool_)
    for start in range(0, len(gray), BLOCK):
        block = soften(gray[start : start + BLOCK].astype(np.float32))
        strength = _strength(find_details(block), np.ones_like(block))
        is_plain[start : start + BLOCK] = strength < MIN_DETAIL
    return is_plain


def find_details(pictures: Pictures) -> Pictures:
    """Return what lies between the two blurs of pictures (P, S, S)."""
    side = pictures.shape[-1]
    fine, coarse = _blur(side, FINE * side / SIDE), _blur(side, COARSE * side / SIDE)
    return np.asarray(fine @ pictures @ fine.T - coarse @ pictures @ coarse.T, np.float32)


def soften(pictures: Pictures) -> Pictures:
    """Return pictures (P, S, S) blurred a little, so that resampling them loses nothing."""
    blur = _blur(pictures.shape[-1], 1.0)
    return np.asarray(blur @ pictures @ blur.T, np.float32)


def _strength(found: Pictures, inside: Pictures) -> NDArray[np.float32]:
    """Return the standard deviation (P,) of details that are inside."""
    squares = (found * found).sum((1, 2)) / np.maximum(inside.sum((1, 2)), 1)
    return np.asarray(np.sqrt(squares), np.float32)


@lru_cache(maxsize=8)
def _blur(side: int, width: float) -> NDArray[np.float32]:
    """Return the matrix (side, side) of a Gaussian blur; its rows add up to 1."""
    apart = np.subtract.outer(np.arange(side), np.arange(side)) / width
    weights = np.exp(-(apart**2) / 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
