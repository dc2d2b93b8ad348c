"""Starting `isthmus studio`, opening its page in a browser, and watching what the page does."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

SECONDS = 30  # for a server to end
PATIENCE = 240  # seconds for a server on a busy machine


@dataclass(frozen=True)
class Studio:
    """A server of a run, as `isthmus studio` starts it."""

    link: str
    process: "subprocess.Popen[str]" = field(repr=False)

    @property
    def address(self) -> str:
        """The link without its token, as http://127.0.0.1:PORT."""
        parts = urlsplit(self.link)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def port(self) -> int:
        port = urlsplit(self.link).port
        assert port is not None
        return port

    def stop(self, by: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """End it as Ctrl-C does; return the exit code and what was printed as messages."""
        self.process.send_signal(by)
        _, said = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, said


def start_studio(*arguments: object, browser: str = "") -> Studio:
    """Start `isthmus studio` and wait for its link; a browser is a command with %s."""
    command = [sys.executable, "-m", "isthmus", "studio", *map(str, arguments)]
    process = subprocess.Popen(
        [*command, "--json", "--browser" if browser else "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "BROWSER": browser},
    )
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":
            return Studio(json.loads(text)["link"], process)
    raise AssertionError(process.communicate()[1])


@dataclass
class Watch:
    """What a page did that it must not; a test that expects an error empties the list."""

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)  # all addresses that were asked for

    def follow(self, page: Any) -> None:
        """Collect what a page does from now on."""
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))
        page.on("request", lambda request: self.requests.append(request.url))

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            # A file that is not there is named by its address alone.
            self.errors.append(f"{message.type}: {message.text} {message.location['url']}")

    def strangers(self) -> set[str]:
        """Return the addresses that are neither of this machine nor in the page itself."""
        parts = map(urlsplit, self.requests)
        own = ("127.0.0.1", "localhost")
        return {
            part.geturl()
            for part in parts
            if part.scheme not in ("blob", "data", "file") and part.hostname not in own
        }


def wait_until(is_so: Callable[[], bool], page: Any = None) -> None:
    """Look again and again, while a page goes on, until something is so."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end
        if page is None:
            time.sleep(0.05)
        else:
            page.wait_for_timeout(50)


def open_patiently(page: Any, link: str) -> None:
    """Open a page whose content may still have to be computed, on a machine that is busy."""
    page.goto(link, timeout=60_000)
    page.wait_for_selector("html[data-ready]", timeout=60_000)


def open_studio(page: Any, link: str) -> None:
    """Open a page and wait until it can be used."""
    page.goto(link)
    page.wait_for_selector("html[data-ready]", timeout=60_000)  # a busy machine is slow
