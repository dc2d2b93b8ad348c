"""How good runs get, in how much training time, and what their codes are worth: `make quality`.

Trains each case on a set that is present, measures it once on its test part, and writes all
figures with the machine, the versions and the seeds beside them to results/quality.json. A case
that is not said to be otherwise has the defaults of the command line.

    python benchmarks/quality.py [--seeds 3] [--only fashion-2d mnist-32] [--group denoise]
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import isthmus
from isthmus.evaluation import evaluate
from isthmus.latent.codes import encode
from isthmus.latent.maps import draw_map, quality

RESULTS = Path(__file__).parent / "results" / "quality.json"
NOISE = {"source": "mnist", "code_size": 128}
SHORT = {"epochs": 10}
PLANE = {"code_size": 2, "settings": {"loss": "mse"}, "map": "code"}

GROUPS: dict[str, dict[str, dict[str, Any]]] = {
    "reconstruct": {
        "fashion-2d": {"source": "fashion-mnist", "code_size": 2},
        "faces-32": {"source": "lfw", "code_size": 32},
        "mnist-32": {"source": "mnist", "code_size": 32, "map": "tsne"},
        "mnist-2d-mse": {**PLANE, "source": "mnist"},
        "fashion-2d-mse": {**PLANE, "source": "fashion-mnist"},
        "fashion-32": {"source": "fashion-mnist", "code_size": 32, "map": "tsne"},
        "faces-linear": {"source": "lfw", "code_size": 32, "model": "linear"},
    },
    "denoise": {
        "denoise-conv": {**NOISE, "settings": {"corrupt": "gaussian:0.5"}, "plain": True},
        "denoise-conv-pool": {
            **NOISE,
            "model": "conv-pool",
            "settings": {"corrupt": "gaussian:0.5"},
            "plain": True,
        },
        "denoise-fashion-2d": {
            "source": "fashion-mnist",
            "code_size": 2,
            "settings": {"corrupt": "gaussian:0.5"},
        },
    },
    "noise-levels": {
        f"denoise-{kind}-{strength}": {
            **NOISE,
            "settings": {"corrupt": f"{kind}:{strength}", **SHORT},
        }
        for kind, strengths in (
            ("gaussian", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
            ("masked", (0.25, 0.5, 0.75)),
        )
        for strength in strengths
    },
}
CASES = {name: case for group in GROUPS.values() for name, case in group.items()}


def measure(case: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train one case with one seed and evaluate it."""
    samples = isthmus.load(case["source"])
    settings = {"seed": seed, **case.get("settings", {})}
    with tempfile.TemporaryDirectory() as folder:
        run = trained(case, samples, settings, Path(folder) / "run")
        plain = None
        if case.get("plain"):
            clean = {name: value for name, value in settings.items() if name != "corrupt"}
            plain = trained(case, samples, clean, Path(folder) / "plain")
        return judged(case, run, plain, samples)


def judged(
    case: dict[str, Any], run: isthmus.Run, plain: isthmus.Run | None, samples: isthmus.Samples
) -> dict[str, Any]:
    """Measure a trained run on its test part."""
    seed = run.record.settings.seed
    result = {"seed": seed, **evaluate(run, own=samples, plain=plain)}
    if "map" in case:
        test = samples.take(run.split().test)
        codes = encode(run.trained(), test)
        result["map"] = quality(draw_map(codes, case["map"], seed=seed), codes, test)
    return {**result, "made": run.record.made}


def trained(
    case: dict[str, Any], samples: isthmus.Samples, settings: dict[str, Any], out: Path
) -> isthmus.Run:
    """Train one model."""
    steps = isthmus.train(
        samples,
        case.get("model"),
        out=out,
        code_size=case["code_size"],
        settings=isthmus.Settings(**settings),
    )
    for progress in steps:
        if progress.validation_loss is not None:
            print(f"\r  epoch {progress.epoch}/{progress.epochs}", end="", flush=True)
    return isthmus.Run.open(out)


def told(run: dict[str, Any]) -> str:
    """Say in one line what came out."""
    test, pca = run["test"], run["baselines"]["pca"]["mse"]
    line = (
        f"\r  seed {run['seed']}: bce {test['bce']:.4f}, mse {test['mse']:.5f} (PCA {pca:.5f}), "
        f"psnr {test['psnr']:.2f} after {run['training']['seconds']:.0f} s of training"
    )
    if "noisy" in run:
        line += f", noisy {run['noisy']['psnr']:.2f} dB"
    if run.get("codes"):
        line += f"; 4-NN {run['codes']['knn_4']:.4f}, logistic {run['codes']['logistic']:.4f}"
    if "map" in run:
        line += f"; map by {run['map']['method']}, 10-NN {run['map']['knn_10']:.4f}"
    return line


def main() -> None:
    """Measure all cases, or some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", choices=CASES, nargs="+")
    parser.add_argument("--group", choices=GROUPS, default="reconstruct")
    options = parser.parse_args()
    RESULTS.parent.mkdir(exist_ok=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in options.only or GROUPS[options.group]:
        case = CASES[name]
        if not isthmus.DATASETS[case["source"]].present:
            print(f"{name}: skipped, {case['source']} is not present")
            continue
        print(name)
        results[name] = {**case, "runs": []}
        for seed in range(options.seeds):
            results[name]["runs"].append(measure(case, seed))
            print(told(results[name]["runs"][-1]))
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
