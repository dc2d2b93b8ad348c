"""scikit-learn estimators on autoencoders and classifiers of images.

They adapt: `isthmus.train` does the work, and what it leaves is in `run_` and `model_`. They run
in memory, and in a `Pipeline`, a `GridSearchCV` or `joblib` like any other estimator.
"""

from isthmus.sklearn.autoencoder import Autoencoder
from isthmus.sklearn.classifier import ImageClassifier
from isthmus.sklearn.denoiser import Denoiser
from isthmus.sklearn.outliers import OutlierDetector

__all__ = ["Autoencoder", "Denoiser", "ImageClassifier", "OutlierDetector"]
