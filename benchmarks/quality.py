"""How good a default run gets, and in how much training time: `make bench`.

Trains with the defaults of the command line on the sets that are present, measures each run once
on its test part, and writes all figures with the machine, the versions and the seeds beside them
to results/quality.json.

    python benchmarks/quality.py [--seeds 3] [--only fashion-2d]
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import isthmus
from isthmus.evaluation import evaluate

CASES: dict[str, dict[str, Any]] = {
    "fashion-2d": {"source": "fashion-mnist", "code_size": 2},
    "faces-32": {"source": "lfw", "code_size": 32},
    "mnist-32": {"source": "mnist", "code_size": 32},
    "faces-linear": {"source": "lfw", "code_size": 32, "model": "linear"},
}


def measure(case: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train one case with one seed and evaluate it."""
    samples = isthmus.load(case["source"])
    settings = isthmus.Settings(seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        steps = isthmus.train(
            samples, case.get("model"), out=out, code_size=case["code_size"], settings=settings
        )
        for progress in steps:
            if progress.validation_loss is not None:
                print(f"\r  epoch {progress.epoch}/{progress.epochs}", end="", flush=True)
        run = isthmus.Run.open(out)
        return {"seed": seed, **evaluate(run, own=samples), "made": run.record.made}


def main() -> None:
    """Measure all cases, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", choices=CASES)
    options = parser.parse_args()
    file = Path(__file__).parent / "results" / "quality.json"
    file.parent.mkdir(exist_ok=True)
    results = json.loads(file.read_text()) if file.exists() else {}
    for name, case in CASES.items():
        if options.only not in (None, name):
            continue
        if not isthmus.DATASETS[case["source"]].present:
            print(f"{name}: skipped, {case['source']} is not present")
            continue
        print(name)
        results[name] = {**case, "runs": [measure(case, seed) for seed in range(options.seeds)]}
        for run in results[name]["runs"]:
            test, pca = run["test"], run["baselines"]["pca"]["mse"]
            print(
                f"\r  seed {run['seed']}: bce {test['bce']:.4f}, mse {test['mse']:.5f} (PCA "
                f"{pca:.5f}) after {run['training']['seconds']:.0f} s of training"
            )
        file.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
