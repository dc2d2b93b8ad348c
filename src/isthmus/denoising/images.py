"""What a denoiser makes of images of any channels and types; no file is touched."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.images import Images
from isthmus.data.samples import Samples
from isthmus.errors import ModelError, SourceError
from isthmus.inference.model import Model
from isthmus.inference.numbers import Range, find_range

TITLE = "Denoising"
MAX_CHANNELS = 4  # of one image (H, W, C); an array (N, H, W) is hardly narrower


def denoise_images(model: Model, values: Any, track: Track = untracked) -> Any:
    """Take the noise out of one image or of many; see `denoise_values`."""
    if isinstance(values, Samples | Images):
        reject_signals(isinstance(values, Samples) and values.is_signal)
        values = values.values
    if isinstance(values, np.ndarray):
        if values.ndim == 2 or (values.ndim == 3 and values.shape[2] <= MAX_CHANNELS):
            return _denoise_one(model, values, track)
        if values.ndim not in (3, 4) or not len(values):
            raise SourceError(
                f"an array of shape {values.shape} holds no images; give (H, W), (H, W, C), "
                "(N, H, W) or (N, H, W, C)."
            )
    clean = [_denoise_one(model, image, untracked) for image in track(values, len(values), TITLE)]
    return np.stack(clean) if isinstance(values, np.ndarray) else clean


def reject_signals(is_signal: bool) -> None:
    """Reject signals, which have no height and width.

    Raises
    ------
    ModelError
    """
    if is_signal:
        raise ModelError(
            "a denoiser takes images, and these are signals; train an autoencoder on such signals "
            "with --corrupt."
        )


def _denoise_one(model: Model, image: Any, track: Track) -> NDArray[Any]:
    """Denoise an image (H, W) or (H, W, C)."""
    image = np.asarray(image)
    if image.ndim not in (2, 3) or not image.size:
        raise SourceError(f"an array of shape {image.shape} is no image (H, W) or (H, W, C).")
    whole = image[..., None] if image.ndim == 2 else image
    return denoise_channels(model, whole, track=track).reshape(image.shape)


def denoise_channels(
    model: Model,
    image: NDArray[Any],
    value_range: Range | None = None,
    *,
    track: Track = untracked,
) -> NDArray[Any]:
    """Denoise an image (H, W, C), of whatever channels the model takes.

    Parameters
    ----------
    model : Model
        A denoiser.
    image : (H, W, C) array
        See `Model.denoise`.
    value_range : (float, float), optional
        The numbers that are black and white.
    track : callable
        Shows progress of the tiles of a large image.

    Raises
    ------
    ModelError
        If the model is of colors, and the image has neither one channel nor as many as the model.
    SourceError
        See `Model.denoise`.
    """
    count, wanted = image.shape[2], model.shape[0]
    if not takes_channels(model, count):
        raise ModelError(f"an image {describe_channels(model, count)}.")
    # Of all channels, as each by itself might have another.
    black_white = find_range(image, value_range)
    if count == wanted:
        return model.denoise(image, value_range=black_white, track=track)
    if wanted == 1:
        planes = [image[..., i : i + 1] for i in range(count)]
        return np.concatenate(
            [model.denoise(plane, value_range=black_white, track=track) for plane in planes], 2
        )
    colored = np.broadcast_to(image, (*image.shape[:2], wanted))
    clean = model.denoise(colored, value_range=black_white, track=track)
    return _average(clean)


def takes_channels(model: Model, count: int) -> bool:
    """Return whether a denoiser takes images of so many channels."""
    return model.shape[0] == 1 or count in (1, model.shape[0])


def describe_channels(model: Model, count: int) -> str:
    """Return why images of so many channels are not taken, to follow what they are."""
    return (
        f"has {count} channels, and this model takes 1 or {model.shape[0]}; take a model of gray "
        "images, which takes each channel by itself"
    )


def _average(image: NDArray[Any]) -> NDArray[Any]:
    """Return the mean of the channels, (H, W, 1), of the type of the image."""
    mean = image.mean(2, keepdims=True, dtype=np.float32)
    return np.asarray(np.round(mean) if image.dtype.kind in "iu" else mean, image.dtype)
