"""Classic filters that take noise away without having learnt anything: a denoiser's baselines.

Their parameters are fixed, as chosen on validation digits (MNIST) and faces (LFW at 32 × 32) under
normal noise of deviation 0.1, 0.25 and 0.5, clipped; how strong the noise is, each picture tells.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

ALONE = 1024  # below as many pictures, starting other processes costs more than it brings
CHUNK = 256  # pictures filtered by one task
QUIET = 0.5 / 255  # half a gray value: below it there is no noise to take away
LAPLACIANS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


@dataclass(frozen=True)
class Filter:
    """A row of `FILTERS`.

    Parameters
    ----------
    apply : callable
        From x (N, C, H, W) or (N, C, L) float32 in [0, 1] to the same.
    about : str
        One line for people.
    takes : tuple of str
        "images", "signals" or both.
    """

    apply: Callable[[Array], Array]
    about: str
    takes: tuple[str, ...] = ("images",)


def filter_names(shape: Sequence[int]) -> list[str]:
    """Return the keys of `FILTERS` for samples of a shape, (C, H, W) or (C, L).

    Examples
    --------
    >>> filter_names((1, 28, 28)), filter_names((1, 128))
    (['median', 'median-twice', 'nlm', 'tv'], ['median', 'median-twice'])
    """
    kind = "images" if len(shape) == 3 else "signals"
    return [name for name, row in FILTERS.items() if kind in row.takes]


def median(x: Array) -> Array:
    """Take the median of each place and its neighbors, 3 × 3 or 3 of a signal, by channel."""
    from scipy.ndimage import median_filter

    filtered: Array = median_filter(x, (1, 1, *(3 for _ in x.shape[2:])))
    return filtered


def median_twice(x: Array) -> Array:
    """Do as `median` does, twice (Gallagher and Wise, IEEE Transactions on ASSP 29, 1981).

    Of black digits under heavy noise, which is clipped and so no longer has the mean 0, it leaves
    less than filters that average.
    """
    return median(median(x))


def nlm(x: Array) -> Array:
    """Average places by how alike their surroundings are (Buades, Coll and Morel, CVPR 2005).

    Patches of 5 × 5 in a window of 13 × 13, all channels together, with a filtering strength of
    half the noise, whose variance is taken off the distances.
    """
    from skimage.restoration import denoise_nl_means

    def one(image: NDArray[Any], level: float) -> NDArray[Any]:
        filtered: NDArray[Any] = denoise_nl_means(
            image, patch_size=5, patch_distance=6, h=0.5 * level, sigma=level, channel_axis=-1
        )
        return filtered.reshape(image.shape)  # the axis of a single channel was dropped

    return _each(x, one)


def tv(x: Array) -> Array:
    """Seek the least total variation near x (Rudin, Osher and Fatemi, 1992; Chambolle, 2004).

    The weight of the variation is three quarters of the noise.
    """
    from skimage.restoration import denoise_tv_chambolle

    chambolle: Callable[..., NDArray[Any]] = denoise_tv_chambolle

    def one(image: NDArray[Any], level: float) -> NDArray[Any]:
        return chambolle(image, weight=0.75 * level, channel_axis=-1)

    return _each(x, one)


FILTERS: dict[str, Filter] = {
    "median": Filter(median, "median of 3 × 3", ("images", "signals")),
    "median-twice": Filter(median_twice, "median of 3 × 3, twice", ("images", "signals")),
    "nlm": Filter(nlm, "non-local means"),
    "tv": Filter(tv, "least total variation"),
}


def noise_level(x: Array) -> Array:
    """Estimate the deviation of the noise on each picture.

    J. Immerkær, Fast Noise Variance Estimation, Computer Vision and Image Understanding 64, 1996:
    the mean absolute response to a mask that is blind to edges. Where noise was clipped it is the
    noise that is left; fine structure counts as noise.

    Parameters
    ----------
    x : (N, C, H, W) float32

    Returns
    -------
    (N,) float32
        0 for pictures of less than 3 × 3 pixels.
    """
    from scipy.ndimage import convolve

    if min(x.shape[2:]) < 3:
        return np.zeros(len(x), np.float32)
    response = convolve(x, LAPLACIANS[None, None] / 6)[:, :, 1:-1, 1:-1]
    level: Array = np.sqrt(np.pi / 2, dtype=np.float32) * np.abs(response).mean((1, 2, 3))
    return level


def _each(x: Array, one: Callable[[NDArray[Any], float], NDArray[Any]]) -> Array:
    """Send each picture (H, W, C) with its noise through `one`, by several processes if many.

    What comes out is kept in [0, 1]; a picture without noise stays as it is.
    """
    import joblib

    starts = range(0, len(x), CHUNK)
    workers = joblib.Parallel(n_jobs=1 if len(x) < ALONE else joblib.cpu_count())
    parts = workers(joblib.delayed(_block)(x[start : start + CHUNK], one) for start in starts)
    return np.concatenate([x[:0], *parts])


def _block(x: Array, one: Callable[[NDArray[Any], float], NDArray[Any]]) -> Array:
    filtered = np.array(x)
    for i, level in enumerate(noise_level(x).tolist()):
        if level > QUIET:
            image = np.ascontiguousarray(np.moveaxis(x[i], 0, -1))
            filtered[i] = np.moveaxis(one(image, level), -1, 0)
    return filtered.clip(0, 1)
