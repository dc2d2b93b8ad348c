"""Try thousands of damaged files of each reader; `make soak` runs this.

Each reader has a process of its own, with a limit of memory. A process that ends by itself (a
crash of a C library) or says nothing for long is a fault of the case that it was at, and another
process goes on behind it. What fails is kept below `.cache/soak`; of each kind of failure, the
first is printed with the command to repeat it.
"""

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from fuzz.seeds import SEEDS
from fuzz.verdicts import MAX_BYTES, Verdict, judge, make_case, watch

FAILURES = Path(".cache/soak")
MAX_SILENCE = 30.0  # seconds without a verdict; from the start of a process, imports included
FAULT_LETTERS = 40  # of a verdict's text, by which failures are of one kind
WATCHING = "verdict "  # what lines of a process begin with


@dataclass
class Tally:
    """What became of the files of a reader."""

    reader: str
    outcomes: dict[str, int] = field(default_factory=lambda: {"read": 0, "refused": 0, "failed": 0})
    seconds: float = 0.0
    memory: int = 0
    faults: dict[str, int] = field(default_factory=dict)  # cases by what is wrong with them

    def add(self, verdict: Verdict) -> None:
        self.outcomes[verdict.outcome] += 1
        self.seconds = max(self.seconds, verdict.seconds)
        self.memory = max(self.memory, verdict.memory)

    def is_new(self, verdict: Verdict) -> bool:
        """Count a failure; return whether it is the first of its kind."""
        kind = "".join(letter for letter in verdict.text if letter.isalpha())[:FAULT_LETTERS]
        self.faults[kind] = self.faults.get(kind, 0) + 1
        return self.faults[kind] == 1

    def __str__(self) -> str:
        counts = "".join(f"{count:>9,}" for count in self.outcomes.values())
        return f"{self.reader:<7}{counts}{self.seconds:>11.3f} s{self.memory / 2**20:>11,.0f} MB"


def main() -> None:
    options = _parse()
    if options.file:
        sys.exit(_repeat(options.file))
    if options.worker:
        _work(options.worker, options.start, options.count, options.seed)
        return
    sys.exit(_soak(options.readers or list(SEEDS), options.count, options.seed))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--readers", nargs="*", choices=SEEDS, help="by default all")
    parser.add_argument("--count", type=int, default=3000, help="of mutations a reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--file", type=Path, help="judge this one file")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def _soak(readers: list[str], count: int, seed: int) -> int:
    """Print a line for each reader and one for each failure; return the exit code."""
    print(f"{count:,} mutations of each of {len(readers)} readers, seed {seed}")
    titles = "".join(f"{title:>9}" for title in ("read", "refused", "failed"))
    print(f"{'reader':<7}{titles}{'slowest':>13}{'most memory':>14}")
    start, done, failed = time.monotonic(), 0, 0
    for reader in readers:
        tally = Tally(reader)
        for number, verdict in _verdicts(reader, count, seed):
            tally.add(verdict)
            done += 1
            _show(f"{reader} {number + 1:,}", done, count * len(readers), start)
            if verdict.outcome == "failed":
                command = _keep(reader, number, seed)
                if tally.is_new(verdict):
                    _say(f"  {verdict.text}\n    {command}")
        _say(str(tally))
        failed += tally.outcomes["failed"]
    _say(f"{failed:,} of {done:,} failed in {time.monotonic() - start:,.0f} s.")
    return 1 if failed else 0


def _verdicts(reader: str, count: int, seed: int) -> Iterator[tuple[int, Verdict]]:
    """Yield the number and the verdict of each case, from as many processes as it takes."""
    number = 0
    while number < count:
        for verdict in _run_worker(reader, number, count, seed):
            yield number, verdict
            number += 1


def _run_worker(reader: str, start: int, count: int, seed: int) -> Iterator[Verdict]:
    """Yield the verdicts of one process; one that ends early is a verdict, too."""
    command = [sys.executable, __file__, "--worker", reader, "--seed", str(seed)]
    command += ["--start", str(start), "--count", str(count)]
    # With an arena for each thread, glibc would reserve more than the limit of memory allows.
    environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_pump, args=(process, lines), daemon=True).start()
    try:
        for _ in range(start, count):
            try:
                line = lines.get(timeout=MAX_SILENCE)
            except queue.Empty:
                yield Verdict("failed", f"it takes over {MAX_SILENCE:.0f} s", MAX_SILENCE)
                return
            if not line and process.wait() > 0:  # not by a signal, but by a fault of this program
                sys.exit(f"The process of {reader} ended with code {process.wait()}.")
            if not line:
                yield Verdict("failed", f"the process ended by the signal {-process.wait()}")
                return
            yield Verdict(**json.loads(line.removeprefix(WATCHING)))
    finally:
        process.kill()
        process.wait()


def _pump(process: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> None:
    """Pass on the verdicts of a process, and an empty line at its end."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(WATCHING):
            lines.put(line)
    lines.put("")


def _work(reader: str, start: int, count: int, seed: int) -> None:
    """Judge the cases of a reader, and print each verdict as a line."""
    with TemporaryDirectory() as name, os.fdopen(os.dup(1), "w") as report:
        os.environ["ISTHMUS_CACHE"] = str(Path(name, "cache"))
        with watch() as read_output:
            judge(make_case(reader, 0, seed, Path(name, "first")).path, read_output)  # imports
            _limit_memory()
            for number in range(start, count):
                case = make_case(reader, number, seed, Path(name, str(number)))
                verdict = judge(case.path, read_output)
                report.write(f"{WATCHING}{json.dumps(asdict(verdict))}\n")
                report.flush()
                shutil.rmtree(case.path.parent)
                shutil.rmtree(Path(name, "cache"), ignore_errors=True)


def _limit_memory() -> None:
    """Let the process have so much more memory than it has; only Linux tells how much it has."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    limit = pages * resource.getpagesize() + MAX_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _keep(reader: str, number: int, seed: int) -> str:
    """Keep the file of a case, and return the command that judges it again."""
    folder = FAILURES / f"{reader}-{seed}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    path = make_case(reader, number, seed, folder).path
    return f"{Path(sys.executable)} {Path(__file__)} --file {path}"


def _repeat(path: Path) -> int:
    with TemporaryDirectory() as cache:
        os.environ["ISTHMUS_CACHE"] = cache
        with watch() as read_output:
            verdict = judge(path, read_output)
    print(f"{verdict.outcome}: {verdict.text} ({verdict.seconds:.3f} s)")
    return 1 if verdict.outcome == "failed" else 0


def _show(what: str, done: int, total: int, start: float) -> None:
    """Show how far it is, with a rate and the time to go, where somebody looks."""
    if sys.stderr.isatty() and (done % 20 == 0 or done == total):
        rate = done / (time.monotonic() - start)
        left = (total - done) / rate
        text = f"{what} · {done / total:.0%} · {rate:,.0f} a second · {left:,.0f} s to go"
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    print(text, flush=True)


if __name__ == "__main__":
    main()
