"""Ends at a file operation, as `kill -9` does: neither it nor anything after it is done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

OPERATIONS = ("rename", "replace", "unlink", "rmdir")


class KilledError(BaseException):
    """Not an `Exception`: nobody catches a kill."""


@contextmanager
def killed_at(number: int, within: Path = Path("/")) -> Iterator[None]:
    """Do no operation that changes a name from the one of this number on, counted from 0.

    Only names in the folder `within` count.

    Ends without an error, whether that operation came or not.
    """
    count = 0

    def count_down(operation: Callable[..., Any]) -> Callable[..., Any]:
        def do(path: Path, *args: Any, **options: Any) -> Any:
            nonlocal count
            count += path.is_relative_to(within)
            if count > number:
                raise KilledError
            return operation(path, *args, **options)

        return do

    with pytest.MonkeyPatch.context() as patch:
        for name in OPERATIONS:
            patch.setattr(Path, name, count_down(getattr(Path, name)))
        with suppress(KilledError):
            yield
