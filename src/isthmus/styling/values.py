"""Photographs in, paintings out; no file is touched."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from isthmus.data.cache import Track, untracked
from isthmus.data.pictures.pixels import recolor, resize
from isthmus.errors import InputError, ModelError, OptionError
from isthmus.inference.model import Model
from isthmus.inference.trained import TrainedModel
from isthmus.models.layers import Crop, Pad
from isthmus.models.stylebank import MIN_SIDE, StyleBank, padded_sides
from isthmus.runtime import reject_beyond_memory
from isthmus.styling.shares import choose_shares
from isthmus.styling.strips import decode_in_strips, encode_in_strips

Picture = NDArray[np.uint8]  # (H, W, C)
PIXEL_BYTES = 128  # of memory for each pixel: the image, its code, and what each becomes


def stylize_values(
    model: Model,
    values: NDArray[np.uint8] | Sequence[Picture],
    style: str | None = None,
    *,
    mix: Mapping[str, float] | None = None,
    strength: float = 1.0,
    side: int | None = None,
    track: Track = untracked,
) -> list[Picture]:
    """Paint pictures of any size in styles.

    A style changes the code, and what the autoencoder cannot rebuild of a photograph is added
    again as far as no style takes its place. So the result goes from the photograph itself to the
    style alone, and a strength of 0 returns every pixel as it is.

    Parameters
    ----------
    model : Model
        A style bank.
    values : array or sequence of arrays
        Pictures (N, H, W, C) uint8, or a sequence of (H, W, C) uint8 of different sizes.
    style : str, optional
        The name of a style; may be left out where there is only one.
    mix : mapping, optional
        Several styles instead, each with its share; shares are scaled to add up to 1.
    strength : float
        From 0, the photograph as it is, to 1, the style alone.
    side : int, optional
        The longest side at which pictures are painted: larger ones are reduced and enlarged again,
        which makes strokes larger.
    track : callable
        Shows progress.

    Returns
    -------
    list of (H, W, 3) uint8

    Raises
    ------
    ModelError
        If the model is no style bank.
    OptionError
        If a style is unknown, or a number is out of range.
    InputError
        If a value is no picture of uint8.

    Examples
    --------
    >>> model = isthmus.load_model("runs/bank")  # doctest: +SKIP
    >>> [painted] = stylize_values(model, [photo], "waves", strength=0.7)  # doctest: +SKIP
    """
    painter = require_painter(model)
    require_side(side)
    shares = choose_shares(painter.config.style_names, style, mix=mix, strength=strength)
    for number, one in enumerate(values):
        _require_picture(number, one)
    return [paint(painter, one, shares, side) for one in track(values, len(values), "Painting")]


def _require_picture(number: int, value: Any) -> None:
    if not isinstance(value, np.ndarray):
        raise InputError(f"picture {number} is no array; open it, or call stylize with its path.")
    if value.dtype != np.uint8 or value.ndim != 3 or not value.size:
        raise InputError(
            f"picture {number} is {value.dtype} {value.shape} and should be (H, W, C) of uint8."
        )


def require_side(side: int | None) -> None:
    """Reject a side at which nothing can be painted.

    Raises
    ------
    OptionError
    """
    if side is not None and side < MIN_SIDE:
        raise OptionError(f"side must be at least {MIN_SIDE} pixels, not {side}.")


def require_painter(model: Model) -> TrainedModel:
    """Return a model as one that can paint in styles.

    Raises
    ------
    ModelError
    """
    model.require_task("stylize")
    if not isinstance(model, TrainedModel):
        raise ModelError(
            "an exported file paints in styles by itself; to do so here, give the run folder."
        )
    return model


def paint(
    model: TrainedModel, picture: Picture, shares: NDArray[np.float32], side: int | None = None
) -> Picture:
    """Paint one picture (H, W, C) uint8; returns (H, W, 3) uint8. See `stylize_values`.

    `shares` are those of `choose_shares`.
    """
    colored = recolor(picture, 3, model.preprocessing.background)
    # Rounded, as float32 shares of a mix may add up to a little less than 1: what is then left of
    # the photograph is nothing, and would have to be decoded too.
    strength = min(1.0, round(float(shares.sum()), 6))
    if not strength:
        return colored
    small = reduce_to(colored, side)
    height, width = small.shape[:2]
    reject_beyond_memory(
        PIXEL_BYTES * height * width, f"painting {width:,} × {height:,} pixels at once"
    )
    with model.computing():
        painted = _style_part(model, _to_input(model, small), shares, 1 - strength)
        whole = _to_input(model, colored)
        if painted.shape != whole.shape:
            painted = functional.interpolate(painted, whole.shape[2:], mode="bicubic")
        # The rest is the photograph's own part, in full detail.
        result = model.preprocessing.from_output(painted + (1 - strength) * whole)
    return np.asarray(result[0].cpu().numpy())


def _to_input(model: TrainedModel, picture: Picture) -> Tensor:
    # torch wants contiguous, writable memory.
    writable = np.require(picture[None], requirements=["C", "W"])
    return model.preprocessing.to_input(torch.from_numpy(writable).to(model.device))


def _style_part(model: TrainedModel, x: Tensor, shares: NDArray[np.float32], rest: float) -> Tensor:
    """Return what is painted of an image x (1, 3, H, W), without the `rest` of the photograph."""
    network = model.module
    assert isinstance(network, StyleBank)  # as the model's task is to stylize
    maps = encode_in_strips(network.encoder, Pad(padded_sides(x.shape[2:]))(x))

    def decode(maps: Tensor) -> Tensor:
        y = decode_in_strips(network.decoder, maps)
        return model.activate(Crop(x.shape[2:])(y).float())

    painted = decode(network.paint(maps, torch.from_numpy(shares[None]).to(x.device)))
    return painted - rest * decode(maps) if rest else painted


def reduce_to(picture: Picture, side: int | None) -> Picture:
    """Reduce a picture until its longer side has at most so many pixels."""
    longest = max(picture.shape[:2])
    if side is None or longest <= side:
        return picture
    height, width = (max(1, round(one * side / longest)) for one in picture.shape[:2])
    return resize(picture, (height, width))
