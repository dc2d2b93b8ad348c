"""Reading what a server tells its pages."""

import http.client
import json
import queue
import threading
import time
from typing import Any

from studio.asking import Client

SECONDS = 60  # for something to happen; a busy machine is slow


class Listener:
    """A page that is told everything, from the moment it is made."""

    def __init__(self, client: Client) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", client.studio.port, timeout=120)
        self._connection.request("GET", "/events", headers={"Cookie": client.cookie})
        self.answer = self._connection.getresponse()
        self._events: queue.Queue[tuple[str, Any] | None] = queue.Queue()
        self.all: list[tuple[str, Any]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def wait(self, name: str, **wanted: Any) -> Any:
        """Return the next event of a name whose content has these values."""
        end = time.monotonic() + SECONDS
        while True:
            event = self._events.get(timeout=max(0.01, end - time.monotonic()))
            assert event is not None, "the server has ended the stream"
            self.all.append(event)
            content = event[1]
            if event[0] == name and all(content.get(key) == wanted[key] for key in wanted):
                return content

    def wait_for_end(self) -> None:
        """Wait until the server ends the stream."""
        while self._events.get(timeout=SECONDS) is not None:
            pass

    def _read(self) -> None:
        name = ""
        while line := self.answer.readline().decode():
            kind, _, value = line.rstrip("\n").partition(": ")
            if kind == "event":
                name = value
            elif kind == "data":
                self._events.put((name, json.loads(value)))
        self._events.put(None)
        self._connection.close()
