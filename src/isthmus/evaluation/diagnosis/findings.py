"""`Finding` and `Diagnosis`: what looks wrong with a run, in plain words."""

from dataclasses import dataclass
from typing import Any

from isthmus.display import Displayed
from isthmus.files import to_json


@dataclass(frozen=True)
class Finding:
    """One thing that looks wrong with a run.

    Parameters
    ----------
    code : str
        Which check of `CHECKS` found it, for programs.
    text : str
        What was seen, with numbers, and what it means.
    advice : str
        What to try, with the options of the command line.
    numbers : dict of str to float
        What the text says, for programs.
    """

    code: str
    text: str
    advice: str
    numbers: dict[str, float]

    def __str__(self) -> str:
        return f"{self.text} {self.advice}"


@dataclass(frozen=True)
class Diagnosis(Displayed):
    """What looks wrong with a run; nothing, if all is well.

    Parameters
    ----------
    run : str
        Its name.
    findings : tuple of Finding
        The most serious first. A finding that explains others stands for them.
    unexamined : tuple of str
        What could not be examined and why, as sentences.
    """

    run: str
    findings: tuple[Finding, ...] = ()
    unexamined: tuple[str, ...] = ()

    @property
    def is_healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        content: dict[str, Any] = to_json(self)
        return content
