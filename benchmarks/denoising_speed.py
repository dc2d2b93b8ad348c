"""How long a denoiser takes for a photograph, and how much memory, compared with non-local means.

    python benchmarks/denoising_speed.py runs/clean [--megapixels 12] [--crop 512] [--runs 3]

The photograph is a gray one of noise and smooth shapes: neither method is faster for others.
Non-local means (scikit-image, its fast mode, patches of 5 and distances up to 6 pixels) is measured
on a crop, and its time is multiplied: it grows with the number of pixels. Both get one thread for
each core. The ratio counts, as both are measured in turn on the same machine.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.restoration import denoise_nl_means

from isthmus import TrainedModel, denoise_values
from isthmus.runtime import core_count, total_memory

SIGMA = 25 / 255


def photograph(height: int, width: int) -> NDArray[np.uint8]:
    """Return a gray image (H, W) with noise."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    clean = 0.5 + 0.2 * np.sin(rows / 37) + 0.2 * np.sign(np.sin(columns / 53))
    noise = np.random.default_rng(0).standard_normal(clean.shape, np.float32)
    return np.asarray((255 * (clean + SIGMA * noise)).clip(0, 255), np.uint8)


def seconds(work: Callable[[], Any]) -> float:
    """Return how long some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print medians and ranges of all runs, the ratio, the memory and the machine as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--crop", type=int, default=512)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--precision", choices=("32", "bf16"), default="32")
    options = parser.parse_args()
    model = TrainedModel.load(options.run, precision=options.precision)
    width = round((options.megapixels * 1e6 * 4 / 3) ** 0.5)
    image = photograph(round(width * 3 / 4), width)
    crop = image[: options.crop, : options.crop] / np.float32(255)
    scale = image.size / crop.size
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(options.runs):
        ours.append(seconds(lambda: denoise_values(model, image)))
        theirs.append(scale * seconds(lambda: non_local_means(crop)))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = {
        "image": list(image.shape),
        "model": f"{model.name}, {model.precision}, {sum(p.numel() for p in weights(model)):,}",
        "isthmus seconds": summarize(ours),
        "non-local means seconds": {**summarize(theirs), "measured on": list(crop.shape)},
        "ratio": round(statistics.median(theirs) / statistics.median(ours), 2),
        "memory MB": {"before": before // 1024, "peak": after // 1024},
        "machine": f"{platform.machine()}, {core_count()} cores, {total_memory() / 2**30:.0f} GB, "
        f"load {os.getloadavg()[0]:.1f}",
        "versions": {name: version(name) for name in ("torch", "scikit-image", "numpy")},
    }
    print(json.dumps(report, indent=2))


def weights(model: TrainedModel) -> list[Any]:
    """Return the weights of a model."""
    return list(model.module.parameters())


def non_local_means(image: NDArray[np.floating[Any]]) -> Any:
    """Denoise an image (H, W) in [0, 1] by scikit-image."""
    return denoise_nl_means(
        image, patch_size=5, patch_distance=6, h=0.8 * SIGMA, sigma=SIGMA, fast_mode=True
    )


def summarize(runs: list[float]) -> dict[str, Any]:
    """Return median, smallest and largest."""
    rounded = [round(one, 2) for one in runs]
    return {"median": round(statistics.median(runs), 2), "runs": rounded}


if __name__ == "__main__":
    main()
