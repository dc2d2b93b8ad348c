"""How messages on standard error are written: for people, or as JSON lines for machines.

`ISTHMUS_LOG` is text or json. `ISTHMUS_LOG_LEVEL` is info, warning or error: less severe messages
are not written. Neither of them changes the results on standard output.
"""

import json
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from isthmus.errors import OptionError
from isthmus.text import escape_json

Level = Literal["info", "warning", "error"]

FORMAT, LEVEL = "ISTHMUS_LOG", "ISTHMUS_LOG_LEVEL"
FORMATS = ("text", "json")
LEVELS = ("info", "warning", "error")


def check_log() -> None:
    """Reject unknown values of the two variables.

    Raises
    ------
    OptionError
    """
    for name, values in ((FORMAT, FORMATS), (LEVEL, LEVELS)):
        value = os.environ.get(name, values[0])
        if value not in values:
            raise OptionError(f"{name} is one of {', '.join(values)}, not {value!r}.")


def is_json() -> bool:
    """Return whether lines are for machines."""
    return os.environ.get(FORMAT) == "json"


def is_written(level: Level) -> bool:
    """Return whether lines of a level are written."""
    least = os.environ.get(LEVEL, "info")
    return least not in LEVELS or LEVELS.index(level) >= LEVELS.index(least)


def to_record(level: Level, message: str, facts: Mapping[str, Any] | None = None) -> str:
    """Return a line of JSON: when, which level, what, and the facts by their names.

    Numbers that are not finite, which JSON does not have, are null.
    """
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    said = {name: _finite(value) for name, value in (facts or {}).items()}
    return escape_json(json.dumps({"at": at, "level": level, "message": message, **said}))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
