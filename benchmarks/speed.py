"""Measure the speed of Isthmus, compared with other libraries: `make bench`.

Each case alternates with its peers several times, each in a process of its own. Ratios are those of
the medians, and their spread is that of the pairs. Results are written to results/speed.json with
the machine, the versions and the date.

    python benchmarks/speed.py --peers PYTHON [--only conv-pool reading] [--runs 3]

PYTHON is an interpreter with benchmarks/peers/requirements.txt installed; without it, the peers
on TensorFlow are left out.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import isthmus
from isthmus.runtime import core_count

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "speed.json"
MODELS = {  # model: (data, images, batch)
    "conv-pool": ("mnist", 24_000, 128),
    "conv-bn-2d": ("fashion-mnist", 2_000, 100),
    "conv-transpose": ("lfw", 6_000, 32),
    "dense-selu": ("mnist", 40_000, 32),
    "conv": ("fashion-mnist", 24_000, 128),
}
# torch as it chooses by itself, and in either precision; ONNX Runtime
ENGINES = ("auto", "bf16", "32", "onnx")
JOBS = {  # job: its peer
    "reading": "pillow",
    "tsne": "scikit-learn",
    "search": "scikit-learn",
}
CASES = [*MODELS, *JOBS, "start"]
CODES = {"tsne": 10_000, "search": 50_000}  # of 32 numbers

Result = dict[str, Any]
Side = Callable[[], Result]


def run_json(command: list[str]) -> Result:
    """Run a command and return the JSON object in the last line that it prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: Result = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def model_case(
    name: str, peers: str | None, folder: Path, images: int | None = None
) -> dict[str, Side]:
    """Return the sides of training and inference with one model, on all its images or fewer."""
    source, count, batch = MODELS[name]
    count = min(count, images or count)
    file = folder / f"{source}-{count}.npy"
    np.save(file, isthmus.load(source).values[:count])
    job = [name, str(batch), str(file)]

    def side(python: str, script: str, *more: str) -> Side:
        return lambda: run_json([python, str(HERE / "peers" / script), *job, *more])

    sides = {f"isthmus {one}": side(sys.executable, "ours.py", one) for one in ENGINES}
    sides["pytorch"] = side(sys.executable, "torch_peer.py")
    if peers is not None and name != "conv":
        sides["keras"] = side(peers, "keras_peer.py")
    return sides


def job_case(name: str, folder: Path) -> dict[str, Side]:
    """Return the sides of a job: read 13,233 JPEGs at 32 × 32, fit a map, or search."""
    if name == "reading":
        archive = isthmus.DATASETS["lfw"].locate()
        subprocess.run(["tar", "xf", str(archive), "-C", str(folder)], check=True)
        path = folder / "lfw"
    else:
        path = folder / "codes.npy"
        np.save(path, principal_components(CODES[name]))

    def side(who: str) -> Side:
        return lambda: run_json([sys.executable, str(HERE / "peers/jobs.py"), name, who, str(path)])

    return {who: side(who) for who in ("isthmus", JOBS[name])}


def principal_components(count: int) -> NDArray[np.float32]:
    """Return the first 32 principal components of `count` digits of MNIST."""
    from sklearn.decomposition import PCA

    pixels = isthmus.load("mnist").values[:count].reshape(count, -1).astype(np.float32)
    return PCA(32, random_state=0).fit_transform(pixels)  # type: ignore[no-any-return]


def start_case(peers: str | None) -> dict[str, Side]:
    """Return the sides of starting: the help of the command line, and importing packages."""
    ours = Path(sys.executable).with_name("isthmus")
    sides = {
        "isthmus help": time_start([str(ours), "--help"]),
        "isthmus load": time_start(
            [sys.executable, "-c", "import isthmus; isthmus.load('digits')"]
        ),
        "pytorch": time_start([sys.executable, "-c", "import torch"]),
    }
    if peers is not None:
        sides["keras"] = time_start([peers, "-c", "import keras"])
    return sides


def time_start(command: list[str]) -> Side:
    """Return a side that runs a command and times it as a whole."""

    def run() -> Result:
        began = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        return {"rate": 1 / (time.perf_counter() - began), "peak_mb": None}

    return run


def alternate(sides: dict[str, Side], runs: int) -> dict[str, list[Result]]:
    """Run the sides in turns, so that a busy moment of the machine affects all of them."""
    results: dict[str, list[Result]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, side in sides.items():
            results[name].append(side())
    return results


def compare(results: dict[str, list[Result]], what: str) -> dict[str, Any]:
    """Return medians, and the ratios of ours to each peer with their spread over pairs."""
    # ONNX Runtime infers and does not train.
    rates = {name: [run[what] for run in runs] for name, runs in results.items() if what in runs[0]}
    table: dict[str, Any] = {
        "per_second": {name: statistics.median(values) for name, values in rates.items()}
    }
    for ours in (name for name in rates if name.startswith("isthmus")):
        for peer in (name for name in rates if not name.startswith("isthmus")):
            pairs = [a / b for a, b in zip(rates[ours], rates[peer], strict=True)]
            ratio = statistics.median(rates[ours]) / statistics.median(rates[peer])
            table[f"{ours} / {peer}"] = {"ratio": ratio, "low": min(pairs), "high": max(pairs)}
    return table


def environment(runs: int) -> dict[str, Any]:
    """Return the date, the machine and the versions of a measurement."""
    cpu = Path("/proc/cpuinfo")
    names = [line for line in cpu.read_text().splitlines() if "model name" in line]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": names[0].split(":")[1].strip() if names else platform.processor(),
        "cores": core_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("isthmus", "torch", "onnxruntime", "numpy", "pillow")
        },
        "runs": runs,
        "seed": 0,
    }


def main() -> None:
    """Measure all cases, or some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="the Python of the peers on TensorFlow")
    parser.add_argument("--only", nargs="+", choices=CASES)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    written = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in options.only or CASES:
        with tempfile.TemporaryDirectory() as folder:
            metrics: tuple[str, ...] = ("rate",)
            if name in MODELS:
                sides, metrics = model_case(name, options.peers, Path(folder)), ("train", "infer")
            elif name in JOBS:
                sides = job_case(name, Path(folder))
            else:
                sides = start_case(options.peers)
            conditions = environment(options.runs)
            results = alternate(sides, options.runs)
        tables = {what: compare(results, what) for what in metrics}
        memory = {
            side: max((run["peak_mb"] or 0 for run in runs), default=0)
            for side, runs in results.items()
        }
        written[name] = {**tables, "peak_mb": memory, "environment": conditions}
        for what, table in tables.items():
            print(f"{name}, {what}: " + describe(table), flush=True)
        RESULTS.write_text(json.dumps(written, indent=1) + "\n")


def describe(table: dict[str, Any]) -> str:
    """Describe a comparison in one line."""
    rates = ", ".join(
        f"{name} {rate:,.4g}/s" if rate < 100 else f"{name} {rate:,.0f}/s"
        for name, rate in table["per_second"].items()
    )
    ratios = ", ".join(
        f"{name} {ratio['ratio']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
        for name, ratio in table.items()
        if name != "per_second"
    )
    return f"{rates}; {ratios}"


if __name__ == "__main__":
    main()
