"""An attack: how its attempts are drawn, and what one of them is judged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from soak.arena import Arena


@dataclass(frozen=True)
class Verdict:
    """What became of an attempt.

    Parameters
    ----------
    fault : str
        What is wrong; empty if all is right.
    is_equal : bool, optional
        Of a training that was completed: whether its weights are equal, bit by bit, to those of
        one that nobody disturbed.
    memory : int
        Bytes that it took at most; 0 if that was not measured.
    """

    fault: str = ""
    is_equal: bool | None = None
    memory: int = 0


Draw = Callable[["Arena", Random], Iterator[str]]
Attempt = Callable[["Arena", str], Verdict | None]


@dataclass(frozen=True)
class Attack:
    """A row of `ATTACKS`.

    Parameters
    ----------
    title : str
        For people: what is done.
    share : float
        How much of the time it gets, compared with the others.
    draw : callable
        Yields the texts by which attempts can be repeated. The first word is what is attacked. It
        ends when all has been tried.
    attempt : callable
        Makes the attempt of a text. It returns None where nothing was attacked, such as where a
        command had ended before it was killed.
    requires : callable
        Returns why this machine cannot make the attack, or "".
    """

    title: str
    share: float
    draw: Draw
    attempt: Attempt
    requires: Callable[[], str] = str
