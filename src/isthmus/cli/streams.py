"""Standard input, output and error as they come: in any encoding, closed, or on a full disk."""

import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from isthmus.errors import first_sentence

MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}  # by name, in the order of their numbers


class OutputError(OSError):
    """Standard output or error cannot be written to, as on a full disk."""


class Output(io.TextIOWrapper):
    """A standard stream that writes an escape for a letter which its encoding lacks.

    What it cannot write, it reports as an `OutputError`: other files that fail are told from it.
    """

    def __init__(self, stream: io.TextIOWrapper) -> None:
        super().__init__(
            stream.buffer,
            stream.encoding,
            "backslashreplace",  # as Python has it on standard error
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )

    def write(self, text: str) -> int:
        """Write text, or raise an `OutputError`."""
        with _naming_output():
            return super().write(text)

    def flush(self) -> None:
        """Write what waits, or raise an `OutputError`."""
        with _naming_output():
            super().flush()


@contextmanager
def robust_streams() -> Iterator[None]:
    """Let no text fail to be written for its letters, and libraries add no warnings of theirs.

    Warnings are for those who write programs; Python's option -W still shows them.
    """
    saved = {name: getattr(sys, name) for name in MODES}
    _wrap("stdout", "stderr")
    _open_closed()
    silent = logging.NullHandler()  # Python shows what libraries log only if nobody handles it
    logging.getLogger().addHandler(silent)
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger().removeHandler(silent)
        for name, stream in saved.items():
            _unwrap(getattr(sys, name))
            setattr(sys, name, stream)


def drop_output() -> None:
    """Drop what waits to be written: Python would try again at its end, and show a traceback."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError):  # of what is no file, such as in a notebook
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_closed() -> None:
    """Open what is closed, as by `>&-`: the first file of the program would get its number."""
    for name, mode in MODES.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def _wrap(*names: str) -> None:
    for name in names:
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):  # in tests it may be a text in memory
            setattr(sys, name, Output(stream))


def _unwrap(stream: object) -> None:
    """Part a stream from its buffer, which it would close when it is deleted."""
    if isinstance(stream, Output):
        with suppress(OSError):
            stream.detach()


@contextmanager
def _naming_output() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # known to everyone as it is
        raise
    except OSError as error:
        message = f"the output cannot be written: {first_sentence(error)}"
        raise OutputError(error.errno, message) from error
