"""Results in JSON files, each with the key of what it was computed from.

A file answers for exactly one key. With any other key, or if the file is damaged, there is no
result and the caller computes it again. Files are whole or absent, so several processes can write
the same one: the last one wins, and all of them write the same numbers.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from isthmus.damage import DAMAGE
from isthmus.errors import IsthmusError
from isthmus.files import fingerprint, write_json

Result = dict[str, Any]
Key = dict[str, Any]  # of JSON values


def read_result(path: Path | None, key: Key) -> Result | None:
    """Return the result in a file if it was computed from `key` and is undamaged, else None."""
    if path is None:
        return None
    try:
        content = json.loads(path.read_bytes())
        result: Result = content["result"]
        # Over key and result: a file with other numbers than were written is no result either.
        is_whole = content["fingerprint"] == fingerprint(key, result)
    except DAMAGE:
        return None
    return result if is_whole and isinstance(result, dict) else None


def write_result(path: Path | None, key: Key, result: Result) -> None:
    """Write a result with its key; without a path, write nothing.

    A folder that cannot be written to is no error, so that a read-only run can be evaluated: the
    result is known, and the file only saves time.
    """
    if path is not None:
        content = {"key": key, "result": result, "fingerprint": fingerprint(key, result)}
        with suppress(IsthmusError):
            write_json(path, content)


def read_or_compute(path: Path | None, key: Key, compute: Callable[[], Result]) -> Result:
    """Return the result in a file, or compute and write it."""
    result = read_result(path, key)
    if result is None:
        result = compute()
        write_result(path, key, result)
    return result
