"""Ways to bring codes into two dimensions: what is learnt, and where a code is placed by it."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.errors import OptionError
from isthmus.latent.neighbors import nearest_neighbors, other_neighbors

PLANE = 3  # so few codes lie in a plane, which PCA shows as it is

PERPLEXITY = 30  # of t-SNE: about how many neighbors count
EXAGGERATION = 12
EARLY, STEPS, ITERATIONS = 5, 15, 50  # steps with exaggeration, all steps, iterations of a step
UMAP_NEIGHBORS = 15

BESIDE = 5  # fitted codes that decide where a new one is placed
WEISZFELD = 30  # iterations towards their geometric median

Params = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Projection:
    """How a map learns from codes, and where it puts them.

    Parameters
    ----------
    fit : callable
        Makes parts of codes (N, D) float32, equal ones next to each other, by a seed.
    transform : callable
        Makes positions (M, 2) of parts and codes (M, D), each for itself.
    """

    fit: Callable[[NDArray[np.float32], int, Track], Params]
    transform: Callable[[Params, NDArray[np.float32]], NDArray[Any]]


def _fit_pca(z: NDArray[np.float32], seed: int, track: Track) -> Params:
    """Find the two directions of the largest variance; of less than two, the others are zero."""
    from sklearn.decomposition import PCA

    mean, components, explained = z.mean(0, dtype=np.float64), np.zeros((2, z.shape[1])), [0.0, 0.0]
    if (z != z[0]).any():
        pca = PCA(min(2, *z.shape), random_state=0).fit(z.astype(np.float64) - mean)
        for axis, share in enumerate(pca.explained_variance_ratio_):
            if share > 1e-12:
                components[axis], explained[axis] = pca.components_[axis], share
    return {"mean": mean, "components": components, "explained": np.array(explained)}


def _project(params: Params, z: NDArray[np.float32]) -> NDArray[np.float64]:
    xy: NDArray[np.float64] = (z.astype(np.float64) - params["mean"]) @ params["components"].T
    return xy


def _fit_tsne(z: NDArray[np.float32], seed: int, track: Track) -> Params:
    """Fit t-SNE as openTSNE does, from PCA, with exact neighbors.

    van der Maaten & Hinton, JMLR 9, 2008; Linderman et al., Nature Methods 16, 2019; Kobak &
    Berens, Nature Communications 10, 2019. Its steps have the same bits with any number of
    threads, as long as neighbors and start have.
    """
    from openTSNE import TSNE
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    z = _different(z)
    start = _start(z, seed)
    if len(z) <= PLANE:
        return _learnt(z, start)
    threads = torch.get_num_threads()
    perplexity = min(PERPLEXITY, (len(z) - 1) / 3)
    distances, indices = other_neighbors(z, min(3 * PERPLEXITY, len(z) - 1))
    neighbors = PrecomputedNeighbors(indices, distances)
    embedding = TSNE(n_jobs=threads, random_state=seed).prepare_initial(
        affinities=PerplexityBasedNN(None, perplexity, knn_index=neighbors, n_jobs=threads),
        initialization=1e-4 * start,
    )
    for step in track(range(STEPS), STEPS, "t-SNE"):
        exaggeration = EXAGGERATION if step < EARLY else None
        embedding.optimize(ITERATIONS, inplace=True, exaggeration=exaggeration, momentum=0.8)
    return _learnt(z, np.asarray(embedding))


def _fit_umap(z: NDArray[np.float32], seed: int, track: Track) -> Params:
    """Fit UMAP from PCA, with exact neighbors; McInnes, Healy & Melville, arXiv:1802.03426."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what else is not installed
        try:
            from umap import UMAP
        except ImportError:
            raise OptionError(
                "UMAP is not installed; install isthmus[umap], or take tsne."
            ) from None
    from threadpoolctl import threadpool_limits

    z = _different(z)
    start = _start(z, seed)
    if len(z) <= PLANE:
        return _learnt(z, start)
    k = min(UMAP_NEIGHBORS, len(z) - 1)
    distances, indices = nearest_neighbors(z, z, k)
    umap = UMAP(
        k,
        init=start,
        random_state=seed,
        n_jobs=1,
        precomputed_knn=(indices, distances.astype(np.float32), None),
    )
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.filterwarnings("ignore", module="umap")  # it cannot transform, and need not
        for _ in track(range(1), 1, "UMAP"):
            xy = umap.fit_transform(z)
    return _learnt(z, xy)


def _different(z: NDArray[np.float32]) -> NDArray[np.float32]:
    """Leave out equal codes, which stand next to each other."""
    new = np.ones(len(z), np.bool_)
    new[1:] = (z[1:] != z[:-1]).any(1)
    return z[new]


def _start(z: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """Return positions (N, 2) by PCA, in units of the first axis' standard deviation.

    Kobak & Linderman, Nature Biotechnology 39, 2021: t-SNE and UMAP keep the large distances only
    if they start from them. Points that fall together are moved apart a little.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # with more threads it would be rounded differently
        xy = _project(_fit_pca(z, seed, untracked), z)
    if len(z) > 1:
        xy /= xy[:, 0].std()
    if len(z) > PLANE:
        xy += np.random.default_rng([seed, 1]).normal(0, 0.01, xy.shape)
    return xy


def _learnt(z: NDArray[np.float32], xy: NDArray[Any]) -> Params:
    """Return what `_beside` needs: codes, their points, and how far apart points are."""
    xy = xy.astype(np.float32)
    spacing = np.median(other_neighbors(xy, 1)[0]) if len(xy) > 1 else 0.0
    return {"z": z, "xy": xy, "spacing": np.array(spacing)}


def _beside(params: Params, z: NDArray[np.float32]) -> NDArray[np.float64]:
    """Place codes where the nearest fitted ones are.

    That is their geometric median, weighted by the inverse squares of the codes' distances, by
    Weiszfeld's iteration (Tohoku Mathematical Journal 43, 1937). Unlike a mean, it does not end
    up in the void between two clusters. Points nearer than the map's spacing pull alike, else
    many a code would be placed right on a fitted one. On codes of MNIST and Fashion-MNIST it is
    within half a percentage point of openTSNE's own `transform` in the accuracy of ten nearest
    neighbors, a mean two to four below; and it serves every method.
    """
    fitted = params["xy"].astype(np.float64)
    distances, near = nearest_neighbors(z, params["z"], min(BESIDE, len(fitted)))
    ratio = np.divide(distances[:, :1], distances, out=np.ones_like(distances), where=distances > 0)
    weights = np.square(ratio)[..., None]
    at = fitted[near]
    xy: NDArray[np.float64] = (weights * at).sum(1) / weights.sum(1)
    for _ in range(WEISZFELD):
        apart = np.linalg.norm(at - xy[:, None], axis=2, keepdims=True)
        pull = weights / np.maximum(apart, float(params["spacing"]) or 1.0)
        xy = (pull * at).sum(1) / pull.sum(1)
    return xy


def _fit_code(z: NDArray[np.float32], seed: int, track: Track) -> Params:
    if z.shape[1] != 2:
        raise OptionError(
            f"only codes of 2 numbers can be drawn as they are, not of {z.shape[1]:,}; take pca, "
            "tsne or umap."
        )
    return {}


def _as_it_is(params: Params, z: NDArray[np.float32]) -> NDArray[np.float32]:
    return z


METHODS = {
    "pca": Projection(_fit_pca, _project),
    "tsne": Projection(_fit_tsne, _beside),
    "umap": Projection(_fit_umap, _beside),
    "code": Projection(_fit_code, _as_it_is),
}
