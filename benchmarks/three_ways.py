"""One job written in three ways: with Keras, with scikit-learn alone and with Isthmus.

Images are compressed to 32 numbers and reconstructed, and a linear classifier tells the digits
from these numbers. Prints the lines of code, the CPU seconds and both results on test images, as
means and standard deviations over seeds. The sides run in turns, each in a process of its own and
on one core, so that other work on the machine matters little.

    python benchmarks/three_ways.py --peers PYTHON [--source mnist] [--count 10000] [--runs 3]

PYTHON is an interpreter with benchmarks/peers/requirements.txt installed; without it, the side of
Keras is left out.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from speed import environment, run_json

import isthmus

JOBS = Path(__file__).parent / "peers" / "three_ways"
SIDES = {  # name: (file, further arguments)
    "Keras": ("keras_dense.py", ()),
    "scikit-learn, MLPRegressor": ("mlp.py", ()),
    "scikit-learn, PCA": ("pca.py", ()),
    "Isthmus, dense": ("ours.py", ("dense",)),
    "Isthmus, conv": ("ours.py", ("conv",)),
}
TEST_COUNT = 10_000
ONE_CORE = {
    "OMP_NUM_THREADS": "1",  # also of NumPy and torch
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
}


def job_lines(file: Path) -> list[str]:
    """Return the lines of a side that a user writes, without blank lines and comments."""
    lines, inside = [], False
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("# -- "):
            inside = line in ("# -- imports", "# -- the job")
        elif inside and line.strip():
            lines.append(line)
    return lines


def write_images(source: str, count: int, file: Path) -> None:
    """Write training images of a data set and test images that it keeps apart, as uint8."""
    samples = isthmus.load(source)
    split = isthmus.split_samples(samples)
    assert samples.labels is not None
    train, test = (
        (samples.values[indices][..., 0], samples.labels[indices])
        for indices in (split.train[:count], split.test[:TEST_COUNT])
    )
    np.savez(file, x_train=train[0], y_train=train[1], x_test=test[0], y_test=test[1])


def describe(values: list[float], digits: int) -> str:
    """Return mean and standard deviation."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {spread:.{digits}f}"


def main() -> None:
    """Run all sides and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="the Python of the peers on TensorFlow")
    parser.add_argument("--source", default="mnist")
    parser.add_argument("--count", type=int, default=10_000, help="training images")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    os.environ.update(ONE_CORE)
    sides = {name: side for name, side in SIDES.items() if name != "Keras" or options.peers}
    results: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "images.npz"
        write_images(options.source, options.count, file)
        for seed in range(options.runs):
            for name, (script, arguments) in sides.items():
                python = options.peers if name == "Keras" else sys.executable
                command = [python, str(JOBS / script), str(file), str(seed), *arguments]
                results[name].append(run_json(command))
                print(name, results[name][-1], file=sys.stderr, flush=True)
    print("| | lines | CPU seconds | MSE | accuracy |\n|---|---|---|---|---|")
    for name, runs in results.items():
        seconds, mse, accuracy = ([run[key] for run in runs] for key in runs[0])
        lines = len(job_lines(JOBS / sides[name][0]))
        print(
            f"| {name} | {lines} | {describe(seconds, 1)} | {describe(mse, 4)} | "
            f"{describe([100 * value for value in accuracy], 1)}% |"
        )
    print(environment(options.runs))


if __name__ == "__main__":
    main()
