"""Measure what flushing and checking cost: the same work with and without them, in alternation.

    python benchmarks/safety.py                        # with MNIST, from ISTHMUS_DATA
    python benchmarks/safety.py --data digits --rounds 3

Without them, functions of Isthmus are replaced in this process; there is no such option.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from isthmus import Index, Session, load, train
from isthmus.data.cache import clear, opening
from isthmus.latent import index_files
from isthmus.training.config import TrainingConfig

PICTURES, SIDE = 600, 128  # of the folder that is decoded

Work = Callable[[], Any]
Without = Callable[[], AbstractContextManager[Any]]


class Case(NamedTuple):
    """Work, and how it is done without what is measured."""

    title: str
    work: Work
    without: Without


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; by default here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder or Path.cwd()) as name:
        folder = Path(name)
        os.environ["ISTHMUS_CACHE"] = str(folder / "cache")
        print("| work | seconds | without | ratio of medians |\n|---|---|---|---|")
        for case in cases(options.data, folder):
            print_row(case, options.rounds)


def cases(data: str, folder: Path) -> Iterator[Case]:
    """Yield the cases, each when the one before it is done."""
    samples = load(data)
    few = load("digits")
    run = folder / "run"
    draw_pictures(folder / "pictures")

    def train_once(samples: Any, model: str, epochs: int) -> None:
        shutil.rmtree(run, ignore_errors=True)
        for _ in train(samples, model, code_size=8, out=run, config=TrainingConfig(epochs=epochs)):
            pass

    def decode() -> None:
        clear()
        load(folder / "pictures")

    yield Case("10 epochs of digits, `dense`", lambda: train_once(few, "dense", 10), unflushed)
    yield Case(f"an epoch of {data}, `conv`", lambda: train_once(samples, "conv", 1), unflushed)
    yield Case(f"decode {PICTURES} pictures", decode, unflushed)
    load(data)  # decoded again: the cache was emptied
    yield Case(f"open {data} from the cache", lambda: load(data), unchecked)
    yield Case(f"the same, checked whole ({size(samples):.0f} MB)", whole(data), unchecked)
    index = folder / "index"
    Index.build(Session(run).encode(samples)).save(index)
    yield Case(f"open an index of {len(samples):,} codes", lambda: Index.open(index), unsummed)


def print_row(case: Case, rounds: int) -> None:
    """Measure a case in alternation, after one round that does not count."""
    with_it: list[float] = []
    without: list[float] = []
    for number in range(rounds + 1):
        for seconds, around in ((with_it, nullcontext), (without, case.without)):
            with around():
                start = time.perf_counter()
                case.work()
                if number:
                    seconds.append(time.perf_counter() - start)
    ratio = statistics.median(with_it) / statistics.median(without)
    print(f"| {case.title} | {spread(with_it)} | {spread(without)} | {ratio:.3f} |", flush=True)


def spread(seconds: Sequence[float]) -> str:
    """Return the median with the lowest and the highest."""
    return f"{statistics.median(seconds):.4f} ({min(seconds):.4f} to {max(seconds):.4f})"


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replace a function for a while."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def unflushed() -> AbstractContextManager[None]:
    """Leave it to the system when what is written gets to the disk."""
    return replaced(os, "fsync", lambda file: None)


def unchecked() -> AbstractContextManager[None]:
    """Open what was decoded without a look at it."""
    return replaced(opening, "check_quickly", lambda entry: True)


def unsummed() -> AbstractContextManager[None]:
    """Believe the checksum of an index."""

    class Believed(str):
        def __eq__(self, other: object) -> bool:
            return True

        def __ne__(self, other: object) -> bool:
            return False

        __hash__ = str.__hash__

    return replaced(index_files, "_checksum", lambda path: Believed())


def whole(data: str) -> Work:
    """Return what opens data of which nobody knows when they were checked."""

    def work() -> None:
        with replaced(opening, "is_checked", lambda entry: False):
            load(data)

    return work


def size(samples: Any) -> float:
    """Return the megabytes of samples."""
    return float(samples.values.nbytes / 1e6)


def draw_pictures(folder: Path) -> None:
    """Fill a folder with pictures of noise."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(PICTURES):
        pixels = draw.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.jpg", quality=90)


if __name__ == "__main__":
    main()
