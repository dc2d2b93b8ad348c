"""Measure bounds on the log-likelihood of binarized MNIST: `vae`, with a code of 32 numbers.

    python benchmarks/likelihood.py [--seeds 0 1 2] [--epochs 20] [--lr 0.005] [--batch-size 128]
    python benchmarks/likelihood.py --runs FOLDER --minutes 4 --validation

Prints the evidence lower bound with its two terms, the importance-weighted bound with 100 codes a
sample, and how many numbers of the code are active, all of the 10,000 test images, for the weights
of the best epoch by validation. Pixels are drawn as 0 or 1 with their values as probabilities:
again in each epoch of training, and for a test image always the same (Salakhutdinov and Murray
2008; Burda et al. 2016). With `--runs`, runs stay in a folder, and a second call goes on with those
that `--minutes` stopped. `--validation` measures on the validation split instead, to choose
settings by.
"""

import argparse
from collections import deque
from dataclasses import replace
from pathlib import Path

import isthmus
from isthmus.evaluation.likelihood import measure_likelihood
from isthmus.evaluation.setup import plan_evaluation


def train(seed: int, options: argparse.Namespace) -> isthmus.Run | None:
    """Train a run, or train it further; None while it has epochs to go."""
    folder = None if options.runs is None else options.runs / f"seed-{seed}"
    if folder is None or not folder.exists():
        config = isthmus.TrainingConfig(
            seed=seed,
            epochs=options.epochs,
            batch_size=options.batch_size,
            lr=options.lr,
            binarize=True,
        )
        training = isthmus.train(
            isthmus.load("mnist"), "vae", out=folder, config=config, max_minutes=options.minutes
        )
    elif isthmus.Run.open(folder).history()[-1]["epoch"] >= options.epochs:
        return isthmus.Run.open(folder)
    else:
        training = isthmus.resume(folder, max_minutes=options.minutes)
    deque(training, 0)
    done = training.run.history()[-1]["epoch"]
    print(f"seed {seed}: {done:.1f} of {options.epochs} epochs", flush=True)
    return training.run if done >= options.epochs else None


def measure(run: isthmus.Run, on_validation: bool) -> str:
    """Return a line of results."""
    samples = run.samples()
    setup = plan_evaluation(run, samples, None)
    if on_validation:
        rows = run.split().validation
        setup = replace(setup, test=samples.take(rows), indices=rows)
    found = measure_likelihood(setup)
    assert found is not None
    return (
        f"ELBO {found['elbo']:.2f} (reconstruction {found['reconstruction']:.2f}, KL "
        f"{found['kl']:.2f}), bound {found['bound']:.2f} ± {found['bound_error']:.2f} (k = "
        f"{found['draws']}, {found['bound_n']:,} images), {found['active_units']} of "
        f"{found['units']} active, independent pixels {found['independent']:.2f}, "
        f"{run.history()[-1]['seconds']:.0f} s of training"
    )


def main() -> None:
    """Train and measure a run for each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--minutes", type=float, help="of training for each run in this call")
    parser.add_argument("--validation", action="store_true")
    options = parser.parse_args()
    for seed in options.seeds:
        run = train(seed, options)
        if run is not None:
            print(f"seed {seed}: {measure(run, options.validation)}", flush=True)


if __name__ == "__main__":
    main()
