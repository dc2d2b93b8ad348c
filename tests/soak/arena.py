"""The place of the attacks: prepared workspaces, and what a command leaves that nobody disturbs."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from random import Random

from soak.attack import Verdict
from soak.checks import Findings, differences, look, strays
from soak.commands import COMMANDS, PREPARATIONS, TRAININGS, draw_pictures
from soak.forks import Outcome, Prepare, run
from soak.operations import Operations

PAGE = 4096  # bytes


class ArenaError(Exception):
    """What every attack starts from cannot be made: nothing was attacked."""


@dataclass(frozen=True)
class Reference:
    """What a command leaves that nobody disturbs, in bytes and in files, and its seconds."""

    found: Findings
    size: int
    seconds: float


@dataclass(eq=False)
class Arena:
    """A folder in which commands are attacked.

    Parameters
    ----------
    folder : Path
    names : sequence of str
        The commands to attack.
    """

    folder: Path
    names: Sequence[str] = tuple(COMMANDS)
    _references: dict[str, Reference] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    def prepare(self) -> None:
        """Make the workspace that all attacks start in."""
        self.template.mkdir(parents=True)
        for name in ("cache", "data", "home"):
            (self.template / name).mkdir()
        draw_pictures(self.template)
        needs = {need for name in self.names for need in COMMANDS[name].needs}
        for need, arguments in PREPARATIONS.items():
            if need in needs:
                self.do(arguments, self.template)

    @property
    def template(self) -> Path:
        """The workspace that all attacks start in."""
        return self.folder / "template"

    @contextmanager
    def workspace(self, above: Path | None = None) -> Iterator[Path]:
        """Give a new workspace, which is removed afterwards."""
        folder = (above or self.folder) / f"work-{next(self._numbers)}"
        shutil.copytree(self.template, folder, symlinks=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @cached_property
    def start(self) -> Reference:
        """What is in the workspace that all attacks start in."""
        return Reference(look(self.template), size_of(self.template), 0.0)

    def reference(self, name: str) -> Reference:
        """Return what a command leaves and how long it takes, if nobody disturbs it."""
        if name not in self._references:
            with self.workspace() as folder:
                seconds = self.do(COMMANDS[name].arguments, folder).seconds
                self._references[name] = Reference(look(folder), size_of(folder), seconds)
        return self._references[name]

    def draw(self, chance: Random) -> str:
        """Return one of the commands; those that take long are drawn in fewer cases."""
        seconds = [self.reference(name).seconds for name in self.names]
        return chance.choices(self.names, [1 / max(1.0, one) for one in seconds])[0]

    def operations(self, name: str) -> list[str]:
        """Return the file operations of a command, in order."""
        log = self.folder / "operations.log"
        with self.workspace() as folder, log.open("wb", buffering=0) as file:
            self.do(COMMANDS[name].arguments, folder, Operations(folder, log=file.fileno()).watch)
        return log.read_text().splitlines()

    def complete(self, name: str, folder: Path) -> Verdict:
        """Complete a command that was ended, and judge what it left and what it leaves now.

        First, what it left has to be whole, and old or new. A command that says that it has
        nothing to do is right if that is true.
        """
        wanted = self.reference(name).found
        fault = self.check(name, look(folder))
        if fault:
            return Verdict(f"after the end {fault}")
        outcome = run(COMMANDS[name].completing(folder), folder)
        if outcome.code and not outcome.is_refusal:
            return Verdict(f"completing it gave {outcome}", False if name in TRAININGS else None)
        found = look(folder)
        is_equal = found.weights == wanted.weights if name in TRAININGS else None
        return Verdict(_judge(outcome, found, wanted), is_equal)

    def check(self, name: str, found: Findings) -> str:
        """Return what is wrong with what a command left that was ended, or ""."""
        wanted = self.reference(name).found
        faults = found.damaged or strays(found, self.start.found, wanted)
        return faults[0] if faults else ""

    def do(
        self, arguments: tuple[str, ...], folder: Path, prepare: Prepare | None = None
    ) -> Outcome:
        """Run a command that has to work."""
        outcome = run(arguments, folder, prepare=prepare)
        if outcome.code:
            raise ArenaError(f"isthmus {' '.join(arguments)}: {outcome}")
        return outcome


def size_of(folder: Path) -> int:
    """Return the bytes that a folder takes in a file system in memory: whole pages."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return sum(-(-size // PAGE) * PAGE for size in sizes)


def _judge(outcome: Outcome, found: Findings, wanted: Findings) -> str:
    """Return what is wrong with a completed workspace, or ""."""
    faults = found.damaged or differences(found, wanted, unchanged=bool(outcome.code))
    if faults:
        said = f", it said: {outcome}" if outcome.code else ""
        return f"after completing it {faults[0]} ({len(faults)} in all){said}"
    # Where there is nothing to do, nothing is written, and the next command that writes sweeps.
    return f"{found.leftovers[0]} was left over" if found.leftovers and not outcome.code else ""
