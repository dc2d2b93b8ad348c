"""Measure training next to other work on the same cores, compared with Keras and a PyTorch loop.

    python benchmarks/busy.py [--peers PYTHON] [--only dense-selu conv] [--processes 2] [--runs 3]

Each side trains alone and then next to processes that compute without end, in turns with the
others. The fair share of a training on C cores next to N such processes is C / (C + N) of its speed
alone, as each side computes with C threads unless it chooses fewer. Rates are medians of the second
of two epochs; PYTHON is an interpreter with benchmarks/peers/requirements.txt installed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from speed import MODELS, Side, alternate, model_case

from isthmus.runtime import core_count

ENDLESS = "while True: pass"


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Compute without end in so many processes."""
    others = [subprocess.Popen([sys.executable, "-c", ENDLESS]) for _ in range(processes)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def next_to(side: Side, processes: int) -> Side:
    """Return a side that runs next to busy processes."""

    def run() -> dict[str, float]:
        with busy(processes):
            return side()

    return run


def measure(name: str, options: argparse.Namespace) -> None:
    """Print how fast each side trains a model, alone and next to others."""
    cores = core_count()
    fair = cores / (cores + options.processes)
    with tempfile.TemporaryDirectory() as folder:
        sides = model_case(name, options.peers, Path(folder), options.images)
        chosen = [one for one in ("isthmus auto", "pytorch", "keras") if one in sides]
        both = {(one, count): sides[one] for one in chosen for count in (0, options.processes)}
        runs = {f"{one} {count}": next_to(side, count) for (one, count), side in both.items()}
        load = os.getloadavg()[0]
        results = alternate(runs, options.runs)
    for one in chosen:
        alone, beside = (
            statistics.median(run["train"] for run in results[f"{one} {count}"])
            for count in (0, options.processes)
        )
        share = beside / (alone * fair)
        print(
            f"{name}, {one}: {alone:,.0f}/s alone, {beside:,.0f}/s next to {options.processes}, "
            f"{share:.2f} of its fair share (load before: {load:.1f})",
            flush=True,
        )


def main() -> None:
    """Measure all models, or some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="the Python of the peers on TensorFlow")
    parser.add_argument("--only", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--images", type=int, help="train on no more than these")
    options = parser.parse_args()
    for name in options.only:
        measure(name, options)


if __name__ == "__main__":
    main()
