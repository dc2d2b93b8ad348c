"""Whether generated samples are copies: how near they are to the samples of training."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import evenly_spaced
from isthmus.data.split import Split
from isthmus.inference.model import Model
from isthmus.latent.neighbors import nearest_neighbors

BLOCK_NUMBERS = 2**24  # of samples that are searched, at once
MAX_COMPARED = 500  # test samples whose distance to the training samples is measured

Values = NDArray[Any]
Indices = NDArray[np.int64]


def describe_copies(
    model: Model, values: Values, split: Split, generated: Values
) -> tuple[dict[str, Any], Indices, NDArray[np.float64]]:
    """Compare how near generated samples and test samples are to the training samples.

    Pictures of an autoencoder are smoother than real ones, and so nearer to all pictures. They are
    therefore also compared with test samples that the model has rebuilt.

    Parameters
    ----------
    model : Model
        The autoencoder.
    values : (N, H, W, C) uint8 or (N, L, C) float32
        Of the run's samples.
    split : Split
    generated : (n, H, W, C) or (n, L, C)

    Returns
    -------
    dict
        `distance`, the median distance to the nearest training sample of "generated", "test" and
        "rebuilt" samples (see `find_nearest`); `closer`, what `compare_distances` says of the
        "test" and the "rebuilt" ones; `compared`, the number of test samples.
    rows : (n,) int64
        The nearest training sample of each generated one.
    distances : (n,) float64
        From it.
    """
    test = split.test[evenly_spaced(len(split.test), MAX_COMPARED)]
    real = np.asarray(values[test])
    sets = {"generated": generated, "test": real, "rebuilt": model.reconstruct(real)}
    nearest = {name: find_nearest(each, values, split.train) for name, each in sets.items()}
    apart = {name: distances for name, (distances, _) in nearest.items()}
    summary = {
        "distance": {name: float(np.median(each)) for name, each in apart.items()},
        "closer": {
            name: compare_distances(apart["generated"], apart[name]) for name in ("test", "rebuilt")
        },
        "compared": len(test),
    }
    return summary, nearest["generated"][1], apart["generated"]


def find_nearest(
    queries: Values, values: Values, rows: Indices
) -> tuple[NDArray[np.float64], Indices]:
    """Find the most similar samples, by their values.

    Parameters
    ----------
    queries : (n, H, W, C) uint8 or (n, L, C) float32
    values : (N, H, W, C) or (N, L, C)
        May be memory-mapped, and larger than the memory.
    rows : (m,) int64
        Of `values`: those to search among.

    Returns
    -------
    distances : (n,) float64
        Root of the mean squared difference; of images, pixels count from 0 to 1.
    rows : (n,) int64
    """
    size = queries[0].size
    scale = (255 if queries.dtype == np.uint8 else 1) * size**0.5
    wanted = queries.reshape(len(queries), -1).astype(np.float32)
    distances, found = np.full(len(queries), np.inf), np.zeros(len(queries), np.int64)
    step = max(1, BLOCK_NUMBERS // size)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        points = np.asarray(values[part], np.float32).reshape(len(part), -1)
        apart, index = (column[:, 0] for column in nearest_neighbors(wanted, points, 1))
        closer = apart < distances
        distances[closer], found[closer] = apart[closer], part[index[closer]]
    return distances / scale, found


def compare_distances(generated: NDArray[np.float64], test: NDArray[np.float64]) -> float:
    """Return how often a generated sample is nearer to the training samples than a test sample.

    C. Meehan, K. Chaudhuri, S. Dasgupta: A Non-Parametric Test to Detect Data-Copying in
    Generative Models, AISTATS 2020: the statistic of Mann and Whitney, divided by the number of
    pairs.

    Parameters
    ----------
    generated, test : (n,) and (m,) float64
        Distances to the nearest training sample.

    Returns
    -------
    float
        In [0, 1]: 0.5 for samples that are new like test samples, 1 for copies.

    Examples
    --------
    >>> compare_distances(np.array([0.1, 0.4]), np.array([0.2, 0.4]))
    0.625
    """
    apart = generated[:, None] - test
    return float((apart < 0).mean() + (apart == 0).mean() / 2)
