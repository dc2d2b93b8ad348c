"""How well style banks paint: what is kept of photographs, and how far styles differ.

Trains a bank on photographs for each network of features and seed, then measures on test
photographs that were neither trained on nor used to choose:

- PSNR of the autoencoder alone, and of painting with a strength of 0
- content: correlation of edges (Sobel, of brightness) between painting and photograph, and SSIM
- style: how often the nearest style of a painting is its own, by Gram matrices of features of
  another seed than the one trained by; and how much nearer its own style is than the others
- baselines: the photograph itself, and a photograph whose colors have the style's mean and
  covariance (Reinhard et al., Color Transfer between Images, 2001, but of all three together)

    python benchmarks/styles.py [--photos cats-dogs] [--styles patterns] [--features random ...]
                                [--minutes 5] [--size 128] [--seeds 0 1 2] [--sheet sheet.png]
"""

import argparse
import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import filters, metrics
from skimage.color import rgb2gray
from speed import environment

import isthmus
from isthmus.models.perceptual import random_features
from isthmus.training.config import TrainingConfig
from isthmus.training.perceptual import grams

JUDGE = 1000  # seed of the random filters that judge; no bank is trained by them
PHOTOS = 24  # of the test split, each painted in all styles
SHOWN = 4

# scikit-image has no types.
sobel: Any = filters.sobel
structural_similarity: Any = metrics.structural_similarity
peak_signal_noise_ratio: Any = metrics.peak_signal_noise_ratio

Pictures = NDArray[np.uint8]
Painter = Callable[[Pictures, str], Pictures]


def main() -> None:
    """Measure each network of features, and print a table."""
    options = parse()
    samples = isthmus.load(options.photos, size=options.size, limit=options.limit)
    rows: dict[str, list[dict[str, float]]] = {}
    for features in options.features:
        for seed in options.seeds:
            run = train(samples, features, seed, options)
            photos = samples.values[run.split().test[:PHOTOS]]
            styles = run.styles()[0]
            for name, paint in painters(run, styles).items():
                label = name if name != "bank" else f"bank, {features}"
                rows.setdefault(label, []).append(measure(photos, styles, paint))
            rows[f"bank, {features}"][-1] |= rebuilding(run, photos)
            if options.sheet and seed == options.seeds[0]:
                file = options.sheet.with_stem(f"{options.sheet.stem}-{Path(features).name}")
                draw(photos[:SHOWN], styles, painters(run, styles)["bank"], file)
    print(
        json.dumps(
            {"environment": environment(len(options.seeds)), "options": vars(options)}, default=str
        )
    )
    print_table(rows)


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", default="cats-dogs")
    parser.add_argument("--styles", default="patterns")
    parser.add_argument("--features", nargs="+", default=["random"])
    parser.add_argument("--minutes", type=float, default=None, help="of training, for each bank")
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--style-size", type=int, default=128)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sheet", type=Path)
    return parser.parse_args()


def train(samples: Any, features: str, seed: int, options: argparse.Namespace) -> Any:
    """Train a bank and return its run."""
    styles = isthmus.load_styles(options.styles, side=options.style_size, features=features)
    config = TrainingConfig(seed=seed, epochs=options.epochs)
    training = isthmus.train(
        samples, "stylebank", styles=styles, config=config, max_minutes=options.minutes
    )
    last = list(training)[-1]
    print(f"{features}, seed {seed}: {last.step} steps in {last.seconds:.0f} s, {last.results()}")
    return training.run


def painters(run: Any, styles: dict[str, Pictures]) -> dict[str, Painter]:
    """Return what is compared: the bank, its baselines, and the photograph as it is."""
    model = run.model()

    def bank(photos: Pictures, style: str) -> Pictures:
        return np.stack(isthmus.stylize_values(model, photos, style))

    def recolored(photos: Pictures, style: str) -> Pictures:
        return np.stack([match_colors(photo, styles[style]) for photo in photos])

    return {"bank": bank, "colors alone": recolored, "photograph": lambda photos, style: photos}


def match_colors(photo: Pictures, style: Pictures) -> Pictures:
    """Give a photograph the mean and the covariance of a style's colors."""
    colors, wanted = (one.reshape(-1, 3) / 255 for one in (photo, style))
    root, inverse = covariance_root(wanted, 0.5), covariance_root(colors, -0.5)
    changed = (colors - colors.mean(0)) @ inverse @ root + wanted.mean(0)
    return np.asarray(np.round(255 * changed.clip(0, 1)).reshape(photo.shape), np.uint8)


def covariance_root(colors: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    """Return a power of the covariance matrix of colors (N, 3)."""
    values, vectors = np.linalg.eigh(np.cov(colors.T) + 1e-6 * np.eye(3))
    return np.asarray((vectors * values**power) @ vectors.T)


def measure(photos: Pictures, styles: dict[str, Pictures], paint: Painter) -> dict[str, float]:
    """Return means over photographs and styles; see the top of this file."""
    judge = random_features(JUDGE)
    targets = [grams(judge, to_input(style[None])) for style in styles.values()]
    edges, ssim, hits, ratios = [], [], [], []
    for number, style in enumerate(styles):
        painted = paint(photos, style)
        for photo, painting in zip(photos, painted, strict=True):
            gray, drawn = rgb2gray(photo), rgb2gray(painting)
            edges.append(np.corrcoef(sobel(gray).ravel(), sobel(drawn).ravel())[0, 1])
            ssim.append(structural_similarity(gray, drawn, data_range=1.0))
            distances = np.array(list(judged(judge, painting, targets)))
            hits.append(distances.argmin() == number)
            ratios.append(distances[number] / np.delete(distances, number).mean())
    names = ("edges", "ssim", "own style", "distance")
    means = (np.mean(one) for one in (edges, ssim, hits, ratios))
    return dict(zip(names, map(float, means), strict=True))


def judged(judge: Any, painting: Pictures, targets: list[dict[str, Any]]) -> Iterator[float]:
    """Yield how far a painting is from each style: the mean over layers of ‖G − A‖ / ‖A‖."""
    own = grams(judge, to_input(painting[None]))
    for target in targets:
        shares = [(own[name] - one).norm() / one.norm() for name, one in target.items()]
        yield float(torch.stack(shares).mean())


def to_input(pictures: Pictures) -> torch.Tensor:
    """Turn pictures (N, H, W, 3) uint8 into x (N, 3, H, W) in [0, 1]."""
    return torch.from_numpy(pictures.copy()).movedim(-1, 1).float() / 255


def rebuilding(run: Any, photos: Pictures) -> dict[str, float]:
    """Return the PSNR of the autoencoder alone, and whether a strength of 0 changes nothing."""
    model, style = run.model(), next(iter(run.styles()[0]))
    rebuilt = np.concatenate([to_pictures(model.activate(y)) for _, y in model.outputs(photos)])
    unpainted = isthmus.stylize_values(model, photos, style, strength=0)
    psnr = [peak_signal_noise_ratio(*pair) for pair in zip(photos, rebuilt, strict=True)]
    same = all(np.array_equal(*pair) for pair in zip(photos, unpainted, strict=True))
    return {"autoencoder": float(np.mean(psnr)), "strength 0": float(same)}


def to_pictures(x: torch.Tensor) -> Pictures:
    """Turn x (N, 3, H, W) in [0, 1] into pictures (N, H, W, 3) uint8."""
    return np.round(255 * x.clamp(0, 1).movedim(1, -1).numpy()).astype(np.uint8)


def draw(photos: Pictures, styles: dict[str, Pictures], paint: Painter, file: Path) -> None:
    """Write a sheet: the photographs on top, below them each style and its paintings."""
    side = photos.shape[1]
    rows = [np.concatenate([np.full_like(photos[0], 255), *photos], 1)]
    for name, picture in styles.items():
        own = np.asarray(Image.fromarray(picture).resize((side, side)))
        rows.append(np.concatenate([own, *paint(photos, name)], 1))
    Image.fromarray(np.concatenate(rows)).save(file)


def print_table(rows: dict[str, list[dict[str, float]]]) -> None:
    """Print means over seeds, and in brackets the standard deviations."""
    columns = ("edges", "ssim", "own style", "distance", "autoencoder", "strength 0")
    print("| " + " | ".join(("", *columns)) + " |")
    for label, results in rows.items():
        cells = [label]
        for column in columns:
            values = [one[column] for one in results if column in one]
            spread = f" ({statistics.stdev(values):.3f})" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.3f}{spread}" if values else "")
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
