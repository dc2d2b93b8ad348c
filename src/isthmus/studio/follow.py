"""Following a run that is trained, by looking at its files."""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from isthmus.inference.contract import MODEL_FILE
from isthmus.studio.events import Events
from isthmus.studio.history import read_lines
from isthmus.training.store import HISTORY, is_in_training

SECONDS_BETWEEN_LOOKS = 0.5

Stamp = tuple[int, int]


class Follower:
    """Tells pages of new epochs and of the end of training, and asks for better weights to be read.

    Parameters
    ----------
    run : Path
        The run folder.
    events : Events
    refresh : callable
        Reads the run again, unless it was asked too soon; returns whether it does. Its `now` says
        that it is never too soon.
    """

    def __init__(self, run: Path, events: Events, refresh: Callable[..., bool]) -> None:
        self._run, self._events, self._refresh = run, events, refresh
        self._stamps: dict[str, Stamp | None] = {
            HISTORY: None,
            MODEL_FILE: _stamp(run / MODEL_FILE),
        }
        self._lines: list[dict[str, Any]] = []
        self._is_training: bool | None = None
        self._is_stale = False

    def look(self) -> None:
        """Look at the run once."""
        was_training, self._is_training = self._is_training, is_in_training(self._run)
        if has_epoch := self._has_changed(HISTORY):
            self._tell_history()
        # An epoch that is not better may still be one that is kept to be looked at.
        self._is_stale |= self._has_changed(MODEL_FILE) | has_epoch
        if self._is_training != was_training:
            self._tell_training()
            self._is_stale |= was_training is True  # the last epochs, which may not be better
        if self._is_stale and self._refresh(now=not self._is_training):
            self._is_stale = False

    def follow(self, is_over: threading.Event) -> None:
        """Look again and again until it is over."""
        self.look()
        while not is_over.wait(SECONDS_BETWEEN_LOOKS):
            self.look()

    def _has_changed(self, file: str) -> bool:
        stamp = _stamp(self._run / file)
        was, self._stamps[file] = self._stamps[file], stamp
        return stamp != was

    def _tell_history(self) -> None:
        """Send the lines that are new, or all of a history that was written again."""
        with suppress(OSError):
            lines = read_lines((self._run / HISTORY).read_bytes())
            if lines is not None:
                self._tell_lines(lines)

    def _tell_lines(self, lines: list[dict[str, Any]]) -> None:
        known = len(self._lines)
        start = known if lines[:known] == self._lines else 0
        self._lines = lines
        self._events.state("history", "history", {"from": 0, "lines": lines}, tell=False)
        self._events.send("history", {"from": start, "lines": lines[start:]})

    def _tell_training(self) -> None:
        content = {"is_training": self._is_training}
        self._events.state("training", "training", content)


def _stamp(file: Path) -> Stamp | None:
    """Return what changes whenever a file is replaced."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
