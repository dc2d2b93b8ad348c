"""Pictures of a source before anything is trained on it, with noise and through models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.images import Images
from isthmus.data.preprocess import Preprocessing
from isthmus.data.samples import Samples
from isthmus.inference.model import Model
from isthmus.viz.grids import SIDE, rows_of_samples
from isthmus.viz.mosaic import size_within

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from isthmus.data.corruption import Corruption


def noisy(samples: Samples, corruption: "Corruption", seed: int = 0) -> NDArray[Any]:
    """Return the values of samples with noise added, in the same kind and shape.

    Parameters
    ----------
    samples : Samples
    corruption : Corruption
        Its strengths are in the range of pixels, of signals in that of all samples.
    seed : int

    Returns
    -------
    (N, H, W, C) uint8 or (N, L, C) float32
    """
    scale = Preprocessing()
    if samples.is_signal:
        scale = scale.with_range(float(samples.values.min()), float(samples.values.max()))
    rows = np.arange(len(samples))
    return _add_noise(np.array(samples.values), scale, corruption, seed, rows)


def _noisy_images(images: Images, corruption: "Corruption", seed: int) -> list[NDArray[Any]]:
    """Return images (H, W, C) uint8 with noise added, each at its own size."""
    rows = np.arange(len(images))
    return [
        _add_noise(image[None].copy(), Preprocessing(), corruption, seed, rows[i : i + 1])[0]
        for i, image in enumerate(images.values)
    ]


def _add_noise(
    values: NDArray[Any],
    scale: Preprocessing,
    corruption: "Corruption",
    seed: int,
    rows: NDArray[np.int64],
) -> NDArray[Any]:
    import torch

    x = scale.to_input(torch.from_numpy(values))
    return scale.from_output(corruption.apply_fixed(x, seed, rows)).numpy()


def preview(
    samples: Samples | Images,
    corruptions: "Sequence[Corruption]" = (),
    models: Sequence[tuple[str, Model]] = (),
    seed: int = 0,
) -> "Figure":
    """Draw samples, below them each kind of noise, and the output of each model for them.

    Parameters
    ----------
    samples : Samples or Images
        Those of differing sizes have no models.
    corruptions : sequence of Corruption
    models : sequence of (name, Model)
        Autoencoders; without noise they get the samples as they are.
    seed : int
        Decides the noise.
    """
    rows: list[tuple[str, Any]] = [("original", samples.values)]
    inputs: list[tuple[str, Any]] = [
        (
            title_of_noise(corruption),
            noisy(samples, corruption, seed)
            if isinstance(samples, Samples)
            else _noisy_images(samples, corruption, seed),
        )
        for corruption in corruptions
    ]
    for title, values in inputs or rows[:1]:
        rows += [(title, values)] if corruptions else []
        rows += [(name, model.reconstruct(values)) for name, model in models]
    return rows_of_samples(rows)


def is_reduced(samples: Samples | Images) -> bool:
    """Return whether samples are drawn smaller than they are, which averages noise away."""
    if isinstance(samples, Samples) and samples.is_signal:
        return False
    return any(size_within(image, SIDE)[0] < image.shape[1] for image in samples.values)


def cut_middles(images: Samples | Images) -> Images:
    """Return of each image the middle, `SIDE` pixels at most, which is drawn pixel by pixel."""
    return Images.of([_cut_middle(image) for image in images.values], names=images.names)


def _cut_middle(image: NDArray[Any]) -> NDArray[Any]:
    top, left = (max(0, side - SIDE) // 2 for side in image.shape[:2])
    return image[top : top + SIDE, left : left + SIDE]


def title_of_noise(corruption: "Corruption | str") -> str:
    """Return noise as the title of a row, with a line for each kind."""
    return str(corruption).replace("gaussian-unclipped", "unclipped").replace(",", ",\n")
