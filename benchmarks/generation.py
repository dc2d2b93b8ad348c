"""Measure how good generated samples are, of any models and seeds.

    python benchmarks/generation.py train mnist --models vae,conv --seeds 3 --out runs/
    python benchmarks/generation.py measure runs/ --out results.jsonl

`train` trains each model with each seed, and one classifier (`cnn`, one epoch) as the judge; what
is trained already is left alone, and what was stopped is continued. `measure` draws from the
mixture of each run, and from the prior of variational ones, and prints for each model the means and
standard deviations over the seeds of all measures of `compare_generators`: half of the test split
is compared with the other half and with as many generated samples, in the features of the judge.
Nothing is chosen by these numbers: the number of components is chosen by validation samples.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

import isthmus
from isthmus.latent.drawing import Draw
from isthmus.training.resuming import is_finished

JUDGE = "judge"
MEASURES = ("frechet", "precision", "recall", "density", "coverage")


def train(options: argparse.Namespace) -> None:
    """Train the judge, and all models with all seeds."""
    samples = isthmus.load(options.source)
    judged = isthmus.TrainingConfig(epochs=1)
    _train(samples, options.out / JUDGE, options.minutes, "cnn", judged, task="classify")
    for seed in range(options.seeds):
        for model in options.models.split(","):
            config = isthmus.TrainingConfig(epochs=options.epochs, seed=seed)
            _train(samples, options.out / f"{model}-{seed}", options.minutes, model, config)


def _train(
    samples: isthmus.Samples,
    out: Path,
    minutes: float | None,
    model: str,
    config: isthmus.TrainingConfig,
    **others: Any,
) -> None:
    """Train a run, or continue it, for at most so many minutes."""
    if not out.exists():
        others |= {"out": out, "config": config, "max_minutes": minutes}
        training = isthmus.train(samples, model, **others)
    elif is_finished(isthmus.Run.open(out)):
        return
    else:
        training = isthmus.resume(out, max_minutes=minutes)
    for _ in training:
        pass
    print(f"{out}: {training.run.history()[-1]['epoch']:g} epochs", flush=True)


def measure(options: argparse.Namespace) -> None:
    """Measure all runs in a folder; each is measured once, and its result kept in a line."""
    judge = isthmus.load_model(options.runs / JUDGE)
    done = [json.loads(line) for line in _lines(options.out)]
    known = {(line["run"], line["fingerprint"]) for line in done}
    for path in sorted(options.runs.iterdir()):
        if path.name == JUDGE or not (path / "run.json").exists():
            continue
        session = isthmus.Session(path, say=print)
        if (path.name, session.model.fingerprint) in known:
            continue
        seed = session.run.record.training_config.seed
        rows = session.measure_generated(judge, Draw(seed=seed))["rows"]
        line = {"run": path.name, "fingerprint": session.model.fingerprint, "rows": rows}
        done.append(line)
        if options.out:
            with options.out.open("a") as file:
                file.write(json.dumps(line) + "\n")
    _print(done)


def _lines(path: Path | None) -> list[str]:
    return path.read_text().splitlines() if path and path.exists() else []


def _print(done: list[dict[str, Any]]) -> None:
    """Print means and standard deviations over the runs of a model."""
    values = defaultdict(list)
    for line in done:
        model = line["run"].rpartition("-")[0]
        for name, row in line["rows"].items():
            own = name in ("rebuilt", "mixture", "prior")
            values[f"{model}, {name}" if own else name].append([row[one] for one in MEASURES])
    print("| | runs |", " | ".join(MEASURES), "|")
    for title, rows in values.items():
        means, spreads = np.mean(rows, 0), np.std(rows, 0)
        cells = [f"{mean:.3f} ± {spread:.3f}" for mean, spread in zip(means, spreads, strict=True)]
        print(f"| {title} | {len(rows)} |", " | ".join(cells), "|")


def main() -> None:
    """Train or measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    commands = parser.add_subparsers(required=True)
    each = commands.add_parser("train")
    each.add_argument("source")
    each.add_argument("--models", default="vae,conv")
    each.add_argument("--seeds", type=int, default=3)
    each.add_argument("--epochs", type=int, help="by default the models' own")
    each.add_argument("--minutes", type=float, help="of each training; run again to continue")
    each.add_argument("--out", type=Path, required=True)
    each.set_defaults(run=train)
    each = commands.add_parser("measure")
    each.add_argument("runs", type=Path)
    each.add_argument("--out", type=Path, help="a file of results to continue")
    each.set_defaults(run=measure)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
