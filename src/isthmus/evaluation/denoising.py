"""How well images of any size are denoised: PSNR and SSIM of whole images, and their means.

As in the literature, each image has one PSNR, over all its pixels and channels, and a set of images
the mean of these. What a method returns is clipped to [0, 1] and not rounded to 8 bits; the noisy
image itself is measured as the methods get it. SSIM is that of `metrics.ssim`.

One image is held at a time, so a set may exceed the memory.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus import metrics
from isthmus.data.cache import Track, untracked
from isthmus.data.corruption import Corruption
from isthmus.data.images import Images
from isthmus.data.manifest import evenly_spaced
from isthmus.evaluation.filters import FILTERS, Array, filter_names, noise_level
from isthmus.evaluation.strengths import known_deviation
from isthmus.inference.model import Model
from isthmus.inference.numbers import find_range, to_unit

NOISY = "noisy"  # the method that changes nothing

# A filter's strength is chosen on so many validation images, of which it sees this part: parts and
# not whole ones, as filters take seconds for a photograph.
TUNED_ON, TUNED_SIDE = 12, 256
EXAMPLES = 3  # images on which a model is worst, and best

Method = Callable[[Array], Array]  # from a noisy image (C, H, W) to one without noise
Scores = dict[str, NDArray[np.float64]]  # by metric, (N,)


@dataclass(frozen=True, eq=False)
class NoisyImages:
    """Images with the noise that they always have, and the same without.

    Parameters
    ----------
    images : Images
        Clean ones; or with their clean ones, where there is no corruption.
    corruption : Corruption, optional
        Noise of fixed strengths; without it, images are as noisy as they are.
    indices : (N,) int64
        Of each image, from which its noise follows.
    seed : int
    """

    images: Images
    corruption: Corruption | None
    indices: NDArray[np.int64]
    seed: int

    def __len__(self) -> int:
        return len(self.images)

    @property
    def deviation(self) -> float | None:
        """The standard deviation of the noise, if it is normal."""
        return known_deviation(self.corruption)

    def pair(self, row: int) -> tuple[Array, Array]:
        """Return a noisy image (C, H, W) and the same without noise, from 0 to 1."""
        if self.corruption is None:
            assert self.images.clean is not None
            return to_x(self.images.values[row]), to_x(self.images.clean[row])
        x = to_x(self.images.values[row])
        noisy = self.corruption.apply_fixed(
            torch.from_numpy(x)[None], self.seed, self.indices[row : row + 1]
        )
        return np.ascontiguousarray(noisy[0].numpy()), x

    def take(self, rows: NDArray[np.int64]) -> "NoisyImages":
        """Return some of them."""
        return replace(self, images=self.images.take(rows), indices=self.indices[rows])


def measure(
    noisy: NoisyImages, methods: Mapping[str, Method], title: str, track: Track = untracked
) -> dict[str, Scores]:
    """Measure methods on all images, and the noisy images themselves.

    Returns
    -------
    dict
        By method, and for "noisy", `psnr` (N,) in dB and `ssim` (N,), NaN of images of less than
        6 × 6 pixels.
    """
    names = (NOISY, *methods)
    values: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for row in track(range(len(noisy)), len(noisy), title):
        x, clean = noisy.pair(row)
        values[NOISY].append(score(x, clean))
        for name, method in methods.items():
            values[name].append(score(method(x).clip(0, 1), clean))
    return {name: _columns(values[name]) for name in names}


def score(y: Array, x: Array) -> tuple[float, float]:
    """Return the PSNR in dB and the SSIM of an image y (C, H, W) compared with x."""
    pair = torch.from_numpy(y)[None], torch.from_numpy(x)[None]
    ssim = float(metrics.ssim(*pair)[0]) if metrics.has_ssim(x.shape) else float("nan")
    return float(metrics.psnr(*pair)[0]), ssim


def summarize(scores: Scores) -> dict[str, float | None]:
    """Return the mean of each metric and, with `_error` behind its name, its standard error."""
    summary: dict[str, float | None] = {}
    for metric, values in scores.items():
        known = values[np.isfinite(values)]
        summary[metric], summary[f"{metric}_error"] = mean_and_error(known)
    return summary


def mean_and_error(values: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return the mean and its standard error; None where there are too few values."""
    mean = float(values.mean()) if len(values) else None
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return mean, error


def model_method(model: Model) -> Method:
    """Return a model as a method."""

    def denoise(x: Array) -> Array:
        return np.moveaxis(model.denoise(np.moveaxis(x, 0, -1)), -1, 0)

    return denoise


def filter_methods(
    deviation: float | None, strengths: Mapping[str, float] | None = None
) -> dict[str, Method]:
    """Return the filters as methods.

    Parameters
    ----------
    deviation : float, optional
        The standard deviation of the noise; by default each image's is estimated.
    strengths : mapping, optional
        What `tune` has chosen; by default each filter's own.
    """
    methods: dict[str, Method] = {}
    for name in filter_names((1, 1, 1)):
        more = {"strength": strengths[name]} if strengths and name in strengths else {}
        methods[name] = _filter_method(name, deviation, more)
    return methods


def tune(noisy: NoisyImages, track: Track = untracked) -> dict[str, float]:
    """Choose the strength of each filter by the mean PSNR on validation images.

    So a filter is measured at its best, as a model is that was trained for this noise: parameters
    that are good for digits are 0.2 dB worse on photographs than those for photographs.

    Returns
    -------
    dict
        By the names of those that have strengths.
    """
    rows = evenly_spaced(len(noisy), TUNED_ON)
    sums: dict[tuple[str, float], float] = {}
    for row in track(rows.tolist(), len(rows), "Tuning filters"):
        x, clean = (_part(one) for one in noisy.pair(row))
        for name, strength in _choices():
            method = _filter_method(name, noisy.deviation, {"strength": strength})
            sums[name, strength] = sums.get((name, strength), 0.0) + score(method(x), clean)[0]
    return dict(sorted(sums, key=lambda choice: sums[choice]))  # of each name the best comes last


def compare(scores: Scores, others: Mapping[str, Scores]) -> dict[str, dict[str, Any]]:
    """Summarize other methods, and by how much a method is above each of them.

    Returns
    -------
    dict
        By method what `summarize` returns, and `behind` in dB with its standard error
        `behind_error`. The error is that of the differences, image by image, which is far smaller
        than that of the means: images differ more than methods do.
    """
    rows: dict[str, dict[str, Any]] = {}
    for name, other in others.items():
        behind, error = mean_and_error(scores["psnr"] - other["psnr"])
        rows[name] = {**summarize(other), "behind": behind, "behind_error": error}
    return rows


def extremes(noisy: NoisyImages, scores: Scores, before: Scores) -> dict[str, list[dict[str, Any]]]:
    """Return the images of the smallest and of the largest gain in PSNR, as `worst` and `best`."""
    gains = scores["psnr"] - before["psnr"]
    order = np.argsort(gains, kind="stable")
    count = min(EXAMPLES, len(order) // 2) or 1

    def describe(rows: Iterable[int]) -> list[dict[str, Any]]:
        return [
            {
                "row": int(row),
                "name": noisy.images.names[int(row)],
                "noisy": float(before["psnr"][row]),
                "psnr": float(scores["psnr"][row]),
            }
            for row in rows
        ]

    return {"worst": describe(order[:count]), "best": describe(order[::-1][:count])}


def estimate_deviation(x: Array) -> float:
    """Estimate the standard deviation of the noise on an image (C, H, W); see `noise_level`."""
    return float(noise_level(x[None])[0])


def to_x(image: NDArray[Any]) -> Array:
    """Return an image (H, W, C) as (C, H, W) float32 from 0 to 1."""
    return to_unit(image, *find_range(image))


def middle_of(image: NDArray[Any], side: int) -> NDArray[Any]:
    """Return the part in the middle of an image (H, W, C), or all of a small one."""
    top, left = (max(0, (whole - side) // 2) for whole in image.shape[:2])
    return image[top : top + side, left : left + side]


def _choices() -> list[tuple[str, float]]:
    return [(name, strength) for name, row in FILTERS.items() for strength in row.strengths]


def _filter_method(name: str, deviation: float | None, more: dict[str, float]) -> Method:
    apply, is_adjustable = FILTERS[name].apply, bool(FILTERS[name].strengths)
    levels = None if deviation is None else np.array([deviation], np.float32)

    def denoise(x: Array) -> Array:
        arguments = {"levels": levels, **more} if is_adjustable else {}
        filtered: Array = apply(x[None], **arguments)[0]
        return filtered

    return denoise


def _part(x: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(middle_of(np.moveaxis(x, 0, -1), TUNED_SIDE), -1, 0))


def _columns(values: list[tuple[float, float]]) -> Scores:
    table = np.array(values, np.float64).reshape(-1, 2)
    return {"psnr": table[:, 0], "ssim": table[:, 1]}
