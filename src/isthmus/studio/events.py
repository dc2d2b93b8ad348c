"""What open pages are told while they are open, as server-sent events."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any, TypeVar

from isthmus.data.cache import Track

T = TypeVar("T")

SECONDS_BETWEEN_PINGS = 15.0  # a comment that finds out whether the page is still there
SECONDS_BETWEEN_STEPS = 0.2  # of a job
MAX_WAITING = 1000  # events; a page that reads none, as on a sleeping laptop, connects again later


class Events:
    """Events from any thread to all open pages.

    What stays true is remembered by a key, and told to pages that are opened later.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: dict[asyncio.Queue[str | None], asyncio.AbstractEventLoop] = {}
        self._facts: dict[str, str] = {}
        self._is_closed = False

    def send(self, name: str, content: dict[str, Any]) -> None:
        """Tell all open pages."""
        self._tell(_write(name, content))

    def state(self, key: str, name: str, content: dict[str, Any], *, tell: bool = True) -> None:
        """Remember an event for pages that are opened later, and tell those that are open."""
        with self._lock:
            self._facts[key] = _write(name, content)
        if tell:
            self._tell(_write(name, content))

    def forget(self, key: str) -> None:
        """Forget what was remembered."""
        with self._lock:
            self._facts.pop(key, None)

    def close(self) -> None:
        """End all streams, and those that are opened later at once."""
        self._is_closed = True
        self._tell(None)

    async def stream(self) -> AsyncIterator[str]:
        """Yield what is remembered, then events as they come, until `close`."""
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        with self._lock:
            facts = list(self._facts.values())
            self._pages[queue] = asyncio.get_running_loop()
        try:
            yield "retry: 1000\n\n" + "".join(facts)
            while not self._is_closed:
                try:
                    async with asyncio.timeout(SECONDS_BETWEEN_PINGS):
                        event = await queue.get()
                except TimeoutError:
                    event = ": still here\n\n"
                if event is None or queue.qsize() > MAX_WAITING:
                    break
                yield event
        finally:
            with self._lock:
                self._pages.pop(queue, None)

    def track(self, name: str) -> Track:
        """Return a `track` that tells pages how far a job is."""

        def track(items: Iterable[T], total: int, title: str) -> Iterable[T]:
            last = 0.0
            for done, item in enumerate(items):
                if time.monotonic() - last > SECONDS_BETWEEN_STEPS:
                    last = time.monotonic()
                    self.report(name, done, total, title)
                yield item

        return track

    def report(self, name: str, done: int, total: int, text: str) -> None:
        """Tell pages how far a job is; it is done when `done` is `total`."""
        content = {"name": name, "done": done, "total": total, "text": text}
        self.state(f"job {name}", "job", content)
        if done >= total:
            self.forget(f"job {name}")

    def fail(self, name: str, reason: str) -> None:
        """Tell pages that a job ended without a result, and why."""
        self.forget(f"job {name}")
        self.send("job", {"name": name, "done": 1, "total": 1, "text": "", "error": reason})

    def _tell(self, event: str | None) -> None:
        with self._lock:
            pages = list(self._pages.items())
        for queue, loop in pages:
            if not loop.is_closed():
                loop.call_soon_threadsafe(queue.put_nowait, event)


def _write(name: str, content: dict[str, Any]) -> str:
    """Return an event as text; JSON has no line breaks, which would end it."""
    return f"event: {name}\ndata: {json.dumps(content)}\n\n"
