"""`ImageClassifier`: classes of samples."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from isthmus.data.items import Items
from isthmus.data.samples import Origin, Samples
from isthmus.errors import InputError
from isthmus.sklearn.estimator import Estimator, outputs
from isthmus.sklearn.inputs import read_samples

if TYPE_CHECKING:
    from isthmus.training.config import TrainingConfig


class ImageClassifier(ClassifierMixin, Estimator):
    """A network that tells classes of images, or of vectors, apart.

    X is as for `Autoencoder`; y holds a class for each sample, of any type. `Samples`, data sets
    and folders that have classes themselves need no y.

    Parameters
    ----------
    model : str, optional
        A key of `isthmus.MODELS`; by default "cnn" for images, and for vectors a network
        of two hidden layers.
    code_size : int, optional
        Features before the last layer; by default the model's own.
    image_shape : (H, W) or (H, W, C), optional
        What the rows of a flat X are; without it they are vectors. Paths of pictures are resized
        to it.
    value_range : (float, float), optional
        Black and white in arrays of images, such as (0, 16); values outside it are an error. By
        default (0, 1) for fractions, (0, 255) for whole numbers and (0, 65535) for uint16.
    options : dict, optional
        Options of the model, such as {"width": 32}.
    epochs : int, optional
        By default as many as see 1.6 million samples, from 10 to 100.
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
    classes_ : (K,) array
        The classes, sorted; the names of a source's classes where X has them itself.
    model_ : TrainedModel
        The weights of the best epoch, with everything needed to use them.
    run_ : Run
        What training has left: history, split and settings. A pickle is without it, unless it is
        in a folder.
    n_features_in_ : int
        Numbers in a sample.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = ImageClassifier(
    ...     "cnn-tiny", image_shape=(8, 8), value_range=(0, 16), epochs=1, random_state=0
    ... )
    >>> classifier.fit(X, y).predict_proba(X).shape
    (1797, 10)
    """

    classes_: NDArray[Any]

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
        """Train on X and its classes.

        Parameters
        ----------
        X : array, Samples, str, Path or sequence of paths
        y : (N,) array, optional
            Needed unless X has classes itself.

        Raises
        ------
        ValueError, IsthmusError
            As `Autoencoder.fit`, and if y has not one class for each sample, or one class alone.
        """
        samples, _, y = read_samples(self, X, y, reset=True)
        if y is None:
            classes = np.unique(_class_names(samples))
        else:
            check_classification_targets(y)
            y = column_or_1d(y, warn=True)
            check_consistent_length(samples.values, y)
            classes, labels = np.unique(y, return_inverse=True)
            samples = _with_classes(samples, labels, classes)
        if len(classes) < 2:
            raise InputError(f"y has one class only, {classes[0]}; give samples of two or more.")
        model, options = self.model, self.options
        config = self._training_config()
        is_vector = samples.is_signal and samples.shape[1] == 1
        if is_vector and model is None and config.encoder_from is None:
            model, options = "encoder", {"base": "dense", **(options or {})}
        self._train(
            samples,
            config,
            model=model,
            task="classify",
            code_size=self.code_size,
            options=options,
        )
        self.classes_ = classes
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Return the probability of each class.

        Returns
        -------
        (N, K) float32
            In the order of `classes_`.
        """
        samples, _ = self._read(X)
        return self._probabilities(samples)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each sample.

        Returns
        -------
        (N,) array
            Of `classes_`.
        """
        samples, _ = self._read(X)
        predicted: NDArray[Any] = self.classes_[self._probabilities(samples).argmax(1)]
        return predicted

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the accuracy on X.

        Parameters
        ----------
        X : array, Samples, str, Path or sequence of paths
        y : (N,) array, optional
            Needed unless X has classes itself.
        sample_weight : (N,) array, optional
        """
        check_is_fitted(self, "model_")
        samples, _, y = read_samples(self, X, y)
        predicted = self._probabilities(samples).argmax(1)
        if y is not None:
            return float(accuracy_score(y, self.classes_[predicted], sample_weight=sample_weight))
        names = np.array(_names_of(self.classes_))[predicted]
        return float(accuracy_score(_class_names(samples), names, sample_weight=sample_weight))

    def _probabilities(self, samples: Samples) -> NDArray[np.float32]:
        parts = [
            self.model_.activate(output).float().cpu().numpy()
            for _, output in outputs(self.model_, samples)
        ]
        # The model knows the classes of a source in the order of the source.
        columns = [self.model_.config.class_names.index(name) for name in _names_of(self.classes_)]
        return np.concatenate(parts)[:, columns]


def _class_names(samples: Samples) -> NDArray[Any]:
    """Return the name of each sample's class."""
    if samples.labels is None:
        raise InputError("X has no classes; give y.")
    return np.array(samples.class_names)[samples.labels]


def _names_of(classes: NDArray[Any]) -> tuple[str, ...]:
    """Return the names that a model knows these classes by."""
    return tuple(map(str, classes.tolist()))


def _with_classes(samples: Samples, labels: NDArray[Any], classes: NDArray[Any]) -> Samples:
    """Return samples with these classes instead of their own."""
    items = Items(samples.names, labels.astype(np.int64), _names_of(classes))
    # They are no longer what is loaded from their source.
    return replace(samples, items=items, origin=Origin("", samples.origin.preprocessing))
