"""What parsers raise on damaged files, and the one sentence that says so."""

import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from isthmus.errors import IsthmusError, first_sentence

MAX_DAMAGE = 600  # letters of what is wrong: a file may hold a name of a million
# What parsers raise on a file that is not as we wrote it. `RuntimeError` is torch's; `LookupError`
# and `AttributeError` come from content of another structure, `ArithmeticError` and `MemoryError`
# from numbers that no file of ours has.
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    IsthmusError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def reporting_damage(
    path: Path | str, kind: type[IsthmusError], way_out: str = ""
) -> Iterator[None]:
    """Turn any error of a parser into one sentence: a file that we wrote is damaged.

    The file was correct when it was written, so every error means the same: a program, a disk or a
    person has changed it since.

    Parameters
    ----------
    path : Path or str
        The file, or what the content is if there is no file.
    kind : type
        The error to raise.
    way_out : str
        What to do, such as "restore it from a copy".
    """
    try:
        yield
    except DAMAGE as error:
        message = f"{path} is damaged and cannot be read: {describe_damage(error)}"
        raise kind(f"{message}; {way_out}." if way_out else f"{message}.") from error


def describe_damage(error: Exception) -> str:
    """Return what a parser's error says, to be part of one of our messages.

    Examples
    --------
    >>> describe_damage(KeyError("names")), describe_damage(zlib.error("Error -3: bad"))
    ("it has no 'names'", 'Error -3: bad')
    """
    if isinstance(error, IsthmusError):  # a sentence of our own, which may name others with a stop
        text = str(error).rstrip(".")
        return text if len(text) <= MAX_DAMAGE else f"{text[:MAX_DAMAGE]}…"
    if isinstance(error, KeyError) and error.args:
        return f"it has no {error.args[0]!r}"
    return first_sentence(error)
