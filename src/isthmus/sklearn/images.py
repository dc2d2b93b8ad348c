"""Images at their own sizes: from an X to `Images`, and what a denoiser makes of an X."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.images import Images, Ragged
from isthmus.data.items import Items
from isthmus.data.load_images import load_images, load_images_with
from isthmus.data.samples import Samples
from isthmus.denoising.images import denoise_channels, denoise_images
from isthmus.errors import InputError
from isthmus.inference.model import Model
from isthmus.inference.numbers import Range, find_range
from isthmus.sklearn.inputs import to_pixels

if TYPE_CHECKING:
    from isthmus.data.corruption import Corruption

NOISE_SEED = 0  # see `estimator`


def read_images(X: Any, value_range: Range | None) -> Images:
    """Turn an X into `Images`.

    Parameters
    ----------
    X : array (N, H, W) or (N, H, W, C), sequence of images, Samples, Images, str or Path
    value_range : (float, float), optional
        Black and white in arrays.

    Raises
    ------
    InputError
        If X holds no images, or images of different channels.
    """
    if isinstance(X, Images):
        return X
    if isinstance(X, str | Path):
        return load_images(X)
    arrays = [to_pixels(array, value_range)[0] for array in _list_arrays(X)]
    counts = {array.shape[2] for array in arrays}
    if len(counts) != 1:
        raise InputError(f"X holds images of {len(counts)} numbers of channels; give one.")
    return Images(Ragged.of(arrays), Items([str(i) for i in range(len(arrays))]))


def _list_arrays(X: Any) -> list[NDArray[Any]]:
    """Return images (H, W, C)."""
    values: Any = X.values if isinstance(X, Samples | Images) else X
    is_many = isinstance(values, Sequence) or (isinstance(values, np.ndarray) and values.ndim > 2)
    arrays = [np.asarray(image) for image in values] if is_many else []
    if not arrays or {array.ndim for array in arrays} - {2, 3}:
        raise InputError("X holds no images; give arrays (N, H, W) or (N, H, W, C), or a list.")
    return [array[..., None] if array.ndim == 2 else array for array in arrays]


def denoise_all(model: Model, X: Any, value_range: Range | None) -> Any:
    """Denoise an X, in its own form."""
    if isinstance(X, str | Path):
        X = load_images_with(X, model.preprocessing)
    if value_range is None:
        clean = denoise_images(model, _as_many(X))
    else:
        clean = [
            denoise_channels(model, array, value_range).reshape(np.shape(image))
            for array, image in zip(_list_arrays(X), _as_many(X), strict=True)
        ]
    return np.stack(clean) if isinstance(X, np.ndarray) else clean


def _as_many(X: Any) -> Any:
    """Return an array (N, H, W) with its axis of channels, so that no narrow one is one image."""
    values = X.values if isinstance(X, Samples | Images) else X
    return list(values) if isinstance(values, np.ndarray) and values.ndim == 3 else values


def score_images(
    model: Model, X: Any, corruption: "Corruption", value_range: Range | None
) -> float:
    """Add noise to clean images, remove it, and return minus the mean squared error left.

    Returns
    -------
    float
        In the units of X.
    """
    import torch

    if isinstance(X, str | Path):
        X = load_images_with(X, model.preprocessing)
    total, count, scale = 0.0, 0, 1.0
    for i, image in enumerate(_list_arrays(X)):
        low, high = find_range(image, value_range)
        x = torch.from_numpy(np.moveaxis((image - low) / (high - low), -1, 0)[None]).float()
        noisy = corruption.apply_fixed(x, NOISE_SEED, np.array([i]))[0].movedim(0, -1).numpy()
        error = denoise_channels(model, noisy, (0.0, 1.0)) - x[0].movedim(0, -1).numpy()
        total += float(np.square(error, dtype=np.float64).sum())
        count, scale = count + error.size, high - low
    return -total / count * scale**2
