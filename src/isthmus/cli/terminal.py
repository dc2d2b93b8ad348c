"""What the command line shows: progress bars, results for people, JSON for machines."""

import json
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console

if TYPE_CHECKING:
    from isthmus.training.loop import Progress

T = TypeVar("T")

out_console = Console()
console = Console(stderr=True)
is_quiet = os.environ.get("RANK", "0") != "0"  # of several processes, the first one speaks


def say(text: str) -> None:
    """Tell people something on standard error, once."""
    if not is_quiet:
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def print_result(content: dict[str, Any], text: str, as_json: bool) -> None:
    """Print a result on standard output, as JSON or as text."""
    if as_json:
        print_json(content)
    else:
        out_console.print(text, markup=False, highlight=False, soft_wrap=True)


def print_json(content: Any) -> None:
    """Print JSON on standard output, and nothing else."""
    print(json.dumps(content, indent=2, ensure_ascii=False))


def track(items: Iterable[T], total: int, title: str) -> Iterable[T]:
    """Show a bar while walking through items, where there is a terminal."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    hidden = is_quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        yield from bar.track(items, total=total, description=title)


class Download:
    """A progress bar in the shape that pooch wants: total, update, reset, close."""

    def __init__(self) -> None:
        from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

        self._bar = Progress(
            *Progress.get_default_columns(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("Fetching", total=None)
        self.total = 0

    def __enter__(self) -> "Download":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, count: int) -> None:
        """Count bytes that have arrived."""
        self._bar.update(self._task, total=self.total or None, advance=count)

    def reset(self) -> None:
        """Begin a file."""
        self._bar.reset(self._task)

    def close(self) -> None:
        """End a file."""


def show_training(steps: "Generator[Progress, None, None]", out: Path) -> "Progress | None":
    """Show training until its end and return the last epoch's progress.

    After the first Ctrl-C the program ends with exit code 130 at the next step.
    """
    last, stopped = None, False
    with _interruptible() as interrupted:
        for progress in _shown(steps):
            last = progress if progress.validation_loss is not None else last
            stopped = interrupted() and progress.step < progress.steps
            if stopped:
                break
    if stopped:
        steps.close()
        say(f"Stopped; isthmus resume {out} goes on from the last whole epoch.")
        sys.exit(130)
    return last


def follow(steps: "Generator[Progress, None, None]", out: Path, as_json: bool) -> None:
    """Show training until its end and print what it came to."""
    last = show_training(steps, out)
    if is_quiet or last is None:
        return
    from isthmus.training.run import Run, summarize_training

    content = summarize_training(Run.open(out))
    best = content["best"]
    scores = [f"{name.replace('_', ' ')} {best[name]:.5g}" for name in best if name != "epoch"]
    text = (
        f"{out}: {content['epochs']:g} epochs in {content['seconds']:.1f} s of training, best in "
        f"epoch {best['epoch']:g}: {', '.join(scores)}."
    )
    if last.step < last.steps:
        text += f"\nStopped early; isthmus resume {out} goes on."
    print_result(content, text + f"\nNext: isthmus report {out}", as_json)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a question to ask between steps; the second stops at once."""
    seen = False

    def note(*_: object) -> None:
        nonlocal seen
        seen = True
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: seen
    finally:
        signal.signal(signal.SIGINT, previous)


def _shown(steps: "Iterator[Progress]") -> "Iterator[Progress]":
    """Draw a bar with rate and time to go; without a terminal, a line now and then."""
    if is_quiet:
        yield from steps
    elif console.is_terminal:
        yield from _bar(steps)
    else:
        for progress in steps:
            every = max(1, progress.epochs // 10)
            if progress.validation_loss is not None and (
                progress.epoch % every == 0 or progress.step == progress.steps
            ):
                say(_line(progress))
            yield progress


def _bar(steps: "Iterator[Progress]") -> "Iterator[Progress]":
    from time import monotonic

    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", figures="")
        drawn, validation = 0.0, ""
        for progress in steps:
            if progress.validation_loss is not None:
                validation = f", validation {_validation(progress)}"
            if (now := monotonic()) - drawn > 0.2:
                drawn = now
                bar.update(
                    task,
                    total=progress.steps,
                    completed=progress.step,
                    description=f"epoch {progress.epoch}/{progress.epochs}",
                    figures=f"{progress.images_per_second:,.0f}/s, loss {progress.loss:.4f}"
                    + validation,
                )
            yield progress


def _line(progress: "Progress") -> str:
    return (
        f"epoch {progress.epoch}/{progress.epochs}: loss {progress.loss:.4f}, validation "
        f"{_validation(progress)}, {progress.images_per_second:,.0f}/s, {progress.seconds:.1f} s"
    )


def _validation(progress: "Progress") -> str:
    """Write the loss of the validation part, and its scores if there are classes."""
    scores = [f"{name} {value:.2%}" for name, value in progress.scores.items()]
    return ", ".join([f"{progress.validation_loss:.4f}", *scores])
