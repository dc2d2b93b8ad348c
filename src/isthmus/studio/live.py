"""A run that is shown while it is used: its content, prepared once, and kept up to date.

The page is there at once, and reading samples, computing their codes and fitting maps take from a
second to minutes. So content is prepared by a thread while the page says how far that is.
"""

import asyncio
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from isthmus.data.cache import Track, untracked
from isthmus.errors import InterruptionError, IsthmusError
from isthmus.studio.events import Events

if TYPE_CHECKING:
    from isthmus.session import Session
    from isthmus.studio.content import Content

T = TypeVar("T")

SECONDS_BETWEEN_LOOKS = 0.01
SECONDS_TO_STOP = 1.0
REST = 4.0  # times as long as a refresh took, until the next: a fifth of the time at most


class Live:
    """The content of a session that is open in a browser.

    Parameters
    ----------
    open_session : callable
        Returns the session, given what shows its progress; quick, as a session loads nothing yet.
    prepare : callable
        Returns the content of a session, given what shows progress; called by a thread.
    events : Events
        Receives every change.
    track : callable
        Shows the progress of preparing, as pages do.
    """

    def __init__(
        self,
        open_session: "Callable[[Track], Session]",
        prepare: "Callable[[Session, Track], Content]",
        events: Events,
        track: Track = untracked,
    ) -> None:
        self.events = events
        self._prepare, self._show = prepare, track
        self._prepared: Future[Content] = Future()
        self._is_interrupted = False
        self._lock = threading.Lock()
        self._jobs: set[str] = set()
        self._next_refresh = 0.0
        self._fingerprint = ""  # of the content that pages know
        self._session = open_session(self._track)
        self._thread = threading.Thread(target=self._run, name="studio content", daemon=True)
        self._on_failure: Callable[[], None] = lambda: None

    def start(self, on_failure: Callable[[], None]) -> None:
        """Prepare the content in a thread; call `on_failure` if that is impossible."""
        self._on_failure = on_failure
        self._thread.start()

    @property
    def failure(self) -> BaseException | None:
        """Why there is no content, if that is known by now."""
        return self._prepared.exception() if self._prepared.done() else None

    @property
    def is_prepared(self) -> bool:
        """Whether there is content."""
        return self._prepared.done() and self.failure is None

    async def content(self) -> "Content":
        """Return the content, once it is prepared.

        Raises
        ------
        InterruptionError
            If the server ends before.
        """
        while not self._prepared.done():
            if self._is_interrupted:
                raise InterruptionError("The studio has ended.")
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
        return self._prepared.result()

    def add_map(self, method: str) -> None:
        """Fit another map in a thread, unless that is being done."""
        with self._lock:
            if method in self._jobs:
                return
            self._jobs.add(method)
        self.events.report(method, 0, 1, "Fitting the map")
        content, track = self._prepared.result(), self.events.track(method)
        self._start(method, lambda: self._work(method, lambda: content.add_map(method, track)))

    def refresh(self, *, now: bool = False) -> bool:
        """Read the run again in a thread, unless that is too soon; return whether it began.

        Parameters
        ----------
        now : bool
            Whether it is never too soon, as at the end of training.
        """
        with self._lock:
            is_soon = not now and time.monotonic() < self._next_refresh
            if not self.is_prepared or "refresh" in self._jobs or is_soon:
                return False
            self._jobs.add("refresh")
        self._start("refresh", self._refresh)
        return True

    def interrupt(self) -> None:
        """Stop what is computed at its next batch."""
        self._is_interrupted = True
        self._session.interrupt()

    def stop(self) -> bool:
        """Interrupt and wait for a moment; return whether nothing is computed any more."""
        self.interrupt()
        if self._thread.is_alive():
            self._thread.join(SECONDS_TO_STOP)  # else a bar that it shows would hide the cursor
        return not self._thread.is_alive() and not self._jobs

    def _track(self, items: Iterable[T], total: int, title: str) -> Iterable[T]:
        """Show the progress of preparing; later, that of each answer is of no interest."""
        if self.is_prepared:
            return items
        return self._show(self.events.track("content")(items, total, title), total, title)

    def _run(self) -> None:
        try:
            content = self._prepare(self._session, self._track)
        except BaseException as error:  # of any kind: it is raised where the server was started
            self.events.fail("content", str(error))
            self._prepared.set_exception(error)
            self._on_failure()
        else:
            self._fingerprint = content.manifest(live=True)["fingerprint"]
            self._prepared.set_result(content)
            self.events.report("content", 1, 1, "")
            self._finish(content)

    def _start(self, name: str, work: Callable[[], object]) -> None:
        """Do a job, of which there is at most one at a time, in a thread."""

        def run() -> None:
            try:
                work()
            finally:
                self._jobs.discard(name)

        # A daemon: the program may end while a map is fitted.
        threading.Thread(target=run, name=f"studio {name}", daemon=True).start()

    def _refresh(self) -> None:
        content, start = self._prepared.result(), time.monotonic()
        self._work("refresh", content.refresh)
        self._finish(content)  # also of the same weights: the mixture waits for the end of training
        end = time.monotonic()
        self._next_refresh = end + REST * (end - start)

    def _finish(self, content: "Content") -> None:
        """Make what is missing, part by part, and tell pages of each."""
        track = self.events.track("finish")
        while self._work("finish", lambda: content.make_next(track)):
            pass

    def _work(self, name: str, work: Callable[[], object]) -> bool:
        """Do a job, and tell pages of its result or failure; return whether anything changed."""
        try:
            has_changed = bool(work())
        except InterruptionError:
            return False
        except IsthmusError as error:  # such as of a run that was deleted: what is shown stays
            self.events.fail(name, str(error))
            return False
        except Exception:
            traceback.print_exc()
            self.events.fail(name, "This failed; the terminal of isthmus studio says why.")
            return False
        self.events.report(name, 1, 1, "")
        if has_changed:
            self._announce()
        return has_changed

    def _announce(self) -> None:
        """Tell pages of a manifest that shows something else than the last."""
        told, manifest = self._fingerprint, self._prepared.result().manifest(live=True)
        self._fingerprint = manifest["fingerprint"]
        if told != self._fingerprint:
            self.events.send("manifest", {"fingerprint": self._fingerprint})
