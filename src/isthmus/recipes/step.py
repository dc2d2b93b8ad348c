"""`Step`: typed fields that are both a command and the call of a function."""

import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from isthmus.data.dataset import data_folder
from isthmus.recipes.workspace import Workspace


@dataclass(frozen=True)
class DataFile:
    """A file that people download themselves, into the folder of the data sets.

    Parameters
    ----------
    names : tuple of str
        Paths below that folder; the first one that exists is used.
    instructions : str
        How to get the file.
    """

    names: tuple[str, ...]
    instructions: str

    @property
    def path(self) -> Path:
        """The first file that exists, or where the first one should be."""
        paths = [data_folder() / name for name in self.names]
        return next((path for path in paths if path.exists()), paths[0])


Source = str | Path | DataFile  # a data set, a file in the recipe's folder, or a downloaded file
SHARED_FIELDS = {"caption", "quick"}  # about a step, and no options of its command
LOCAL_FIELDS = {
    "run",
    "plain",
    "features",
    "through",
    "images",
    "out",
}  # paths in the recipe's folder


@dataclass(frozen=True)
class Step(ABC):
    """A step of a recipe, which renders itself as a command and executes itself by function calls.

    Both follow from the same fields, by one rule, so that they cannot differ: a field `code_size`
    is the option `--code-size` of the command and the parameter `code_size` of the function. A
    field that is None or empty is left out of both, and the default of command and function
    applies. The fields named in `arguments` come first, without names. `LOCAL_FIELDS`, and every
    value of the type `Path`, are paths in the folder of the recipe.

    Parameters
    ----------
    out : str, optional
        The file or folder that the step writes.
    caption : str
        Of the picture that the step writes.
    quick : mapping
        Fields that have other values in a quick run.
    """

    command: ClassVar[str]
    arguments: ClassVar[tuple[str, ...]] = ()
    keeps_result: ClassVar[bool] = False  # whether metrics refer to what the command prints

    out: str | None = field(default=None, kw_only=True)
    caption: str = field(default="", kw_only=True)
    quick: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    @abstractmethod
    def execute(self, workspace: Workspace) -> Any:
        """Compute what the command computes, and return what it prints with `--json`.

        The step needs the folder of the recipe first; see `with_folder`.
        """

    @property
    def key(self) -> str:
        """The name by which metrics refer to the result of this step."""
        return ""

    @property
    def path(self) -> Path | None:
        """The file or folder that the step writes, if any."""
        return None if self.out is None else Path(self.out)

    def shorten(self) -> Self:
        """Return the step of a quick run."""
        return replace(self, **self.quick)

    def with_folder(self, folder: Path) -> Self:
        """Return the step with every path in the folder of a recipe."""
        values = {
            name: _with_folder(value, folder, name in LOCAL_FIELDS)
            for name, value in self._values().items()
        }
        return replace(self, **values)

    def options(self) -> dict[str, Any]:
        """Return the options that are given, as keyword arguments; `out` is not among them."""
        return {
            name: value
            for name, value in self._values().items()
            if name not in (*self.arguments, "out") and value not in (None, ())
        }

    def to_argv(self) -> list[str]:
        """Return the words of the command after `isthmus`."""
        words = self.command.split()
        for name in self.arguments:
            words += _to_texts(getattr(self, name))
        for name, value in self.options().items():
            words += _to_options(name, value)
        if self.out is not None:
            words += ["--out", self.out]
        # The metrics of the page are in this output.
        return [*words, "--json"] if self.keeps_result else words

    def to_command_line(self) -> str:
        """Return the command line."""
        return f"isthmus {shlex.join(self.to_argv())}"

    def quick_options(self) -> str:
        """Return the options of a quick run as on the command line."""
        return shlex.join(word for option in self.quick.items() for word in _to_options(*option))

    def _values(self) -> dict[str, Any]:
        """Return the fields that are options or arguments of the command."""
        names = [option.name for option in fields(self) if option.name not in SHARED_FIELDS]
        return {name: getattr(self, name) for name in names}


def _with_folder(value: Any, folder: Path, is_local: bool) -> Any:
    """Return a value, or each value of a tuple, with its path in a folder if it is one."""
    if isinstance(value, tuple):
        return tuple(_with_folder(item, folder, is_local) for item in value)
    if isinstance(value, DataFile):
        return str(value.path)
    if isinstance(value, Path) or (is_local and value is not None):
        return str(folder / value)
    return value


def _to_options(name: str, value: Any) -> list[str]:
    """Return an option with its value; a flag without one; a tuple of texts as several options."""
    name = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [word for text in _to_texts(value) for word in (f"--{name}", text)]


def _to_texts(value: Any) -> list[str]:
    """Write a value as the command line reads it.

    Examples
    --------
    >>> _to_texts(("a", "b")), _to_texts((48, 64)), _to_texts(((1, 2), (3, 4))), _to_texts(0.25)
    (['a', 'b'], ['48x64'], ['1 2; 3 4'], ['0.25'])
    """
    if not isinstance(value, tuple):
        return [str(value)]
    if all(isinstance(item, tuple) for item in value):
        return ["; ".join(" ".join(map(str, row)) for row in value)]
    if all(isinstance(item, int) for item in value):
        return ["x".join(map(str, value))]
    return list(value)
