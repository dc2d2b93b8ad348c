"""Noisy arrays in, clean arrays out; no file is touched."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.inference.model import Model

Values = NDArray[Any] | Sequence[NDArray[np.uint8]]


def denoise_values(model: Model, values: Values, *, track: Track = untracked) -> Any:
    """Send samples of any size through a model; they come back in their own sizes.

    Parameters
    ----------
    model : Model
        An autoencoder, usually one that was trained on noisy inputs.
    values : array or sequence of arrays
        Images (N, H, W, C) uint8, or a sequence of (H, W, C) uint8 of different sizes; signals
        (N, L, C) float32 of the model's length.
    track : callable
        Shows progress.

    Returns
    -------
    array or list of arrays
        As `values`, with the model's channels. If the model crops, pixels around the central square
        keep their values.

    Raises
    ------
    ModelError
        If the model is not an autoencoder, or signals are not of its shape.
    """
    starts = range(0, len(values), model.batch_size)
    batches = [
        denoise_batch(model, values[start : start + model.batch_size])
        for start in track(starts, len(starts), "Denoising")
    ]
    if isinstance(values, np.ndarray):
        return np.concatenate(batches)
    return [picture for batch in batches for picture in batch]


def denoise_batch(model: Model, values: Values) -> Any:
    """Send one batch through the model and back to the sizes and positions of its samples."""
    if values[0].dtype != np.uint8:
        return model.reconstruct(np.array(values))  # a copy, because torch wants writable memory
    wholes = [whole[..., None] if whole.ndim == 2 else whole for whole in values]
    fitted = model.reconstruct(np.stack([model.preprocessing.fit(whole) for whole in wholes]))
    pictures = [
        model.preprocessing.undo_fit(one, whole) for one, whole in zip(fitted, wholes, strict=True)
    ]
    return np.stack(pictures) if isinstance(values, np.ndarray) else pictures


def is_resized(model: Model, whole: NDArray[np.uint8]) -> bool:
    """Return whether a picture (H, W, C) gets another size in the model."""
    return model.preprocessing.apply_crop(whole).shape[:2] != model.preprocessing.size
