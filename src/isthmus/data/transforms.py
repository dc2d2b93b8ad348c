"""`Transforms`: kinds of changes with their strengths, written as `kind:strength,…`.

Noise and augmentation share this syntax and its checks; they differ in their tables.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

from isthmus.errors import OptionError, require_known

GRAY_LEVELS = 255  # noise is often stated in steps of eight bits, as in 25/255

Strength = float | tuple[float, float]  # a range (low, high) is drawn from for each sample


class TransformRow(Protocol):
    """What each row of a table of transforms has."""

    @property
    def max_strength(self) -> float:
        """The largest strength that is allowed."""
        ...

    @property
    def min_strength(self) -> float:
        """The smallest one; 0 itself is allowed only as the lower end of a range."""
        ...

    @property
    def is_whole(self) -> bool:
        """Whether a strength is a whole number."""
        ...

    @property
    def example(self) -> float:
        """A usual strength."""
        ...


@dataclass(frozen=True)
class Transforms:
    """Transforms with their strengths, in the order in which they are applied.

    A subclass sets `rows`, its table of kinds, `noun`, what a kind is called in messages, and
    `has_ranges`, whether a strength may be a range.

    Parameters
    ----------
    steps : tuple of (kind, strength)
        A strength is a number, or a range (low, high).

    Raises
    ------
    OptionError
        If a kind is unknown or its strength outside its bounds.
    """

    steps: tuple[tuple[str, Strength], ...]

    rows: ClassVar[Mapping[str, TransformRow]]
    noun: ClassVar[str]
    has_ranges: ClassVar[bool]

    def __post_init__(self) -> None:
        for kind, strength in self.steps:
            row = self._row(kind)
            if isinstance(strength, tuple):
                self._check_range(kind, strength)
            elif not (strength > 0 and _is_allowed(row, strength)):
                raise OptionError(
                    f"the strength of {kind} must be {_describe_bounds(row)}, not "
                    f"{_decimal(strength)}{self._hint(kind, strength)}."
                )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `kind:strength`, several separated by commas.

        A strength is a number, a fraction such as 25/255, or a range: 0.1..0.2, or 0..55/255,
        whose ends are both divided.

        Raises
        ------
        OptionError
            If a kind is unknown, or its strength missing or outside its bounds.
        """
        return cls(tuple(cls._parse_step(part.strip()) for part in text.split(",")))

    def __str__(self) -> str:
        """Return the text that `parse` turns into the same, to the bit."""
        return ",".join(f"{kind}:{_write(strength)}" for kind, strength in self.steps)

    @classmethod
    def _parse_step(cls, text: str) -> tuple[str, Strength]:
        kind, _, strength = text.partition(":")
        row = cls._row(kind)
        try:
            return kind, _parse_strength(strength)
        except ValueError:
            ranges = f", or a range, {kind}:LOW..HIGH" if cls.has_ranges else ""
            several = ", and commas between several" if strength else ""
            raise OptionError(
                f"{text!r} has no strength; write kind:strength, as in {kind}:{row.example:g}"
                f"{ranges}{several}."
            ) from None
        except ZeroDivisionError:
            raise OptionError(
                f"{text!r} does not divide by a number above 0; write a fraction as in 25/255."
            ) from None

    def _check_range(self, kind: str, strength: tuple[float, float]) -> None:
        row, (low, high), written = self._row(kind), strength, _write(strength)
        if not self.has_ranges:
            raise OptionError(
                f"{kind} takes one strength and not the range {written}: it is the largest, up to "
                "which each sample is changed by another amount."
            )
        if not low < high:
            raise OptionError(
                f"the range {written} of {kind} is empty; write the smaller strength first."
            )
        if not (_is_allowed(row, low) and _is_allowed(row, high)):
            raise OptionError(
                f"the range {written} of {kind} must lie between {row.min_strength:g} and "
                f"{row.max_strength:g}{', in whole numbers' if row.is_whole else ''}"
                f"{self._hint(kind, strength)}."
            )

    def _hint(self, kind: str, strength: Strength) -> str:
        """Say how to write a deviation that seems to be in steps of eight bits, as in papers."""
        row, largest = self._row(kind), strength[1] if isinstance(strength, tuple) else strength
        is_deviation = self.has_ranges and not row.is_whole and row.max_strength > 1
        if not is_deviation or not row.max_strength < largest <= GRAY_LEVELS:
            return ""
        return f"; of {GRAY_LEVELS} gray levels, write {kind}:{_write(strength)}/{GRAY_LEVELS}"

    @classmethod
    def _row(cls, kind: str) -> TransformRow:
        require_known(cls.noun, kind, cls.rows)
        return cls.rows[kind]


def _is_allowed(row: TransformRow, strength: float) -> bool:
    is_within = row.min_strength <= strength <= row.max_strength  # not so of NaN
    return is_within and not (row.is_whole and strength % 1)


def _describe_bounds(row: TransformRow) -> str:
    if row.is_whole:
        return f"a whole number from {row.min_strength:g} to {row.max_strength:g}"
    return f"above 0 and at most {row.max_strength:g}"


def _parse_strength(text: str) -> Strength:
    numbers, slash, divisor = text.partition("/")
    low, dots, high = numbers.partition("..")
    denominator = float(divisor) if slash else 1.0
    if not 0 < denominator < math.inf:
        raise ZeroDivisionError
    first = float(low) / denominator + 0.0  # not -0
    return (first, float(high) / denominator) if dots else first


def _write(strength: Strength) -> str:
    """Return a strength as a decimal number or as n/255, whichever is shorter."""
    values = strength if isinstance(strength, tuple) else (strength,)
    decimal = "..".join(map(_decimal, values))
    levels = [f"{value * GRAY_LEVELS:.6g}" for value in values]
    fraction = "..".join(levels) + f"/{GRAY_LEVELS}"
    is_same = all(float(n) / GRAY_LEVELS == value for n, value in zip(levels, values, strict=True))
    return fraction if is_same and "e" not in fraction and len(fraction) < len(decimal) else decimal


def _decimal(value: float) -> str:
    # 15 digits give back what a person wrote, as 10 and not 10.0; a few numbers need 17.
    text = f"{value:.15g}"
    return text if float(text) == value else repr(float(value))
