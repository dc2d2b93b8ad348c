"""Measure codes in Lance: how long an index takes, its memory, its recall, and its speed.

Draws synthetic codes in clusters, block by block, so that they are never all in memory; writes them
as a dataset; builds the index; searches for the neighbors of codes that are not in it; and compares
them with the exact ones by faiss, over all codes. Each part runs in a process of its own, whose
largest memory (with Python and all libraries) is its own. The results, with the machine, the
versions and the date, go to results/lance.json, next to those of other counts.

    python benchmarks/lance.py [--count 1000000] [--folder /tmp]
"""

# The name of this file is that of the package: the folder may not come first on the path.
import sys

sys.path[:] = [place for place in sys.path if not place.endswith("benchmarks")]

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import platform  # noqa: E402
import resource  # noqa: E402
import shutil  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from datetime import UTC, datetime  # noqa: E402
from importlib.metadata import version  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from isthmus.data.samples import Origin  # noqa: E402
from isthmus.latent.lance.building import vectors_of  # noqa: E402
from isthmus.latent.lance.dataset import LanceCodes  # noqa: E402
from isthmus.latent.lance.facts import Facts  # noqa: E402
from isthmus.latent.lance.index import LanceIndex  # noqa: E402
from isthmus.latent.lance.neighbors import TOLERANCE, nearest_distances  # noqa: E402
from isthmus.latent.lance.schema import schema, to_batch  # noqa: E402
from isthmus.latent.lance.writing import write_codes  # noqa: E402
from isthmus.temporaries import size_of  # noqa: E402

SIZE, K = 32, 10
CLUSTERS, SPREAD = 3000, 0.3  # as in benchmarks/search.py
BLOCK = 2**14
QUERIES, COMPARED, WITHIN = 1000, 200, 50  # at all, with exact search, within a class
CLASSES = tuple("0123456789")
FACTS = Facts("code", (SIZE,), "benchmark", Origin(), CLASSES, "benchmark")
RESULTS = Path(__file__).parent / "results" / "lance.json"


def draw_block(number: int, count: int) -> NDArray[np.float32]:
    """Draw codes (count, SIZE) float32 by the number of their block."""
    centers = np.random.default_rng(0).standard_normal((CLUSTERS, SIZE), np.float32)
    rng = np.random.default_rng([1, number])
    z = np.float32(SPREAD) * rng.standard_normal((count, SIZE), np.float32)
    return z + centers[rng.integers(CLUSTERS, size=count)]


def write(path: Path, count: int) -> dict[str, Any]:
    """Write the dataset."""
    kind = schema(FACTS)

    def batches() -> Iterator[Any]:
        for number, start in enumerate(range(0, count, BLOCK)):
            rows = np.arange(start, min(start + BLOCK, count))
            names = [f"{row:08}.png" for row in rows.tolist()]
            yield to_batch(kind, rows, names, rows % 10, draw_block(number, len(rows)))

    seconds, _ = measure_time(lambda: write_codes(path, FACTS, batches()))
    return {"seconds": seconds, "bytes_per_code": size_of(path) / count}


def build(path: Path, count: int) -> dict[str, Any]:
    """Build the index."""
    seconds, index = measure_time(lambda: LanceIndex.build(path))
    facts = index.facts
    return {
        "seconds": seconds,
        "cpu_seconds": time.process_time(),
        "kind": facts.kind,
        "partitions": facts.partitions,
        "nprobes": facts.nprobes,
        "refine": facts.refine,
        "recall_10_stored": facts.recall,
        "bytes_per_code": size_of(path) / count,
    }


def search(path: Path, count: int) -> dict[str, Any]:
    """Search for codes that are not in the index, first once so that files are in memory."""
    open_seconds, index = measure_time(lambda: LanceIndex.open(path))
    queries = draw_block(2**40, QUERIES)
    first_seconds, _ = measure_time(lambda: index.search(queries, K))
    seconds, result = measure_time(lambda: index.search(queries, K))
    alone, _ = measure_time(lambda: [index.search(one[None], K) for one in queries[:COMPARED]])
    within, _ = measure_time(
        lambda: [index.search(one[None], K, label="7") for one in queries[:WITHIN]]
    )
    return {
        "open_seconds": open_seconds,
        "queries_per_second_first": QUERIES / first_seconds,
        "queries_per_second": QUERIES / seconds,
        "milliseconds_alone": 1000 * alone / COMPARED,
        "milliseconds_within_class": 1000 * within / WITHIN,
        "recall_10": measure_recall(path, queries[:COMPARED], result.distances[:COMPARED]),
    }


def measure_recall(
    path: Path, queries: NDArray[np.float32], distances: NDArray[np.float32]
) -> float:
    """Return the share of the exact neighbors, by faiss over all codes, that was found."""
    codes = LanceCodes.open(path)
    exact = np.sqrt(nearest_distances(queries, vectors_of(codes, "euclidean"), K))
    return float((distances <= exact[:, -1:] * (1 + TOLERANCE)).mean())


PARTS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "write": write,
    "build": build,
    "search": search,
}


def measure_time(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return how many seconds a function takes, and its result."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def peak_memory() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6


def environment() -> dict[str, Any]:
    """Return the date, the versions and the machine."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "isthmus": version("isthmus"),
        "pylance": version("pylance"),
        "faiss": version("faiss-cpu"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],  # of other processes, which slow this down
    }


def main() -> None:
    """Measure all parts, each in a process that gets its name by --alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the dataset is made, and removed")
    parser.add_argument("--alone", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        result = PARTS[options.alone](options.folder / "codes.lance", options.count)
        print(json.dumps({**result, "peak_mb": peak_memory()}))
        return
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    results: dict[str, Any] = {"made": environment(), "size": SIZE, "clusters": CLUSTERS}
    try:
        for part in PARTS:
            command = [sys.executable, __file__, "--alone", part, "--folder", str(folder)]
            command += ["--count", str(options.count)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            results[part] = json.loads(done.stdout)
            print(part, json.dumps(results[part], indent=1), flush=True)
    finally:
        shutil.rmtree(folder)
    RESULTS.parent.mkdir(exist_ok=True)
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(stored | {str(options.count): results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
