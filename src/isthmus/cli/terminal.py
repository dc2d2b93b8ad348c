"""Output of the command line: results as text or JSON, messages, and the bar of downloads.

Results are printed on standard output, everything else on standard error. So the output of a
command with `--json` is JSON and nothing else.
"""

import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console

from isthmus.logs import Level, is_json, is_written, to_record
from isthmus.progress import AGAIN, is_first_process, show_progress
from isthmus.text import escape_json, format_epochs, printable

if TYPE_CHECKING:
    from isthmus.training.progress import Progress
    from isthmus.training.train import Training

T = TypeVar("T")

SECONDS_BEHIND_FIRST = 3.0  # after which another process than the first one says what went wrong

out_console = Console()
console = Console(stderr=True)
is_quiet = not is_first_process()


def track(items: Iterable[T], total: int | None = None, title: str = "") -> Iterable[T]:
    """Show the progress of a command; that samples are decoded again is said in a line."""
    if title.endswith(AGAIN):
        say(f"{title}.")
        return items
    return show_progress(items, total, title)


def say(text: str, level: Level = "info") -> None:
    """Print a message on standard error; of several processes, only the first one does."""
    if not is_quiet:
        _log(level, text, text)


def complain(text: str) -> None:
    """Print a sentence about what went wrong on standard error, in one line.

    Of several processes, the first one speaks first. Usually all would say the same, and torchrun
    ends the others as soon as one has failed.
    """
    who = "isthmus"
    if is_quiet:
        time.sleep(SECONDS_BEHIND_FIRST * (1 if os.environ.get("LOCAL_RANK") == "0" else 2))
        who += f" (rank {os.environ['RANK']} on {platform.node()})"
    with suppress(OSError):  # where nobody can be told
        _log("error", f"{who}: {printable(text)}", text)


def _log(level: Level, text: str, message: str) -> None:
    """Print a text for people, or a message for machines, if its level is written."""
    if not is_written(level):
        return
    if is_json():
        facts = {"rank": int(os.environ["RANK"])} if "RANK" in os.environ else {}
        print(to_record(level, message, facts), file=sys.stderr, flush=True)
    else:
        _print(console, text)


def print_result(content: dict[str, Any], text: str, as_json: bool) -> None:
    """Print a result on standard output, as JSON or as text."""
    if as_json:
        print_json(content)
    else:
        print_text(text)


def print_text(text: str) -> None:
    """Print text on standard output; see `isthmus.text.printable` for names in it."""
    _print(out_console, text)


def print_json(content: Any) -> None:
    """Print JSON on standard output, and nothing else."""
    # Where the encoding lacks letters, they are written as escapes of JSON, not of Python.
    is_unicode = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")
    print(escape_json(json.dumps(content, indent=2, ensure_ascii=not is_unicode)))


def _print(to: Console, text: str) -> None:
    """Print lines as they are: names may contain brackets, which are markup."""
    lines = "\n".join(map(printable, text.split("\n")))
    to.print(lines, markup=False, highlight=False, soft_wrap=True)


class Download:
    """A progress bar for files that are fetched; see `isthmus.data.fetching.Progress`."""

    def __init__(self) -> None:
        from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

        self._bar = Progress(
            *Progress.get_default_columns(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
            transient=True,
            disable=is_json() or not is_written("info"),
        )
        self._task = self._bar.add_task("Fetching", total=None)

    def __enter__(self) -> "Download":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar.live.is_started:
            self._bar.stop()

    def start(self, name: str, total: int | None) -> None:
        """Begin a file of so many bytes, if that is known."""
        self._bar.start()
        self._bar.reset(self._task, total=total, description=f"Fetching {name}")

    def update(self, count: int) -> None:
        """Count bytes that have arrived."""
        self._bar.advance(self._task, count)


def show_training(training: "Training", out: Path) -> "Progress | None":
    """Show a training until its end, and return the progress of its last epoch.

    The first Ctrl-C stops it after the current step and exits with code 130; the second one stops
    it at once.
    """
    last, is_stopped = None, False
    warned: set[str] = set()
    with _catch_interrupt() as is_interrupted:
        for progress in show_progress(training):
            last = progress if progress.validation_loss is not None else last
            for name, text in progress.warnings.items():
                if name not in warned:
                    say(text, "warning")
                    warned.add(name)
            is_stopped = is_interrupted() and progress.step < progress.steps
            if is_stopped:
                break
    if is_stopped:
        training.close()
        from isthmus.training.store import is_run

        if is_run(out):
            say(f"Stopped; isthmus resume {out} continues from the last whole epoch.")
        else:
            say("Stopped before there was a run; nothing was written.")
        sys.exit(130)  # 128 + SIGINT, what a shell expects of a command that was interrupted
    return last


@contextmanager
def to_be_continued(count_done: Callable[[], int] | None = None) -> Iterator[None]:
    """At Ctrl-C, say that the same command does the rest, and end.

    Parameters
    ----------
    count_done : callable, optional
        Returns how much is done; by default nothing is said of it.
    """
    try:
        yield
    except KeyboardInterrupt:
        count = None if count_done is None else count_done()
        so_far = ""
        if count is not None:
            so_far = f"{f'{count:,} are' if count else 'nothing is'} done, and "
        say(f"Stopped; {so_far}the same command does the rest.")
        sys.exit(130)  # 128 + SIGINT, what a shell expects of a command that was interrupted


def follow(training: "Training", out: Path, as_json: bool) -> None:
    """Show a training until its end, and print its result, what looks wrong and what to do next."""
    last = show_training(training, out)
    if is_quiet:
        return
    from isthmus.cli.doctor import describe_findings, examine
    from isthmus.cli.outliers import describe_detection, detect
    from isthmus.files import to_json
    from isthmus.training.machine import describe_computing
    from isthmus.training.resuming import has_lost_patience
    from isthmus.training.run import summarize_training

    if last is None:
        say("All epochs were trained before; the files that were missing are complete.")
    content, diagnosis = summarize_training(training.run), examine(training.run)
    content["findings"] = [] if diagnosis is None else to_json(diagnosis.findings)
    if (detection := detect(training.run)) is not None:
        content["detection"] = detection
    best = content["best"]
    metrics = [f"{name.replace('_', ' ')} {best[name]:.5g}" for name in best if name != "epoch"]
    how = describe_computing(training.run)
    text = (
        f"{out}: {format_epochs(content['epochs'])} in {content['seconds']:.1f} s of training"
        f"{how}, best in epoch {best['epoch']:g}: {', '.join(metrics)}."
    )
    if has_lost_patience(training.run):
        text += "\nStopped early, as no better epoch came; isthmus resume with a larger --patience "
        text += "continues."
    elif last is not None and last.step < last.steps:
        text += f"\nStopped early; isthmus resume {out} continues."
    lines = [text, *describe_findings(diagnosis, out), *describe_detection(detection)]
    is_denoiser = training.run.record.model_config.task == "denoise"
    use = f"denoise {out} PICTURES --out clean" if is_denoiser else f"studio {out}"
    lines.append(f"Next: isthmus {use}, or isthmus report {out}")
    print_result(content, "\n".join(lines), as_json)


def follow_in_recipe(training: "Training", out: Path) -> None:
    """Show a training of a recipe until its end, and say what looks wrong with it."""
    show_training(training, out)
    if not is_quiet:
        from isthmus.cli.doctor import describe_findings, examine

        for line in describe_findings(examine(training.run), out):
            say(line)


@contextmanager
def _catch_interrupt() -> Iterator[Callable[[], bool]]:
    """Provide a function that returns whether Ctrl-C was pressed; a second one acts as usual."""
    seen = False

    def note(*_: object) -> None:
        nonlocal seen
        seen = True
        signal.signal(signal.SIGINT, previous)

    # A KeyboardInterrupt may be raised anywhere, also while a checkpoint is written. A note lets
    # the current step end, so that nothing is lost but the epoch.
    previous = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: seen
    finally:
        signal.signal(signal.SIGINT, previous)
