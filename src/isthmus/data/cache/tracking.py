"""`Track`: how functions that take long are told to show how far they are."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Track(Protocol):
    """Shows progress: walks through `items`, of which there are `total`, under a title."""

    def __call__(self, items: Iterable[T], total: int, title: str) -> Iterable[T]:
        """Yield the items, one by one."""
        ...


def untracked(items: Iterable[T], total: int, title: str) -> Iterable[T]:
    """Walk through `items` and show nothing."""
    return items
