"""Codes as a search compares them."""

import numpy as np
from numpy.typing import NDArray

from isthmus.latent.codes import Codes
from isthmus.latent.vectors import to_vectors


def comparable(codes: Codes, metric: str) -> NDArray[np.float32]:
    """Return z (n, D), of length 1 for the metric cosine.

    Raises
    ------
    ModelError
        If a code has no distance to others; it is named.
    """
    return to_vectors(codes.z, metric, lambda row: f"the code of {codes.names[row]}")
