"""Measures a run for its checks: its codes, its errors and its answers on validation samples.

All of it takes a fraction of a second, as it stands at the end of every training: of large sets,
samples are drawn, and PCA is approximate.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.data.corruption import with_fixed_noise
from isthmus.data.samples import VOID, Samples
from isthmus.evaluation.diagnosis.facts import AnswerFacts, CodeFacts, ErrorFacts
from isthmus.evaluation.likelihood import count_active
from isthmus.evaluation.predictions import targets_in_model_classes
from isthmus.evaluation.setup import draw, flatten
from isthmus.inference.trained import TrainedModel
from isthmus.metrics import mse
from isthmus.models.variational import VariationalAutoencoder
from isthmus.training.run import Run
from isthmus.training.weights import initialize

MAX_SAMPLES = 2_000
MIN_SAMPLES = 20  # of the validation split; fewer are too few to compare with anything
MAX_NUMBERS = 2**23  # of the samples that are looked at, 32 MB
MAX_MACS = 2**35  # multiplications of the model for all of them, about a second of a core
MAX_COMPONENTS = 32
NUMBERS_PER_COMPONENT = 8
SPARE_AXES, PASSES = 8, 3  # of the approximate PCA
CONSTANT = 1e-4  # standard deviation of a dead unit, as a share of the liveliest one's

Array = NDArray[np.float32]


def count_samples(model: TrainedModel) -> int:
    """Return how many samples to look at."""
    numbers = math.prod(model.config.shape)
    macs = sum(layer.macs for layer in model.layers)
    most = min(MAX_SAMPLES, MAX_NUMBERS // numbers, MAX_MACS // max(macs, 1))
    return max(most, MIN_SAMPLES)


def count_components(code_size: int, numbers: int, samples: int) -> int:
    """Return with how many components of PCA a model is compared.

    As many as the code has numbers, at most 32 and an eighth of the numbers of a sample. PCA gains
    with every component, and with very many it nearly copies a sample; a network that is trained
    well may then be worse, and still be of use. So it was on `digits`, whose samples have 64
    numbers: the default, a code of 32, is 2.7 times as far from them as 32 components, and 3.4
    times as near as 8.
    """
    most = min(MAX_COMPONENTS, max(1, numbers // NUMBERS_PER_COMPONENT), max(1, samples // 2))
    return min(code_size, most)


def measure_reconstructions(
    run: Run, samples: Samples, model: TrainedModel
) -> tuple[CodeFacts, ErrorFacts]:
    """Measure codes and errors of an autoencoder on samples of the validation split."""
    split, count = run.split(), count_samples(model)
    chosen, config = draw(split.validation, count), run.record.training_config
    pca = _Pca.fit(flatten(model, samples.take(draw(split.train, count))), model.code_size)
    clean = model.inputs(samples.take(chosen))
    codes, outputs, errors = [], [], []
    for x, noisy in with_fixed_noise(clean, config.corruption, config.seed, chosen):
        z, output = model.passes(noisy)
        y, x, noisy = (part.flatten(1).cpu() for part in (model.activate(output), x, noisy))
        others = (pca.mean.expand(len(x), -1), pca.project(noisy), noisy)
        errors.append(torch.stack([mse(one, x) for one in (y, *others)]))
        codes.append(z.flatten(1).cpu().numpy())
        outputs.append(y.numpy())
    found, of_mean, of_pca, of_noisy = torch.cat(errors, 1).double().mean(1).tolist()
    variance = float(np.concatenate(outputs).var(0, dtype=np.float64).mean())
    means = np.concatenate(codes)
    variation = variance / of_mean if of_mean else 1.0
    noise = None if config.corruption is None else of_noisy
    return (
        replace(measure_codes(means, _channels(model)), active=_count_active(model, means)),
        ErrorFacts(len(chosen), found, of_mean, of_pca, pca.components, noise, variation),
    )


def measure_codes(z: Array, channels: int | None = None) -> CodeFacts:
    """Measure how codes (N, D) differ.

    Parameters
    ----------
    z : (N, D) float32
    channels : int, optional
        Of a code that a convolution computes: at the border of pictures, where there is nothing
        to see, a number may be the same for all, and only a channel is dead.
    """
    deviation = z.std(0, dtype=np.float64)
    units = deviation if channels is None else deviation.reshape(channels, -1).max(1)
    dead = np.flatnonzero(units <= CONSTANT * units.max())
    size = float(np.linalg.norm(z.mean(0, dtype=np.float64)))
    total = float(np.sqrt(np.square(deviation).sum()))
    return CodeFacts(
        count=len(z),
        units=len(units),
        dead=tuple(dead.tolist()),
        is_spatial=channels is not None,
        spread=total / size if size else math.inf if total else 0.0,
        rank=_rank(z[:, deviation > CONSTANT * deviation.max()]),
    )


def measure_answers(run: Run, samples: Samples, model: TrainedModel) -> AnswerFacts | None:
    """Measure the answers of a classifier or segmenter on samples of the validation split.

    None where all their pixels are void.
    """
    chosen = draw(run.split().validation, count_samples(model))
    samples = samples.take(chosen)
    targets, predicted = targets_in_model_classes(model, samples), model.predict(samples)
    # Masks are uint8, and 255 is void; labels are int64, and 255 is a class like others.
    valid = targets != VOID if targets.dtype == np.uint8 else np.ones(len(targets), np.bool_)
    if not valid.any():
        return None
    targets, predicted = targets[valid], predicted[valid]
    names = model.class_names
    true, answered = (np.bincount(one, minlength=len(names)) for one in (targets, predicted))
    return AnswerFacts(
        count=len(chosen),
        accuracy=float((targets == predicted).mean()),
        majority=float(true.max() / true.sum()),
        majority_class=names[int(true.argmax())],
        share=float(answered.max() / answered.sum()),
        answer=names[int(answered.argmax())],
    )


def measure_change(run: Run, model: TrainedModel) -> float | None:
    """Return the largest change of a matrix of weights since the start, as a share of its size.

    None for a run that started from other weights than the seed's: these are not kept.
    """
    record = run.record
    if record.training_config.encoder_from or "start" in record.data:
        return None
    first = initialize(record.model_config, record.training_config.seed).state_dict()
    # Vectors are left out: they start at 0 or 1, and are nothing to compare with.
    pairs = [
        (first[name], weight.detach().cpu())
        for name, weight in model.module.named_parameters()
        if weight.ndim > 1
    ]
    changes = [float((now - was).norm() / was.norm()) for was, now in pairs if was.norm() > 0]
    return max(changes, default=None)


@dataclass(frozen=True)
class _Pca:
    """PCA of training samples, as the model sees them: their mean, and axes (numbers, n)."""

    mean: Tensor
    axes: Tensor

    @classmethod
    def fit(cls, pixels: Array, code_size: int) -> "_Pca":
        components = count_components(code_size, pixels.shape[1], len(pixels))
        axes = torch.from_numpy(principal_axes(pixels, components))
        return cls(torch.from_numpy(pixels.mean(0)), axes)

    @property
    def components(self) -> int:
        return self.axes.shape[1]

    def project(self, x: Tensor) -> Tensor:
        """Return the reconstructions of samples x (n, numbers)."""
        return (x - self.mean) @ self.axes @ self.axes.T + self.mean


def principal_axes(pixels: Array, count: int) -> Array:
    """Return the first principal axes (numbers, count) of samples (N, numbers), about.

    By subspace iteration (Halko et al., SIAM Review 53, 2011, algorithm 4.4). The errors are
    within 1% of the exact ones of `fit_pca`, which takes 3.5 s for 2,000 faces of 64 × 64 and
    loads scikit-learn; this takes 0.1 s.
    """
    centered = pixels - pixels.mean(0)
    width = min(count + SPARE_AXES, *centered.shape)
    start = np.random.default_rng(0).standard_normal((centered.shape[1], width), np.float32)
    axes = np.linalg.qr(start)[0]
    for _ in range(PASSES):
        axes = np.linalg.qr(centered.T @ (centered @ axes))[0]
    turn = np.linalg.svd(centered @ axes, full_matrices=False)[2]
    return np.ascontiguousarray((axes @ turn.T)[:, :count])


def _count_active(model: TrainedModel, z: Array) -> int | None:
    """Count the active units of a variational autoencoder, whose codes (N, D) are means."""
    if not isinstance(model.module, VariationalAutoencoder):
        return None
    return count_active(torch.from_numpy(z))


def _rank(z: Array) -> float:
    """Return the participation ratio of the eigenvalues of the correlation of codes (N, D)."""
    if z.shape[1] < 2:
        return float(z.shape[1])
    # Of the correlation, not of the covariance: a decoder does not care how large a number is.
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(z, rowvar=False))
    return float(eigenvalues.sum() ** 2 / np.square(eigenvalues).sum())


def _channels(model: TrainedModel) -> int | None:
    """Return the channels of a code that a convolution computes, or None of one of numbers."""
    encoder = [layer for layer in model.layers if layer.name.startswith("encoder.")]
    shape = [layer.shape for layer in encoder if not layer.kind.startswith("Flatten")][-1]
    has_sides = len(shape) > 1 and math.prod(shape) == model.code_size and math.prod(shape[1:]) > 1
    return int(shape[0]) if has_sides else None
