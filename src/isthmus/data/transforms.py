"""`Transforms`: kinds of changes with their strengths, written as `kind:strength,…`.

Noise and augmentation share this syntax and its checks; they differ in their tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

from isthmus.errors import OptionError, require_known


class TransformRow(Protocol):
    """What each row of a table of transforms has."""

    @property
    def max_strength(self) -> float:
        """The largest strength that is allowed."""
        ...


@dataclass(frozen=True)
class Transforms:
    """Transforms with their strengths, in the order in which they are applied.

    A subclass sets `rows`, its table of kinds, and `noun`, what a kind is called in messages.

    Parameters
    ----------
    steps : tuple of (kind, strength)

    Raises
    ------
    OptionError
        If a kind is unknown or its strength outside its range.
    """

    steps: tuple[tuple[str, float], ...]

    rows: ClassVar[Mapping[str, TransformRow]]
    noun: ClassVar[str]

    def __post_init__(self) -> None:
        for kind, strength in self.steps:
            max_strength = self._row(kind).max_strength
            if not 0 < strength <= max_strength:
                raise OptionError(
                    f"the strength of {kind} must be above 0 and at most {max_strength:g}, not "
                    f"{strength:.15g}."
                )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `kind:strength`, several separated by commas.

        Raises
        ------
        OptionError
            If a kind is unknown, or its strength missing or outside its range.
        """
        return cls(tuple(cls._parse_step(part.strip()) for part in text.split(",")))

    def __str__(self) -> str:
        # 15 digits give back what a person wrote: 0.1, where 17 give 0.10000000000000001.
        return ",".join(f"{kind}:{strength:.15g}" for kind, strength in self.steps)

    @classmethod
    def _parse_step(cls, text: str) -> tuple[str, float]:
        kind, _, number = text.partition(":")
        row = cls._row(kind)
        try:
            return kind, float(number)
        except ValueError:
            raise OptionError(
                f"{text!r} has no strength; write kind:strength, as in "
                f"{kind}:{row.max_strength / 2:g}."
            ) from None

    @classmethod
    def _row(cls, kind: str) -> TransformRow:
        require_known(cls.noun, kind, cls.rows)
        return cls.rows[kind]
