"""What a recipe is: commands in a row, and figures that they print beside those reported."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from isthmus.data.catalog import DATASETS, data_folder
from isthmus.errors import SourceError


@dataclass(frozen=True)
class Step:
    """A command of a recipe.

    Parameters
    ----------
    command : str
        As one would type it behind `isthmus`. In it {out} stands for the folder of the recipe and
        {file} for the file that it needs.
    quick : str
        Options with values that a quick run puts in the place of the command's own, or adds.
    caption : str
        Of the picture that the command writes.
    name : str
        By which figures find what the command prints; it has to print JSON.
    """

    command: str
    quick: str = ""
    caption: str = ""
    name: str = ""

    @property
    def trains(self) -> bool:
        """Whether the command leaves a run."""
        return self.command.startswith("train ")

    def words(self, out: Path, file: Path | None, quick: bool = False) -> list[str]:
        """Return the words of the command, for this folder and file, and quick or not."""
        places = {"{out}": str(out), "{file}": str(file)}
        words = shlex.split(self.command)
        for mark, place in places.items():
            words = [word.replace(mark, place) for word in words]
        return _with_options(words, shlex.split(self.quick)) if quick else words

    def output(self, out: Path) -> Path | None:
        """Return what the command leaves, if the folder of the recipe is `out`."""
        words = shlex.split(self.command)
        if "--out" not in words:
            return None
        return Path(words[words.index("--out") + 1].replace("{out}", str(out)))


@dataclass(frozen=True)
class Metric:
    """A row of a recipe's table: a figure of ours beside that of the literature.

    Parameters
    ----------
    title : str
    place : str
        Where ours stands: the name of a step, then the keys into the JSON that it prints, with
        dots between.
    reported, source : str
        What the literature reports, and who; empty where there is none.
    form : str
        How ours is written.
    """

    title: str
    place: str
    reported: str = ""
    source: str = ""
    form: str = "{:.4f}"


@dataclass(frozen=True)
class Recipe:
    """A row of `RECIPES`.

    Parameters
    ----------
    name, about : str
        For people, in a line.
    story : str
        What it shows, in a few sentences.
    steps : tuple of Step
    figures : tuple of Figure
    needs : tuple of str
        Names of the data sets that it takes.
    files : tuple of str
        Paths below the folder of the data sets, of which it takes the first that is there.
    by_hand : str
        How to get that file.
    """

    name: str
    about: str
    story: str
    steps: tuple[Step, ...]
    figures: tuple[Metric, ...] = ()
    needs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    by_hand: str = ""

    @property
    def file(self) -> Path | None:
        """The file that {file} stands for: the first that is there, or where it should be."""
        found = [data_folder() / name for name in self.files]
        return next((path for path in found if path.exists()), found[0] if found else None)

    @property
    def missing(self) -> tuple[str, ...]:
        """The data that is not on this machine."""
        sets = [name for name in self.needs if not DATASETS[name].is_present]
        gone = self.file is not None and not self.file.exists()
        return (*sets, *self.files[:1]) if gone else tuple(sets)

    def require_data(self) -> None:
        """Refuse to begin without the data.

        Raises
        ------
        SourceError
            If a set or the file is not on this machine, with the way to get it.
        """
        for name in self.needs:
            DATASETS[name].locate()
        if self.file is not None and not self.file.exists():
            raise SourceError(f"{self.file} is missing; {self.by_hand}.")

    def commands(self, out: Path, quick: bool = False, seed: int = 0) -> list[list[str]]:
        """Return the words of all commands.

        Parameters
        ----------
        out : Path
            The folder that gets all runs and pictures.
        quick : bool
        seed : int
            Of each training.
        """
        made = []
        for step in self.steps:
            words = step.words(out, self.file, quick)
            made.append([*words, "--seed", str(seed)] if step.trains and seed else words)
        return made

    def lines(self, out: Path, quick: bool = False) -> list[str]:
        """Return all commands as one would type them."""
        return [f"isthmus {shlex.join(words)}" for words in self.commands(out, quick)]


def _with_options(words: list[str], options: list[str]) -> list[str]:
    """Put options with values in the place of those that are there, or at the end."""
    for name, value in zip(options[::2], options[1::2], strict=True):
        if name in words:
            words[words.index(name) + 1] = value
        else:
            words += [name, value]
    return words
