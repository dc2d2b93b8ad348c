"""The command line: each command parses, makes one call, and prints.

Heavy modules are imported inside the commands, so that help answers at once.
"""

import sys
import warnings
from typing import Any, NoReturn

from isthmus.cli import (
    apply,
    codes,
    data,
    denoise,
    doctor,
    duplicates,
    export,
    generate,
    info,
    inspect,
    mislabelled,
    outliers,
    predict,
    recipes,
    shards,
    studio,
    style,
    train,
    transposed,
)
from isthmus.cli.app import app
from isthmus.cli.streams import OutputError, drop_output, robust_streams
from isthmus.cli.terminal import complain, say
from isthmus.errors import (
    IsthmusError,
    explain_missing_module,
    first_sentence,
    is_out_of_memory,
)
from isthmus.logs import check_log

__all__ = [
    "app",
    "apply",
    "codes",
    "data",
    "denoise",
    "doctor",
    "duplicates",
    "export",
    "generate",
    "info",
    "inspect",
    "main",
    "mislabelled",
    "outliers",
    "predict",
    "recipes",
    "shards",
    "studio",
    "style",
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
    _say_our_warnings()
    try:
        check_log()
        app(standalone_mode=True, prog_name="isthmus")
    except IsthmusError as error:
        _refuse(error)
    except OutputError:
        raise
    except OSError as error:  # a file that the system refuses
        if is_out_of_memory(error):
            _refuse_for_memory(error)
        if error.filename is None:
            raise
        _refuse(IsthmusError(f"{error.filename}: {first_sentence(error)}."))
    except ModuleNotFoundError as error:
        explained = explain_missing_module(f"isthmus {sys.argv[1]}", error)
        if explained is None:
            raise
        _refuse(explained)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        _refuse_for_memory(error)
    finally:
        if key := _take_picture_key():
            say(key)
        sys.stdout.flush()  # else Python does so at its end, and shows a traceback if it cannot


def _say_our_warnings() -> None:
    """Print a warning of our own as any other line; `robust_streams` undoes it."""
    show = warnings.showwarning

    def say_ours(message: Any, category: type[Warning], *where: Any) -> None:
        if category.__module__.startswith("isthmus."):
            say(str(message), "warning")
        else:
            show(message, category, *where)

    warnings.showwarning = say_ours  # type: ignore[assignment]
    # Those of libraries stay silent.
    warnings.filterwarnings("always", category=UserWarning, module=r"isthmus\.locks")


def _take_picture_key() -> str | None:
    """Return what numbers in pictures stand for, if any were drawn since this was last asked."""
    fonts = sys.modules.get("isthmus.viz.fonts")  # not imported where nothing is drawn
    if fonts is None:
        return None
    key: str | None = fonts.explain_numbers()
    fonts.forget_numbers()
    return key


def _refuse_for_memory(error: Exception) -> NoReturn:
    from isthmus.cli.memory import explain_memory

    explained = explain_memory(error, sys.argv[1:])
    error.__traceback__ = None  # which holds what filled the memory
    _refuse(explained)


def _refuse(error: IsthmusError) -> NoReturn:
    complain(str(error))
    sys.exit(2)
