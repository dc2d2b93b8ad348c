"""Baselines: results that anybody can have without training a network.

Their numbers do not depend on the model, so all runs on the same data, split and noise share them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.data.samples import VOID
from isthmus.evaluation.filters import FILTERS, Array, filter_names
from isthmus.evaluation.pca import fit_pca
from isthmus.evaluation.predictions import targets_in_model_classes
from isthmus.evaluation.probes import probe
from isthmus.evaluation.reconstructions import Method
from isthmus.evaluation.setup import EvaluationSetup, draw, flatten
from isthmus.training.targets import class_counts

MAX_CLASSIFIER_NUMBERS = 2**24  # of training samples that classifiers of raw pixels are fitted on
MAX_CLASSIFIED = 10_000  # test samples whose classes classifiers of raw pixels predict


@dataclass(frozen=True, eq=False)
class BaselineGroup:
    """Baselines of an autoencoder that are computed and kept together.

    Parameters
    ----------
    name : str
        Of the representation that `represent` returns.
    key : dict
        Everything that the results depend on, as JSON.
    methods : dict of str to callable
        The methods, by the names of their results; nothing is fitted before the first call.
    represent : callable
        From flattened samples (n, numbers) to (n, D), from which classes are predicted.
    """

    name: str
    key: dict[str, Any]
    methods: dict[str, Method]
    represent: Callable[[Array], Array]


def baseline_groups(setup: EvaluationSetup) -> list[BaselineGroup]:
    """Return the baselines of an autoencoder.

    PCA depends on the code size, the other ones do not: runs with other codes share these.
    """
    simple: dict[str, Method] = {"mean": _mean_method(setup)}
    if setup.corruption is not None:
        simple["noisy"] = lambda inputs: (inputs, None)
        names = filter_names(setup.model.config.shape)
        simple |= {name: _filter_method(FILTERS[name].apply) for name in names}
    pca = cache(lambda: fit_pca(setup.pixels, setup.components))
    return [
        BaselineGroup(
            "pca",
            setup.key(baseline="pca", components=setup.components),
            {"pca": _pca_method(pca)},
            lambda pixels: pca().transform(pixels),
        ),
        BaselineGroup("pixels", setup.key(baseline="simple"), simple, lambda pixels: pixels),
    ]


def class_baselines(setup: EvaluationSetup) -> dict[str, Any]:
    """Return the baselines of a classifier or segmenter.

    Returns
    -------
    dict
        `majority`, the accuracy of the most frequent training class, and for labels `pixels`, the
        accuracies of classifiers that are fitted on the raw values (see `probe`).
    """
    model, data = setup.model, setup.data
    targets, learned = (targets_in_model_classes(model, one) for one in (setup.test, data))
    counts = class_counts(data, learned, setup.train)
    baselines: dict[str, Any] = {"majority": majority_accuracy(targets, counts)}
    if model.config.task == "classify":
        limit = MAX_CLASSIFIER_NUMBERS // data.values[0].size
        fitted = draw(setup.train, limit)
        tried = draw(np.arange(len(setup.test)), MAX_CLASSIFIED)
        baselines["pixels"] = probe(
            flatten(model, data.take(fitted)),
            learned[fitted],
            flatten(model, setup.test.take(tried)),
            targets[tried],
        )
    return baselines


def majority_accuracy(targets: NDArray[Any], counts: NDArray[np.int64]) -> float:
    """Return the accuracy of always predicting the class that is most frequent in training.

    Parameters
    ----------
    targets : (N,) or (N, H, W)
        Of the test split; void does not count.
    counts : (K,) int64
        Samples or pixels of each class in training.
    """
    # Masks are uint8, and 255 is void; labels are int64, and 255 is a class like others.
    valid = targets[targets != VOID] if targets.dtype == np.uint8 else targets
    return float((valid == counts.argmax()).mean())


def _pca_method(pca: Callable[[], Any]) -> Method:
    def reconstruct(inputs: Tensor) -> tuple[Tensor, None]:
        y = pca().inverse_transform(pca().transform(inputs.flatten(1).numpy()))
        return torch.from_numpy(y).view(inputs.shape), None

    return reconstruct


def _mean_method(setup: EvaluationSetup) -> Method:
    @cache
    def mean() -> Tensor:
        return torch.from_numpy(setup.pixels.mean(0, dtype=np.float64).astype(np.float32))

    return lambda inputs: (mean().expand(len(inputs), -1).reshape(inputs.shape), None)


def _filter_method(apply: Callable[[Array], Array]) -> Method:
    return lambda inputs: (torch.from_numpy(apply(inputs.contiguous().numpy())), None)
