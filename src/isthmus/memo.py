"""`Memo`: values that are computed once, also under threads."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Memo:
    """Values by key, each computed once, also if several threads ask for it at the same time.

    A computation that fails is forgotten, so that the next call tries again. `functools.cache`
    would let two threads compute the same value, and one lock for all keys would let a quick
    question wait for a slow one; here the lock is held only to look up or to enter a future.

    Parameters
    ----------
    max_entries : int
        Of the keys that are tuples, at most as many are kept; the least recently used are dropped.
        All others are kept for good.
    """

    def __init__(self, max_entries: int) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._max_entries = max_entries

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the value of a key; compute it, or wait for the thread that does."""
        with self._lock:
            entry = self._entries.get(key)
            if is_new := entry is None:
                entry = self._entries[key] = Future()
                self._drop_oldest()
            self._entries.move_to_end(key)
        if is_new:
            try:
                entry.set_result(compute())
            except BaseException as error:  # also Ctrl-C: who waits must not wait forever
                with self._lock:
                    self._entries.pop(key, None)
                entry.set_exception(error)
        result: T = entry.result()
        return result

    def has(self, key: Hashable) -> bool:
        """Return whether the value of a key is computed."""
        with self._lock:
            entry = self._entries.get(key)
        return entry is not None and entry.done() and entry.exception() is None

    def _drop_oldest(self) -> None:
        """Drop the least recently used tuples above the maximum; the lock is held."""
        others = [key for key in self._entries if isinstance(key, tuple)]
        for key in others[: -self._max_entries]:
            del self._entries[key]
