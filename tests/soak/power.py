"""The power is cut: a file system ends at a random operation of a command."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from soak.arena import Arena
from soak.attack import Verdict
from soak.commands import COMMANDS
from soak.disks import Disk
from soak.forks import KILLED, run
from soak.operations import Operations, kill

PAUSES = (0.0, 1.5)  # seconds; after the longer one, the journal holds what was done before


def draw(arena: Arena, chance: Random) -> Iterator[str]:
    """Yield commands, numbers of their operations and pauses, without an end."""
    counts: dict[str, int] = {}
    while True:
        name = arena.draw(chance)
        if name not in counts:
            counts[name] = len(arena.operations(name))
        yield f"{name} {chance.randrange(counts[name])} {chance.choice(PAUSES)}"


def attempt(arena: Arena, text: str) -> Verdict | None:
    """Cut a command's file system off, mount it again, and complete the command."""
    name, number, pause = text.split()
    disk = Disk(arena.folder)
    disk.format()
    disk.mount()
    try:
        with arena.workspace(disk.place) as folder:
            os.sync()
            outcome = _cut(disk, folder, name, int(number), float(pause))
            disk.unmount()
            disk.mount()
            if outcome == KILLED:
                return arena.complete(name, folder)
    finally:
        disk.unmount()
    return Verdict(f"it ended by itself with {outcome}") if outcome else None


def _cut(disk: Disk, folder: Path, name: str, number: int, pause: float) -> int:
    def cut() -> None:
        time.sleep(pause)
        disk.cut()
        kill()

    watching = Operations(folder, number, cut).watch
    return run(COMMANDS[name].arguments, folder, prepare=watching).code
