"""`OutlierDetector`: what is unlike all that an autoencoder was fitted on does not belong."""

from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import OutlierMixin

from isthmus.data.samples import Samples
from isthmus.detection.detector import Detector
from isthmus.detection.scores import SCORES
from isthmus.errors import OptionError, require_known
from isthmus.sklearn.estimator import AutoencoderEstimator, squared_errors
from isthmus.sklearn.inputs import Layout

if TYPE_CHECKING:
    from isthmus.training.config import TrainingConfig


class OutlierDetector(OutlierMixin, AutoencoderEstimator):
    """Finds samples that are unlike those that it was fitted on.

    A code of few numbers has room for what the samples have in common and none for the rest. The
    smaller the code, the fewer samples pass as normal by their error; try several. The scores are
    those of `isthmus outliers`.

    X is as for `Autoencoder`.

    Parameters
    ----------
    contamination : float
        Share of the samples of `fit` that are outliers, above 0 and at most 0.5; it sets the
        threshold of `predict`, and nothing else.
    score_name : str
        How samples are judged: "error", the mean squared error of the reconstruction, in the units
        of X; "relative", the same as a share of the variance of the sample; "neighbors", how far a
        code is from the nearest codes of `fit`; "combined", both together; or "peak", the highest
        error of a pixel, smoothed, with pixels in [0, 1].
        A sample is left out of its own neighbors in `fit` and `fit_predict` only.
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
    detector_ : Detector
        What other samples are compared with, unless the score is "error".
    offset_ : float
        The threshold of `score_samples`: `decision_function` is the score minus this.

    Examples
    --------
    >>> from isthmus import load
    >>> digits = load("digits")
    >>> detector = OutlierDetector(0.05, code_size=4, epochs=1, random_state=0)
    >>> detector.fit(digits.values).predict(digits.values).shape
    (1797,)
    """

    def __init__(
        self,
        contamination: float = 0.1,
        *,
        score_name: str = "error",
        model: str | None = None,
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
        self.contamination = contamination
        self.score_name = score_name  # `score` would be a method to scikit-learn
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
        """Train on X, of which few samples are outliers.

        Parameters
        ----------
        X : array, Samples, str, Path or sequence of paths
        y : ignored

        Raises
        ------
        ValueError, IsthmusError
            As `Autoencoder.fit`.
        """
        self._fit(X)
        return self

    def fit_predict(self, X: Any, y: Any = None, **kwargs: Any) -> NDArray[np.int64]:
        """Train on X, and return -1 for its outliers and 1 for all others.

        Unlike `predict` after `fit`, it compares no sample with itself.

        Parameters
        ----------
        X : array, Samples, str, Path or sequence of paths
        y, kwargs : ignored

        Returns
        -------
        (N,) int64
        """
        return np.where(self._fit(X) < self.offset_, -1, 1)

    def _fit(self, X: Any) -> NDArray[np.float64]:
        """Train on X; return minus the score of each sample, which is no neighbor of itself."""
        share: Any = self.contamination
        if not isinstance(share, Real) or not 0 < float(share) <= 0.5:
            raise OptionError(
                f"contamination must be a number above 0 and at most 0.5, not {share!r}."
            )
        require_known("score", self.score_name, SCORES)
        samples = self._fit_autoencoder(X)
        rows = None
        if self.score_name != "error":
            rows = np.arange(len(samples))
            split = self.run_.split()
            self.detector_ = Detector.fit(self.model_, samples, split.train, split.validation)
        scores = self._score(samples, self.layout_, rows)
        self.offset_ = float(np.percentile(scores, 100 * self.contamination))
        return scores

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """Return minus the score of each sample; see `score_name`.

        Returns
        -------
        (N,) float64
            The lower, the more of an outlier.
        """
        samples, layout = self._read(X)
        return self._score(samples, layout)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return the scores minus `offset_`.

        Returns
        -------
        (N,) float64
            Below 0 for outliers.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return -1 for outliers and 1 for all others.

        Returns
        -------
        (N,) int64
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _score(
        self, samples: Samples, layout: Layout, rows: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        if self.score_name == "error":
            return -squared_errors(self.model_, samples) * layout.scale**2
        return -self.detector_.scores(self.detector_.measure(samples), self.score_name, rows)
