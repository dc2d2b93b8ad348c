"""Measure the speed and the recall of a search among a million codes.

Draws synthetic codes, in clusters and (the hardest case) without any, builds an index, searches
for the neighbors of codes that are not in it, compares them with exact search, and writes all
results with the machine, the versions, the seed and the date to results/search.json. Each case
runs in its own process, so that its peak memory (with Python and all libraries) is its own.

    python benchmarks/search.py [--runs 1] [--count 1000000]
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.items import Items
from isthmus.latent.codes import Codes
from isthmus.latent.index import Index

SIZE = 32
K = 10
CLUSTERS = 3000  # centers are standard normal
SPREAD = 0.3  # standard deviation of a cluster, in each dimension
CASES = {"clustered": (CLUSTERS, 10_000), "gaussian": (0, 2000)}  # clusters, queries in a batch
COMPARED = 1000  # of the queries, with exact search
SINGLE = 100  # of them, one at a time
MB = 1e6


def draw_codes(count: int, clusters: int, seed: int) -> NDArray[np.float32]:
    """Draw codes (count, SIZE) float32; the same centers for every seed below 1,000."""
    rng = np.random.default_rng([seed, 1])
    z = rng.standard_normal((count, SIZE), np.float32)
    if clusters:
        centers = np.random.default_rng(seed // 1000).standard_normal((clusters, SIZE), np.float32)
        z = np.float32(SPREAD) * z + centers[rng.integers(clusters, size=count)]
    return z


def measure_time(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return how many seconds a function takes, and its result."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def peak_memory() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / MB


def measure(name: str, count: int, run: int) -> dict[str, Any]:
    """Measure one case in this process."""
    import faiss

    clusters, query_count = CASES[name]
    z, queries = (
        draw_codes(count, clusters, 2 * run),
        draw_codes(query_count, clusters, 2 * run + 1),
    )
    labels = np.random.default_rng(run).integers(10, size=count)
    codes = Codes(z, Items([f"{i:07}.png" for i in range(count)], labels, tuple("0123456789")))
    before = peak_memory()
    build_seconds, index = measure_time(lambda: Index.build(codes))
    batch_seconds, result = measure_time(lambda: index.search(queries, K))
    after = peak_memory()
    exact, _ = faiss.knn(queries[:COMPARED], z, K)
    limit = np.sqrt(exact[:, -1:]) * (1 + 1e-5)
    with tempfile.TemporaryDirectory() as folder:
        save_seconds, _ = measure_time(lambda: index.save(folder))
        disk = sum(file.stat().st_size for file in Path(folder).iterdir())
        open_seconds, opened = measure_time(lambda: Index.open(folder))
        opened_result = opened.search(queries, K)
        add_seconds, _ = measure_time(lambda: opened.add(Codes(queries[:1], Items(["one more"]))))
        remove_seconds, _ = measure_time(lambda: opened.remove(["one more"]))
    single_seconds, _ = measure_time(
        lambda: [index.search(queries[i : i + 1], K) for i in range(SINGLE)]
    )
    class_seconds, _ = measure_time(lambda: index.search(queries[:SINGLE], K, label="7"))
    return {
        "seed": 2 * run,
        "recall_10": float((result.distances[:COMPARED] <= limit).mean()),
        "recall_10_stored": index.recall,
        "kind": index.kind,
        "lists": index.vectors.lists,
        "nprobe": index.vectors.nprobe,
        "build_seconds": build_seconds,
        "queries_per_second": query_count / batch_seconds,
        "milliseconds_alone": 1000 * single_seconds / SINGLE,
        "milliseconds_within_class": 1000 * class_seconds / SINGLE,
        "save_seconds": save_seconds,
        "open_seconds": open_seconds,
        "add_one_seconds": add_seconds,
        "remove_one_seconds": remove_seconds,
        "same_when_opened": bool((result.rows == opened_result.rows).all())
        and bool((result.distances == opened_result.distances).all()),
        "codes_mb": z.nbytes / MB,
        "disk_mb": disk / MB,
        "peak_mb": after,
        "peak_over_codes_mb": after - z.nbytes / MB,
        "peak_before_build_mb": before,
    }


def environment() -> dict[str, Any]:
    """Return the date, the versions and the machine."""
    import faiss

    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "isthmus": version("isthmus"),
        "faiss": faiss.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "threads": faiss.omp_get_max_threads(),
        "load_before": os.getloadavg()[0],  # of other processes, which slow this down
    }


def print_run(name: str, run: dict[str, Any]) -> None:
    """Print a run for people."""
    print(
        f"{name}, seed {run['seed']}: built in {run['build_seconds']:.1f} s, recall@10 "
        f"{run['recall_10']:.4f} (stored {run['recall_10_stored']:.4f}) with {run['nprobe']} of "
        f"{run['lists']:,} lists, {run['queries_per_second']:,.0f} queries/s in a batch, "
        f"{run['milliseconds_alone']:.2f} ms alone, {run['milliseconds_within_class']:.1f} ms "
        f"within a class, {run['peak_over_codes_mb']:.0f} MB over the codes' "
        f"{run['codes_mb']:.0f} MB, opened in {run['open_seconds']:.2f} s with "
        f"{'the same' if run['same_when_opened'] else 'OTHER'} answers",
        flush=True,
    )


def main() -> None:
    """Measure all cases, each in a process that gets its name by --alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--alone", nargs=2, metavar=("CASE", "RUN"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        name, run = options.alone
        print(json.dumps(measure(name, options.count, int(run))))
        return
    results: dict[str, Any] = {"count": options.count, "size": SIZE, "made": environment()}
    for name, (clusters, _) in CASES.items():
        runs = []
        for run in range(options.runs):
            command = [sys.executable, __file__, "--alone", name, str(run)]
            command += ["--count", str(options.count)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            runs.append(json.loads(done.stdout))
            print_run(name, runs[-1])
        results[name] = {"clusters": clusters, "spread": SPREAD if clusters else 1, "runs": runs}
    file = Path(__file__).parent / "results" / "search.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
