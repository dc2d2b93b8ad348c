"""Measure denoisers of photographs, digits and faces, at their own size.

    python benchmarks/denoising.py --minutes 20 [--seeds 1] [--noise gaussian-unclipped:25/255]
        [--model denoiser] [--self] [--sets bsd] [--out results.jsonl]
    python benchmarks/denoising.py --sets mnist,lfw --noise gaussian:0.1 --minutes 5 --bottleneck

Each set is measured on its own test split: of `bsd`, this is BSD68. With `--self`, the images that
the model is trained on have this noise for good, and none is ever seen without it. With
`--bottleneck`, a denoising autoencoder of the same set, size and noise is trained for as long and
measured on the same noisy images. Printed are means over images, ± a standard error; with several
seeds a line for each.
"""

import argparse
import json
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

import isthmus
from isthmus.data.cache import cache_folder
from isthmus.data.images import Images
from isthmus.data.load_images import load_images
from isthmus.evaluation.denoisers import measure_denoiser, plan_denoising
from isthmus.evaluation.denoising import NoisyImages, measure, summarize, to_x
from isthmus.evaluation.filters import Array
from isthmus.models.layers import count_parameters
from isthmus.training.run import Run

OWN_SIZES = {"mnist": 28, "lfw": 64}  # of the bottleneck's samples; faces are resized to that


def train(images: Images, options: argparse.Namespace, seed: int) -> Run:
    """Train a denoiser for so many minutes."""
    config = isthmus.TrainingConfig(
        corrupt=options.noise,
        no_clean=options.self,
        seed=seed,
        epochs=options.epochs,
    )
    training = isthmus.train(
        images, options.model, task="denoise", config=config, max_minutes=options.minutes
    )
    deque(training, 0)
    return training.run


def measure_set(name: str, options: argparse.Namespace, seed: int) -> list[dict[str, Any]]:
    """Train and measure on one set; a row for each strength of the noise."""
    images = load_images(name, limit=options.limit)
    run = train(images, options, seed)
    setup = plan_denoising(run, images)
    result, last = measure_denoiser(setup, cache_folder() / "baselines"), run.history()[-1]
    cost = {
        "set": name,
        "seed": seed,
        "self": options.self,
        "minutes": last["seconds"] / 60,
        "epochs": last["epoch"],
        "parameters": sum(count_parameters(run.model().module)),
    }
    rows = [{**cost, **level} for level in result["levels"]]
    if options.bottleneck:
        for row, noisy in zip(rows, setup.test, strict=True):
            row["bottleneck"] = measure_bottleneck(name, noisy, options, seed)
    return rows


def measure_bottleneck(
    name: str, noisy: NoisyImages, options: argparse.Namespace, seed: int
) -> dict[str, Any]:
    """Train a denoising autoencoder, and measure it on the same noisy images, clipped as it is."""
    samples = isthmus.load(name, size=OWN_SIZES.get(name), limit=options.limit)
    config = isthmus.TrainingConfig(corrupt=options.noise, seed=seed)
    training = isthmus.train(samples, config=config, max_minutes=options.minutes)
    deque(training, 0)
    model = training.run.model()

    def rebuild(x: Array) -> Array:
        pixels = np.asarray(np.round(255 * np.moveaxis(x, 0, -1).clip(0, 1)), np.uint8)
        fitted = model.preprocessing.fit(pixels)
        rebuilt = model.reconstruct(fitted[None])[0]
        return to_x(model.preprocessing.undo_fit(rebuilt, pixels))

    return summarize(measure(noisy, {"bottleneck": rebuild}, "")["bottleneck"])


def show(row: dict[str, Any]) -> None:
    """Print a row of the table."""
    others = {**row["baselines"], "noisy": row["noisy"]}
    others |= {"bottleneck": row["bottleneck"]} if "bottleneck" in row else {}
    texts = [f"{name} {one['psnr']:.2f}" for name, one in others.items()]
    print(
        f"{row['set']}, {row['corrupt']}, seed {row['seed']}: {row['test']['psnr']:.2f} ± "
        f"{row['test']['psnr_error']:.2f} dB, SSIM {row['test']['ssim']:.4f} after "
        f"{row['minutes']:.1f} minutes ({row['parameters']:,} parameters); "
        f"{', '.join(texts)}",
        flush=True,
    )


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", default="bsd")
    parser.add_argument("--noise", default="gaussian-unclipped:25/255")
    parser.add_argument("--model", default=None)
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--self", action="store_true")
    parser.add_argument("--bottleneck", action="store_true")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    for name in options.sets.split(","):
        for seed in range(options.seeds):
            for row in measure_set(name, options, seed):
                show(row)
                if options.out:
                    with options.out.open("a") as file:
                        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
