"""scikit-learn's own checks of estimators, all of them, and with no failure expected."""

from collections.abc import Callable
from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

from isthmus.sklearn import Autoencoder, Denoiser, ImageClassifier, OutlierDetector

ESTIMATORS = [
    Autoencoder(epochs=3, random_state=0),
    Denoiser("gaussian:0.1", epochs=3, random_state=0),
    OutlierDetector(epochs=3, random_state=0),
    ImageClassifier(epochs=8, random_state=0),
]


@parametrize_with_checks(ESTIMATORS)  # type: ignore[untyped-decorator]
def test_scikit_learn_approves(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)
