"""Measure how well a trained autoencoder finds what does not belong.

    python benchmarks/outliers.py one-class --source mnist [--seeds 3] [--epochs 10] [--classes 0,1]
    python benchmarks/outliers.py held-out [--source digits] [--code-size 4] [--count 1200]
    python benchmarks/outliers.py planted [--count 50]

`one-class` is the protocol of L. Ruff et al. (Deep one-class classification, ICML 2018): a model
is trained on the training images of one class and judges all test images, of which those of the
other classes are the outliers. `held-out` leaves one class out of the training. `planted` puts
digits among garments. Printed are areas under the ROC curve, of all scores and of baselines.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

import isthmus
from isthmus.detection.baselines import BASELINES, baseline_scores
from isthmus.detection.detector import Detector
from isthmus.detection.scores import SCORES
from isthmus.sklearn import OutlierDetector

TEST_COUNT = 4_000  # images that a held-out class is looked for among
Areas = dict[str, float]


def measure_class(
    samples: isthmus.Samples, name: str, config: isthmus.TrainingConfig, baselines: bool
) -> Areas:
    """Train on one class, and return the area of each score over the source's test split."""
    training = isthmus.train(samples, config=config)
    for _ in training:
        pass
    run = training.run
    split = run.split()
    detector = Detector.fit(run.model(), samples, split.train, split.validation)
    assert samples.labels is not None
    is_outlier = samples.labels[split.test] != samples.class_names.index(name)
    measures = detector.measure(samples, split.test)
    scores = {one: detector.scores(measures, one, split.test) for one in SCORES}
    if baselines:
        scores |= baseline_scores(samples, split.train, split.test, detector.model.code_size)
    return {one: float(roc_auc_score(is_outlier, each)) for one, each in scores.items()}


def one_class(options: argparse.Namespace) -> None:
    """Take each class for the normal one in turn; results are kept line by line."""
    samples = isthmus.load(options.source)
    classes = options.classes.split(",") if options.classes else samples.class_names
    done = _read(options.out)
    for seed in range(options.seed, options.seed + options.seeds):
        for name in classes:
            key = [options.source, options.epochs, options.corrupt, seed, name]
            if any(line["key"] == key for line in done):
                continue
            config = isthmus.TrainingConfig(
                epochs=options.epochs, seed=seed, normal=name, corrupt=options.corrupt
            )
            areas = measure_class(samples, name, config, seed == 0)
            done.append({"key": key, "areas": areas})
            _write(options.out, done[-1])
            print(f"seed {seed}, {name}: {_text(areas)}", flush=True)
    wanted = [line for line in done if line["key"][:3] == key[:3]]
    _summarize(wanted)


def held_out(options: argparse.Namespace) -> None:
    """Leave each class out of the training in turn; it is then to be found by the error."""
    samples = isthmus.load(options.source)
    assert samples.labels is not None
    is_test = np.arange(len(samples)) >= options.count
    if samples.splits is not None:
        is_test = samples.splits == 2
    train = np.flatnonzero(~is_test)[: options.count]
    test = np.flatnonzero(is_test)[:TEST_COUNT]
    areas = []
    for held_out, name in enumerate(samples.class_names):
        normal = train[samples.labels[train] != held_out]
        detector = OutlierDetector(
            code_size=options.code_size, epochs=options.epochs, random_state=0
        ).fit(samples.values[normal])
        is_outlier = samples.labels[test] == held_out
        scores = {"error": -detector.score_samples(samples.values[test])}
        scores |= baseline_scores(samples, normal, test, options.code_size)
        areas.append({one: float(roc_auc_score(is_outlier, each)) for one, each in scores.items()})
        print(f"{name}: {_text(areas[-1])}", flush=True)
    for score in areas[0]:
        print(f"{score:10} {np.mean([one[score] for one in areas]):.3f}")


def planted(options: argparse.Namespace) -> None:
    """Plant test digits among test garments, and judge them by a model of training garments."""
    garments, digits = isthmus.load("fashion-mnist"), isthmus.load("mnist")
    for seed in range(options.seed, options.seed + options.seeds):
        config = isthmus.TrainingConfig(epochs=options.epochs, seed=seed)
        rng = np.random.default_rng(seed)
        pools = [
            (garments, 0, options.train),
            (garments, 2, options.garments),
            (digits, 2, options.count),
        ]
        drawn = [
            one.values[rng.choice(np.flatnonzero(one.splits == split), count, replace=False)]
            for one, split, count in pools
        ]
        training = isthmus.train(isthmus.load(drawn[0]), config=config)
        for _ in training:
            pass
        pile = isthmus.load(np.concatenate(drawn[1:]))
        found = isthmus.Session(training.run).outliers(pile)
        is_digit = np.arange(len(pile)) >= options.garments
        for score, values in found.scores.items():
            first = np.argsort(-values, kind="stable")[: options.count]
            area = roc_auc_score(is_digit, values)
            print(f"seed {seed}, {score}: {is_digit[first].sum()} of {options.count}, {area:.4f}")


def _summarize(lines: list[dict[str, Any]]) -> None:
    """Print the mean over classes of each seed, and the mean and spread over seeds."""
    seeds = sorted({line["key"][3] for line in lines})
    for score in (*SCORES, *BASELINES):
        means = [
            np.mean([one["areas"][score] for one in lines if one["key"][3] == seed])
            for seed in seeds
            if all(score in one["areas"] for one in lines if one["key"][3] == seed)
        ]
        if means:
            print(f"{score:10} {np.mean(means):.4f} ± {np.std(means):.4f} of {len(means)} seeds")


def _read(path: Path | None) -> list[dict[str, Any]]:
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def _write(path: Path | None, line: dict[str, Any]) -> None:
    if path is not None:
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def _text(areas: Areas) -> str:
    return ", ".join(f"{name} {area:.3f}" for name, area in areas.items())


def main() -> None:
    """Run one of the three measurements."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    commands = parser.add_subparsers(required=True)
    each = commands.add_parser("one-class")
    each.add_argument("--source", default="mnist")
    each.add_argument("--seeds", type=int, default=3)
    each.add_argument("--seed", type=int, default=0, help="the first one")
    each.add_argument("--epochs", type=int, default=10)
    each.add_argument("--corrupt")
    each.add_argument("--classes", help="names with commas between; by default all")
    each.add_argument("--out", type=Path, help="a file of results to continue")
    each.set_defaults(run=one_class)
    each = commands.add_parser("held-out")
    each.add_argument("--source", default="digits")
    each.add_argument("--code-size", type=int, default=4)
    each.add_argument("--epochs", type=int)
    each.add_argument("--count", type=int, default=1_200, help="training images, the first")
    each.set_defaults(run=held_out)
    each = commands.add_parser("planted")
    each.add_argument("--count", type=int, default=50, help="digits")
    each.add_argument("--garments", type=int, default=1_000)
    each.add_argument("--train", type=int, default=10_000, help="other garments, to train on")
    each.add_argument("--epochs", type=int, default=10)
    each.add_argument("--seeds", type=int, default=3)
    each.add_argument("--seed", type=int, default=0, help="the first one")
    each.set_defaults(run=planted)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
