"""`EvaluationSetup`: a model and the data that it is measured on."""

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from isthmus.data.corruption import Corruption, with_fixed_noise
from isthmus.data.images import Images
from isthmus.data.samples import SPLITS, Samples
from isthmus.errors import OptionError, RunError
from isthmus.files import fingerprint
from isthmus.inference.trained import TrainedModel
from isthmus.training.batches import noise_fingerprint
from isthmus.training.run import Run

FORMAT = 1  # of kept results; raise it when the same model and data give other numbers
MAX_PCA_NUMBERS = 2**26  # of training samples (256 MiB); of more, samples are drawn
TEST = SPLITS.index("test")
MAX_PROBED = 10_000  # test samples whose classes are predicted from codes


Encode = Callable[[NDArray[np.int64]], NDArray[np.float32]]
Source = TypeVar("Source", Samples, Images)


@dataclass(frozen=True, eq=False)
class EvaluationSetup:
    """A model, the data that it was trained on, and test samples that it has not seen.

    Parameters
    ----------
    run : Run
    model : TrainedModel
    data : Samples
        The data of the run.
    train : (n,) int64
        Which of them the model was trained on, and baselines are fitted on.
    test : Samples
        The samples to measure on.
    indices : (m,) int64
        The index of each test sample, from which its noise follows.
    is_own_test : bool
        Whether `test` is the test split of the run's data.
    encode : callable, optional
        Returns the codes (n, D) of the run's data at indices (n,), where somebody holds them.
    """

    run: Run
    model: TrainedModel
    data: Samples
    train: NDArray[np.int64]
    test: Samples
    indices: NDArray[np.int64]
    is_own_test: bool
    encode: Encode | None = None

    @property
    def corruption(self) -> Corruption | None:
        """The noise on the inputs, if the model was trained on noise."""
        return self.run.record.training_config.corruption

    @property
    def has_labels(self) -> bool:
        """Whether the test samples have labels of the classes of the training data."""
        return self.test.labels is not None and self.test.class_names == self.data.class_names

    @property
    def components(self) -> int:
        """The components of PCA: the code size, or fewer if the data has no more."""
        numbers = math.prod(self.data.shape)
        samples = min(len(self.train), MAX_PCA_NUMBERS // numbers)
        return min(self.model.config.code_size, samples, numbers)

    @cached_property
    def fitted(self) -> Samples:
        """Training samples that PCA, the mean and classifiers of codes are fitted on."""
        return self.data.take(self.fitted_indices)

    @cached_property
    def fitted_indices(self) -> NDArray[np.int64]:
        """The indices of the fitted samples in the run's data."""
        return draw(self.train, MAX_PCA_NUMBERS // math.prod(self.data.shape))

    @cached_property
    def pixels(self) -> NDArray[np.float32]:
        """The fitted samples (n, numbers), as the model sees them."""
        return flatten(self.model, self.fitted)

    @cached_property
    def probed(self) -> Samples:
        """Test samples whose classes are predicted from codes."""
        return self.test.take(self._probed_rows)

    @property
    def probed_indices(self) -> NDArray[np.int64]:
        """The indices of the probed samples, of the run's own test split, in its data."""
        return self.indices[self._probed_rows]

    @cached_property
    def _probed_rows(self) -> NDArray[np.int64]:
        return draw(np.arange(len(self.test)), MAX_PROBED)

    def fitted_codes(self) -> NDArray[np.float32]:
        """Return the codes (n, D) of the fitted samples."""
        return self.encode(self.fitted_indices) if self.encode else self.model.encode(self.fitted)

    def probed_codes(self) -> NDArray[np.float32]:
        """Return the codes (m, D) of the probed samples."""
        if self.encode and self.is_own_test:
            return self.encode(self.probed_indices)
        return self.model.encode(self.probed)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the inputs, with their frozen noise if there is any, and the clean samples.

        Raises
        ------
        RunError
            After the last batch, if the noise is not the noise that the run recorded.
        """
        clean, seed = self.model.inputs(self.test), self.run.record.training_config.seed
        pairs = with_fixed_noise(clean, self.corruption, seed, self.indices)
        if self.corruption is None:
            yield from pairs
            return
        if not self.is_own_test:
            self._check_recorded_noise()
        digest = hashlib.sha256()
        for x, noisy in pairs:
            # The fingerprint of the noise is computed on the way: drawing it again is slow.
            digest.update(noisy.movedim(1, -1).contiguous().numpy().data)
            yield noisy, x
        if self.is_own_test:
            self._check_noise(digest.hexdigest()[:16])

    def key(self, **more: Any) -> dict[str, Any]:
        """Return everything that the results of baselines depend on, and more, as JSON."""
        preprocessing, config = self.model.preprocessing, self.run.record.training_config
        return {
            "format": FORMAT,
            "data": self.data.fingerprint,
            "train": fingerprint(np.ascontiguousarray(self.train).data),
            "test": fingerprint(np.ascontiguousarray(self.indices).data),
            "range": [preprocessing.low, preprocessing.high],
            "noise": None if self.corruption is None else [config.corrupt, config.seed],
            "recorded_noise": self.run.record.data.get("noise", {}).get("test"),
            **more,
        }

    def _check_recorded_noise(self) -> None:
        """Draw the noise of the run's own test split, where the test samples are others.

        Nothing is recorded about the noise on another source.
        """
        record = self.run.record
        self._check_noise(
            noise_fingerprint(
                self.data, self.run.split().test, record.preprocessing, record.training_config
            )
        )

    def _check_noise(self, drawn: str) -> None:
        if drawn != self.run.record.data["noise"]["test"]:
            raise RunError(
                f"the noise on the test split of {self.run.name} is not the noise that the run "
                "recorded; use the versions that run.json names."
            )


def plan_evaluation(
    run: Run,
    data: Samples,
    samples: Samples | None,
    model: TrainedModel | None = None,
    encode: Encode | None = None,
) -> EvaluationSetup:
    """Choose the samples to measure a run on: never those that it was trained on.

    Parameters
    ----------
    run : Run
    data : Samples
        The data of the run.
    samples : Samples, optional
        Another source: its test split if it has one, otherwise all of it.
    model : TrainedModel, optional
        The model of the run; by default it is loaded.
    encode : callable, optional
        See `EvaluationSetup`.

    Raises
    ------
    OptionError
        If the samples are from the run's data and may have been trained on.
    """
    split, model = run.split(), model or run.model()
    others = None if samples is None else held_out(samples, data)
    if others is None:
        return EvaluationSetup(
            run, model, data, split.train, data.take(split.test), split.test, True, encode
        )
    return EvaluationSetup(
        run, model, data, split.train, others, np.arange(len(others)), False, encode
    )


def held_out(samples: Source, data: Source) -> Source | None:
    """Return those of a source that a run on `data` may be measured on.

    Its test split if it has one, otherwise all of it; None if it is the data itself, which has a
    test split of its own.

    Raises
    ------
    OptionError
        If the samples are from the run's data and may have been trained on.
    """
    if samples.fingerprint == data.fingerprint:
        return None
    if samples.splits is not None and (samples.splits == TEST).any():
        return samples.take(np.flatnonzero(samples.splits == TEST))
    if samples.origin.source and samples.origin.source == data.origin.source:
        raise OptionError(
            f"the run was trained on {data.origin.source}; leave the source out to measure on its "
            "test split."
        )
    return samples


def draw(indices: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Return at most `limit` of the indices: drawn at random, but always the same ones."""
    count = min(len(indices), limit)
    return np.sort(np.random.default_rng(0).choice(indices, count, replace=False))


def flatten(model: TrainedModel, samples: Samples) -> NDArray[np.float32]:
    """Return samples as the model sees them, flattened to (N, numbers)."""
    return np.concatenate([x.flatten(1).cpu().numpy() for x in model.inputs(samples)])
