"""What became of the attempts of all attacks, as a table and as JSON."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from soak.attack import Verdict

COLUMNS = ("attack", "survived", "tried", "bit-equal", "peak memory", "seconds")


@dataclass
class Score:
    """What became of the attempts of an attack.

    Parameters
    ----------
    title : str
    skipped : str
        Why it was not made, or "".
    """

    title: str
    skipped: str = ""
    tried: Counter[str] = field(default_factory=Counter)  # by what was attacked
    failed: Counter[str] = field(default_factory=Counter)
    equal: int = 0
    compared: int = 0
    memory: int = 0
    seconds: float = 0.0
    missed: int = 0  # attempts in which nothing was attacked
    faults: dict[str, dict[str, Any]] = field(default_factory=dict)  # the first of each kind

    def add(self, text: str, verdict: Verdict | None, command: str) -> bool:
        """Count an attempt; return whether it is the first failure of its kind."""
        if verdict is None:
            self.missed += 1
            return False
        target = text.split()[0]
        self.tried[target] += 1
        self.memory = max(self.memory, verdict.memory)
        if verdict.is_equal is not None:
            self.compared += 1
            self.equal += verdict.is_equal
        if not verdict.fault:
            return False
        self.failed[target] += 1
        kind = f"{target} {_letters(verdict.fault)}"
        found = self.faults.setdefault(
            kind, {"attempt": text, "fault": verdict.fault, "repeat": command, "count": 0}
        )
        found["count"] += 1
        return bool(found["count"] == 1)

    @property
    def survived(self) -> int:
        """The number of attempts after which all was right."""
        return self.tried.total() - self.failed.total()

    def to_json(self) -> dict[str, Any]:
        """Return all counts."""
        return {
            "title": self.title,
            "skipped": self.skipped,
            "tried": self.tried.total(),
            "survived": self.survived,
            "weights_compared": self.compared,
            "weights_equal": self.equal,
            "peak_memory": self.memory,
            "seconds": round(self.seconds, 1),
            "missed": self.missed,
            "by_target": {
                name: {"tried": count, "survived": count - self.failed[name]}
                for name, count in sorted(self.tried.items())
            },
            "faults": list(self.faults.values()),
        }

    def row(self) -> tuple[str, ...]:
        """Return the cells of `COLUMNS`."""
        if self.skipped:
            return (f"{self.title}: {self.skipped}", "", "", "", "", "")
        equal = f"{self.equal:,} / {self.compared:,}" if self.compared else ""
        memory = f"{self.memory / 2**20:,.0f} MB" if self.memory else ""
        counts = (f"{self.survived:,}", f"{self.tried.total():,}")
        return (self.title, *counts, equal, memory, f"{self.seconds:,.0f}")


def table(scores: list[Score]) -> str:
    """Return the rows of all attacks below their titles."""
    rows = [COLUMNS, *(score.row() for score in scores)]
    widths = [max(len(row[i]) for row in rows if row[1] or i) for i in range(len(COLUMNS))]
    lines = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def _letters(fault: str) -> str:
    """Return the words of a fault without names and numbers, which differ from case to case."""
    return re.sub(r"\S*[\d/.]\S*|[^a-z ]", "", fault.lower())[:60]
