"""Noisy arrays in, clean arrays out; no file is touched."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.images import Images
from isthmus.data.samples import Samples
from isthmus.denoising.images import denoise_images
from isthmus.inference.model import Model

Values = NDArray[Any] | Sequence[NDArray[Any]] | Samples | Images


def denoise_values(model: Model, values: Values, *, track: Track = untracked) -> Any:
    """Take the noise out of images of any size; they come back in their own sizes.

    Parameters
    ----------
    model : Model
        A denoiser, or an autoencoder, usually one that was trained on noisy inputs.
    values : array, sequence of arrays, Samples or Images
        For a denoiser, images (H, W) or (H, W, C) of any sides and of uint8, uint16 or fractions
        from 0 to 1: an array (N, H, W, C) or (N, H, W) of many, a list, or a single one (H, W), or
        (H, W, C) of 1 to 4 channels. A gray model takes each channel by itself, and a model of
        colors the mean of what it makes of a gray image as a color one.
        For an autoencoder, images (N, H, W, C) uint8, or a sequence of (H, W, C) uint8 of different
        sizes, which are resized to its size and back; signals (N, L, C) float32 of its length.
    track : callable
        Shows progress.

    Returns
    -------
    array or list of arrays
        From a denoiser, of the shapes and types of `values`. From an autoencoder, as `values`, with
        the model's channels; if it crops, pixels around the central square keep their values.

    Raises
    ------
    ModelError
        If the model is neither a denoiser nor an autoencoder, signals are not of its shape, or it
        does not take images of so many channels.
    SourceError
        If an image holds NaN, or numbers of an unknown range.

    Examples
    --------
    >>> model = TrainedModel.load("runs/clean")  # doctest: +SKIP
    >>> clean = denoise_values(model, photograph)  # doctest: +SKIP
    """
    if model.task == "denoise":
        return denoise_images(model, values, track)
    if isinstance(values, Samples | Images):
        values = values.values
    starts = range(0, len(values), model.batch_size)
    batches = [
        denoise_batch(model, values[start : start + model.batch_size])
        for start in track(starts, len(starts), "Denoising")
    ]
    if isinstance(values, np.ndarray):
        return np.concatenate(batches)
    return [picture for batch in batches for picture in batch]


def denoise_batch(model: Model, values: NDArray[Any] | Sequence[NDArray[Any]]) -> Any:
    """Send one batch through an autoencoder and back to the sizes and positions of its samples."""
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
