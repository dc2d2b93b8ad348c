"""Measure the quality of runs, their training time and their codes: `make quality`.

Trains each case on a data set that is present, measures it once on its test split, and writes all
metrics, with the machine, the versions and the seeds, to results/quality.json. What a case does
not set has the default of the command line.

    python benchmarks/quality.py [--seeds 3] [--only fashion-2d mnist-32] [--group denoise]
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from cases import CASES, GROUPS, TEN_EPOCHS

import isthmus
from isthmus.data.split import split_samples
from isthmus.evaluation.evaluate import evaluate
from isthmus.latent.codes import encode
from isthmus.latent.maps import fit_map, map_quality

RESULTS = Path(__file__).parent / "results" / "quality.json"


def measure(case: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train one case with one seed and evaluate it."""
    samples = isthmus.load(case["source"], size=case.get("size"), limit=case.get("limit"))
    config = {"seed": seed, **case.get("training_config", {})}
    with tempfile.TemporaryDirectory() as folder:
        if "labels" in case:
            return measure_few_labels(case, samples, seed, Path(folder))
        run = train_model(case, samples, config, Path(folder) / "run")
        plain = None
        if case.get("plain"):
            clean = {name: value for name, value in config.items() if name != "corrupt"}
            plain = train_model(case, samples, clean, Path(folder) / "plain")
        return evaluate_run(case, run, plain, samples)


def evaluate_run(
    case: dict[str, Any], run: isthmus.Run, plain: isthmus.Run | None, samples: isthmus.Samples
) -> dict[str, Any]:
    """Measure a trained run on its test split."""
    seed = run.record.training_config.seed
    result = {"seed": seed, **evaluate(run, own=samples, plain=plain, cache=False)}
    if "map" in case:
        test = samples.take(run.split().test)
        codes = encode(run.model(), test)
        result["map"] = map_quality(fit_map(codes, case["map"], seed=seed), codes, test)
    if "task" in case:
        result["history"] = [
            {name: value for name, value in line.items() if name == "epoch" or "loss" in name}
            for line in run.history()
        ]
    return {**result, "environment": run.record.environment}


def measure_few_labels(
    case: dict[str, Any], samples: isthmus.Samples, seed: int, folder: Path
) -> dict[str, Any]:
    """Train classifiers on a few labels of each class, with and without a pretrained encoder.

    The encoder is trained without labels and never sees a test image. A fifth of the labels is the
    validation split.
    """
    encoder = train_model(case, samples, {"seed": seed, **TEN_EPOCHS}, folder / "all")
    classifier = {
        "task": "classify",
        "model": "encoder",
        "options": {"base": encoder.record.model_config.model},
        "code_size": case["code_size"],
    }
    methods: dict[str, dict[str, Any]] = {
        "probe": {"encoder_from": str(encoder.path), "freeze": True, "lr": 0.03},
        "fine-tuned": {"encoder_from": str(encoder.path), "lr": 1e-3},
        "from scratch": {},
    }
    result: dict[str, Any] = {"seed": seed, "environment": encoder.record.environment}
    for count in case["labels"]:
        few = take_labels(samples, count, seed)
        for method, config in methods.items():
            full_config = {"seed": seed, "validation": 0.2, **config}
            run = train_model(classifier, few, full_config, folder / f"{method} {count}")
            result[f"{method}, {count}"] = evaluate(run, own=few, cache=False)["test"]["accuracy"]
    return result


def take_labels(samples: isthmus.Samples, count: int, seed: int) -> isthmus.Samples:
    """Return `count` training samples of each class, drawn by the seed, and the test split."""
    rng = np.random.default_rng(seed)
    pool, labels = split_samples(samples, seed).train, samples.labels
    assert labels is not None
    assert samples.splits is not None
    classes = [pool[labels[pool] == label] for label in range(len(samples.class_names))]
    chosen = [rng.choice(members, count, replace=False) for members in classes]
    return samples.take(np.concatenate([*chosen, np.flatnonzero(samples.splits == 2)]))


def train_model(
    case: dict[str, Any], samples: isthmus.Samples, config: dict[str, Any], out: Path
) -> isthmus.Run:
    """Train one model."""
    training = isthmus.train(
        samples,
        case.get("model"),
        out=out,
        task=case.get("task"),
        code_size=case.get("code_size"),
        options=case.get("options"),
        config=isthmus.TrainingConfig(**config),
    )
    for progress in training:
        if progress.validation_loss is not None:
            print(f"\r  epoch {progress.epoch}/{progress.epochs}", end="", flush=True)
    return isthmus.Run.open(out)


def describe(run: dict[str, Any]) -> str:
    """Describe a result in one line."""
    if "test" not in run:
        methods = {name: value for name, value in run.items() if isinstance(value, float)}
        return f"\r  seed {run['seed']}: " + ", ".join(f"{n} {v:.4f}" for n, v in methods.items())
    if "history" in run:
        names = ("accuracy", "ece", "pixel_accuracy", "mean_iou")
        values = [f"{name} {run['test'][name]:.4f}" for name in names if name in run["test"]]
        seconds = run["training"]["seconds"]
        return f"\r  seed {run['seed']}: {', '.join(values)} after {seconds:.0f} s of training"
    test, pca = run["test"], run["baselines"]["pca"]["mse"]
    line = (
        f"\r  seed {run['seed']}: bce {test['bce']:.4f}, mse {test['mse']:.5f} (PCA {pca:.5f}), "
        f"psnr {test['psnr']:.2f} after {run['training']['seconds']:.0f} s of training"
    )
    if "noisy" in run:
        line += f", noisy {run['noisy']['psnr']:.2f} dB"
    if run.get("codes"):
        line += f"; 4-NN {run['codes']['knn_4']:.4f}"
    if "map" in run:
        line += f"; map by {run['map']['method']}, 10-NN {run['map']['knn_10']:.4f}"
    return line


def main() -> None:
    """Measure all cases, or some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", choices=CASES, nargs="+")
    parser.add_argument("--group", choices=GROUPS, default="reconstruct")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.out.parent.mkdir(exist_ok=True)
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name in options.only or GROUPS[options.group]:
        case = CASES[name]
        if not isthmus.DATASETS[case["source"]].is_present:
            print(f"{name}: skipped, {case['source']} is not present")
            continue
        print(name)
        results[name] = {**case, "runs": []}
        for seed in range(options.seeds):
            results[name]["runs"].append(measure(case, seed))
            print(describe(results[name]["runs"][-1]))
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
