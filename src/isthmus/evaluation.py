"""What a trained model is worth, in figures, beside baselines that anybody can have."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus import metrics
from isthmus.data.preprocessing import Preprocessing
from isthmus.data.samples import Samples
from isthmus.models.blocks import parameters
from isthmus.trained import Trained
from isthmus.training.run import Run

EXACT_PCA = 4096  # numbers a sample up to which PCA is computed exactly
PCA_NUMBERS = 2**26  # numbers that PCA is fitted on at most (256 MiB), else samples are drawn
BLOCK = 1024


def evaluate(
    run: Run, samples: Samples | None = None, *, own: Samples | None = None
) -> dict[str, Any]:
    """Measure a run's model on data that it was not trained on.

    Parameters
    ----------
    run : Run
    samples : Samples, optional
        What to measure on: their own test part if they have one, otherwise all. By default the
        test part of the run's data.
    own : Samples, optional
        The run's data, if it is at hand; otherwise it is loaded again.

    Returns
    -------
    dict
        "test" has `n` and the means over test samples and pixels, in the [0, 1] range of pixels,
        of `bce` (nats), `mse`, `psnr` (dB) and `ssim` (None where there is none); "baselines" the
        `mse` of PCA with as many components as the code has numbers, and of the mean sample, both
        fitted on the training part; "training" and "model" what it took.

    Raises
    ------
    IsthmusError
        If the run's data is gone or has changed, or the samples do not fit the model.
    """
    own = own or run.samples()
    run.check(own)
    split, trained = run.split(), run.trained()
    test = _test_part(own, samples, split.test)
    train = own.values[_thinned(split.train, math.prod(own.shape))]
    history = run.history()
    last = history[-1] if history else {"seconds": 0.0, "epoch": 0, "images_per_second": 0.0}
    trainable, frozen = parameters(trained.module)
    return {
        "test": {"n": len(test), **_figures(trained, test)},
        "baselines": _baselines(train, test, trained.preprocessing, trained.spec.code_size),
        "training": {
            "seconds": last["seconds"],
            "epochs": last["epoch"],
            "images_per_second": _rate(run, last),
        },
        "model": {
            "name": trained.spec.model,
            "code_size": trained.spec.code_size,
            "parameters": trainable + frozen,
        },
    }


def _test_part(own: Samples, samples: Samples | None, test: NDArray[np.int64]) -> NDArray[Any]:
    """Return the values to measure on; never any that were trained on, as far as can be told."""
    if samples is None or samples.fingerprint == own.fingerprint:
        return np.asarray(own.values[test])
    if samples.splits is not None and (samples.splits == 2).any():
        return np.asarray(samples.values[samples.splits == 2])
    return samples.values


def _figures(trained: Trained, test: NDArray[Any]) -> dict[str, float | None]:
    """Return the means of all metrics over the test samples."""
    from_logits = trained.spec.activation == "sigmoid"
    with_ssim = metrics.has_ssim(trained.spec.shape)
    per_sample: dict[str, list[Tensor]] = {"bce": [], "mse": [], "psnr": [], "ssim": []}
    for x, output in trained.outputs(test):
        y = trained.activated(output)
        bce = metrics.bce_of_logits(output, x) if from_logits else metrics.bce(y, x)
        per_sample["bce"].append(bce)
        per_sample["mse"].append(metrics.mse(y, x))
        per_sample["psnr"].append(metrics.psnr(y, x))
        if with_ssim:
            per_sample["ssim"].append(metrics.ssim(y, x))
    return {
        name: float(torch.cat(values).double().mean()) if values else None
        for name, values in per_sample.items()
    }


def _baselines(
    train: NDArray[Any], test: NDArray[Any], preprocessing: Preprocessing, code_size: int
) -> dict[str, Any]:
    """Return the test errors of the mean sample and of PCA."""
    from sklearn.decomposition import PCA

    fitted = np.concatenate(list(_flat(train, preprocessing)))
    size = fitted.shape[1]
    mean = fitted.mean(0, dtype=np.float64).astype(np.float32)
    pca = PCA(
        min(code_size, *fitted.shape),
        svd_solver="covariance_eigh" if size <= EXACT_PCA else "randomized",
        random_state=0,
    ).fit(fitted)
    errors = {"pca": 0.0, "mean": 0.0}
    for x in _flat(test, preprocessing):
        y = pca.inverse_transform(pca.transform(x))
        errors["pca"] += float(np.square(y - x, dtype=np.float64).sum())
        errors["mean"] += float(np.square(mean - x, dtype=np.float64).sum())
    count = len(test) * size
    return {
        "pca": {"mse": errors["pca"] / count, "components": int(pca.n_components_)},
        "mean": {"mse": errors["mean"] / count},
    }


def _flat(values: NDArray[Any], preprocessing: Preprocessing) -> Iterable[NDArray[np.float32]]:
    """Yield blocks of samples as the model would be given them, flattened to (n, numbers)."""
    for start in range(0, len(values), BLOCK):
        block = torch.from_numpy(np.ascontiguousarray(values[start : start + BLOCK]))
        yield preprocessing.to_input(block).flatten(1).numpy()


def _thinned(indices: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return as many indices as PCA can hold, drawn at random but always the same."""
    count = min(len(indices), PCA_NUMBERS // size)
    return np.sort(np.random.default_rng(0).choice(indices, count, replace=False))


def _rate(run: Run, last: dict[str, Any]) -> float:
    """Return the samples trained on a second, over the whole run."""
    batch = run.record.settings.batch_size or 0
    return float(last.get("step", 0) * batch / last["seconds"]) if last["seconds"] else 0.0
