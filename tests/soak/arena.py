"""The place of the attacks: prepared workspaces, and what a command leaves that nobody disturbs."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from soak.checks import damaged, differences, leftovers
from soak.commands import COMMANDS, PREPARATIONS, draw_pictures
from soak.forks import Outcome, run
from soak.operations import Operations


class ArenaError(Exception):
    """What every attack starts from cannot be made: nothing was attacked."""


@dataclass(frozen=True)
class Reference:
    """What a command does that nobody disturbs: its workspace afterwards, and its seconds."""

    folder: Path
    seconds: float


@dataclass
class Arena:
    """A folder in which commands are attacked.

    Parameters
    ----------
    folder : Path
    environment : mapping
        For all commands, beside what every workspace has.
    """

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    _references: dict[str, Reference] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    def prepare(self) -> None:
        """Make the workspace that all attacks start in."""
        self.template.mkdir(parents=True)
        for name in ("cache", "data", "home"):
            (self.template / name).mkdir()
        draw_pictures(self.template)
        for arguments in PREPARATIONS:
            self._do(arguments, self.template)

    @property
    def template(self) -> Path:
        """The workspace that all attacks start in."""
        return self.folder / "template"

    @contextmanager
    def workspace(self, above: Path | None = None) -> Iterator[Path]:
        """Give a new workspace, which is removed afterwards."""
        folder = (above or self.folder) / f"work-{next(self._numbers)}"
        shutil.copytree(self.template, folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def reference(self, name: str) -> Reference:
        """Return what a command leaves and how long it takes, if nobody disturbs it."""
        if name not in self._references:
            folder = self.folder / f"reference-{name}"
            shutil.copytree(self.template, folder)
            outcome = self._do(COMMANDS[name].arguments, folder)
            self._references[name] = Reference(folder, outcome.seconds)
        return self._references[name]

    def operations(self, name: str) -> list[str]:
        """Return the file operations of a command, in order."""
        log = self.folder / "operations.log"
        with self.workspace() as folder, log.open("wb", buffering=0) as file:
            watching = Operations(folder, log=file.fileno()).watch
            self._do(COMMANDS[name].arguments, folder, watching)
        return log.read_text().splitlines()

    def complete(self, name: str, folder: Path) -> str:
        """Complete a command that was ended; return what is wrong with what it leaves, or "".

        First, what it left has to be whole or absent. A command that says it has nothing to do is
        right if that is true.
        """
        faults = damaged(folder)
        if faults:
            return f"after the end {faults[0]}"
        outcome = run(COMMANDS[name].completing(folder), folder, self.environment)
        if outcome.code and not outcome.is_refusal:
            return f"completing it gave {outcome}"
        faults = differences(folder, self.reference(name).folder)
        if faults:
            said = f", it said: {outcome}" if outcome.code else ""
            return f"after completing it {faults[0]} ({len(faults)} in all){said}"
        left = leftovers(folder)
        return f"{left[0]} was left over" if left else ""

    def _do(self, arguments: tuple[str, ...], folder: Path, prepare=None) -> Outcome:  # type: ignore[no-untyped-def]
        outcome = run(arguments, folder, self.environment, prepare)
        if outcome.code:
            raise ArenaError(f"isthmus {' '.join(arguments)}: {outcome}")
        return outcome
