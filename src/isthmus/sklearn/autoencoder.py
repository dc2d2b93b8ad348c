"""`Autoencoder`: codes of a chosen size, and back."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from isthmus.errors import OptionError
from isthmus.sklearn.estimator import AutoencoderEstimator, find_seed, outputs, squared_errors

if TYPE_CHECKING:
    from isthmus.training.config import TrainingConfig


class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, AutoencoderEstimator):
    """Turns samples into codes of a few numbers, and codes into samples: PCA with a network.

    X may be

    - an array of vectors (N, F), which are scaled together, so that features of different units
      need a `StandardScaler` first, as for PCA;
    - an array of images (N, H, W) or (N, H, W, C), or flat (N, F) with `image_shape`. Fractions are
      from 0 to 1 and whole numbers from 0 to 255; for others there is `value_range`. A model sees
      images in steps of 1/255 of that range;
    - a list of paths of pictures; the name of a data set; the path of a folder, archive or file
      that `isthmus.load` reads; or `Samples`. What their source assigns to a validation or test
      split is not trained on.

    A tenth of X (`config.validation`) is held out to choose the best epoch by, and one sample for
    the run's test split: measure with `score` on samples that `fit` has not seen.

    Parameters
    ----------
    model : str, optional
        A key of `isthmus.MODELS`; by default "conv" for images and "dense" for vectors.
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
    layout_ : Layout
        The form of X, which `inverse_transform` returns.
    n_epochs_ : int
        Epochs trained so far, also by `partial_fit`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, _ = load_digits(return_X_y=True)
    >>> autoencoder = Autoencoder(
    ...     code_size=8, image_shape=(8, 8), value_range=(0, 16), epochs=1, random_state=0
    ... )
    >>> autoencoder.fit_transform(X).shape
    (1797, 8)
    """

    def __init__(
        self,
        model: str | None = None,
        *,
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
        self.model = model
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
        """Train on X.

        Parameters
        ----------
        X : array, Samples, str, Path or sequence of paths
        y : ignored

        Raises
        ------
        ValueError
            If X is no such array: of other values, with NaN, sparse, or of fewer than 3 samples.
        IsthmusError
            If a source cannot be read, or a parameter is out of range.
        """
        self._fit_autoencoder(X)
        self.n_epochs_ = len(self.run_.history())
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train one epoch on X, from the current weights or, at first, from the seed's.

        The learning rate follows its schedule within each call. The optimizer continues with what
        it remembers of its last steps; a pickled estimator starts without this. As in `fit`, a
        tenth of X is held out. What the first X decides stays: the model, and of vectors the range
        of values that is scaled to [0, 1].

        Raises
        ------
        ValueError, IsthmusError
            As `fit`, and if X has other features than before, or `out` or `freeze` is given.
        """
        if self.out is not None:
            raise OptionError(
                "partial_fit trains in memory; leave out out, and save the result with model_.save."
            )
        if self.config is not None and self.config.freeze:
            raise OptionError("partial_fit trains the whole model; leave freeze out, or use fit.")
        if not hasattr(self, "model_"):
            self._fit_autoencoder(X, epochs=1)
            self.n_epochs_ = 1
            return self
        samples, _ = self._read(X)
        # Another seed in each call: with the same one, all would be in the same order.
        seed = find_seed(self.random_state) + self.n_epochs_
        # The encoder to start from is in the model by now.
        config = self._training_config(epochs=1, seed=seed, encoder_from=None)
        self._train(samples, config, start=getattr(self, "run_", self.model_))
        self.n_epochs_ += 1
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Encode X.

        Returns
        -------
        (N, D) float32
        """
        samples, _ = self._read(X)
        parts = [z.float().cpu().numpy() for _, z in outputs(self.model_, samples, encode=True)]
        return np.concatenate(parts)

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """Decode codes X (N, D).

        Returns
        -------
        array
            Samples in the form of the X of `fit`: flat or as images, with its range of values;
            uint8 for images of bytes and for sources that are no array, else float32.
        """
        check_is_fitted(self, "model_")
        z = np.array(check_array(X, dtype=np.float32))
        return self.layout_.restore(self.model_.decode(z))

    def score(self, X: Any, y: Any = None) -> float:
        """Return minus the mean squared error of reconstructing X, in the units of X.

        Returns
        -------
        float
            0 is best. It is -((X - X2) ** 2).mean(), where X2 is inverse_transform(transform(X))
            before it is rounded to whole steps of images.
        """
        samples, layout = self._read(X)
        return -float(squared_errors(self.model_, samples).mean()) * layout.scale**2

    @property
    def _n_features_out(self) -> int:
        return self.model_.config.code_size

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
