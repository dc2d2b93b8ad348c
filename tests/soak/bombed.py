"""Small files that ask for much: refused, or read in little memory."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import bombs
from soak.arena import Arena
from soak.attack import Verdict

MAX_BYTES = 2**30  # above what the command takes without anything to read
MAX_SECONDS = 1200.0
LINE = re.compile(r"^(\S+) +(-?\d+) +([\d.]+) s +(-?\d+) MB  (.*)$", re.MULTILINE)
BOMBS = {bomb.name: bomb for bomb in bombs.BOMBS}


def draw(arena: Arena, chance: Random) -> Iterator[str]:
    """Yield the names of all bombs in random order; last those that take minutes to write."""
    yield from sorted(
        chance.sample(list(BOMBS), len(BOMBS)), key=lambda one: not BOMBS[one].is_quick
    )


def attempt(arena: Arena, text: str) -> Verdict | None:
    """Let a bomb be read by a process that starts small: its peak is that of the bomb."""
    command = [sys.executable, str(Path(bombs.__file__)), text]
    printed = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=MAX_SECONDS
    ).stdout
    found = LINE.search(printed)
    if found is None:
        return Verdict(f"nothing is known of it: {printed}")
    code, memory = int(found[2]), int(found[4]) * bombs.MB
    wanted = 2 if BOMBS[text].is_refused else 0
    fault = f"it took {memory / bombs.MB:,.0f} MB" if memory > MAX_BYTES else ""
    if code != wanted or "Traceback" in printed:
        fault = f"exit code {code} instead of {wanted}: {found[5]}"
    return Verdict(fault, memory=max(0, memory))
