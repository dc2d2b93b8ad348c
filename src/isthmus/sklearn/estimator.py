"""`Estimator`: what all estimators share: their parameters, their training and their pickles."""

import copy
import numbers
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from isthmus.data.images import Images
from isthmus.data.samples import Samples
from isthmus.data.split import hold_out
from isthmus.sklearn.inputs import Layout, read_samples
from isthmus.training.config import default_epochs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from isthmus.data.corruption import Corruption
    from isthmus.inference.trained import TrainedModel
    from isthmus.training.config import TrainingConfig
    from isthmus.training.run import Run

NOISE_SEED = 0  # of the noise to measure a denoiser with: all are measured on the same

# Tables are small, and so are models of vectors. Of 400 vectors of 30 features, an autoencoder of 5
# numbers is worse than PCA after 20 epochs (a mean squared error of 0.32 against 0.18, held out),
# and better after 100 (0.15), which take three seconds.
MAX_VECTOR_EPOCHS = 100


class Estimator(BaseEstimator):
    """The parameters that all estimators have, and what they do with them.

    A subclass repeats the parameters in its `__init__`, where scikit-learn looks for them.
    """

    image_shape: tuple[int, ...] | None
    value_range: tuple[float, float] | None
    model: str | None
    code_size: int | None
    options: dict[str, Any] | None
    epochs: int | None
    batch_size: int | None
    optimizer: str | None
    lr: float | None
    config: "TrainingConfig | None"
    out: str | Path | None
    random_state: Any
    n_features_in_: int
    model_: "TrainedModel"
    run_: "Run"

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        run: Run | None = state.pop("run_", None)
        # A run in memory holds the optimizer's state and the training data, several times as much
        # as the model. Of a folder, the path is enough.
        if run is not None and not run.is_in_memory:
            state["run_"] = replace(run, loaded=None)
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _training_config(self, **changes: Any) -> "TrainingConfig":
        """Return `config` with the parameters that are not None, the seed, and changes."""
        from isthmus.training.config import TrainingConfig

        names = ("epochs", "batch_size", "optimizer", "lr", "corrupt", "patch")
        given = {name: getattr(self, name, None) for name in names}
        given = {name: value for name, value in given.items() if value is not None}
        config = self.config or TrainingConfig()
        return replace(config, **{"seed": find_seed(self.random_state), **given, **changes})

    def _train(
        self,
        samples: Samples | Images,
        config: "TrainingConfig",
        *,
        start: "TrainedModel | Run | None" = None,
        **model: Any,
    ) -> None:
        """Train a model, and keep the run and the model of its best epoch."""
        from isthmus.runtime import choose_device
        from isthmus.training.train import train

        if samples.splits is None:
            labels = np.zeros(len(samples), np.int64) if samples.labels is None else samples.labels
            splits = hold_out(labels, config.seed, config.validation)
            samples = replace(samples, splits=splits)
        training = train(samples, out=self.out, config=config, start=start, **model)
        for _ in training:
            pass
        self.run_ = training.run
        self.model_ = training.run.model(choose_device(config.device))

    def _read(self, X: Any) -> tuple[Samples, Layout]:
        """Read an X of an estimator that is fitted."""
        check_is_fitted(self, "model_")
        samples, layout, _ = read_samples(self, X)
        return samples, layout


class AutoencoderEstimator(Estimator):
    """An estimator on an autoencoder."""

    layout_: Layout

    def _fit_autoencoder(self, X: Any, **changes: Any) -> Samples:
        samples, layout, _ = read_samples(self, X, reset=True)
        model, code_size = self.model, self.code_size
        config = self._training_config(**changes)
        if samples.is_signal and samples.shape[1] == 1:  # vectors have no order that matters
            model = model or "dense"
            if code_size is None:
                code_size = _default_code_size(len(samples.values[0]), model, self.options)
            if config.epochs is None:
                config = replace(config, epochs=default_epochs(len(samples), MAX_VECTOR_EPOCHS))
        self._train(
            samples,
            config,
            model=model,
            task="reconstruct",
            code_size=code_size,
            options=self.options,
        )
        self.layout_ = layout
        return samples


def squared_errors(
    model: "TrainedModel", samples: Samples, corruption: "Corruption | None" = None
) -> NDArray[np.float64]:
    """Return the mean squared error of the reconstruction of each sample.

    Parameters
    ----------
    model : TrainedModel
        An autoencoder.
    samples : Samples
    corruption : Corruption, optional
        Noise on the inputs, always the same.

    Returns
    -------
    (N,) float64
        Means over the values of a sample, in their unit squared.
    """
    errors = [
        (model.activate(output) - x).square().flatten(1).mean(1).cpu().double().numpy()
        for x, output in outputs(model, samples, corruption=corruption)
    ]
    return np.concatenate(errors) * (model.preprocessing.high - model.preprocessing.low) ** 2


def outputs(
    model: "TrainedModel",
    samples: Samples,
    *,
    encode: bool = False,
    corruption: "Corruption | None" = None,
) -> "Iterator[tuple[Tensor, Tensor]]":
    """Yield batches x with the codes, or the output before its activation, for them.

    Vectors are computed in float64. In float32, an answer depends a little on the other samples of
    its batch, as matrices of another height are added up in another order: a sample at the
    threshold of an outlier could change sides. Images are computed in float32, as float64 takes
    several times as long.
    """
    import torch

    from isthmus.data.corruption import with_fixed_noise
    from isthmus.models.layers import require_encoder

    is_precise = samples.is_signal and next(model.module.parameters()).device.type != "mps"
    kind = torch.float64 if is_precise else torch.float32
    module = copy.deepcopy(model.module).to(kind) if is_precise else model.module
    compute = require_encoder(module).encode if encode else module
    rows = np.arange(len(samples))
    for x, noisy in with_fixed_noise(model.inputs(samples), corruption, NOISE_SEED, rows):
        with torch.inference_mode():
            yield x.to(kind), compute(noisy.to(kind))


def _default_code_size(features: int, model: str, options: dict[str, Any] | None) -> int:
    """Return the code size of a model for vectors: its own, but at most half of the features."""
    from isthmus.models.registry import default_code_size, model_row

    row = model_row(model)
    return min(default_code_size(row, (1, features), options or {}), max(1, features // 2))


def find_seed(random_state: Any) -> int:
    """Return a whole number as it is, so that it means what it does in `TrainingConfig`."""
    if isinstance(random_state, numbers.Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
