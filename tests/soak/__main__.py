"""Make the attacks in turns until the time is over, and print what became of them."""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from soak.arena import Arena, ArenaError
from soak.attack import Attack, Verdict
from soak.attacks import ATTACKS
from soak.commands import COMMANDS
from soak.forks import import_all, import_some
from soak.parcels import serving
from soak.scores import Score, table

MEMORY = Path("/dev/shm")  # a file system in memory: a kill leaves the same there, only faster
CLEAR = "\r\x1b[K"  # of a line in a terminal
MAX_LETTERS = 400  # of a fault


@dataclass
class Turn:
    """An attack, what it has still to try, and its score."""

    name: str
    attack: Attack
    texts: Iterator[str]
    score: Score
    left: int

    @property
    def share(self) -> float:
        """The time that it had, for each part that is due to it."""
        return self.score.seconds / self.attack.share


def main() -> int:
    """Attack as the command line says; return the exit code."""
    options = _parse()
    for number in (signal.SIGINT, signal.SIGTERM):  # in the background, the first one is ignored
        signal.signal(number, signal.default_int_handler)
    import_some() if options.few_imports else import_all()
    with tempfile.TemporaryDirectory(prefix="soak-", dir=_place()) as name, serving():
        arena = Arena(Path(name, "arena"), options.commands or tuple(COMMANDS))
        arena.prepare()
        if options.repeat:
            return _repeat(arena, *options.repeat.split(maxsplit=1))
        scores = _attack(arena, options)
    if options.json:
        print(json.dumps(_describe(options, scores), indent=2))
    else:
        print(table(list(scores.values())))
    return 1 if any(score.failed for score in scores.values()) else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__, allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--commands", nargs="*", choices=COMMANDS, help="by default all")
    parser.add_argument("--count", type=int, default=sys.maxsize, help="of attempts an attack")
    parser.add_argument("--repeat", help="one attempt, as a failure names it")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--few-imports", action="store_true", help="start at once, then be slow")
    return parser.parse_args()


def _place() -> Path | None:
    """Return where to work; a variable for temporary files has its way."""
    is_usable = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and "TMPDIR" not in os.environ
    return MEMORY if is_usable else None


def _attack(arena: Arena, options: argparse.Namespace) -> dict[str, Score]:
    """Give turns to the attacks, always to the one that had least of its share."""
    _say(f"seed {options.seed}, {options.minutes:g} minutes, {', '.join(options.only)}", options)
    turns = [_start(name, arena, options) for name in options.only]
    with suppress(KeyboardInterrupt):  # what was counted until then is printed
        _take_turns(turns, arena, options)
    return {turn.name: turn.score for turn in turns}


def _take_turns(turns: list[Turn], arena: Arena, options: argparse.Namespace) -> None:
    start = time.monotonic()
    waiting = [turn for turn in turns if not turn.score.skipped]
    while waiting and (passed := time.monotonic() - start) < 60 * options.minutes:
        turn = min(waiting, key=lambda turn: turn.share)
        _show(turns, turn, passed, 60 * options.minutes)
        if not _take(turn, arena, options):
            waiting.remove(turn)


def _show(turns: list[Turn], turn: Turn, passed: float, total: float) -> None:
    """Show how far it is, with a rate and the time to go, where somebody looks."""
    if sys.stderr.isatty():
        done = sum(one.score.tried.total() for one in turns)
        rate = f"{60 * done / max(1.0, passed):,.0f} a minute"
        text = f"{done:,} attempts · {rate} · {turn.name} · {(total - passed) / 60:,.0f} min to go"
        print(f"{CLEAR}{text}", end="", file=sys.stderr, flush=True)


def _start(name: str, arena: Arena, options: argparse.Namespace) -> Turn:
    attack, chance = ATTACKS[name], Random(f"{options.seed} {name}")
    score = Score(attack.title, attack.requires())
    return Turn(name, attack, attack.draw(arena, chance), score, options.count)


def _take(turn: Turn, arena: Arena, options: argparse.Namespace) -> bool:
    """Make the next attempt of an attack; return whether more may follow."""
    start = time.monotonic()
    text = next(turn.texts, None)
    if text is None:
        return False
    verdict = _attempt(turn.attack, arena, text)
    turn.score.seconds += time.monotonic() - start
    turn.left -= verdict is not None
    command = f"make soak REPEAT='{turn.name} {text}'"
    if turn.score.add(text, verdict, command) and verdict is not None:
        _say(f"FAILED {turn.name} {text}: {verdict.fault[:MAX_LETTERS]}\n  {command}", options)
    return turn.left > 0


def _attempt(attack: Attack, arena: Arena, text: str) -> Verdict | None:
    """Make an attempt; an error of the attack itself is a fault as well."""
    try:
        return attack.attempt(arena, text)
    except (ArenaError, OSError, subprocess.SubprocessError) as error:
        return Verdict(f"the attempt ended by {type(error).__name__}: {error}"[:MAX_LETTERS])


def _repeat(arena: Arena, name: str, text: str) -> int:
    verdict = _attempt(ATTACKS[name], arena, text)
    print("nothing was attacked" if verdict is None else verdict.fault or "survived")
    return 1 if verdict is not None and verdict.fault else 0


def _describe(options: argparse.Namespace, scores: dict[str, Score]) -> dict[str, Any]:
    return {
        "seed": options.seed,
        "minutes": options.minutes,
        "at": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": _versions(),
        "attacks": {name: score.to_json() for name, score in scores.items()},
    }


def _versions() -> dict[str, str]:
    import torch

    import isthmus

    return {
        "isthmus": isthmus.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _say(text: str, options: argparse.Namespace) -> None:
    if sys.stderr.isatty():
        print(CLEAR, end="", file=sys.stderr, flush=True)
    print(text, file=sys.stderr if options.json else sys.stdout, flush=True)


if __name__ == "__main__":
    sys.exit(main())
