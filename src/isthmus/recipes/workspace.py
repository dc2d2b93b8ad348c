"""What the steps of a recipe share: sessions, samples, and how progress is shown."""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.data.cache import Track, untracked

if TYPE_CHECKING:
    from isthmus.data.samples import Samples
    from isthmus.session import Session
    from isthmus.training.train import Training

Follow = Callable[["Training", Path], Any]  # walks through a training into a run folder


def train_silently(training: "Training", out: Path) -> None:
    """Train until the end without showing anything."""
    deque(training, 0)


class Workspace:
    """One session for each run and one set of samples for each source, shared by all steps.

    Parameters
    ----------
    track : callable
        Shows progress of loading and encoding.
    follow : callable
        Walks through a training and shows its progress.
    say : callable
        Receives one sentence for each step, and for each source that is loaded.
    """

    def __init__(
        self,
        track: Track = untracked,
        follow: Follow = train_silently,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.track, self.follow, self.say = track, follow, say
        self._sessions: dict[str, Session] = {}
        self._samples: dict[tuple[Any, ...], Samples] = {}

    def load(self, source: str, size: int | tuple[int, int] | None, limit: int | None) -> "Samples":
        """Load a source, the same one only once; see `isthmus.load`."""
        from isthmus.data.load import load
        from isthmus.reports.outputs import describe_samples

        key = (source, size, limit)
        if key not in self._samples:
            self._samples[key] = load(source, size=size, limit=limit, track=self.track)
            self.say(describe_samples(self._samples[key]))
        return self._samples[key]

    def session(self, run: str) -> "Session":
        """Return the session of a run folder; the run has to be trained to its end."""
        if run not in self._sessions:
            self.add_run(run)
        return self._sessions[run]

    def add_run(self, run: str, samples: "Samples | None" = None) -> None:
        """Make the session of a run, with its samples where they are loaded already."""
        from isthmus.session import Session

        self._sessions[run] = Session(run, samples, track=self.track, say=self.say)
