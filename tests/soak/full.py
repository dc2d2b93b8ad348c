"""The disk is full: a command gets less room than it needs."""

from collections.abc import Iterator
from random import Random

from soak.arena import PAGE, Arena
from soak.attack import Verdict
from soak.checks import look
from soak.commands import COMMANDS
from soak.disks import enlarge, small_disk
from soak.forks import run

MORE = 1.5  # while it writes, a command takes more than it leaves


def draw(arena: Arena, chance: Random) -> Iterator[str]:
    """Yield commands and how many pages are free, without an end."""
    while True:
        name = arena.draw(chance)
        needed = max(PAGE, arena.reference(name).size - arena.start.size)
        yield f"{name} {chance.randrange(1 + int(MORE * needed / PAGE))}"


def attempt(arena: Arena, text: str) -> Verdict | None:
    """Run a command without enough room, and complete it with more."""
    name, free = text.split()
    place = arena.folder / "small"
    size = arena.start.size + int(free) * PAGE
    with small_disk(place, size), arena.workspace(place) as folder:
        outcome = run(COMMANDS[name].arguments, folder)
        if not outcome.code:
            return None
        if not outcome.is_refusal:
            return Verdict(f"it gave {outcome}")
        fault = arena.check(name, look(folder))
        if fault:
            return Verdict(f"after {outcome}: {fault}")
        enlarge(place)
        return arena.complete(name, folder)
