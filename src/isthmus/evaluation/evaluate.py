"""What a trained model is worth, in figures, beside baselines that anybody can have."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus import metrics
from isthmus.data.corruption import Corruption
from isthmus.data.samples import Samples
from isthmus.errors import OptionError, RunError
from isthmus.evaluation.filters import FILTERS, filter_names
from isthmus.evaluation.predictions import (
    majority_accuracy,
    score_predictions,
    targets_in_model_classes,
)
from isthmus.evaluation.probes import probe
from isthmus.inference import TrainedModel
from isthmus.models.layers import parameters
from isthmus.training.batches import noise_fingerprint
from isthmus.training.run import Run
from isthmus.training.targets import class_counts

EXACT_PCA = 4096  # numbers a sample up to which all components of PCA are computed exactly
FEW, MANY = 64, 1024  # components of samples of many numbers that Lanczos' method finds sooner
PCA_NUMBERS = 2**26  # numbers that PCA is fitted on at most (256 MiB), else samples are drawn
PIXEL_NUMBERS = 2**24  # numbers that classifiers of raw pixels are fitted on at most
PROBED = 10_000  # test samples whose classes are asked for, at most

Answers = Iterator[tuple[Tensor, Tensor, Tensor | None]]  # output y, clean x, logits if there are


def evaluate(
    run: Run,
    samples: Samples | None = None,
    *,
    own: Samples | None = None,
    plain: Run | None = None,
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
    plain : Run, optional
        For a denoiser: a run on the same data without noise, to compare with.

    Returns
    -------
    dict
        "test" has `n` and the means over test samples and pixels, in the [0, 1] range of pixels,
        of `bce` (nats), `mse`, `psnr` (dB) and `ssim` (None where there is none); "baselines" the
        same of PCA with as many components as the code has numbers and of the mean sample, both
        fitted on the training part; "training" and "model" what it took.

        Of a denoiser, all are measured from noisy inputs against clean targets. "noisy" has the
        same figures of the noisy inputs themselves, "noise" its kind and fingerprint, and the
        "baselines" are also filters (`FILTERS`) and the `plain` run.

        Of a classifier or segmenter, "test" is what `predictions.judged` returns, and "baselines"
        are the most frequent training class (`majority_accuracy`) and, for samples with labels, simple
        classifiers of raw pixels (`pixels`, see `probe`).

        Where an autoencoder's samples have labels, "codes" says how well simple classifiers read
        them from the codes of clean samples (see `probe`), and "pca" and "pixels" from PCA with
        as many components and from the raw pixels, all fitted on the training part.

    Raises
    ------
    IsthmusError
        If the run's data is gone or has changed, or the samples do not fit the model, or are a
        part of the run's data that it may have been trained on.
    """
    own = own or run.samples()
    run.check(own)
    split, model, config = run.split(), run.model(), run.record.training_config
    test, indices = _test_part(own, samples, split.test)
    if model.config.task != "reconstruct":
        return _labelled(run, model, own, test)
    inputs = _Inputs(model, test.values, config.corruption, config.seed, indices)
    fitted = own.take(_thinned(split.train, PCA_NUMBERS // math.prod(own.shape)))
    pixels = _flat(model, fitted.values)
    pca = _pca(pixels, model.config.code_size)
    result: dict[str, Any] = {
        "test": {"n": len(test), **_means(_answers(model, inputs))},
        "baselines": {
            "pca": {**_means(_pca_answers(pca, inputs)), "components": int(pca.n_components_)},
            "mean": _means(_mean_answers(pixels, inputs)),
        },
        **_cost(run, model),
    }
    if config.corruption is not None:
        _check_noise(run, own)
        result["noisy"] = _means((noisy, x, None) for noisy, x in inputs)
        result["noise"] = {"corrupt": config.corrupt, **run.record.data["noise"]}
        for name in filter_names(model.config.shape):
            result["baselines"][name] = _means(_filter_answers(FILTERS[name].apply, inputs))
        if plain is not None:
            _check_plain(run, plain)
            result["baselines"]["plain"] = _means(_answers(plain.model(), inputs))
    if test.labels is not None and test.class_names == own.class_names:
        result |= _probes(model, fitted, pixels, test, pca)
    return result


def _labelled(run: Run, model: TrainedModel, own: Samples, test: Samples) -> dict[str, Any]:
    """Measure a classifier or segmenter."""
    truth, learnt = targets_in_model_classes(model, test), targets_in_model_classes(model, own)
    train = run.split().train
    baselines: dict[str, Any] = {
        "majority": majority_accuracy(truth, class_counts(own, learnt, train))
    }
    if model.config.task == "classify":
        fitted = own.take(_thinned(train, PIXEL_NUMBERS // math.prod(own.shape)))
        tried = test.take(_thinned(np.arange(len(test)), PROBED))
        pixels = (_flat(model, part.values) for part in (fitted, tried))
        labels = (targets_in_model_classes(model, part) for part in (fitted, tried))
        baselines["pixels"] = probe(next(pixels), next(labels), next(pixels), next(labels))
    return {"test": score_predictions(model, test), "baselines": baselines, **_cost(run, model)}


@dataclass(frozen=True, eq=False)
class _Inputs:
    """Test samples as the model is given them: batches (noisy or clean x, clean x)."""

    model: TrainedModel
    values: NDArray[Any]
    corruption: Corruption | None
    seed: int
    indices: NDArray[np.int64]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        start = 0
        for x in self.model.inputs(self.values):
            part = self.indices[start : start + len(x)]
            start += len(x)
            yield self.corruption.apply_fixed(x, self.seed, part) if self.corruption else x, x


def _test_part(
    own: Samples, samples: Samples | None, test: NDArray[np.int64]
) -> tuple[Samples, NDArray[np.int64]]:
    """Return what to measure on, and the indices that freeze its noise.

    Never anything that was trained on, as far as can be told.
    """
    if samples is None or samples.fingerprint == own.fingerprint:
        return own.take(test), test
    if samples.splits is not None and (samples.splits == 2).any():
        samples = samples.take(np.flatnonzero(samples.splits == 2))
    elif samples.origin.source and samples.origin.source == own.origin.source:
        raise OptionError(
            f"{own.origin.source} is what the run was trained on; leave the source out to measure "
            "on its test part."
        )
    return samples, np.arange(len(samples))


# -- answers to the inputs ------------------------------------------------------------------


def _answers(model: TrainedModel, inputs: _Inputs) -> Answers:
    for noisy, x in inputs:
        with torch.inference_mode():
            output = model.module(noisy)
        y = model.activate(output)
        yield y, x, output if model.config.activation == "sigmoid" else None


def _pca_answers(pca: Any, inputs: _Inputs) -> Answers:
    for noisy, x in inputs:
        y = pca.inverse_transform(pca.transform(noisy.flatten(1).numpy()))
        yield torch.from_numpy(y).view(x.shape), x, None


def _mean_answers(pixels: NDArray[np.float32], inputs: _Inputs) -> Answers:
    mean = torch.from_numpy(pixels.mean(0, dtype=np.float64).astype(np.float32))
    for _, x in inputs:
        yield mean.expand(len(x), -1).reshape(x.shape), x, None


def _filter_answers(
    apply: Callable[[NDArray[np.float32]], NDArray[np.float32]], inputs: _Inputs
) -> Answers:
    for noisy, x in inputs:
        yield torch.from_numpy(apply(noisy.contiguous().numpy())), x, None


def _means(answers: Iterable[tuple[Tensor, Tensor, Tensor | None]]) -> dict[str, float | None]:
    """Return the means of all metrics over the samples that were answered."""
    per_sample: dict[str, list[Tensor]] = {"bce": [], "mse": [], "psnr": [], "ssim": []}
    for y, x, logits in answers:
        bce = metrics.bce(y, x) if logits is None else metrics.bce_of_logits(logits, x)
        per_sample["bce"].append(bce)
        per_sample["mse"].append(metrics.mse(y, x))
        per_sample["psnr"].append(metrics.psnr(y, x))
        if metrics.has_ssim(tuple(x.shape[1:])):
            per_sample["ssim"].append(metrics.ssim(y, x))
    return {
        name: float(torch.cat(values).double().mean()) if values else None
        for name, values in per_sample.items()
    }


# -- baselines and probes -------------------------------------------------------------------


def _flat(model: TrainedModel, values: NDArray[Any]) -> NDArray[np.float32]:
    """Return samples as the model is given them, flattened to (N, numbers)."""
    return np.concatenate([x.flatten(1).cpu().numpy() for x in model.inputs(values)])


def _pca(pixels: NDArray[np.float32], components: int) -> Any:
    from sklearn.decomposition import PCA

    components, size = min(components, *pixels.shape), pixels.shape[1]
    solver = "covariance_eigh" if size <= EXACT_PCA else "randomized"
    if components <= FEW and size > MANY and components < len(pixels):
        solver = "arpack"
    if len(pixels) <= size <= EXACT_PCA:
        solver = "full"  # of the samples' own matrix, which is smaller
    return PCA(components, svd_solver=solver, random_state=0).fit(pixels)


def _probes(
    model: TrainedModel, fitted: Samples, pixels: NDArray[np.float32], test: Samples, pca: Any
) -> dict[str, Any]:
    """Measure how well classes are read from codes, from PCA and from pixels."""
    test = test.take(_thinned(np.arange(len(test)), PROBED))
    test_pixels = _flat(model, test.values)
    described = {
        "codes": (model.encode(fitted), model.encode(test)),
        "pca": (pca.transform(pixels), pca.transform(test_pixels)),
        "pixels": (pixels, test_pixels),
    }
    assert fitted.labels is not None
    assert test.labels is not None
    return {
        name: probe(train, fitted.labels, tried, test.labels)
        for name, (train, tried) in described.items()
    }


def _thinned(indices: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most so many of the indices, drawn at random but always the same."""
    count = min(len(indices), most)
    return np.sort(np.random.default_rng(0).choice(indices, count, replace=False))


# -- the run --------------------------------------------------------------------------------


def _check_noise(run: Run, own: Samples) -> None:
    """Refuse to measure on other noise than the run was made with."""
    record = run.record
    found = noise_fingerprint(own, run.split().test, record.preprocessing, record.training_config)
    if found != record.data["noise"]["test"]:
        raise RunError(
            f"the noise on the test part of {run.path} does not come out as it did when the run "
            "was made; use the versions that run.json names."
        )


def _check_plain(run: Run, plain: Run) -> None:
    """Refuse a run to compare with that may have been trained on this one's test part."""
    same = plain.record.data["fingerprint"] == run.record.data["fingerprint"]
    if not same or not np.array_equal(plain.split().test, run.split().test):
        raise RunError(
            f"{plain.path} was trained on other data than {run.path}, or divided it otherwise; "
            "train it with the same source and seed."
        )


def _cost(run: Run, model: TrainedModel) -> dict[str, Any]:
    """Return what training took and how large the model is."""
    history = run.history()
    last = history[-1] if history else {"seconds": 0.0, "epoch": 0, "step": 0}
    seen = last["step"] * (run.record.training_config.batch_size or 0)
    trainable, frozen = parameters(model.module)
    return {
        "training": {
            "seconds": last["seconds"],
            "epochs": last["epoch"],
            "images_per_second": seen / last["seconds"] if last["seconds"] else 0.0,
        },
        "model": {
            "name": model.config.model,
            "code_size": model.config.code_size,
            "parameters": trainable + frozen,
        },
    }
