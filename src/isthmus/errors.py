"""Errors that the user can correct, as one small tree.

Each message is one plain sentence that names the culprit and the way out. The command line prints
it without a traceback and exits with code 2.
"""

import re

MAX_NAMES = 12  # in a message


class IsthmusError(Exception):
    """Anything that the user can correct."""


class SourceError(IsthmusError):
    """A source of samples is missing, empty, broken or of the wrong kind."""


class InputError(SourceError, ValueError):
    """An X or y that an estimator cannot use; a ValueError too, as scikit-learn's users expect."""


class OptionError(IsthmusError):
    """An option is outside its range, or a name is unknown."""


class ModelError(IsthmusError):
    """A model does not fit the data, or a file holds no model."""


class RunError(IsthmusError):
    """A run folder exists already, or is missing, in use, stale or of another version."""


class TrainingError(IsthmusError):
    """Training cannot continue, for example because the loss became NaN."""


class InterruptionError(IsthmusError):
    """Work that was stopped on request, such as by `Session.interrupt`."""


def first_sentence(error: Exception) -> str:
    r"""Return the first sentence of a library's error, to be part of one of our messages.

    Examples
    --------
    >>> first_sentence(ValueError("cannot open it:\n- not this\n- nor that"))
    'cannot open it'
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return re.split(r"\n|\. ", str(error))[0].rstrip(".: ") or type(error).__name__


def list_names(names: tuple[str, ...]) -> str:
    """List names in a message; of many only the first.

    Examples
    --------
    >>> list_names(("a", "b"))
    'a, b'
    >>> list_names(tuple(map(str, range(1_012))))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 1,000 more'
    """
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more:,} more" if more > 0 else "")
