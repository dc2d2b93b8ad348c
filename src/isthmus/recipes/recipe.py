"""`Recipe`: steps, and metrics of their results to compare with those of the literature."""

from dataclasses import dataclass, replace
from pathlib import Path

from isthmus.data.catalog import DATASETS
from isthmus.errors import SourceError
from isthmus.recipes.step import DataFile, Step
from isthmus.recipes.steps import Train

PERCENT = "{:.1%}"


@dataclass(frozen=True)
class Metric:
    """A row of a recipe's table: a metric as measured and as the literature reports it.

    Parameters
    ----------
    title : str
    key : str
        The key of a step, then the keys into its result, with dots between: "conv.test.mse".
    reported, source : str
        What the literature reports, and where; empty if nothing is reported.
    format : str
        How the measured value is written.
    """

    title: str
    key: str
    reported: str = ""
    source: str = ""
    format: str = "{:.4f}"


def mse(title: str, key: str, reported: str = "", source: str = "") -> Metric:
    """Return the row of a squared error, with five decimals."""
    return Metric(title, key, reported, source, "{:.5f}")


def psnr(title: str, key: str, reported: str = "", source: str = "") -> Metric:
    """Return the row of a peak signal-to-noise ratio in dB."""
    return Metric(title, key, reported, source, "{:.2f}")


def accuracy(title: str, key: str, reported: str = "", source: str = "") -> Metric:
    """Return the row of an accuracy in percent."""
    return Metric(title, key, reported, source, PERCENT)


@dataclass(frozen=True)
class Recipe:
    """A row of `RECIPES`.

    Parameters
    ----------
    name, description : str
        The description is one line.
    explanation : str
        What the experiment shows, in a few sentences.
    steps : tuple of Step
    metrics : tuple of Metric
    needs : tuple of str
        Names of the data sets that the steps use.
    file : DataFile, optional
        A file that the steps use and that people download themselves.
    """

    name: str
    description: str
    explanation: str
    steps: tuple[Step, ...]
    metrics: tuple[Metric, ...] = ()
    needs: tuple[str, ...] = ()
    file: DataFile | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """The data that is not on this machine."""
        names = tuple(name for name in self.needs if not DATASETS[name].is_present)
        is_missing = self.file is not None and not self.file.path.exists()
        return (*names, self.file.names[0]) if self.file and is_missing else names

    def require_data(self) -> None:
        """Require that all data is on this machine.

        Raises
        ------
        SourceError
            If a data set or the file is not on this machine, with the way to get it.
        """
        for name in self.needs:
            DATASETS[name].locate()
        if self.file is not None and not self.file.path.exists():
            raise SourceError(f"{self.file.path} is missing; {self.file.instructions}.")

    def prepare(self, folder: Path, quick: bool = False, seed: int = 0) -> list[Step]:
        """Return the steps as they are executed.

        Parameters
        ----------
        folder : Path
            Receives all runs and pictures.
        quick : bool
        seed : int
            Of every training; 0, the default of `train`, is left out.
        """
        # First shortened, then placed: `quick` has values as they are in the row.
        steps = [step.shorten() if quick else step for step in self.steps]
        if seed:
            steps = [replace(s, seed=seed) if isinstance(s, Train) else s for s in steps]
        return [step.with_folder(folder) for step in steps]

    def commands(self, folder: Path, quick: bool = False) -> list[str]:
        """Return all steps as commands."""
        return [step.to_command_line() for step in self.prepare(folder, quick)]
