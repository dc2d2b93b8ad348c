"""A kill at each file operation of each command."""

from collections.abc import Iterator
from random import Random

from soak.arena import Arena
from soak.attack import Verdict
from soak.commands import COMMANDS
from soak.forks import KILLED, run
from soak.operations import Operations


def draw(arena: Arena, chance: Random) -> Iterator[str]:
    """Yield all commands and the numbers of their operations, in random order."""
    points = [
        f"{name} {number} {operation}"
        for name in arena.names
        for number, operation in enumerate(arena.operations(name))
    ]
    chance.shuffle(points)
    yield from points


def attempt(arena: Arena, text: str) -> Verdict | None:
    """Kill a command at an operation, whose number counts, and complete it."""
    name, number, *_ = text.split()
    with arena.workspace() as folder:
        watching = Operations(folder, int(number)).watch
        outcome = run(COMMANDS[name].arguments, folder, prepare=watching)
        if outcome.code == KILLED:
            return arena.complete(name, folder)
    return Verdict(f"it ended by itself with {outcome}") if outcome.code else None
