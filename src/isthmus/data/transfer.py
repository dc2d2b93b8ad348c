"""Bytes from a server, of which nothing is believed: neither that they end nor that they come."""

import os
import queue
import threading
import time
from collections.abc import Iterator
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


def receive(url: str, most: int) -> Iterator[bytes]:
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

    Raises
    ------
    OSError
        If less than 1 MB arrives in a minute (or in `ISTHMUS_FETCH_TIMEOUT` seconds), more than
        `most` bytes arrive, or there is nothing at the address. Its text is for people.
    """
    blocks: queue.Queue[bytes | Exception | None] = queue.Queue(MAX_WAITING)
    is_over = threading.Event()
    seconds = _seconds()
    arguments = (url, most, seconds, blocks, is_over)
    # A daemon: a program that is told to end does not wait for a server.
    threading.Thread(target=_receive_into, args=arguments, daemon=True).start()
    try:
        yield from _take(blocks, most, seconds)
    finally:
        is_over.set()


def _seconds() -> float:
    """Return how long less than `MIN_BYTES` may take."""
    text = os.environ.get(TIMEOUT, "")
    with suppress(ValueError):
        seconds = float(text or SECONDS)
        if 0 < seconds < threading.TIMEOUT_MAX:
            return seconds
    raise OptionError(f"{TIMEOUT} must be a number of seconds above 0, not {text!r}.")


def _take(
    blocks: "queue.Queue[bytes | Exception | None]", most: int, seconds: float
) -> Iterator[bytes]:
    """Yield blocks that arrive fast enough; time in which the caller does something is free."""
    total, recent, waited = 0, 0, 0.0
    while True:
        start = time.monotonic()
        try:
            block = blocks.get(timeout=max(0.0, seconds - waited))
        except queue.Empty:
            raise TimeoutError(
                f"only {recent:,} bytes came in {seconds:g} seconds; for a slow connection set "
                f"{TIMEOUT} to more seconds"
            ) from None
        waited += time.monotonic() - start
        if block is None:
            return
        if isinstance(block, Exception):
            raise block
        total, recent = total + len(block), recent + len(block)
        if total > most:
            raise OSError(f"it sends more than the {most:,} bytes that were published")
        if recent >= MIN_BYTES:
            recent, waited = 0, 0.0
        yield block


def _receive_into(
    url: str,
    most: int,
    seconds: float,
    blocks: "queue.Queue[bytes | Exception | None]",
    is_over: threading.Event,
) -> None:
    """Put the blocks of an answer into a queue, then None or the error that ended it."""

    def put(block: bytes | Exception | None) -> bool:
        while not is_over.is_set():
            with suppress(queue.Full):
                blocks.put(block, timeout=0.1)
                return True
        return False

    try:
        import requests

        with requests.Session() as session, _open(session, url, seconds) as response:
            length = response.headers.get("Content-Length", "")
            if length.isdecimal() and int(length) > most:
                raise OSError(f"it has {int(length):,} bytes, and {most:,} were published")
            # As it is sent: what a server says is packed might unpack to any number of bytes.
            if all(map(put, response.raw.stream(BLOCK_BYTES, decode_content=False))):
                put(None)
    except Exception as error:  # whatever it is, the other thread has to know
        put(_explain(error))


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
