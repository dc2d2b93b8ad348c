"""Put a million images to use with 4 GB of memory, and measure what that takes.

Makes 1,000,000 images of 64 × 64 in color as JPEG files in folders (4 GB on the disk; 12 GB more
are their pixels in the cache). Then the commands of Isthmus run on them, one after the other, each
in a control group that may hold 4 GB, with all that it reads of files; nothing that an earlier one
has read is still in memory. At last, training from the disk is compared with training on the same
batches from memory, in turns.

    python benchmarks/million.py --folder /tmp/million                       # all, about an hour
    python benchmarks/million.py --folder /tmp/million --steps train compare --minutes 2

Control groups can be made by root. Others begin it by `systemd-run --user --scope -p MemoryMax=4G`,
which limits all of it; without either, memory is measured and not limited.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from control_group import ControlGroup, Measured, forget, free_disk, run_limited
from million_images import CLASSES, make_images

GB = 10**9
# Its codes cost little, so that encoding, map and index show what a million costs, not the model.
QUICK = "linear"
BYTES = 17_000  # of an image on the disk: its file and its pixels
# A hundredth is enough to choose and to report by, of a million.
PARTS = ["--code-size", "32", "--validation", "0.01", "--test", "0.01"]


@dataclass(frozen=True)
class Setup:
    """Where things are, and how long to train."""

    folder: Path
    count: int
    minutes: float

    @property
    def images(self) -> Path:
        """The folder of the JPEG files."""
        return self.folder / f"images-{self.count}"

    @property
    def codes(self) -> Path:
        """The file of the codes."""
        return self.folder / f"codes-{self.count}.npy"

    def run(self, model: str) -> Path:
        """Return the run folder of a model."""
        return self.folder / f"{model}-{self.count}"

    @property
    def query(self) -> str:
        """The name of an image."""
        return f"{next(iter(CLASSES))}/0000/0000000.jpg"


def _isthmus(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "isthmus", *map(str, arguments)]


def _train(setup: Setup, model: str, minutes: float) -> list[str]:
    out = setup.run(model)
    shutil.rmtree(out, ignore_errors=True)  # ours: it has the name that this script gives
    time = ["--epochs", "10", "--max-minutes", str(minutes)]
    return _isthmus("train", setup.images, "--model", model, *PARTS, *time, "--out", out)


def _map(setup: Setup) -> list[str]:
    return _isthmus("map", setup.run(QUICK), "--out", setup.folder / f"map-{setup.count}.png")


def _studio(setup: Setup) -> list[str]:
    page = setup.folder / f"studio-{setup.count}"
    shutil.rmtree(page, ignore_errors=True)
    return _isthmus("studio", setup.run(QUICK), "--export", page)


def _compare(setup: Setup) -> list[str]:
    script = Path(__file__).with_name("disk_and_memory.py")
    return [sys.executable, str(script), str(setup.images), "--seconds", str(30 * setup.minutes)]


STEPS: dict[str, Callable[[Setup], list[str]]] = {
    "check": lambda setup: _isthmus("data", "check", setup.images),  # decodes them into the cache
    "check-again": lambda setup: _isthmus("data", "check", setup.images),
    "train": lambda setup: _train(setup, "conv", setup.minutes),
    "compare": _compare,
    "train-quick": lambda setup: _train(setup, QUICK, setup.minutes / 10),
    "encode": lambda setup: _isthmus("encode", setup.run(QUICK), "--out", setup.codes),
    "map": _map,
    "index": lambda setup: _isthmus("index", setup.run(QUICK)),
    "search": lambda setup: _isthmus("search", setup.run(QUICK), setup.query),
    "evaluate": lambda setup: _isthmus("evaluate", setup.run("conv")),
    "studio": _studio,
}


def _make(setup: Setup) -> None:
    needed = BYTES * setup.count
    if not setup.images.exists() and free_disk(setup.folder) < needed:
        raise SystemExit(f"{setup.folder} has no room for {needed / GB:.0f} GB; give another one.")
    for done in make_images(setup.images, setup.count, os.cpu_count() or 1):
        if done % 100_000 == 0:
            print(f"{done:,} of {setup.count:,} images are made", file=sys.stderr)


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of the commands: a cache of their own, as large as needed."""
    return {**os.environ, "ISTHMUS_CACHE": str(folder / "cache"), "ISTHMUS_CACHE_LIMIT": "none"}


def _describe(name: str, took: Measured) -> str:
    group = "" if took.group_mb is None else f", with pages of files {took.group_mb:,.0f}"
    end = "" if took.code == 0 else f"  FAILED ({took.code})"
    return (
        f"{name}: {took.seconds:,.1f} s, {took.cpu_seconds:,.1f} s of CPU, anonymous memory "
        f"{took.anonymous_mb:,.0f} MB{group}, "
        f"resident {took.resident_mb:,.0f}, silent for at most {took.silent:.0f} s{end}\n"
        f"    {took.output.strip()[:2000]}"
    )


def main() -> None:
    """Make the images, run the steps and print what each takes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default="million", help="with 17 GB of room")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=10, help="of training")
    parser.add_argument("--memory", type=float, default=4, help="GB (2**30) that a step may hold")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--out", type=Path, help="a JSON file for the results")
    parser.add_argument("--skip-making", action="store_true", help="all images are there already")
    options = parser.parse_args()
    setup = Setup(options.folder.absolute(), options.count, options.minutes)
    setup.folder.mkdir(parents=True, exist_ok=True)
    if not options.skip_making:
        _make(setup)
    limit = int(options.memory * 2**30)
    if (group := ControlGroup.make(limit)) is None:
        print("No control group can be made here, so memory is measured but not limited.")
    else:
        group.close()
    results: dict[str, Any] = {"count": setup.count, "load_before": os.getloadavg()[0]}
    environment = _environment(setup.folder)
    for name in options.steps:
        if name == "check":
            shutil.rmtree(setup.folder / "cache", ignore_errors=True)
            forget(setup.images)
        forget(setup.folder / "cache")
        took = run_limited(STEPS[name](setup), limit, environment)
        results[name] = asdict(took)
        print(_describe(name, took), flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
