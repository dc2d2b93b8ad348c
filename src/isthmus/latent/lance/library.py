"""Imports Lance, and turns its errors into one sentence about a dataset."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus.damage import DAMAGE, describe_damage
from isthmus.errors import IsthmusError, missing_package

SUFFIX = ".lance"
AGAIN = "make the codes again with isthmus encode"
# Lance reads these once, when it is imported. It logs to the standard error, where our
# sentences say the same. With one thread for files or for computing, building an index never ends
# (pylance 14.0.2), so two threads are used where one is asked for.
VARIABLES = {"LANCE_LOG": "error"}
THREADS = ("LANCE_CPU_THREADS", "LANCE_IO_THREADS")
MIN_THREADS = 2
PLACE = re.compile(r"(, )?(/\S+?\.rs:\d+:\d+|\S*_versions\S*)")  # in the source of Lance


def load_lance() -> Any:
    """Import Lance, with as many threads to compute as the process is allowed.

    Raises
    ------
    OptionError
        If it is not installed.
    """
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    if (threads := os.environ.get("OMP_NUM_THREADS", "")).isdigit():
        os.environ.setdefault(THREADS[0], threads)
        os.environ.setdefault("RAYON_NUM_THREADS", threads)  # of k-means
    for name in THREADS:
        if os.environ.get(name, "").isdigit():
            os.environ[name] = str(max(MIN_THREADS, int(os.environ[name])))
    try:
        import lance
    except ModuleNotFoundError:
        raise missing_package("a .lance dataset", "pylance", "lance") from None
    return lance


def is_lance(path: str | Path | None) -> bool:
    """Return whether a path is that of a Lance dataset, by its ending."""
    return path is not None and Path(path).suffix == SUFFIX


@contextmanager
def reporting_lance(path: Path, kind: type[IsthmusError], way_out: str = AGAIN) -> Iterator[None]:
    """Turn whatever Lance raises on a damaged dataset into one sentence.

    A panic of Rust comes as an exception that no `except Exception` catches.
    """
    try:
        yield
    except IsthmusError:
        raise
    except BaseException as error:
        if not isinstance(error, DAMAGE) and type(error).__name__ != "PanicException":
            raise
        why = PLACE.sub("", describe_damage(OSError(str(error))))
        raise kind(f"{path} is damaged and cannot be read: {why}; {way_out}.") from error
