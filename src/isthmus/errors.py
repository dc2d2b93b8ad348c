"""What can go wrong on the user's side, as one small tree.

Each message is one plain sentence that names the culprit and the way out. The
command line prints it without a traceback and exits with code 2.
"""

import re

LISTED = 12  # names in a message


class IsthmusError(Exception):
    """Anything that the user can put right."""


class SourceError(IsthmusError):
    """A source of samples that is missing, empty, broken or of the wrong kind."""


class OptionError(IsthmusError):
    """A setting outside its range, or a name that no table has."""


class ModelError(IsthmusError):
    """A model that does not fit the data, or a weights file that is none."""


class RunError(IsthmusError):
    """A run folder that exists, is missing, in use, stale or of another version."""


class TrainingError(IsthmusError):
    """Training that cannot go on, such as a loss that became NaN."""


class InterruptionError(IsthmusError):
    """Work that was stopped on request, such as by `Session.interrupt`."""


def first_sentence(error: Exception) -> str:
    r"""Return the first sentence of what a library complains about, to put into one of ours.

    Examples
    --------
    >>> first_sentence(ValueError("cannot open it:\n- not this\n- nor that"))
    'cannot open it'
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return re.split(r"\n|\. ", str(error))[0].rstrip(".: ") or type(error).__name__


def list_names(names: tuple[str, ...]) -> str:
    """List the names that there are, the first of many.

    Examples
    --------
    >>> list_names(("a", "b"))
    'a, b'
    >>> list_names(tuple(map(str, range(1_012))))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 1,000 more'
    """
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more:,} more" if more > 0 else "")
