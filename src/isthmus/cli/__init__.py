"""The command line: each command parses, makes one call, and prints.

Heavy modules are imported inside the commands, so that help answers at once.
"""

import sys
from typing import NoReturn

from isthmus.cli import (
    apply,
    data,
    doctor,
    export,
    info,
    inspect,
    recipes,
    studio,
    train,
    transposed,
)
from isthmus.cli.app import app
from isthmus.cli.streams import OutputError, drop_output, robust_streams
from isthmus.cli.terminal import complain, say
from isthmus.errors import IsthmusError, explain_missing_module, first_sentence

__all__ = [
    "app",
    "apply",
    "data",
    "doctor",
    "export",
    "info",
    "inspect",
    "main",
    "recipes",
    "studio",
    "train",
    "transposed",
]


def main() -> None:
    """Run the command line; a user's error is one sentence and exit code 2."""
    with robust_streams():
        try:
            _run()
        except OutputError as error:
            complain(f"{error.strerror}.")
            drop_output()
            sys.exit(1)
        except BrokenPipeError:  # such as of `isthmus data | head`: nobody reads on
            drop_output()
            sys.exit(1)


def _run() -> None:
    """Run the command line up to the last byte on standard output."""
    _take_picture_key()  # of earlier commands in this process
    try:
        app(standalone_mode=True, prog_name="isthmus")
    except IsthmusError as error:
        _refuse(error)
    except OutputError:
        raise
    except OSError as error:  # a file that the system refuses
        if error.filename is None:
            raise
        _refuse(IsthmusError(f"{error.filename}: {first_sentence(error)}."))
    except ModuleNotFoundError as error:
        explained = explain_missing_module(f"isthmus {sys.argv[1]}", error)
        if explained is None:
            raise
        _refuse(explained)
    finally:
        if key := _take_picture_key():
            say(key)
        sys.stdout.flush()  # else Python does so at its end, and shows a traceback if it cannot


def _take_picture_key() -> str | None:
    """Return what numbers in pictures stand for, if any were drawn since this was last asked."""
    fonts = sys.modules.get("isthmus.viz.fonts")  # not imported where nothing is drawn
    if fonts is None:
        return None
    key: str | None = fonts.explain_numbers()
    fonts.forget_numbers()
    return key


def _refuse(error: IsthmusError) -> NoReturn:
    complain(str(error))
    sys.exit(2)
