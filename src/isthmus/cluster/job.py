"""`Job`: what a command computes on a cluster, its plan, and what is done of it."""

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.cluster.failures import explained
from isthmus.cluster.parts import SUFFIX, About, Part, Parts, Range
from isthmus.cluster.pipeline import Setup, do_blocks, list_cores
from isthmus.cluster.ranges import plan_ranges
from isthmus.cluster.tasks import Block, Blocks, Task
from isthmus.data.cache import Track
from isthmus.data.pictures.mixed_scales import Scales
from isthmus.errors import ModelError, SourceError
from isthmus.files import fingerprint
from isthmus.inference.model import Model
from isthmus.locks import working_alone
from isthmus.runtime import thread_count
from isthmus.version import __version__

FORMAT = 3  # of the parts; raise it when they would be computed otherwise
OWN_VARIABLES = "ISTHMUS_"  # what they begin with


@dataclass
class Job:
    """A job: its plan, and what is done of it.

    Parameters
    ----------
    task : Task
    work : Blocks
    setup : Setup
    rows_of_block : int
    """

    task: Task
    work: Blocks
    setup: Setup
    rows_of_block: int
    done: set[Range] = field(default_factory=set)  # with results
    broken: dict[int, str] = field(default_factory=dict)
    seen: int = 0  # samples that were tried

    @classmethod
    def plan(cls, task: Task, work: Blocks, out: Path, rows: int, threads: int) -> "Job":
        """Plan a job; nothing is computed or written.

        Parameters
        ----------
        task : Task
        work : Blocks
        out : Path
            What will be written: the parts lie next to it until it is.
        rows : int
            Of a block.
        threads : int
            See `count_threads`.
        """
        key = fingerprint(
            FORMAT, __version__, task.title, dict(task.made_by), work.key, rows, threads
        )
        about = About(key, task.title, work.source, len(work), task.made_by)
        folder = Path(os.path.abspath(f"{out}{SUFFIX}"))  # noqa: PTH100 - links mean the same elsewhere
        settings = {
            key: value for key, value in os.environ.items() if key.startswith(OWN_VARIABLES)
        }
        return cls(task, work, Setup(Parts(folder, about), threads, settings), rows)

    @contextmanager
    def completed(self, track: Track) -> Iterator[int]:
        """Compute what is missing, and remove the parts when what follows has used them.

        Yields
        ------
        int
            How many samples an earlier attempt has done.

        Raises
        ------
        IsthmusError
            What a worker raises, in one sentence. What is done stays for the next attempt.
        """
        with working_alone(self.parts.folder):
            self.parts.begin()
            try:
                resumed = self.resume()
                self.run(track)
            except (ModelError, SourceError):
                if self._is_useless():
                    self.parts.remove()  # no worker writes any more
                raise
            yield resumed
            self.parts.remove()

    @property
    def parts(self) -> Parts:
        """Where the results are."""
        return self.setup.parts

    def resume(self) -> int:
        """Find out what is done already, and return how many samples that is."""
        for place in self.parts.list_ranges():
            part = self.parts.read(place)
            is_whole = part.is_whole and self.task.is_kept(part, self.parts.files)
            self._note(place, part.broken, is_whole)
        self.done &= {*self.ranges()}
        return sum(stop - start for start, stop in self.done)

    def ranges(self) -> Iterator[Range]:
        """Yield the ranges of blocks, as far as it is known what is broken."""
        shifting = self.broken if self.task.takes_samples else ()
        return plan_ranges(len(self.work), self.rows_of_block, shifting)

    def run(self, track: Track) -> None:
        """Compute what is missing.

        When pictures turn out to be broken, the batches after them change and are computed again.
        This happens once, because all broken pictures are known then.

        Raises
        ------
        SourceError
            If too many are broken.
        """
        while missing := [place for place in self.ranges() if place not in self.done]:
            total = sum(stop - start for start, stop in missing)
            # Closed also at Ctrl-C: otherwise the cluster would go on computing.
            with closing(self._compute(missing)) as rows:
                for _ in track(rows, total, self.task.title):
                    pass

    def results(self) -> Iterator[Part]:
        """Yield all parts in their order, but those without results, where all is broken.

        Raises
        ------
        SourceError
            If pictures of several parts differ in the scale of their numbers.
        """
        scales = Scales()
        for place in self.ranges():
            part = self.parts.read(place)
            try:
                scales.add(part.largest)
            except SourceError:
                self.parts.remove()  # read in another way, it is another job
                raise
            if part.results:
                yield part

    def skipped(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """Return the names of what is broken, with the reasons, in their order."""
        return [(names[row], self.broken[row]) for row in sorted(self.broken)]

    def rows(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the rows of the source that have results."""
        return np.setdiff1d(np.arange(len(self.work)), np.array(list(self.broken), np.int64))

    def _compute(self, missing: Iterable[Range]) -> Generator[int, None, None]:
        """Yield each row whose block is done."""
        known = np.array(sorted(self.broken), np.int64)
        blocks = (
            Block((start, stop), _between(known, start, stop), self.work.block(start, stop))
            for start, stop in missing
        )
        outcomes = do_blocks(self.task, self.setup, blocks)
        with explained(), closing(outcomes):
            for place, is_whole, broken in outcomes:
                self._note(place, broken, is_whole)
                yield from range(*place)

    def _note(self, place: Range, broken: Mapping[int, str], is_whole: bool) -> None:
        self.broken.update(broken)
        self.seen = min(len(self.work), self.seen + place[1] - place[0])
        if is_whole:
            self.done.add(place)
        if broken:
            self.work.reject_broken(self.broken, self.seen)

    def _is_useless(self) -> bool:
        """Return whether the next attempt can use nothing of what is done."""
        try:
            self.work.reject_broken(self.broken, self.seen)
        except SourceError:  # when files are repaired, it is another job
            return True
        return not self.done


def count_threads(model: Model) -> int:
    """Return how many threads compute a batch: as here, if all machines have so many cores.

    More threads than cores wait for each other. ONNX Runtime takes one for each of several.
    """
    from isthmus.inference.onnx import OnnxModel

    return 1 if isinstance(model, OnnxModel) else min([thread_count(), *list_cores()])


def _between(rows: np.ndarray[Any, np.dtype[np.int64]], start: int, stop: int) -> list[int]:
    first, last = np.searchsorted(rows, [start, stop])
    return list(map(int, rows[first:last]))
