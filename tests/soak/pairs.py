"""Two at once: the same command twice, or two that change the same files."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

from soak.arena import Arena
from soak.attack import Verdict
from soak.checks import differences, look
from soak.commands import COMMANDS
from soak.forks import Outcome, run, start

BOTH = "index-add-both"  # two sources, which both have to be there in the end
SHARE = 0.3  # of these
ADDED = 80 + 5 + 7  # samples of the index, of `more` and of `others`


def draw(arena: Arena, chance: Random) -> Iterator[str]:
    """Yield commands and the seconds by which the second starts later, without an end."""
    while True:
        is_both = "index-add" in arena.names and chance.random() < SHARE
        name = BOTH if is_both else arena.draw(chance)
        longest = arena.reference(name.removesuffix("-both")).seconds
        yield f"{name} {chance.uniform(0, longest):.4f}"


def attempt(arena: Arena, text: str) -> Verdict | None:
    """Run two commands at once, and look at what they leave."""
    name, seconds = text.split()
    first = COMMANDS[name.removesuffix("-both")].arguments
    second = ("index", "run", "others", "--add") if name == BOTH else first
    with arena.workspace() as folder:
        forks = [start(first, folder), start(second, folder, delay=float(seconds))]
        outcomes = [fork.wait() for fork in forks]
        return Verdict(_judge(arena, name, folder, outcomes))


def _judge(arena: Arena, name: str, folder: Path, outcomes: list[Outcome]) -> str:
    """Return what is wrong, or "": one may be refused in a sentence, but not both."""
    wrong = [outcome for outcome in outcomes if outcome.code and not outcome.is_refusal]
    if wrong or all(outcome.code for outcome in outcomes):
        return f"they gave {outcomes[0]}, and {outcomes[1]}"
    found = look(folder)
    lost = _lost(folder) if name == BOTH else differences(found, arena.reference(name).found)
    faults = found.damaged or lost or [f"{one} was left over" for one in found.leftovers]
    return f"after both {faults[0]}" if faults else ""


def _lost(folder: Path) -> list[str]:
    """Return what is wrong with an index to which two sources were added."""
    count = json.loads((folder / "run/index/index.json").read_bytes())["count"]
    if count != ADDED:
        return [f"the index has {count} instead of {ADDED} samples"]
    outcome = run(("index", "run", "--check"), folder)
    return [f"checking the index gave {outcome}"] if outcome.code else []
