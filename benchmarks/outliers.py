"""Measure how well an autoencoder finds a digit that it has never seen: each digit in turn.

    python benchmarks/outliers.py [--source digits] [--code-size 4] [--epochs 10] [--count 1200]

Prints the area under the ROC curve of test images, of which those of the held-out digit are the
outliers, for `isthmus.sklearn.OutlierDetector` and for the reconstruction error of PCA with as many
components; then the means over all digits.
"""

import argparse

import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

import isthmus
from isthmus.sklearn import OutlierDetector

TEST_COUNT = 4_000


def main() -> None:
    """Hold out each class once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="digits")
    parser.add_argument("--code-size", type=int, default=4)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--count", type=int, default=1_200, help="training images, the first")
    options = parser.parse_args()
    samples = isthmus.load(options.source)
    assert samples.labels is not None
    is_test = np.arange(len(samples)) >= options.count
    if samples.splits is not None:
        is_test = samples.splits == 2
    train = np.flatnonzero(~is_test)[: options.count]
    test = np.flatnonzero(is_test)[:TEST_COUNT]
    pixels = samples.values.reshape(len(samples), -1) / 255
    areas = []
    for held_out, name in enumerate(samples.class_names):
        normal, is_outlier = (
            train[samples.labels[train] != held_out],
            samples.labels[test] == held_out,
        )
        detector = OutlierDetector(
            code_size=options.code_size, epochs=options.epochs, random_state=0
        ).fit(samples.values[normal])
        pca = PCA(options.code_size, random_state=0).fit(pixels[normal])
        rebuilt = pca.inverse_transform(pca.transform(pixels[test]))
        errors = (
            -detector.score_samples(samples.values[test]),
            np.square(rebuilt - pixels[test]).mean(1),
        )
        areas.append([roc_auc_score(is_outlier, error) for error in errors])
        print(f"{name}: {areas[-1][0]:.3f}, PCA {areas[-1][1]:.3f}", flush=True)
    print("mean: {:.3f}, PCA {:.3f}".format(*np.mean(areas, axis=0)))


if __name__ == "__main__":
    main()
