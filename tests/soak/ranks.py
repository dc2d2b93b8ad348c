"""Two processes train one run, as torchrun starts them, and one of them is killed."""

import socket
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

from soak.arena import Arena, ArenaError, Reference
from soak.attack import Verdict
from soak.checks import look
from soak.commands import COMMANDS
from soak.forks import KILLED, Fork, start

NAME = "train"
GRACE = 0.5  # seconds after which torchrun's agent ends the others


def draw(arena: Arena, chance: Random) -> Iterator[str]:
    """Yield the process and the seconds after which it is killed, without an end."""
    longest = _reference(arena).seconds
    while True:
        yield f"{NAME} {chance.randrange(2)} {chance.uniform(0, longest):.4f}"


def attempt(arena: Arena, text: str) -> Verdict | None:
    """Kill one of two processes, and resume with two."""
    _, rank, seconds = text.split()
    with arena.workspace() as folder:
        forks = _start(COMMANDS[NAME].arguments, folder)
        forks[int(rank)].kill(after=float(seconds))
        killed = forks[int(rank)].wait().code == KILLED
        time.sleep(GRACE)
        for fork in forks:
            fork.kill()
        forks[1 - int(rank)].wait()
        return _resume(arena, folder) if killed else None


def _resume(arena: Arena, folder: Path) -> Verdict:
    damaged = look(folder).damaged
    if damaged:
        return Verdict(f"after the end {damaged[0]}")
    outcomes = [fork.wait() for fork in _start(COMMANDS[NAME].completing(folder), folder)]
    if any(outcome.code and not outcome.is_refusal for outcome in outcomes):
        return Verdict(f"resuming gave {outcomes[0]}, and {outcomes[1]}", False)
    found = look(folder)
    is_equal = found.weights == _reference(arena).found.weights
    left = [f"{one} was left over" for one in found.leftovers]
    return Verdict("".join(left[:1]) if is_equal else "the weights differ", is_equal)


@cache
def _reference(arena: Arena) -> Reference:
    """Return what two processes leave that nobody disturbs."""
    with arena.workspace() as folder:
        outcomes = [fork.wait() for fork in _start(COMMANDS[NAME].arguments, folder)]
        if any(outcome.code for outcome in outcomes):
            raise ArenaError(f"two processes gave {outcomes[0]}, and {outcomes[1]}")
        return Reference(look(folder), 0, outcomes[0].seconds)


def _start(arguments: tuple[str, ...], folder: Path) -> list[Fork]:
    """Start two processes with the variables that torchrun sets."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        "GROUP_RANK": "0",
        "GROUP_WORLD_SIZE": "1",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "none",
        "WORLD_SIZE": "2",
    }
    ranks = [{**common, "RANK": rank, "LOCAL_RANK": rank} for rank in ("0", "1")]
    return [start(arguments, folder, rank) for rank in ranks]
