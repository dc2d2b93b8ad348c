"""Measure training by two processes of one thread, compared with one process of two threads.

Both sides train the same runs with the same batches, in alternation. It prints images a second of
training, their ratio (of the medians, and of each pair), and how long the whole command took. With
`--spread` it prints the validation losses of both sides for some seeds in bfloat16 instead: what
the sides differ by, next to what seeds differ by.

    python benchmarks/processes.py [--only conv] [--runs 3]
    python benchmarks/processes.py --spread [--seeds 0 1 2 3 4]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from isthmus import Run

MODELS = {  # model: (data, images, batch, epochs)
    "conv": ("mnist", 12_000, 256, 2),
    "conv-bn-2d": ("fashion-mnist", 2_000, 100, 2),
    "dense-selu": ("mnist", 12_000, 256, 4),
}
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SIDES = {"2 processes × 1 thread": (TORCHRUN, 1), "1 process × 2 threads": ([], 2)}
SPREAD = ["digits", "--model", "conv", "--epochs", "10", "--batch-size", "64", "--precision"]
COUNTS = {"2 processes": TORCHRUN, "1 process": []}  # each of one thread, which is exact


class Trained(NamedTuple):
    """The speed of training, the seconds of the whole command, and the best validation loss."""

    images_per_second: float
    seconds: float
    loss: float


def train(start: list[str], threads: int, *arguments: object) -> Trained:
    """Train a run, by a process of so many threads or by several of them."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "run")
        command = [sys.executable, *start, "-m", "isthmus", "train", *map(str, arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        begun = time.perf_counter()
        ended = subprocess.run(
            [*command, "--out", str(out)], env=environment, capture_output=True, text=True
        )
        seconds = time.perf_counter() - begun
        if ended.returncode != 0:
            raise SystemExit(ended.stderr)
        lines = Run.open(out).history()
    best = min(line["validation_loss"] for line in lines)
    return Trained(lines[-1]["images_per_second"], seconds, best)


def compare(model: str, runs: int) -> None:
    """Print the speed of both sides, and their ratio."""
    source, count, batch, epochs = MODELS[model]
    options = ["--model", model, "--batch-size", batch, "--epochs", epochs, "--precision", "32"]
    found: dict[str, list[Trained]] = {side: [] for side in SIDES}
    for _ in range(runs):
        for side, results in found.items():
            results.append(train(*SIDES[side], source, "--limit", count, *options))
    speeds = {side: [one.images_per_second for one in found[side]] for side in found}
    for side, results in found.items():
        whole = statistics.median(one.seconds for one in results)
        speed = statistics.median(speeds[side])
        print(f"{model}, {side}: {speed:,.0f} images/s, the whole command {whole:.1f} s")
    two, one = speeds.values()
    ratio = statistics.median(two) / statistics.median(one)
    pairs = ", ".join(f"{a / b:.2f}" for a, b in zip(two, one, strict=True))
    print(f"{model}: 2 processes are {ratio:.2f} times as fast (pairs {pairs})", flush=True)


def spread(seeds: list[int]) -> None:
    """Print the validation losses of both sides in bfloat16, and what they differ by."""
    losses = {
        side: [train(start, 1, *SPREAD, "bf16", "--seed", seed).loss for seed in seeds]
        for side, start in COUNTS.items()
    }
    for side, found in losses.items():
        print(f"{side}: " + ", ".join(f"{loss:.5f}" for loss in found))
    two, one = losses.values()
    apart = [abs(a - b) for a, b in zip(two, one, strict=True)]
    print(f"the sides differ by {statistics.mean(apart):.5f} on average, at most {max(apart):.5f}")
    print(f"seeds differ with a standard deviation of {statistics.stdev(one):.5f}")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", nargs="+", choices=MODELS, default=["conv", "conv-bn-2d"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--spread", action="store_true", help="losses in bfloat16 instead")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    arguments = parser.parse_args()
    if arguments.spread:
        spread(arguments.seeds)
        return
    for model in arguments.only:
        compare(model, arguments.runs)


if __name__ == "__main__":
    main()
