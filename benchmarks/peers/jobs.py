"""Jobs without training, with Isthmus or as people do them with other libraries.

    python jobs.py JOB SIDE PATH

JOB and SIDE are a key of `JOBS`; PATH is a folder of pictures to read, or a file of vectors (.npy).
Prints a line of JSON: items a second, without importing libraries, and peak memory.
"""

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NEIGHBORS = 10
QUERIES = 1_000


Job = Callable[[], int]  # returns the number of items


def isthmus_reads(folder: Path) -> Job:
    """Read into an empty cache."""
    import isthmus.data.cache
    import isthmus.data.load

    def read() -> int:
        with tempfile.TemporaryDirectory() as cache:
            os.environ["ISTHMUS_CACHE"] = cache
            return len(isthmus.load(folder, size=32))

    return read


def pillow_reads(folder: Path) -> Job:
    """Read in a loop over the files."""

    def read() -> int:
        pictures = []
        for path in sorted(folder.rglob("*.jpg")):
            with Image.open(path) as picture:
                pictures.append(np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR)))
        return len(np.stack(pictures))

    return read


def isthmus_maps(file: Path) -> Job:
    """Fit a map by t-SNE."""
    import openTSNE  # noqa: F401 - imported when needed, and not what is measured

    from isthmus.latent.maps import fit_map

    codes = _codes(file)
    return lambda: len(fit_map(codes, "tsne", seed=0).xy)


def sklearn_maps(file: Path) -> Job:
    """Fit one with the same perplexity and start."""
    from sklearn.manifold import TSNE

    z = np.load(file)
    return lambda: len(TSNE(init="pca", perplexity=30, random_state=0).fit_transform(z))


def isthmus_searches(file: Path) -> Job:
    """Index all codes and find the ten nearest of a thousand, exactly."""
    import faiss  # noqa: F401

    from isthmus.latent.index import Index

    codes = _codes(file)
    return lambda: len(Index.build(codes).search(codes.z[:QUERIES], NEIGHBORS).distances)


def sklearn_searches(file: Path) -> Job:
    """Do the same."""
    from sklearn.neighbors import NearestNeighbors

    z = np.load(file)

    def search() -> int:
        nearest = NearestNeighbors(algorithm="brute").fit(z)
        return len(nearest.kneighbors(z[:QUERIES], NEIGHBORS)[0])

    return search


def _codes(file: Path) -> Any:
    from isthmus.data.items import Items
    from isthmus.latent.codes import Codes

    z = np.load(file)
    return Codes(z, Items([str(i) for i in range(len(z))]))


JOBS: dict[str, dict[str, Callable[[Path], Job]]] = {
    "reading": {"isthmus": isthmus_reads, "pillow": pillow_reads},
    "tsne": {"isthmus": isthmus_maps, "scikit-learn": sklearn_maps},
    "search": {"isthmus": isthmus_searches, "scikit-learn": sklearn_searches},
}


def main() -> None:
    """Do one job once."""
    job = JOBS[sys.argv[1]][sys.argv[2]](Path(sys.argv[3]))
    if sys.argv[1] == "search":  # which takes less time than starting threads does
        job()
    began = time.perf_counter()
    count = job()
    seconds = time.perf_counter() - began
    own, others = (
        resource.getrusage(who).ru_maxrss / 1e3
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(json.dumps({"rate": count / seconds, "peak_mb": max(own, others)}))


if __name__ == "__main__":
    main()
