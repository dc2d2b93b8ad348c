"""Bytes from a server, of which nothing is believed: neither that they end nor that they come."""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from isthmus.errors import OptionError, first_sentence

if TYPE_CHECKING:
    import requests

BLOCK_BYTES = 1 << 16
MAX_WAITING = 64  # blocks that have arrived and are not taken yet
MAX_REDIRECTS = 10
SECONDS = 60.0  # in which so many bytes must arrive:
MIN_BYTES = 1 << 20
TIMEOUT = "ISTHMUS_FETCH_TIMEOUT"


# What one thread hands to another: how much will come, blocks, and None or an error at the end.
Message = int | bytes | Exception | None


def receive(
    url: str, most: int, announce: Callable[[int | None], None] = lambda length: None
) -> Iterator[bytes]:
    """Yield the content behind an address in blocks, of which the last may be incomplete.

    Whatever the server does, this ends: a thread waits for it, and the caller waits for the thread
    no longer than the user allows. So it does not matter where a connection hangs, in a name, in a
    handshake, in a header or between two bytes.

    Parameters
    ----------
    url : str
        Of http or https. A redirect from https leads to https only.
    most : int
        Bytes that the content has at most.
    announce : callable
        Receives how many bytes the server says will come; None if it does not say.

    Raises
    ------
    OSError
        If less than 1 MB arrives in a minute (or in `ISTHMUS_FETCH_TIMEOUT` seconds), more than
        `most` bytes arrive, or there is nothing at the address. Its text is for people.
    """
    mailbox = _Mailbox(_seconds())
    # A daemon: a program that is told to end does not wait for a server.
    threading.Thread(target=_receive_into, args=(mailbox, url, most), daemon=True).start()
    try:
        yield from _take(mailbox, most, announce)
    finally:
        mailbox.is_over.set()


class _Mailbox:
    """Messages of a thread that may never come to its end, with the time that it has for them."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.is_over = threading.Event()
        self._queue: queue.Queue[Message] = queue.Queue(MAX_WAITING)
        self._recent, self._waited = 0, 0.0

    def put(self, message: Message) -> bool:
        """Add a message as soon as there is room; return whether somebody still waits for it."""
        while not self.is_over.is_set():
            with suppress(queue.Full):
                self._queue.put(message, timeout=0.1)
                return True
        return False

    def get(self) -> Message:
        """Return the next message; time in which the caller does something else is free."""
        start = time.monotonic()
        try:
            message = self._queue.get(timeout=max(0.0, self.seconds - self._waited))
        except queue.Empty:
            raise TimeoutError(
                f"only {self._recent:,} bytes came in {self.seconds:g} seconds; for a slow "
                f"connection set {TIMEOUT} to more seconds"
            ) from None
        self._waited += time.monotonic() - start
        if isinstance(message, bytes):
            self._recent += len(message)
        if self._recent >= MIN_BYTES:
            self._recent, self._waited = 0, 0.0
        return message


def _seconds() -> float:
    """Return how long less than `MIN_BYTES` may take."""
    text = os.environ.get(TIMEOUT, "")
    with suppress(ValueError):
        seconds = float(text or SECONDS)
        if 0 < seconds < threading.TIMEOUT_MAX:
            return seconds
    raise OptionError(f"{TIMEOUT} must be a number of seconds above 0, not {text!r}.")


def _take(mailbox: _Mailbox, most: int, announce: Callable[[int | None], None]) -> Iterator[bytes]:
    """Yield the blocks of a mailbox until its end."""
    total = 0
    while (message := mailbox.get()) is not None:
        if isinstance(message, Exception):
            raise message
        if isinstance(message, int):
            announce(message or None)
            continue
        total += len(message)
        if total > most:
            raise OSError(f"it sends more than the {most:,} bytes that were published")
        yield message


def _receive_into(mailbox: _Mailbox, url: str, most: int) -> None:
    """Put the length and the blocks of an answer into a mailbox, then None or an error."""
    try:
        import requests

        with requests.Session() as session, _open(session, url, mailbox.seconds) as response:
            length = _length(response)
            if length > most:
                raise OSError(f"it has {length:,} bytes, and {most:,} were published")
            mailbox.put(length)
            # As it is sent: what a server says is packed might unpack to any number of bytes.
            if all(map(mailbox.put, response.raw.stream(BLOCK_BYTES, decode_content=False))):
                mailbox.put(None)
    except Exception as error:  # whatever it is, the other thread has to know
        mailbox.put(_explain(error))


def _length(response: "requests.Response") -> int:
    """Return how many bytes an answer has, 0 if it does not say."""
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else 0


def _open(session: "requests.Session", url: str, seconds: float) -> "requests.Response":
    """Return the answer at an address, behind all redirects."""
    for _ in range(MAX_REDIRECTS):
        response = session.get(
            url,
            stream=True,
            timeout=seconds,
            allow_redirects=False,
            headers={"Accept-Encoding": "identity"},
        )
        if not response.is_redirect:
            response.raise_for_status()
            return response
        response.close()
        target = urljoin(url, response.headers["Location"])
        if url.lower().startswith("https:") and not target.lower().startswith("https:"):
            raise OSError(f"it leads to {target}, which is not encrypted")
        url = target
    raise OSError(f"it leads to another address more than {MAX_REDIRECTS} times")


def _explain(error: Exception) -> OSError:
    """Return an error with a text for people: that of the system, if there is one below."""
    import requests
    from urllib3.exceptions import ProtocolError
    from urllib3.exceptions import TimeoutError as NoAnswerError

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return OSError(f"the server answers {error.response.status_code} {error.response.reason}")
    if isinstance(error, requests.Timeout | NoAnswerError):
        return TimeoutError("the server does not answer")
    if isinstance(error, ProtocolError):
        return OSError("the connection broke off")
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return OSError(cause.strerror)
        cause = cause.__cause__ or cause.__context__
    return OSError(first_sentence(error))
