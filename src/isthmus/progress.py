"""`show_progress`: how far long work is, in a terminal, a notebook or a log file.

A terminal gets a bar that goes away at the end, a notebook a bar in its cell, and a log file a line
now and then; all three with the rate and the time that is left. Machines get JSON lines, of a
training one an epoch; see `logs`. What is shown is written to standard error.
"""

import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from html import escape
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from isthmus.logs import is_json, is_written, to_record

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

SECONDS_BETWEEN_DRAWS = 0.2  # of a bar; drawing reads the loss, which waits for a GPU
SECONDS_UNTIL_CELL = 0.5  # what is done earlier shows nothing in a notebook
SECONDS_BETWEEN_LINES = 10.0  # of a log file, at first
LINE_FACTOR = 1.1  # and later, whenever the work has taken a tenth longer
# How the title of work ends that is done a second time, which commands say in a line that stays.
AGAIN = "and are decoded again"


class Step(ABC):
    """An item that says itself how far its work is: the base of `isthmus.Progress`.

    Attributes
    ----------
    step, steps : int
        How many steps are done, and to be done in all.
    """

    __slots__ = ()
    step: int
    steps: int

    @property
    @abstractmethod
    def title(self) -> str:
        """What is being done, such as "epoch 3/20"."""

    @property
    @abstractmethod
    def is_milestone(self) -> bool:
        """Whether a log file gets a line for this step, however short the time since the last."""

    @abstractmethod
    def describe(self) -> str:
        """Return what changes with every step, such as the rate and the loss."""

    @abstractmethod
    def results(self) -> str:
        """Return what stays true until there is more of it; empty after most steps."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return all that is known, for machines."""


def show_progress(items: Iterable[T], total: int | None = None, title: str = "") -> Iterator[T]:
    """Walk through items, and show how far that is.

    It is the `track` that functions of Isthmus take. Around a training it shows the epoch, the
    losses and the time that is left.

    Parameters
    ----------
    items : iterable
        Anything, or a `Training`.
    total : int, optional
        How many items there are, if it is known.
    title : str
        What is done with them.

    Examples
    --------
    >>> samples = load("lfw", track=show_progress)  # doctest: +SKIP
    >>> training = train(samples, code_size=32)  # doctest: +SKIP
    >>> for progress in show_progress(training):  # doctest: +SKIP
    ...     pass
    """
    if not is_first_process():
        yield from items
        return
    work, display = Work(title, total), _choose_display()
    try:
        for item in items:
            # Drawn after an item has come: making the first may show progress of its own.
            if isinstance(item, Step):
                work.update(item)
            display.draw(work)
            yield item
            if not isinstance(item, Step):
                work.done += 1
        work.is_over = True
    finally:
        display.close(work)


def is_first_process() -> bool:
    """Return whether this is the only or the first process of a training: the one that speaks."""
    return os.environ.get("RANK", "0") == "0"


class Work:
    """How far some work is, as numbers and as words."""

    def __init__(self, title: str, total: int | None) -> None:
        self.title, self.total = title, total
        self.done, self.is_over = 0, False
        self.started, self._done_at_start = time.monotonic(), 0
        self.step: Step | None = None
        self._results = ""

    @property
    def seconds(self) -> float:
        """How long the work has taken."""
        return time.monotonic() - self.started

    def update(self, step: Step) -> None:
        """Take the numbers of a step."""
        if self.step is None:  # a training that is resumed has done some steps already
            self.started, self._done_at_start = time.monotonic(), step.step
        self.step, self.done, self.total = step, step.step, step.steps
        self.title, self._results = step.title, step.results() or self._results

    def describe(self) -> str:
        """Return the count, the rate, what the step says, and the time that is left."""
        if self.step is not None:
            return ", ".join(filter(None, [self.step.describe(), self._results, self._time()]))
        count = f"{self.done:,}" + ("" if self.total is None else f" of {self.total:,}")
        rate = self.done / self.seconds if self.seconds else 0.0
        shown = f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s" if rate else ""
        return ", ".join(filter(None, [count, shown, self._time()]))

    def _time(self) -> str:
        """Return the time that is left; at the end, the time that it took."""
        if self.is_over or self.done == self.total:
            return f"in {format_seconds(self.seconds)}"
        done = self.done - self._done_at_start
        if self.total is None or not done:
            return ""
        left = self.seconds / done * (self.total - self.done)
        return f"{format_seconds(left)} left"


class Display(Protocol):
    """Where progress is shown. It is given the work after every item, and decides what to draw."""

    def draw(self, work: Work) -> None:
        """Show the work, if it is time to."""

    def close(self, work: Work) -> None:
        """Show the end of the work, also of one that was stopped."""


class Terminal:
    """A bar in a terminal, which goes away: it is of no interest once it is full."""

    def __init__(self, console: "Console") -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn())
        details = TextColumn("{task.fields[details]}", markup=False)
        self._bar = Progress(*columns, details, console=console, transient=True)
        self._task = self._bar.add_task("", total=None, details="")
        self._next = 0.0

    def draw(self, work: Work) -> None:
        """Draw the bar."""
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + SECONDS_BETWEEN_DRAWS
        self._bar.start()
        self._bar.update(
            self._task,
            description=work.title,
            completed=work.done,
            total=work.total,
            details=work.describe(),
        )

    def close(self, work: Work) -> None:
        """Remove the bar."""
        self._bar.stop()


class Notebook:
    """A bar in a cell of a notebook, which stays with the last numbers.

    IPython's own display, which every front end and nbclient know: the bars of rich and tqdm need
    ipywidgets here.
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._next = time.monotonic() + SECONDS_UNTIL_CELL

    def draw(self, work: Work) -> None:
        """Draw the bar, or change the one that is there."""
        if (now := time.monotonic()) >= self._next:
            self._next = now + SECONDS_BETWEEN_DRAWS
            self._show(work)

    def close(self, work: Work) -> None:
        """Leave the last numbers in the cell, if there are any."""
        if self._handle is not None:
            self._show(work)

    def _show(self, work: Work) -> None:
        from IPython.display import display

        content = {"text/html": _to_html(work), "text/plain": _to_line(work)}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)


class Log:
    """Lines in a log file: few of short work, and not many of work that takes a day."""

    def __init__(self) -> None:
        self._next, self._lines = SECONDS_BETWEEN_LINES, 0

    def draw(self, work: Work) -> None:
        """Print a line, if it is time to."""
        is_milestone = work.step is not None and work.step.is_milestone
        if is_milestone or work.seconds >= self._next:
            self._print(work)

    def close(self, work: Work) -> None:
        """Print the end of counted work that has a line already; the last step has its own."""
        if self._lines and work.step is None:
            self._print(work)

    def _print(self, work: Work) -> None:
        seconds = work.seconds
        self._next = max(seconds + SECONDS_BETWEEN_LINES, seconds * LINE_FACTOR)
        self._lines += 1
        print(self._format(work), file=sys.stderr, flush=True)

    def _format(self, work: Work) -> str:
        return _to_line(work)


class Records(Log):
    """JSON lines: as many as a log file gets, and one for each result of a training."""

    def draw(self, work: Work) -> None:
        """Print a line, if it is time to, or if there are results."""
        if work.step is not None and work.step.results():
            self._print(work)
        else:
            super().draw(work)

    def _format(self, work: Work) -> str:
        counted = {"work": work.title, "done": work.done, "total": work.total}
        facts = {} if work.step is None else work.step.facts()
        return to_record("info", _to_line(work), {**counted, "seconds": work.seconds, **facts})


class Nothing:
    """No progress, where only warnings and errors are written."""

    def draw(self, work: Work) -> None:
        """Show nothing."""

    def close(self, work: Work) -> None:
        """Show nothing."""


def format_seconds(seconds: float) -> str:
    """Format a time for people.

    Examples
    --------
    >>> format_seconds(0.34), format_seconds(75), format_seconds(7384)
    ('0.3 s', '1:15 min', '2:03:04 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02} h" if hours else f"{minutes}:{left:02} min"


def _choose_display() -> Display:
    from rich.console import Console

    if not is_written("info"):
        return Nothing()
    if is_json():
        return Records()
    if _is_notebook():
        return Notebook()
    console = Console(stderr=True)
    # A `!command` in a notebook has a terminal too, but one whose cursor cannot go back. The
    # console itself takes a file for a terminal where FORCE_COLOR is set.
    is_in_cell = "JPY_PARENT_PID" in os.environ
    has_bar = sys.stderr.isatty() and not console.is_dumb_terminal and not is_in_cell
    return Terminal(console) if has_bar else Log()


def _is_notebook() -> bool:
    """Return whether a Jupyter kernel runs this; IPython in a terminal has none."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def _to_line(work: Work) -> str:
    return f"{work.title}: {work.describe()}" if work.title else work.describe()


def _to_html(work: Work) -> str:
    length = f' value="{work.done}" max="{work.total}"' if work.total else ""
    return (
        '<div style="display:flex;align-items:center;gap:.7em;font-variant-numeric:tabular-nums">'
        f'<span style="white-space:nowrap">{escape(work.title)}</span>'
        f'<progress{length} style="width:16em;flex:none"></progress>'
        f"<span>{escape(work.describe())}</span></div>"
    )
