"""Steps with strengths, as users write them: `kind:strength`, several with commas between."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

from isthmus.errors import OptionError


class TransformRow(Protocol):
    """What a table of kinds must say of each."""

    @property
    def strongest(self) -> float:
        """The largest strength that makes sense."""
        ...


@dataclass(frozen=True)
class Transforms:
    """Kinds with their strengths, one after the other.

    A subclass says which kinds there are (`rows`) and what they are kinds of (`what`).

    Parameters
    ----------
    steps : tuple of (kind, strength)

    Raises
    ------
    SettingsError
        If a kind is unknown or its strength outside its range.
    """

    steps: tuple[tuple[str, float], ...]

    rows: ClassVar[Mapping[str, TransformRow]]
    what: ClassVar[str]

    def __post_init__(self) -> None:
        for kind, strength in self.steps:
            strongest = self._row(kind).strongest
            if not 0 < strength <= strongest:
                raise OptionError(
                    f"the strength of {kind} must be above 0 and at most {strongest:g}, not "
                    f"{strength:.15g}."
                )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `kind:strength`, several with commas between.

        Raises
        ------
        SettingsError
            If a kind is unknown, or its strength missing or outside its range.
        """
        return cls(tuple(cls._step(part.strip()) for part in text.split(",")))

    def __str__(self) -> str:
        return ",".join(f"{kind}:{strength:.15g}" for kind, strength in self.steps)

    @classmethod
    def _step(cls, text: str) -> tuple[str, float]:
        kind, _, number = text.partition(":")
        row = cls._row(kind)
        try:
            return kind, float(number)
        except ValueError:
            raise OptionError(
                f"{text!r} has no strength; write kind:strength, as in "
                f"{kind}:{row.strongest / 2:g}."
            ) from None

    @classmethod
    def _row(cls, kind: str) -> TransformRow:
        if kind not in cls.rows:
            raise OptionError(f"there is no {cls.what} {kind!r}; there are {', '.join(cls.rows)}.")
        return cls.rows[kind]
