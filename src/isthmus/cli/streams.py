"""Standard input, output and error as they come: in any encoding, closed, or on a full disk."""

import io
import os
import sys
import warnings

from isthmus.errors import first_sentence

NAMES = {"stdin": "r", "stdout": "w", "stderr": "w"}  # with the mode, in the order of their numbers


def prepare_streams() -> None:
    """Make sure that no text fails to be written, and that libraries add none.

    A letter that the encoding lacks becomes an escape, as Python does on standard error. Warnings
    are for those who write programs; Python's option -W still shows them.
    """
    _open_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def give_up_output() -> str | None:
    """Return why standard output or error cannot be written to, or None if both can be.

    What waits to be written is dropped: Python would try again at its end, and show a traceback.
    """
    reason = None
    for stream in (sys.stderr, sys.stdout):
        try:
            stream.flush()
        except OSError as error:
            reason = first_sentence(error)
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return reason


def _open_closed() -> None:
    """Open what is closed, as by `>&-`: the first file of the program would get its number."""
    for name, mode in NAMES.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
