"""Kills at random moments."""

from collections.abc import Iterator
from random import Random

from soak.arena import Arena
from soak.attack import Verdict
from soak.commands import COMMANDS
from soak.forks import KILLED, start

LONGER = 1.02  # a command may take a little longer than the one that was measured


def draw(arena: Arena, chance: Random) -> Iterator[str]:
    """Yield commands and the seconds after which each is killed, without an end."""
    while True:
        name = arena.draw(chance)
        yield f"{name} {chance.uniform(0, LONGER * arena.reference(name).seconds):.4f}"


def attempt(arena: Arena, text: str) -> Verdict | None:
    """Kill a command, and complete it."""
    name, seconds = text.split()
    with arena.workspace() as folder:
        command = start(COMMANDS[name].arguments, folder)
        command.kill(after=float(seconds))
        outcome = command.wait()
        if outcome.code == KILLED:
            return arena.complete(name, folder)
    return Verdict(f"it ended by itself with {outcome}") if outcome.code else None
