"""`Workspace`: the sessions and samples that the steps of a recipe share, and their progress."""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.data.cache import Track, untracked

if TYPE_CHECKING:
    from isthmus.data.images import Images
    from isthmus.data.samples import Samples
    from isthmus.session import Session
    from isthmus.training.run import Run
    from isthmus.training.train import Training

Follow = Callable[["Training", Path], Any]  # walks through a training into a run folder


def train_silently(training: "Training", out: Path) -> None:
    """Train until the end without output."""
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
        self._images: dict[tuple[Any, ...], Images] = {}

    def load(self, source: str, size: int | tuple[int, int] | None, limit: int | None) -> "Samples":
        """Load a source, the same one only once; see `isthmus.load`."""
        from isthmus.data.load import load
        from isthmus.data.survey import report_of

        # A recipe trains up to seven models on one source; it is decoded and held only once.
        key = (source, size, limit)
        if key not in self._samples:
            self._samples[key] = load(source, size=size, limit=limit, track=self.track)
            self.say("\n".join(report_of(self._samples[key]).summary()))
        return self._samples[key]

    def load_images(self, source: str, limit: int | None) -> "Images":
        """Load a source for denoisers, each image at its own size; the same one only once."""
        from isthmus.data.load_images import load_images

        key = (source, limit)
        if key not in self._images:
            self._images[key] = load_images(source, limit=limit, track=self.track)
            self.say(f"{source}: {self._images[key].describe()}")
        return self._images[key]

    def session(self, run: "str | Run") -> "Session":
        """Return the `Session` of a run, given by its folder or as a `Run`.

        A `Run` brings the samples that it was trained on.
        """
        from isthmus.session import Session

        # Both name the same folder: a path as the step has it, and the run trained into it.
        key = run if isinstance(run, str) else run.name
        if key not in self._sessions:
            self._sessions[key] = Session(run, track=self.track, say=self.say)
        return self._sessions[key]
