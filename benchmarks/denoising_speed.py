"""How long a denoiser takes for a photograph, and how much memory, compared with non-local means.

    python benchmarks/denoising_speed.py runs/clean [--megapixels 12] [--crop 512] [--runs 3]

The photograph is a gray one of noise and smooth shapes: neither method is faster for others.
Non-local means (scikit-image, its fast mode) is measured on a crop, and its time is multiplied: it
grows with the number of pixels. "tuned" has patches of 5 and distances up to 6 pixels, "default"
those of scikit-image, 7 and 11. It computes with one thread, ours with one for each core. The ratio
counts, as all are measured in turn on the same machine: of seconds, and of CPU seconds, which
other work on the machine changes less.
"""

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.restoration import denoise_nl_means

from isthmus import TrainedModel, denoise_values
from isthmus.runtime import core_count, total_memory

SIGMA = 25 / 255
PEERS = {"tuned": (5, 6), "default": (7, 11)}  # patches and distances of non-local means, in pixels


def photograph(height: int, width: int) -> NDArray[np.uint8]:
    """Return a gray image (H, W) with noise."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    clean = 0.5 + 0.2 * np.sin(rows / 37) + 0.2 * np.sign(np.sin(columns / 53))
    noise = np.random.default_rng(0).standard_normal(clean.shape, np.float32)
    return np.asarray((255 * (clean + SIGMA * noise)).clip(0, 255), np.uint8)


def measure(work: Callable[[], Any], scale: float = 1) -> NDArray[np.float64]:
    """Return the seconds and the CPU seconds that some work takes, times `scale`."""
    start, start_cpu = time.perf_counter(), time.process_time()
    work()
    return scale * np.array([time.perf_counter() - start, time.process_time() - start_cpu])


def main() -> None:
    """Print medians and all runs, the ratios, the memory and the machine as JSON."""
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
    runs: dict[str, list[NDArray[np.float64]]] = {"isthmus": [], **{name: [] for name in PEERS}}
    for _ in range(options.runs):
        runs["isthmus"].append(measure(lambda: denoise_values(model, image)))
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for name, (patch, distance) in PEERS.items():
            work = partial(non_local_means, crop, patch, distance)
            runs[name].append(measure(work, scale))
    medians = {name: np.median(found, axis=0) for name, found in runs.items()}
    report = {
        "image": list(image.shape),
        "model": f"{model.name}, {model.precision}, {sum(p.numel() for p in weights(model)):,}",
        "seconds, CPU seconds": {name: np.round(found, 2).tolist() for name, found in runs.items()},
        "medians": {name: np.round(found, 2).tolist() for name, found in medians.items()},
        "ratios": {
            name: np.round(medians[name] / medians["isthmus"], 2).tolist() for name in PEERS
        },
        "memory MB": {"before": before // 1024, "peak": after // 1024},
        "machine": f"{platform.machine()}, {core_count()} cores, {total_memory() / 2**30:.0f} GB, "
        f"load {os.getloadavg()[0]:.1f}",
        "versions": {name: version(name) for name in ("torch", "scikit-image", "numpy")},
    }
    print(json.dumps(report, indent=2))


def weights(model: TrainedModel) -> list[Any]:
    """Return the weights of a model."""
    return list(model.module.parameters())


def non_local_means(image: NDArray[np.floating[Any]], patch: int, distance: int) -> Any:
    """Denoise an image (H, W) in [0, 1] by scikit-image."""
    return denoise_nl_means(
        image,
        patch_size=patch,
        patch_distance=distance,
        h=0.8 * SIGMA,
        sigma=SIGMA,
        fast_mode=True,
    )


if __name__ == "__main__":
    main()
