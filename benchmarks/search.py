"""How fast similar samples are found among a million codes, and how many of them are missed.

Makes synthetic codes, in clusters and (the hardest case) without any, builds an index, asks for
the neighbors of codes that are not in it, compares with exact search, and writes all figures
with the machine, the versions, the seed and the date beside them to results/search.json. Each case
runs in a process of its own, so that its peak of memory (with Python and all libraries) is its own.

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


def draw(count: int, clusters: int, seed: int) -> NDArray[np.float32]:
    """Draw codes (count, SIZE) float32; the same centers for every seed below 1,000."""
    random = np.random.default_rng([seed, 1])
    z = random.standard_normal((count, SIZE), np.float32)
    if clusters:
        centers = np.random.default_rng(seed // 1000).standard_normal((clusters, SIZE), np.float32)
        z = np.float32(SPREAD) * z + centers[random.integers(clusters, size=count)]
    return z


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return how many seconds some work takes, and what comes of it."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def peak() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / MB


def measure(name: str, count: int, run: int) -> dict[str, Any]:
    """Measure one case in this process."""
    import faiss

    clusters, asked = CASES[name]
    z, queries = draw(count, clusters, 2 * run), draw(asked, clusters, 2 * run + 1)
    labels = np.random.default_rng(run).integers(10, size=count)
    codes = Codes(z, Items([f"{i:07}.png" for i in range(count)], labels, tuple("0123456789")))
    before = peak()
    built, index = timed(lambda: Index.build(codes))
    batch, hits = timed(lambda: index.search(queries, K))
    after = peak()
    truth, _ = faiss.knn(queries[:COMPARED], z, K)
    limit = np.sqrt(truth[:, -1:]) * (1 + 1e-5)
    with tempfile.TemporaryDirectory() as folder:
        saved, _ = timed(lambda: index.save(folder))
        disk = sum(file.stat().st_size for file in Path(folder).iterdir())
        opened, again = timed(lambda: Index.open(folder))
        answers = again.search(queries, K)
        added, _ = timed(lambda: again.add(Codes(queries[:1], Items(["one more"]))))
        removed, _ = timed(lambda: again.remove(["one more"]))
    single, _ = timed(lambda: [index.search(queries[i : i + 1], K) for i in range(SINGLE)])
    of_class, _ = timed(lambda: index.search(queries[:SINGLE], K, label="7"))
    return {
        "seed": 2 * run,
        "recall_10": float((hits.distances[:COMPARED] <= limit).mean()),
        "recall_10_stored": index.recall,
        "kind": index.kind,
        "lists": index.vectors.lists,
        "nprobe": index.vectors.nprobe,
        "build_seconds": built,
        "queries_per_second": asked / batch,
        "milliseconds_alone": 1000 * single / SINGLE,
        "milliseconds_within_class": 1000 * of_class / SINGLE,
        "save_seconds": saved,
        "open_seconds": opened,
        "add_one_seconds": added,
        "remove_one_seconds": removed,
        "same_when_opened": bool((hits.rows == answers.rows).all())
        and bool((hits.distances == answers.distances).all()),
        "codes_mb": z.nbytes / MB,
        "disk_mb": disk / MB,
        "peak_mb": after,
        "peak_over_codes_mb": after - z.nbytes / MB,
        "peak_before_build_mb": before,
    }


def environment() -> dict[str, Any]:
    """Say when, with what and on what this runs."""
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
        "load_before": os.getloadavg()[0],  # what others ask of the cores meanwhile
    }


def tell(name: str, run: dict[str, Any]) -> None:
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
    """Measure all cases, or, in a process made for it, one."""
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
            tell(name, runs[-1])
        results[name] = {"clusters": clusters, "spread": SPREAD if clusters else 1, "runs": runs}
    file = Path(__file__).parent / "results" / "search.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
