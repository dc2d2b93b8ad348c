"""Measure how many wrong labels are found: 2% of all labels are flipped to another class.

    python benchmarks/labels.py [--source fashion-mnist] [--seeds 0 1 2] [--epochs 8]
    python benchmarks/labels.py --task classify --seeds 0 --epochs 4

A seed draws the flips, the split and the first weights. For the codes of a new autoencoder, and of
PCA with as many components, prints the precision among the first 50 and 200 suspects and among as
many as were flipped, the share of the flips that are suspects, how many suspects there are, and the
estimated share of wrong labels. With `--task classify`, a classifier is trained on the flipped
labels; its held-out samples are checked, and those that it was trained on.
"""

import argparse
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

import isthmus
from isthmus.detection.labels.confident import RANKINGS
from isthmus.evaluation.pca import fit_pca

SHARE = 0.02  # of the labels that are flipped
FLIPS = 71  # the purpose of these random numbers, next to the seed
FIRST = (50, 200)


def flip_labels(samples: isthmus.Samples, seed: int) -> tuple[isthmus.Samples, NDArray[np.int64]]:
    """Return samples with wrong labels, each class as likely as any other, and their rows."""
    assert samples.labels is not None
    draw, classes = np.random.default_rng([seed, FLIPS]), len(samples.class_names)
    count = round(SHARE * len(samples))
    flipped = draw.choice(len(samples), count, replace=False)
    labels = samples.labels.copy()
    labels[flipped] = (labels[flipped] + draw.integers(1, classes, count)) % classes
    items = replace(samples.items, labels=labels)
    return replace(samples, items=items), np.sort(flipped)


def describe(
    found: isthmus.Mislabelled, rows: NDArray[np.int64], flipped: NDArray[np.int64]
) -> str:
    """Return a line of results; `rows` are those of the codes in the samples."""
    hits, present = np.isin(rows[found.rows], flipped), np.isin(flipped, rows).sum()
    counts = (*FIRST, present)
    shares = {name: hits[order] for name, order in rank(found).items()}
    listed = [
        f"{name} " + " ".join(f"{hit[:count].mean():.3f}" for count in counts)
        for name, hit in shares.items()
    ]
    return (
        f"of the first {', '.join(map(str, counts))}: {'; '.join(listed)}; "
        f"{hits.sum() / present:.3f} of the flips in {len(found):,} suspects; "
        f"estimated {100 * found.error_rate:.1f}% wrong; {found.classifier}"
    )


def rank(found: isthmus.Mislabelled) -> dict[str, NDArray[np.int64]]:
    """Return the order of the suspects by each ranking."""
    labels = found.codes.labels
    assert labels is not None
    places = np.searchsorted(found.checked, found.rows)
    given = np.searchsorted(found.classes, labels[found.rows])
    p = found.probabilities[places]
    return {name: np.argsort(by(p, given), kind="stable") for name, by in RANKINGS.items()}


def measure_autoencoder(
    samples: isthmus.Samples, flipped: NDArray[np.int64], seed: int, epochs: int | None
) -> isthmus.Mislabelled:
    """Print the results on codes, and on those of PCA; return the former."""
    config = isthmus.TrainingConfig(epochs=epochs, seed=seed)
    training = isthmus.train(samples, config=config)
    list(training)
    session = isthmus.Session(training.run, samples)
    codes, pixels = session.codes(), isthmus.Codes.of_values(samples)
    pca = fit_pca(pixels.z[session.split.train], codes.z.shape[1])
    z = pca.transform(pixels.z).astype(np.float32)
    rows = np.arange(len(samples))
    found = isthmus.find_mislabelled(codes, seed=seed)
    print(f"seed {seed}, codes, {describe(found, rows, flipped)}", flush=True)
    other = isthmus.find_mislabelled(replace(pixels, z=z), seed=seed)
    print(f"seed {seed}, PCA, {describe(other, rows, flipped)}", flush=True)
    return found


def measure_classifier(
    samples: isthmus.Samples, flipped: NDArray[np.int64], seed: int, epochs: int | None
) -> isthmus.Mislabelled:
    """Print the results on samples that a classifier has not seen, and on those that it has."""
    config = isthmus.TrainingConfig(epochs=epochs, seed=seed)
    training = isthmus.train(samples, task="classify", config=config)
    list(training)
    session = isthmus.Session(training.run, samples)
    for split in ("train", "held-out"):
        found = session.mislabelled(split=split, seed=seed)
        rows = session.rows_to_check(split)
        print(f"seed {seed}, {split}, {describe(found, rows, flipped)}", flush=True)
    return found


def main() -> None:
    """Measure every seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="fashion-mnist")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--task", choices=("reconstruct", "classify"), default="reconstruct")
    options = parser.parse_args()
    measure = measure_autoencoder if options.task == "reconstruct" else measure_classifier
    for seed in options.seeds:
        samples, flipped = flip_labels(isthmus.load(options.source), seed)
        measure(samples, flipped, seed, options.epochs)


if __name__ == "__main__":
    main()
