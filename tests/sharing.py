"""What is made once for all processes that pytest-xdist divides the tests among."""

from collections.abc import Callable
from pathlib import Path

import filelock


def make_once(folder: Path, name: str, make: Callable[[], str]) -> str:
    """Return the text that a function returns, which is called by one process alone.

    Parameters
    ----------
    folder : Path
        That of the fixture `shared`, or one in it.
    name : str
        What is made; unlike the names of all else in the folder.
    make : callable
        May write files, which nobody changes later, and returns what is said about them.
    """
    with filelock.FileLock(folder / f".{name}.lock"):
        kept = folder / f".{name}.txt"
        if not kept.exists():
            kept.write_text(make())
        return kept.read_text()
