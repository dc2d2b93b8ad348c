"""How good generated samples are: like real ones, and as varied as them; see also `copies`.

The distances between distributions are measured in the features of a classifier. Published ones
are in those of an Inception network trained on ImageNet, whose weights are not at hand: numbers
are comparable under one classifier only, and come with those of real samples.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import evenly_spaced
from isthmus.data.random import GENERATION
from isthmus.errors import OptionError
from isthmus.evaluation.pca import fit_pca
from isthmus.inference.model import Model
from isthmus.latent.neighbors import other_neighbors

MIN_MEASURED, MAX_MEASURED = 6, 5_000  # samples of each kind; each needs five neighbors
PRECISION_NEIGHBORS, DENSITY_NEIGHBORS = 3, 5  # of the two papers
BLOCK_ROWS = 1024  # of distances in memory
MAX_PCA_NUMBERS = 2**26  # of training samples: 256 MiB

Features = NDArray[np.float32]
Values = NDArray[Any]
Indices = NDArray[np.int64]


def compare_generators(
    judge: Model,
    test: Values,
    generators: Mapping[str, Callable[[int], Values]],
    *,
    rebuild: Callable[[Values], Values] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare generated samples with test samples, in the features of a classifier.

    One half of the test samples is what all are compared with, the other half takes part: no
    generator can be expected to be better than it.

    Parameters
    ----------
    judge : Model
        The classifier, or any other encoder.
    test : (N, H, W, C) uint8 or (N, L, C) float32
        Which neither the generators nor the judge were trained on; at least 12.
    generators : mapping of str to callable
        Each returns so many samples.
    rebuild : callable, optional
        Encodes and decodes samples. Its row says how much of the distance is the decoder's, as no
        code can be drawn better than encoded.
    seed : int
        Which test samples are in which half.

    Returns
    -------
    dict
        `n` samples of each kind; the name of the `judge`, its `judge_fingerprint`; and `rows`: by
        "real", "rebuilt" and the names of the generators, what `score_features` returns.

    Raises
    ------
    OptionError
        If there are too few test samples.
    """
    n = min(len(test) // 2, MAX_MEASURED)
    if n < MIN_MEASURED:
        raise OptionError(
            f"measures need {2 * MIN_MEASURED} test samples, and the run has {len(test):,}; train "
            "on more, or with a larger --test."
        )
    order = np.random.default_rng([seed, 0]).permutation(len(test))
    half, other = (test[np.sort(part)] for part in (order[:n], order[n : 2 * n]))
    reference = _features(judge, half)
    rows = {"real": score_features(reference, _features(judge, other))}
    if rebuild is not None:
        rows["rebuilt"] = score_features(reference, _features(judge, rebuild(other)))
    for name, generate in generators.items():
        rows[name] = score_features(reference, _features(judge, generate(n)))
    return {"n": n, "judge": judge.name, "judge_fingerprint": judge.fingerprint, "rows": rows}


def score_features(reference: Features, generated: Features) -> dict[str, float]:
    """Compare the features of generated samples with those of real ones.

    Parameters
    ----------
    reference, generated : (N, D) and (M, D) float32
        More than 5 of each.

    Returns
    -------
    dict
        `frechet`: see `frechet_distance`. `precision` and `recall`, in [0, 1]: the share of
        generated samples in the region of real ones, and of real ones in that of generated ones
        (T. Kynkäänniemi et al.: Improved Precision and Recall Metric for Assessing Generative
        Models, NeurIPS 2019). `density`, from 0, and `coverage`, in [0, 1]: how many
        neighborhoods of real samples a generated one lies in, 1 for real samples, and the share of
        real samples that have a generated one in theirs (M. F. Naeem et al.: Reliable Fidelity and
        Diversity Metrics for Generative Models, ICML 2020).
    """
    narrow, wide = (_radii(reference, k) for k in (PRECISION_NEIGHBORS, DENSITY_NEIGHBORS))
    own = _radii(generated, PRECISION_NEIGHBORS)
    precise, counts = np.empty(len(generated), np.bool_), np.empty(len(generated), np.int64)
    recalled, covered = np.zeros((2, len(reference)), np.bool_)
    for rows, distances in _blocks(generated, reference):
        precise[rows] = (distances <= narrow).any(1)
        recalled |= (distances <= own[rows, None]).any(0)
        near = distances <= wide
        counts[rows] = near.sum(1)
        covered |= near.any(0)
    return {
        "frechet": frechet_distance(reference, generated),
        "precision": float(precise.mean()),
        "recall": float(recalled.mean()),
        "density": float(counts.mean()) / DENSITY_NEIGHBORS,
        "coverage": float(covered.mean()),
    }


def frechet_distance(a: Features, b: Features) -> float:
    """Return the squared Fréchet distance of two sets, taken for normal distributions.

        |μ_a - μ_b|² + tr(Σ_a + Σ_b - 2 (Σ_a Σ_b)^½)

    M. Heusel et al.: GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
    Equilibrium, NeurIPS 2017, equation 6. It has a bias of about D²/N: compare equal numbers of
    samples.

    Parameters
    ----------
    a, b : (N, D) and (M, D) float32

    Returns
    -------
    float
        At least 0; 0 for equal means and covariances.
    """
    means, covariances = zip(*map(_moments, (a, b)), strict=True)
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    # The eigenvalues of Σ_a Σ_b are those of a symmetric matrix, which are real and not negative.
    products = np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)
    apart = float(np.square(means[0] - means[1]).sum())
    traces = float(np.trace(covariances[0]) + np.trace(covariances[1]))
    return max(0.0, apart + traces - 2 * float(np.sqrt(products).sum()))


def pca_generator(
    values: Values, rows: Indices, components: int, seed: int = 0
) -> Callable[[int], Values]:
    """Return what generates samples without a network: a normal distribution of components.

    Parameters
    ----------
    values : (N, H, W, C) uint8 or (N, L, C) float32
    rows : (m,) int64
        The training samples; of many large ones some are fitted.
    components : int
        Principal components; fewer where there are fewer samples or numbers.
    seed : int
    """
    rows = rows[evenly_spaced(len(rows), max(2, MAX_PCA_NUMBERS // values[0].size))]
    pixels = np.asarray(values[rows], np.float32).reshape(len(rows), -1)
    pca = fit_pca(pixels, min(components, *pixels.shape))

    def generate(n: int) -> Values:
        noise = np.random.default_rng([seed, GENERATION]).standard_normal((n, pca.n_components_))
        drawn = pca.inverse_transform(noise * np.sqrt(pca.explained_variance_))
        if values.dtype == np.uint8:
            drawn = drawn.round().clip(0, 255)
        samples: Values = drawn.astype(values.dtype).reshape(n, *values.shape[1:])
        return samples

    return generate


def _features(judge: Model, values: Values) -> Features:
    """Return the features (n, D) of samples, which are resized if the judge takes another size."""
    channels, *sides = judge.shape
    if values.dtype == np.uint8 and values.shape[1:] != (*sides, channels):
        values = np.stack([judge.preprocessing.fit(image) for image in values])
    return judge.encode(values)


def _moments(features: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    exact = features.astype(np.float64)
    return exact.mean(0), np.atleast_2d(np.cov(exact, rowvar=False))


def _radii(points: Features, k: int) -> NDArray[np.float64]:
    """Return the distance of each point from its k-th nearest other one."""
    return other_neighbors(points, k)[0][:, -1]


def _blocks(queries: Features, points: Features) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield the distances between all queries and points in blocks of rows."""
    center = points.mean(0, dtype=np.float64)  # far from 0, rounding is worse
    others = points - center
    norms = np.square(others).sum(1)
    for start in range(0, len(queries), BLOCK_ROWS):
        block = queries[start : start + BLOCK_ROWS] - center
        squares = np.square(block).sum(1)[:, None] + norms - 2 * (block @ others.T)
        yield slice(start, start + len(block)), np.sqrt(squares.clip(0))
