"""Samples before training: under noise, through models, and on a map of their raw values."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.corruption import Corruption
from isthmus.data.preprocess import Preprocessing
from isthmus.data.samples import Samples
from isthmus.inference import TrainedModel
from isthmus.latent.codes import Codes
from isthmus.latent.maps import fit_map, map_quality, require_method
from isthmus.viz import maps as map_figures
from isthmus.viz.canvas import require_png, write_png
from isthmus.viz.grids import rows_of_samples

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VALUES = "values"  # in the place of a layer: nothing has touched the samples


def noisy(samples: Samples, corruption: Corruption, seed: int = 0) -> NDArray[Any]:
    """Return the values of samples under noise, of the same kind.

    Parameters
    ----------
    samples : Samples
    corruption : Corruption
        Its strengths are in the range of pixels, or of signals in that of all samples.
    seed : int

    Returns
    -------
    (N, H, W, C) uint8 or (N, L, C) float32
    """
    scale = Preprocessing()
    if samples.is_signal:
        scale = scale.with_range(float(samples.values.min()), float(samples.values.max()))
    x = scale.to_input(torch.from_numpy(np.array(samples.values)))
    return scale.from_output(corruption.apply_fixed(x, seed, np.arange(len(samples)))).numpy()


def preview(
    samples: Samples,
    corruptions: Sequence[Corruption] = (),
    models: Sequence[tuple[str, TrainedModel]] = (),
    seed: int = 0,
) -> "Figure":
    """Draw samples, below them each kind of noise, and what each model makes of what is above.

    Parameters
    ----------
    samples : Samples
    corruptions : sequence of Corruption
    models : sequence of (name, TrainedModel)
        Autoencoders; without noise they are shown the samples as they are.
    seed : int
        Decides the noise.
    """
    rows = [("original", np.asarray(samples.values))]
    seen = [(_short(corruption), noisy(samples, corruption, seed)) for corruption in corruptions]
    for title, values in seen or rows[:1]:
        rows += [(title, values)] if corruptions else []
        rows += [(name, model.reconstruct(values)) for name, model in models]
    return rows_of_samples(rows)


def _short(corruption: Corruption) -> str:
    """Name noise in the few letters that stand beside a row."""
    return str(corruption).replace("gaussian-unclipped", "unclipped")


def write_map_of_values(
    samples: Samples,
    out: Path,
    *,
    method: str = "pca",
    max_samples: int = 20_000,
    seed: int = 0,
    track: Track = untracked,
) -> dict[str, Any]:
    """Write a map of samples by their raw values, with no model between.

    Parameters
    ----------
    samples : Samples
    out : Path
        The picture.
    method : str
        A key of `METHODS`.
    largest, seed
        See `fit_map`.
    track : callable
        Shows progress.

    Returns
    -------
    dict
        The figures of the map (see `map_quality`) and the path `picture`.
    """
    require_method(method)
    require_png(out)
    codes = Codes(
        np.asarray(samples.values, np.float32).reshape(len(samples), -1),
        samples.names,
        samples.labels,
        samples.class_names,
        layer=VALUES,
        shape=samples.shape,
        data=samples.fingerprint,
        origin=samples.origin,
    )
    fitted_map = fit_map(codes, method, seed=seed, max_samples=max_samples, track=track)
    write_png(out, map_figures.scatter(fitted_map))
    return {**map_quality(fitted_map, codes, seed=seed), "picture": str(out)}
