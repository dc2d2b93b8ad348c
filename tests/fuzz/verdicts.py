"""A case: a mutated file on the disk; a verdict: what became of it."""

import ctypes
import os
import random
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import numpy as np

from fuzz.mutations import mutate
from fuzz.seeds import seeds_of
from isthmus import IsthmusError, load

SIDE = 8  # pixels that pictures are resized to
TABLES = re.compile(r"\.(csv|csv\.gz|npy|npz)$|idx")  # their samples are of one size, or signals
MAX_SENTENCE = 1_000  # characters
MAX_SECONDS = 2.0  # of the processor's time: a busy machine makes no file slow
MAX_BYTES = 2**30
PEAK = re.compile(r"VmHWM:\s+(\d+) kB")  # the most memory that the process has held, in Linux


class Case(NamedTuple):
    """A file to load, and how it was made."""

    reader: str
    number: int
    variant: str
    path: Path


@dataclass(frozen=True)
class Verdict:
    """What became of a file.

    Parameters
    ----------
    outcome : str
        "read", "refused" or "failed".
    text : str
        What was read, the sentence, or what is wrong.
    seconds : float
        Of the processor.
    memory : int
        Bytes held at most, besides those before; 0 where that cannot be measured.
    """

    outcome: str
    text: str
    seconds: float = 0.0
    memory: int = 0


def make_case(reader: str, number: int, seed: int, folder: Path) -> Case:
    """Write a mutated file and what it needs into a folder; equal numbers make equal files."""
    chance = random.Random(f"{reader} {seed} {number}")
    seeds = seeds_of(reader)
    # In turn, not by chance: each variant gets its share of even a few cases.
    chosen, other = seeds[number % len(seeds)], chance.choice(seeds)
    folder.mkdir(parents=True)
    for name, content in chosen.beside.items():
        (folder / name).write_bytes(content)
    mutated = chosen.wrap(mutate(chance, chosen.content, other.content))
    (folder / chosen.name).write_bytes(mutated)
    return Case(reader, number, chosen.variant, folder / (chosen.opened or chosen.name))


def judge(path: Path, read_output: Callable[[], str]) -> Verdict:
    """Load a file within `watch`: samples or one sentence is right, and all else is wrong."""
    before = _reset_peak()
    start = time.process_time()
    outcome, text = _load(path)
    seconds = time.process_time() - start
    memory = _peak() - before if before else 0
    output = read_output()
    if output:
        outcome, text = "failed", f"something was printed: {output}"
    elif seconds > MAX_SECONDS:
        outcome, text = "failed", f"it took {seconds:.1f} s"
    elif memory > MAX_BYTES:
        outcome, text = "failed", f"it took {memory / 2**20:,.0f} MB"
    return Verdict(outcome, text, seconds, memory)


@contextmanager
def watch() -> Iterator[Callable[[], str]]:
    """Turn warnings into errors, and give a function that returns what was printed since.

    C libraries print to the descriptors 1 and 2, which no `sys.stderr` sees.
    """
    python, saved = StringIO(), [os.dup(1), os.dup(2)]
    with TemporaryFile() as file, warnings.catch_warnings():
        warnings.simplefilter("error")
        _flush()
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)

        def read_output() -> str:
            _flush()
            length = os.lseek(file.fileno(), 0, os.SEEK_END)
            text = python.getvalue()
            if not length and not text:  # the usual case
                return ""
            text += os.pread(file.fileno(), length, 0).decode(errors="replace")
            python.seek(0)
            python.truncate()
            os.ftruncate(file.fileno(), 0)
            os.lseek(file.fileno(), 0, os.SEEK_SET)  # of 1 and 2, too: they share it
            return " ".join(text.split())[:MAX_SENTENCE]

        try:
            with redirect_stdout(python), redirect_stderr(python):
                yield read_output
        finally:
            _flush()
            for descriptor, original in zip((1, 2), saved, strict=True):
                os.dup2(original, descriptor)
                os.close(original)


def _load(path: Path) -> tuple[str, str]:
    """Return the outcome of loading a file, and what it says."""
    try:
        samples = load(path, size=None if TABLES.search(path.name) else SIDE)
    except IsthmusError as error:
        complaint = _complain(str(error), path)
        return ("failed", f"{complaint}: {error!s}") if complaint else ("refused", str(error))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return "failed", f"{type(error).__name__}: {error}{_place_of(error)}"
    dtype = np.uint8 if samples.values.ndim == 4 else np.float32
    if (
        not len(samples)
        or samples.values.dtype != dtype
        or len(samples.items.names) != len(samples)
    ):
        return "failed", f"no samples: {samples!r} of {samples.values.dtype}"
    return "read", repr(samples)


def _complain(message: str, path: Path) -> str:
    """Return what is wrong with a sentence, if anything is."""
    if not message.endswith(".") or message.endswith(".."):
        return "does not end with one full stop"
    if re.search(r"[\n\r]", message):
        return "has several lines"
    if len(message) > MAX_SENTENCE:
        return "is too long"
    names = [file.name for file in path.parent.iterdir()]
    return "" if any(name in message for name in names) else f"does not name {path.name}"


def _place_of(error: BaseException) -> str:
    """Return the last line of our own code that an error passed."""
    place, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if "isthmus" in Path(code.co_filename).parts:
            place = f" ({Path(code.co_filename).name}:{trace.tb_lineno}, {code.co_name})"
        trace = trace.tb_next
    return place


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with suppress(OSError, TypeError):  # Windows finds no C library this way
        _c_library().fflush(None)


def _c_library() -> Any:
    return ctypes.CDLL(None)


def _reset_peak() -> int:
    """Forget the most memory held before, and return what is held now; only Linux can, else 0."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return 0
    return _peak()


def _peak() -> int:
    found = PEAK.search(Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0
