"""Reading a folder of pictures to 32 × 32: Isthmus, or Pillow in one process.

    python reading.py isthmus|pillow FOLDER

Prints a line of JSON.
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image


def isthmus_reads(folder: Path) -> int:
    """Read into a cache that is empty."""
    import isthmus

    with tempfile.TemporaryDirectory() as cache:
        os.environ["ISTHMUS_CACHE"] = cache
        return len(isthmus.load(folder, size=32))


def pillow_reads(folder: Path) -> int:
    """Read as a loop over the files does."""
    pictures = []
    for path in sorted(folder.rglob("*.jpg")):
        with Image.open(path) as picture:
            pictures.append(np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR)))
    return len(np.stack(pictures))


def main() -> None:
    """Read once and tell the rate, starting processes included."""
    reads = {"isthmus": isthmus_reads, "pillow": pillow_reads}[sys.argv[1]]
    began = time.perf_counter()
    count = reads(Path(sys.argv[2]))
    seconds = time.perf_counter() - began
    own, others = (
        resource.getrusage(who).ru_maxrss / 1e3
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(json.dumps({"read": count / seconds, "peak_mb": max(own, others)}))


if __name__ == "__main__":
    main()
