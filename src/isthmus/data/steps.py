"""Steps with strengths, as users write them: `kind:strength`, several with commas between."""

from collections.abc import Mapping
from typing import Protocol

from isthmus.errors import SettingsError

Steps = tuple[tuple[str, float], ...]


class Row(Protocol):
    """What a table of kinds must say of each."""

    @property
    def strongest(self) -> float:
        """The largest strength that makes sense."""
        ...


def read_steps(text: str, rows: Mapping[str, Row], what: str) -> Steps:
    """Read the kinds and strengths of a text.

    Parameters
    ----------
    text : str
    rows : mapping
        The kinds that there are.
    what : str
        What they are kinds of, for messages.

    Raises
    ------
    SettingsError
        If a kind is unknown or has no strength.
    """
    steps = []
    for part in text.split(","):
        kind, _, number = part.strip().partition(":")
        _row(kind, rows, what)
        try:
            steps.append((kind, float(number)))
        except ValueError:
            raise SettingsError(
                f"{part.strip()!r} has no strength; write kind:strength, as in "
                f"{kind}:{rows[kind].strongest / 2:g}."
            ) from None
    return tuple(steps)


def checked(steps: Steps, rows: Mapping[str, Row], what: str) -> None:
    """Refuse an unknown kind, or a strength outside its range."""
    for kind, strength in steps:
        strongest = _row(kind, rows, what).strongest
        if not 0 < strength <= strongest:
            raise SettingsError(
                f"the strength of {kind} must be above 0 and at most {strongest:g}, not "
                f"{strength:.15g}."
            )


def written(steps: Steps) -> str:
    """Write steps as they are read."""
    return ",".join(f"{kind}:{strength:.15g}" for kind, strength in steps)


def _row(kind: str, rows: Mapping[str, Row], what: str) -> Row:
    if kind not in rows:
        raise SettingsError(f"there is no {what} {kind!r}; there are {', '.join(rows)}.")
    return rows[kind]
