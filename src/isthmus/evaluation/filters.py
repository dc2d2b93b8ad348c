"""Classic filters that remove noise without training: baselines of a denoiser.

By default their parameters are fixed. They were chosen on validation digits (MNIST) and faces (LFW
at 32 × 32) under clipped normal noise of deviation 0.1, 0.25 and 0.5, and the filters estimate the
strength of the noise from each image. `tune` chooses the one that matters on images of a kind, and
takes the strength of the noise where it is known.

They run in this process alone. Non-local means and scikit-image's total variation hold Python's
lock, so threads bring nothing. Starting a process costs 2 to 3 CPU seconds of imports, as much as
all filters need for 2,000 images of 28 × 28, and `evaluate` keeps the results.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

MIN_NOISE = 0.5 / 255  # half a gray value: images with less noise are returned as they are
LAPLACIANS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)

# Pixels that are iterated on at once, so that all arrays fit in the processor's cache.
TV_BLOCK = 2**16
TV_STEP = 0.25  # of the descent, the largest for which the paper saw convergence
TV_TOLERANCE = 2e-4  # stop when the cost falls by less than this share of the first cost
TV_ITERATIONS = 200  # at most


@dataclass(frozen=True)
class Filter:
    """A row of `FILTERS`.

    Parameters
    ----------
    apply : callable
        From x (N, C, H, W) or (N, C, L) float32 in [0, 1] to the same.
    description : str
        One line for people.
    takes : tuple of str
        "images", "signals" or both.
    strengths : tuple of float
        What `tune` chooses among, as multiples of the noise level. A filter that has some takes the
        arguments `levels` (N,) and `strength` too.
    """

    apply: Callable[..., Array]
    description: str
    takes: tuple[str, ...] = ("images",)
    strengths: tuple[float, ...] = ()


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
    """Return the median of each pixel's neighborhood, per channel: 3 × 3, or 3 in a signal."""
    from scipy.ndimage import median_filter

    filtered: Array = median_filter(x, (1, 1, *(3 for _ in x.shape[2:])))
    return filtered


def median_twice(x: Array) -> Array:
    """Apply `median` twice (Gallagher and Wise, IEEE Transactions on ASSP 29, 1981).

    On black digits under heavy noise it leaves less noise than filters that average: clipping
    gives the noise a mean above 0, which an average keeps.
    """
    return median(median(x))


def nlm(x: Array, levels: Array | None = None, strength: float = 0.5) -> Array:
    """Average pixels by the similarity of their patches (Buades, Coll and Morel, CVPR 2005).

    Patches of 5 × 5 in a window of 13 × 13, all channels together. `strength` times the noise level
    is the filtering strength h; the variance of the noise is subtracted from the distances.
    """
    from skimage.restoration import denoise_nl_means

    filtered = np.array(x)
    levels = noise_level(x) if levels is None else levels
    for i in np.flatnonzero(levels > MIN_NOISE):
        image, level = np.ascontiguousarray(np.moveaxis(x[i], 0, -1)), float(levels[i])
        smooth = denoise_nl_means(
            image, patch_size=5, patch_distance=6, h=strength * level, sigma=level, channel_axis=-1
        )
        filtered[i] = np.moveaxis(smooth.reshape(image.shape), -1, 0)  # it drops a single channel
    return filtered.clip(0, 1)


def tv(x: Array, levels: Array | None = None, strength: float = 0.75) -> Array:
    """Minimize the total variation near x (Rudin, Osher and Fatemi, 1992; Chambolle, 2004).

    The weight of the variation is `strength` times the noise level; each channel is filtered on its
    own.
    """
    levels = noise_level(x) if levels is None else levels
    noisy = levels > MIN_NOISE  # a weight of zero would divide by zero
    filtered = np.array(x)
    channels = np.ascontiguousarray(x[noisy]).reshape(-1, *x.shape[2:])
    weights = np.repeat(np.float32(strength) * levels[noisy], x.shape[1])
    size = max(1, TV_BLOCK // max(1, channels[:1].size))
    for start in range(0, len(channels), size):
        block = slice(start, start + size)
        channels[block] = _minimize_variation(channels[block], weights[block])
    filtered[noisy] = channels.reshape(-1, *x.shape[1:])
    return filtered.clip(0, 1)


FILTERS: dict[str, Filter] = {
    "median": Filter(median, "median of 3 × 3", ("images", "signals")),
    "median-twice": Filter(median_twice, "median of 3 × 3, twice", ("images", "signals")),
    "nlm": Filter(nlm, "non-local means", strengths=(0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
    "tv": Filter(tv, "least total variation", strengths=(0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)),
}


def noise_level(x: Array) -> Array:
    """Estimate the standard deviation of the noise on each image.

    J. Immerkær, Fast Noise Variance Estimation, Computer Vision and Image Understanding 64, 1996:
    the mean absolute response to a mask that ignores edges. Of clipped noise it measures what is
    left; fine structure counts as noise.

    Parameters
    ----------
    x : (N, C, H, W) float32

    Returns
    -------
    (N,) float32
        0 for images of less than 3 × 3 pixels.
    """
    from scipy.ndimage import convolve

    if min(x.shape[2:]) < 3:
        return np.zeros(len(x), np.float32)
    response = convolve(x, LAPLACIANS[None, None] / 6)[:, :, 1:-1, 1:-1]
    level: Array = np.sqrt(np.pi / 2, dtype=np.float32) * np.abs(response).mean((1, 2, 3))
    return level


def _minimize_variation(noisy: Array, weights: Array) -> Array:
    """Return the images u (N, H, W) of least |u - noisy|² / 2 + weight · |∇u|.

    Chambolle, An Algorithm for Total Variation Minimization and Applications, Journal of
    Mathematical Imaging and Vision 20, 2004, equation 9, with the steps and the stopping rule of
    scikit-image's `denoise_tv_chambolle`. That takes one image at a time, and most of its time on
    small images is NumPy's overhead: batches of 28 × 28 are five times faster. Every image stops
    by its own cost and then leaves the batch, so its result does not depend on the others.
    """
    result, active = np.array(noisy), np.arange(len(noisy))
    dual = np.zeros((2, *noisy.shape), np.float32)  # for the vertical and horizontal differences
    first = previous = np.zeros(len(noisy), np.float32)
    for iteration in range(TV_ITERATIONS):
        change = -_divergence(dual)
        image = noisy + change
        gradient = _gradient(image)
        length = np.sqrt(np.square(gradient).sum(0))
        cost = np.square(change).reshape(len(noisy), -1).sum(1)
        cost += weights * length.reshape(len(noisy), -1).sum(1)
        if iteration == 0:
            first = cost
        elif (stopped := np.abs(previous - cost) < TV_TOLERANCE * first).any():
            result[active[stopped]] = image[stopped]
            rest = ~stopped
            active, noisy, weights, first = (
                values[rest] for values in (active, noisy, weights, first)
            )
            dual, gradient = dual[:, rest], gradient[:, rest]
            image, length, cost = image[rest], length[rest], cost[rest]
            if not len(active):
                return result
        previous = cost
        dual -= TV_STEP * gradient
        dual /= 1 + TV_STEP / weights[:, None, None] * length
    result[active] = image
    return result


def _gradient(images: Array) -> Array:
    """Return forward differences (2, N, H, W) of images (N, H, W), 0 at the far border."""
    gradient = np.zeros((2, *images.shape), np.float32)
    np.subtract(images[:, 1:], images[:, :-1], out=gradient[0, :, :-1])
    np.subtract(images[:, :, 1:], images[:, :, :-1], out=gradient[1, :, :, :-1])
    return gradient


def _divergence(field: Array) -> Array:
    """Return the divergence (N, H, W) of a field (2, N, H, W): minus the adjoint of `_gradient`."""
    divergence: Array = field[0] + field[1]
    divergence[:, 1:] -= field[0, :, :-1]
    divergence[:, :, 1:] -= field[1, :, :, :-1]
    return divergence
