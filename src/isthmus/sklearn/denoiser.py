"""`Denoiser`: noisy samples in, clean samples out."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from isthmus.errors import InputError
from isthmus.sklearn.estimator import AutoencoderEstimator, outputs, squared_errors
from isthmus.sklearn.images import denoise_all, read_images, score_images
from isthmus.sklearn.inputs import MIN_SAMPLES
from isthmus.text import count_of

if TYPE_CHECKING:
    from isthmus.training.config import TrainingConfig


class Denoiser(OneToOneFeatureMixin, TransformerMixin, AutoencoderEstimator):
    """Removes noise: an autoencoder that is trained to return clean samples for noisy ones.

    It is fitted on *clean* samples and adds the noise itself, new in every epoch. Choose the kind
    and the strength of the noise that it will meet.

    X is as for `Autoencoder`. With the model "denoiser" or "dncnn", images keep their own sizes: X
    may also be `Images` or a list of arrays (H, W) or (H, W, C) of different ones, and what is
    transformed may have other sizes than what it was fitted on.

    Parameters
    ----------
    corrupt : str
        The noise, as kind:strength, of gaussian, gaussian-unclipped, poisson, speckle, stripes,
        salt-pepper, masked, occluded and jpeg, which is for images only; several with commas
        between. A strength is relative to the range of values, which is black to white of images;
        all but gaussian-unclipped stay within it. It may be a range, as in gaussian:0..0.2, from
        which each sample gets another.
    model : str, optional
        A key of `isthmus.MODELS`; by default "conv" for images and "dense" for vectors. "denoiser"
        is the best one for photographs.
    patch : int, optional
        Side in pixels of the patches that "denoiser" or "dncnn" learns from; by default 64, or
        less if no image has such a side.
    code_size : int, optional
        Numbers in a code; by default the model's own (mostly 32), for vectors at most half of the
        features.
    image_shape : (H, W) or (H, W, C), optional
        What the rows of a flat X are; without it they are vectors. Paths of pictures are resized
        to it.
    value_range : (float, float), optional
        Black and white in arrays of images, such as (0, 16); values outside it are an error. By
        default (0, 1) for fractions, (0, 255) for whole numbers and (0, 65535) for uint16.
    options : dict, optional
        Options of the model, such as {"width": 32}.
    epochs : int, optional
        By default as many as see 1.6 million samples, from 10 to 30 of images and to 100 of
        vectors.
    batch_size : int, optional
        By default from 32 to 256, by the number and size of the samples.
    optimizer : str, optional
        By default adamw.
    lr : float, optional
        Highest learning rate; by default the optimizer's usual one.
    config : TrainingConfig, optional
        All else about training, such as `schedule`, `loss`, `patience`, `device` and `precision`.
        The parameters above have priority, and `random_state` over its `seed`.
    out : path, optional
        A new folder for the run, as of `isthmus.train`; by default nothing is written.
    random_state : int, RandomState or None
        The seed of all that is random; None draws one from NumPy's global random numbers.

    Attributes
    ----------
    model_ : TrainedModel
        The weights of the best epoch, with everything needed to use them.
    run_ : Run
        What training has left: history, split and settings. A pickle is without it, unless it is
        in a folder.
    n_features_in_ : int
        Numbers in a sample.

    Examples
    --------
    >>> import numpy as np
    >>> denoiser = Denoiser("gaussian:0.3", code_size=16, epochs=1, random_state=0)
    >>> denoiser.fit("digits").transform(np.zeros((5, 8, 8), np.uint8)).shape
    (5, 8, 8)
    """

    def __init__(
        self,
        corrupt: str = "gaussian:0.2",
        *,
        model: str | None = None,
        patch: int | None = None,
        code_size: int | None = None,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        options: dict[str, Any] | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        optimizer: str | None = None,
        lr: float | None = None,
        config: "TrainingConfig | None" = None,
        out: str | Path | None = None,
        random_state: Any = None,
    ) -> None:
        self.corrupt = corrupt
        self.model = model
        self.patch = patch
        self.code_size = code_size
        self.image_shape = image_shape
        self.value_range = value_range
        self.options = options
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.config = config
        self.out = out
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on clean samples.

        Parameters
        ----------
        X : array, Samples, Images, str, Path, or sequence of paths or of images
        y : ignored

        Raises
        ------
        ValueError, IsthmusError
            As `Autoencoder.fit`.
        """
        if not self._keeps_sizes:
            self._fit_autoencoder(X)
            return self
        images = read_images(X, self.value_range)
        if len(images) < MIN_SAMPLES:
            held = count_of(len(images), "image")
            raise InputError(f"X holds {held}; give {MIN_SAMPLES} or more.")
        config = self._training_config()
        self._train(images, config, model=self.model, task="denoise", options=self.options)
        return self

    @property
    def _keeps_sizes(self) -> bool:
        """Whether the model is one of images at their own sizes."""
        from isthmus.models.registry import model_row

        return self.model is not None and model_row(self.model).task == "denoise"

    def transform(self, X: Any) -> Any:
        """Remove the noise from X.

        Returns
        -------
        array
            In the form of this X; uint8 for images of bytes, else float32. Images of different
            sizes are a list, each of the type that it had.
        """
        if self._keeps_sizes:
            check_is_fitted(self, "model_")
            return denoise_all(self.model_, X, self.value_range)
        samples, layout = self._read(X)
        model = self.model_
        parts = [
            model.preprocessing.from_output(model.activate(output)).cpu().numpy()
            for _, output in outputs(model, samples)
        ]
        return layout.restore(np.concatenate(parts).astype(samples.values.dtype))

    def score(self, X: Any, y: Any = None) -> float:
        """Add noise to a clean X, remove it, and return minus the mean squared error that is left.

        The noise is that of `corrupt`, and always the same for the same X.

        Returns
        -------
        float
            0 is best; in the units of X.
        """
        from isthmus.data.corruption import Corruption

        if self._keeps_sizes:
            check_is_fitted(self, "model_")
            noise = Corruption.parse(self.corrupt)
            return score_images(self.model_, X, noise, self.value_range)
        samples, layout = self._read(X)
        errors = squared_errors(self.model_, samples, Corruption.parse(self.corrupt))
        return -float(errors.mean()) * layout.scale**2

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
