"""What the Tab key proposes: names of tables, data sets and recipes, run folders and models' files.

Every press of the key starts a process, so nothing here imports torch. The tables that hold modules
and losses would: their keys are read from the source of the module, which takes milliseconds.
Where a function returns nothing, the shell proposes files, as it does for any program.
"""

import ast
import os
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

RUN_FILE = "run.json"  # the file by which a run folder is known
MODEL_SUFFIXES = (".onnx", ".safetensors")

Complete = Callable[[str], list[str]]


def table_names(module: str, table: str) -> list[str]:
    """Return the keys of a table without importing its module.

    Parameters
    ----------
    module : str
        Such as "models.registry".
    table : str
        A dictionary or a tuple that is written out there, such as "MODELS".
    """
    spec = find_spec(f"isthmus.{module}")
    assert spec is not None
    assert spec.origin is not None
    for node in ast.parse(Path(spec.origin).read_bytes()).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        if any(isinstance(target, ast.Name) and target.id == table for target in targets):
            return _literals(node.value)  # type: ignore[attr-defined]
    raise LookupError(f"isthmus.{module} has no {table}")


def _literals(node: ast.expr) -> list[str]:
    keys = node.keys if isinstance(node, ast.Dict) else node.elts  # type: ignore[attr-defined]
    return [str(key.value) for key in keys if isinstance(key, ast.Constant)]


def complete_table(module: str, table: str, end: str = "") -> Complete:
    """Return a function that proposes the keys of a table, each followed by `end`."""

    def complete(incomplete: str) -> list[str]:
        return _matching((name + end for name in table_names(module, table)), incomplete)

    return complete


# By the name of an option of `isthmus train`.
OPTIONS: dict[str, Complete] = {
    "task": complete_table("models.tasks", "TASKS"),
    "model": complete_table("models.registry", "MODELS"),
    "optimizer": complete_table("training.optim", "OPTIMIZERS"),
    "schedule": complete_table("training.optim", "SCHEDULES"),
    "loss": complete_table("training.losses", "LOSSES"),
    "device": complete_table("training.config", "DEVICES"),
    "precision": complete_table("training.config", "PRECISIONS"),
    "corrupt": complete_table("data.corruption", "CORRUPTIONS", ":"),
    "augment": complete_table("data.augmentation", "AUGMENTATIONS", ":"),
}


def complete_dataset(incomplete: str) -> list[str]:
    """Propose the named data sets."""
    from isthmus.data.catalog import DATASETS

    return _matching(DATASETS, incomplete)


def complete_source(incomplete: str) -> list[str]:
    """Propose named data sets and, where their names match too, files and folders."""
    names = complete_dataset(incomplete)
    return [*names, *(path for path, _ in _entries(incomplete))] if names else []


def complete_recipe(incomplete: str) -> list[str]:
    """Propose the recipes."""
    from isthmus.recipes import RECIPES

    return _matching(RECIPES, incomplete)


def complete_run(incomplete: str) -> list[str]:
    """Propose run folders, and other folders after them."""
    return _propose(incomplete, _is_run)


def complete_model_path(incomplete: str) -> list[str]:
    """Propose run folders and files of models, and other folders after them."""
    return _propose(incomplete, lambda path: _is_run(path) or path.suffix in MODEL_SUFFIXES)


def complete_model_or_run(incomplete: str) -> list[str]:
    """Propose models by their names, and run folders."""
    return [*OPTIONS["model"](incomplete), *complete_run(incomplete)]


def _matching(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _propose(incomplete: str, is_wanted: Callable[[Path], bool]) -> list[str]:
    """List the wanted paths, then other folders; nothing if the shell's own list is as good."""
    entries = _entries(incomplete)
    wanted = [path for path, entry in entries if is_wanted(Path(entry.path))]
    others = [f"{path}/" for path, entry in entries if entry.is_dir() and path not in wanted]
    return [*wanted, *others] if wanted else []


def _is_run(path: Path) -> bool:
    return (path / RUN_FILE).is_file()


def _entries(incomplete: str) -> list[tuple[str, "os.DirEntry[str]"]]:
    """List what a folder holds that begins as typed, as it would be typed, and the entry."""
    folder, slash, start = incomplete.rpartition("/")
    try:
        with os.scandir(os.path.expanduser(folder + slash) or ".") as entries:  # noqa: PTH111
            named = sorted((entry.name, entry) for entry in entries)
    except OSError:
        return []
    is_hidden = start.startswith(".")
    return [
        (folder + slash + name, entry)
        for name, entry in named
        if name.startswith(start) and name.startswith(".") == is_hidden
    ]
