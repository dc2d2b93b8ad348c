"""Projections of codes into two dimensions: PCA, t-SNE, UMAP, or none."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.arrays import require_array
from isthmus.data.cache import Track, untracked
from isthmus.errors import OptionError, SourceError, missing_package
from isthmus.latent.neighbors import nearest_neighbors, other_neighbors
from isthmus.latent.repulsion import Gradient
from isthmus.runtime import thread_count

MAX_PLANAR = 3  # so few codes lie in a plane, and PCA shows all distances between them

# The defaults of openTSNE: 250 iterations with early exaggeration and 500 without. They run in
# steps, between which progress is shown.
PERPLEXITY = 30  # about how many neighbors of each code count
EXAGGERATION = 12
ITERATIONS_PER_STEP = 50
EXAGGERATED_STEPS, ALL_STEPS = 5, 15
FEW = 2000  # codes, whose repulsion takes openTSNE's trees little time
UMAP_NEIGHBORS = 15  # the default of umap-learn

ANCHORS = 5  # nearest fitted codes, by which a new code gets its position
MEDIAN_ITERATIONS = 30  # towards the geometric median of their positions

Params = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Projection:
    """A method for maps.

    Parameters
    ----------
    fit : callable
        From codes (N, D) float32, of which equal ones are next to each other, a seed and a
        progress bar to parameters.
    transform : callable
        From parameters and codes (M, D) float32 to positions (M, 2). The position of a code
        does not depend on the other codes.
    axes : dict
        The shape of each parameter, by letters and numbers: equal letters are equal sides.
    """

    fit: Callable[[NDArray[np.float32], int, Track], Params]
    transform: Callable[[Params, NDArray[np.float32]], NDArray[Any]]
    axes: dict[str, str]

    def check(self, params: Params) -> None:
        """Raise a SourceError if parameters, such as those of a file, are not the method's."""
        if set(params) != set(self.axes):
            raise SourceError(f"it has the parameters {', '.join(params) or 'of no method'}")
        sides: dict[str, int] = {}
        for name, axes in self.axes.items():
            array = require_array(params, name, "f", len(axes))
            for letter, side in zip(axes, array.shape, strict=True):
                wanted = int(letter) if letter.isdigit() else sides.setdefault(letter, side)
                if side != wanted or not side:
                    raise SourceError(f"its parameter {name} has the shape {array.shape}")
            if not np.isfinite(array).all():
                raise SourceError(f"its parameter {name} holds NaN or infinity")


def _fit_pca(z: NDArray[np.float32], seed: int, track: Track) -> Params:
    """Find the two directions of largest variance; directions without variance are zero."""
    from sklearn.decomposition import PCA

    mean, components, explained = z.mean(0, dtype=np.float64), np.zeros((2, z.shape[1])), [0.0, 0.0]
    if (z != z[0]).any():
        with np.errstate(invalid="ignore"):  # of differences whose squares are 0
            pca = PCA(min(2, *z.shape), random_state=0).fit(z.astype(np.float64) - mean)
        for axis, share in enumerate(pca.explained_variance_ratio_):
            if share > 1e-12:  # below, the direction is rounding
                components[axis], explained[axis] = pca.components_[axis], share
    return {"mean": mean, "components": components, "explained": np.array(explained)}


def _project_pca(params: Params, z: NDArray[np.float32]) -> NDArray[np.float64]:
    centered = z.astype(np.float64) - params["mean"]
    # Not one product of matrices, whose last bit depends on how many codes there are.
    return np.stack([np.einsum("nd,d->n", centered, axis) for axis in params["components"]], axis=1)


def _fit_tsne(z: NDArray[np.float32], seed: int, track: Track) -> Params:
    """Fit t-SNE by openTSNE, starting from PCA, with exact neighbors.

    L. van der Maaten, G. Hinton: Visualizing Data using t-SNE, JMLR 9, 2008; G. Linderman et al.,
    Nature Methods 16, 2019; D. Kobak, P. Berens, Nature Communications 10, 2019. openTSNE
    computes the same bits with any number of threads if neighbors and start are the same. Its own
    search for neighbors is approximate and depends on the order of the codes. Its repulsion takes
    three quarters of the time, so we have our own; see `isthmus.latent.repulsion`.
    """
    from openTSNE import TSNE
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    z = _remove_repeated(z)
    start = _initial_positions(z, seed)
    if len(z) <= MAX_PLANAR:
        return _anchors(z, start)
    threads = thread_count()
    # Affinities reach three times the perplexity, and there are only so many neighbors.
    perplexity = min(PERPLEXITY, (len(z) - 1) / 3)
    distances, indices = other_neighbors(z, min(3 * PERPLEXITY, len(z) - 1))
    neighbors = PrecomputedNeighbors(indices, distances)
    gradient = "bh" if len(z) < FEW else Gradient()
    tsne = TSNE(n_jobs=threads, random_state=seed, negative_gradient_method=gradient)
    embedding = tsne.prepare_initial(
        affinities=PerplexityBasedNN(None, perplexity, knn_index=neighbors, n_jobs=threads),
        initialization=1e-4 * start,  # so small that points can still pass each other
    )
    for step in track(range(ALL_STEPS), ALL_STEPS, "t-SNE"):
        exaggeration = EXAGGERATION if step < EXAGGERATED_STEPS else None
        embedding.optimize(
            ITERATIONS_PER_STEP, inplace=True, exaggeration=exaggeration, momentum=0.8
        )
    return _anchors(z, np.asarray(embedding))


def _fit_umap(z: NDArray[np.float32], seed: int, track: Track) -> Params:
    """Fit UMAP, starting from PCA, with exact neighbors.

    L. McInnes, J. Healy, J. Melville: UMAP, arXiv:1802.03426. One thread: with more, its steps
    depend on which thread comes first.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about optional packages that are not installed
        try:
            from umap import UMAP
        except ImportError:
            raise missing_package("a map by UMAP", "umap-learn", "umap") from None
    from threadpoolctl import threadpool_limits

    z = _remove_repeated(z)
    start = _initial_positions(z, seed)
    if len(z) <= MAX_PLANAR:
        return _anchors(z, start)
    k = min(UMAP_NEIGHBORS, len(z) - 1)
    # UMAP counts a code among its own neighbors, t-SNE does not.
    distances, indices = nearest_neighbors(z, z, k)
    umap = UMAP(
        k,
        init=start,
        random_state=seed,
        n_jobs=1,
        precomputed_knn=(indices, distances.astype(np.float32), None),
    )
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.filterwarnings("ignore", module="umap")  # that it cannot transform; it need not
        for _ in track(range(1), 1, "UMAP"):
            xy = umap.fit_transform(z)
    return _anchors(z, xy)


def _remove_repeated(z: NDArray[np.float32]) -> NDArray[np.float32]:
    """Keep one of equal codes, which are next to each other."""
    new = np.ones(len(z), np.bool_)
    new[1:] = (z[1:] != z[:-1]).any(1)
    return z[new]


def _initial_positions(z: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """Return positions (N, 2) by PCA, in units of the standard deviation along the first axis.

    D. Kobak, G. Linderman, Nature Biotechnology 39, 2021: t-SNE and UMAP keep large distances only
    if they start from them. A little noise separates points that fall together.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # rounding depends on the number of threads
        xy = _project_pca(_fit_pca(z, seed, untracked), z)
    if len(z) > 1:
        xy /= xy[:, 0].std()
    if len(z) > MAX_PLANAR:
        xy += np.random.default_rng([seed, 1]).normal(0, 0.01, xy.shape)
    return xy


def _anchors(z: NDArray[np.float32], xy: NDArray[Any]) -> Params:
    """Return the parameters of `_project_near_anchors`: codes, points, and the points' spacing."""
    xy = xy.astype(np.float32)
    spacing = np.median(other_neighbors(xy, 1)[0]) if len(xy) > 1 else 0.0
    return {"z": z, "xy": xy, "spacing": np.array(spacing)}


def _project_near_anchors(params: Params, z: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the weighted geometric median of the points of the nearest fitted codes.

    Weights are inverse squares of the distances between codes, and the median is computed by
    Weiszfeld's iteration (E. Weiszfeld, Tohoku Mathematical Journal 43, 1937). Unlike a mean, the
    median does not end up in the empty space between two clusters. Points closer than the spacing
    of the map attract equally: otherwise many codes would get exactly the point of a fitted one.

    Codes of MNIST and Fashion-MNIST that are transformed so have a 10-NN accuracy within half a
    percentage point of those that openTSNE's own `transform` gives; a mean is two to four points
    lower. And it serves UMAP, whose `transform` depends on the other codes of a batch.
    """
    fitted = params["xy"].astype(np.float64)
    distances, near = nearest_neighbors(z, params["z"], min(ANCHORS, len(fitted)))
    # Relative to the nearest code, as inverse squares of small distances could overflow. A code
    # that equals a fitted one gets all its weight from that one.
    ratio = np.divide(distances[:, :1], distances, out=np.ones_like(distances), where=distances > 0)
    weights = np.square(ratio)[..., None]
    points = fitted[near]
    xy: NDArray[np.float64] = (weights * points).sum(1) / weights.sum(1)
    for _ in range(MEDIAN_ITERATIONS):
        apart = np.linalg.norm(points - xy[:, None], axis=2, keepdims=True)
        pull = weights / np.maximum(apart, float(params["spacing"]) or 1.0)
        xy = (pull * points).sum(1) / pull.sum(1)
    return xy


def _fit_code(z: NDArray[np.float32], seed: int, track: Track) -> Params:
    if z.shape[1] != 2:
        raise OptionError(
            f"only codes of 2 numbers can be drawn as they are, not of {z.shape[1]:,}; use pca, "
            "tsne or umap."
        )
    return {}


def _identity(params: Params, z: NDArray[np.float32]) -> NDArray[np.float32]:
    return z


PLANE = {"mean": "D", "components": "2D", "explained": "2"}
ANCHORED = {"z": "MD", "xy": "M2", "spacing": ""}
METHODS = {
    "pca": Projection(_fit_pca, _project_pca, PLANE),
    "tsne": Projection(_fit_tsne, _project_near_anchors, ANCHORED),
    "umap": Projection(_fit_umap, _project_near_anchors, ANCHORED),
    "code": Projection(_fit_code, _identity, {}),
}
