"""From an X to `Samples`, and back by its `Layout`."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from isthmus.data.items import Items
from isthmus.data.load import load, load_pictures, load_with
from isthmus.data.preprocess import Preprocessing
from isthmus.data.samples import Samples
from isthmus.errors import InputError, OptionError

if TYPE_CHECKING:
    from isthmus.sklearn.estimator import Estimator

MIN_SAMPLES = 3  # to fit: one each to train on, to choose the best epoch by, and to test on
BLOCK_ROWS = 4096  # scaled at once, so that a large X does not need several times its memory
# Black and white of arrays, by the kind of their type; of fractions and other whole numbers below.
BYTES: tuple[float, float] = (0, 255)
FRACTIONS: tuple[float, float] = (0, 1)
UINT16: tuple[float, float] = (0, 65535)


@dataclass(frozen=True)
class Layout:
    """How the samples of an X look, so that others can be returned in the same form.

    Parameters
    ----------
    shape : tuple of int
        Of one sample in X: (F,) where X is flat.
    value_range : (float, float), optional
        Black and white in X; None for vectors, and for pixels that are bytes in X too.
    """

    shape: tuple[int, ...]
    value_range: tuple[float, float] | None = None

    @property
    def scale(self) -> float:
        """What a difference of 1 between values of `Samples` is in X."""
        if self.value_range is None:
            return 1.0
        low, high = self.value_range
        return (high - low) / 255

    def restore(self, values: NDArray[Any]) -> NDArray[Any]:
        """Bring values of `Samples` into the form of X: uint8 where X is of bytes, else float32."""
        values = values.reshape(len(values), *self.shape)
        if self.value_range is None:
            return values
        return (values * np.float32(self.scale) + np.float32(self.value_range[0])).astype(
            np.float32
        )


def read_samples(
    estimator: "Estimator", X: Any, y: Any = "no_validation", *, reset: bool = False
) -> tuple[Samples, Layout, Any]:
    """Turn an X into `Samples`, and check y with it.

    Parameters
    ----------
    estimator : Estimator
        Its `image_shape` and `value_range` say what an array means; once it is fitted, so does
        its model.
    X : array, Samples, str, Path or sequence of paths
        See `Autoencoder`.
    y : array, optional
        Classes; None only where X has labels itself.
    reset : bool
        Whether the estimator learns from this X what it takes.

    Returns
    -------
    Samples, Layout, y

    Raises
    ------
    ValueError
        If scikit-learn rejects X or y, for example for NaN; `InputError` is one of them.
    SourceError
        If X is a source that cannot be read.
    """
    source = _read_source(estimator, X, reset)
    if source is None:
        return _read_array(estimator, X, y, reset)
    if source.skipped:
        name, reason = source.skipped[0]
        warnings.warn(
            f"{len(source.skipped):,} pictures of {source.origin.source} cannot be decoded and are "
            f"left out, such as {name} ({reason}).",
            stacklevel=4,
        )
    if reset:
        _reject_other_shape(estimator, source.shape, "X holds samples of")
        estimator.__dict__.pop("feature_names_in_", None)  # of a table that it was fitted on before
        estimator.n_features_in_ = math.prod(source.shape)
    return source, Layout(source.shape), y


def _read_source(estimator: "Estimator", X: Any, reset: bool) -> Samples | None:
    """Read what is no array: samples, a name or path, or a list of paths; None for arrays."""
    if isinstance(X, Samples):
        return X
    if getattr(X, "ndim", 0) == 1 and hasattr(X, "to_numpy"):
        X = X.to_numpy()  # a column of a table
    is_list = isinstance(X, list | tuple | np.ndarray) and np.ndim(X[:1]) == 1
    is_list = is_list and all(isinstance(path, str | Path) for path in X) and len(X) > 0
    if not is_list and not isinstance(X, str | Path):
        return None
    if reset:
        size, channels = _picture_shape(estimator.image_shape)
        if not is_list:
            return load(X, size=size, channels=channels)
        return load_pictures(X, Preprocessing(size=size, channels=channels))
    preprocessing = estimator.model_.preprocessing
    return load_pictures(X, preprocessing) if is_list else load_with(X, preprocessing)


def _read_array(estimator: "Estimator", X: Any, y: Any, reset: bool) -> tuple[Samples, Layout, Any]:
    if isinstance(X, list | tuple) and len(X) and np.ndim(X[0]) > 1:
        X = np.asarray(X)  # a list of images
    shape: tuple[int, ...] | None = None
    if getattr(X, "ndim", 2) > 2:
        shape = tuple(X.shape[1:])
        X = np.asarray(X).reshape(len(X), math.prod(shape))
    sample_shape = _sample_shape(estimator, shape, reset)
    is_image = sample_shape is not None and len(sample_shape) == 3
    checked = validate_data(
        estimator,
        X,
        y,
        reset=reset,
        dtype="numeric" if is_image else np.float32,
        ensure_min_samples=MIN_SAMPLES if reset else 1,
    )
    X, y = (checked, y) if isinstance(y, str) or y is None else checked
    layout = Layout(shape or X.shape[1:])
    if sample_shape is None:
        sample_shape = (X.shape[1], 1)
    if X.shape[1] != math.prod(sample_shape):
        raise InputError(
            f"X has {X.shape[1]:,} features and an image of {_sides(sample_shape)} has "
            f"{math.prod(sample_shape):,} pixels; give the image shape of X."
        )
    if is_image:
        X, value_range = to_pixels(X, estimator.value_range)
        layout = replace(layout, value_range=value_range)
    # As torch wants its memory.
    values = np.require(X.reshape(-1, *sample_shape), requirements=["C", "W"])
    return Samples(values, Items([str(i) for i in range(len(values))])), layout, y


def _sample_shape(
    estimator: "Estimator", shape: tuple[int, ...] | None, reset: bool
) -> tuple[int, ...] | None:
    """Return the shape in `Samples` of one sample of an array; None for vectors of any length.

    Parameters
    ----------
    estimator : Estimator
    shape : tuple of int, optional
        That of one sample in X, unless X is flat.
    reset : bool
        Whether X decides it, or the model does that is there already.
    """
    if not reset:
        channels, *sides = estimator.model_.config.shape
        return (*sides, channels)
    if shape is None:
        given = estimator.image_shape
        return None if given is None else _with_channels(check_image_shape(given))
    if len(shape) > 3:
        raise InputError(f"X has the shape (N, {_sides(shape, ', ')}); images are (N, H, W, C).")
    _reject_other_shape(estimator, _with_channels(shape), "X holds images of")
    return _with_channels(shape)


def _reject_other_shape(estimator: "Estimator", shape: tuple[int, ...], what: str) -> None:
    """Reject samples of another shape than `image_shape`, whose number of channels may be open."""
    given = estimator.image_shape
    if given is not None and shape[: len(given)] != check_image_shape(given):
        raise InputError(
            f"{what} {_sides(shape)} and image shape is {_sides(given)}; leave it out."
        )


def _with_channels(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape, 1)[:3]


def check_image_shape(image_shape: Any) -> tuple[int, ...]:
    """Return an image shape if it is (H, W) or (H, W, C).

    Raises
    ------
    OptionError
    """
    is_shape = isinstance(image_shape, Sequence) and len(image_shape) in (2, 3)
    if not is_shape or not all(isinstance(n, int | np.integer) and n > 0 for n in image_shape):
        raise OptionError(f"image shape is (H, W) or (H, W, C), not {image_shape!r}.")
    return tuple(map(int, image_shape))


def _picture_shape(image_shape: Any) -> tuple[tuple[int, int] | None, int | None]:
    """Return size and channels that pictures get."""
    if image_shape is None:
        return None, None
    height, width, *channels = check_image_shape(image_shape)
    return (height, width), channels[0] if channels else None


def to_pixels(
    X: NDArray[Any], value_range: tuple[float, float] | None
) -> tuple[NDArray[np.uint8], tuple[float, float] | None]:
    """Turn numbers into bytes; return them with black and white in X, unless X is bytes."""
    is_whole = X.dtype.kind in "iu"
    if value_range is None:
        value_range = FRACTIONS if not is_whole else UINT16 if X.dtype == np.uint16 else BYTES
    low, high = _check_value_range(value_range)
    lowest, highest = X.min(), X.max()
    if lowest < low or highest > high:
        raise InputError(
            f"X holds {X.dtype} values from {lowest:g} to {highest:g}, and black is {low:g} and "
            f"white {high:g}; give other ones with value_range=(black, white), or clip X."
        )
    if is_whole and (low, high) == BYTES:
        return X.astype(np.uint8, copy=False), None
    pixels = np.empty(X.shape, np.uint8)
    for start in range(0, len(X), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        pixels[block] = np.round((X[block] - float(low)) * (255 / (high - low)))
    return pixels, (float(low), float(high))


def _check_value_range(value_range: Any) -> tuple[float, float]:
    """Return a value range if it is two finite numbers, and the second is greater."""
    pair = value_range.tolist() if isinstance(value_range, np.ndarray) else value_range
    is_pair = isinstance(pair, Sequence) and len(pair) == 2
    is_pair = is_pair and all(isinstance(number, Real) for number in pair)
    if not is_pair or not -math.inf < pair[0] < pair[1] < math.inf:
        raise OptionError(
            f"value range is (black, white), two rising numbers, not {value_range!r}."
        )
    return pair[0], pair[1]


def _sides(shape: Sequence[int], separator: str = " × ") -> str:
    return separator.join(map(str, shape))
