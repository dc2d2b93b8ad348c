"""PCA of samples, with the fastest good solver; it needs no torch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.runtime import ignored_warnings

MAX_EXACT_PCA = 4096  # numbers per sample up to which all components are computed exactly
MAX_LANCZOS_COMPONENTS, MIN_LANCZOS_NUMBERS = 64, 1024  # where Lanczos' method is faster


def fit_pca(pixels: NDArray[np.float32], components: int) -> Any:
    """Fit scikit-learn's PCA on flattened samples (N, numbers), with the fastest good solver.

    It is exact, except for more than 64 components of samples of more than 4,096 numbers, which a
    randomized solver finds.
    """
    from sklearn.decomposition import PCA

    size = pixels.shape[1]
    solver = "covariance_eigh" if size <= MAX_EXACT_PCA else "randomized"
    if (
        components <= MAX_LANCZOS_COMPONENTS
        and size > MIN_LANCZOS_NUMBERS
        and components < len(pixels)
    ):
        solver = "arpack"
    is_constant = bool((pixels == pixels[0]).all())
    if len(pixels) <= size <= MAX_EXACT_PCA or is_constant:  # where Lanczos' method has no start
        solver = "full"  # it decomposes the matrix of the samples, which is the smaller one
    with ignored_warnings:  # that one sample, or equal ones, have no variance to explain
        return PCA(components, svd_solver=solver, random_state=0).fit(pixels)
