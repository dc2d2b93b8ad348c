"""How far estimates of noise are from the truth, ours and two classic ones.

Photographs of the training part of BSD, with normal noise that is clipped and rounded to 8 bits:

    python benchmarks/noise.py path/to/bsd/train [--count 20]

scikit-image's `estimate_sigma` is measured too where PyWavelets is installed.
"""

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.signal import convolve2d
from skimage.restoration import estimate_sigma

from isthmus import estimate_noise

SIGMAS = (0, 2, 5, 10, 15, 25, 50)
LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])


def immerkaer(image: NDArray[np.uint8]) -> float:
    """Return the estimate of Immerkær, Fast Noise Variance Estimation, CVIU 1996."""
    response = convolve2d(image.astype(float), LAPLACIAN, mode="valid")
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(response).mean())


METHODS: dict[str, Callable[[Any], float]] = {
    "isthmus": lambda image: 255 * estimate_noise(image),
    "Immerkær": immerkaer,
}
if importlib.util.find_spec("pywt"):
    peer: Any = estimate_sigma  # has no types
    METHODS["scikit-image"] = lambda image: float(peer(image.astype(float)))


def main() -> None:
    """Print mean, root mean square error and largest error of each method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=20)
    options = parser.parse_args()
    files = sorted(options.folder.glob("*.png"))
    chosen = files[7 :: max(1, len(files) // options.count)][: options.count]
    pictures = [np.asarray(Image.open(file), float) for file in chosen]
    rng = np.random.default_rng(0)
    for sigma in SIGMAS:
        noisy = [one + sigma * rng.standard_normal(one.shape) for one in pictures]
        images = [np.clip(np.round(one), 0, 255).astype(np.uint8) for one in noisy]
        for name, method in METHODS.items():
            found = np.array([method(image) for image in images])
            error = found - sigma
            print(
                f"{sigma:3}  {name:13} mean {found.mean():6.2f}  "
                f"error {np.sqrt((error**2).mean()):5.2f}  largest {np.abs(error).max():5.2f}"
            )


if __name__ == "__main__":
    main()
