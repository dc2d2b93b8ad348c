"""What the Tab key proposes, as the shell asks for it, and how little it loads."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from isthmus.cli.completion import OPTIONS, table_names
from isthmus.data.augmentation import AUGMENTATIONS
from isthmus.data.catalog import DATASETS
from isthmus.data.corruption import CORRUPTIONS
from isthmus.models.registry import MODELS
from isthmus.models.tasks import TASKS
from isthmus.recipes import RECIPES
from isthmus.training.config import DEVICES, PRECISIONS
from isthmus.training.losses import LOSSES
from isthmus.training.optim import OPTIMIZERS, SCHEDULES
from test_cli import isthmus


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of two runs, one more further down, a model's file and other things."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for run in ("runs/faces", "runs/digits", "runs/old/first", "dig/one"):
        Path(run).mkdir(parents=True)
        Path(run, "run.json").touch()
    for file in ("runs/mine.onnx", "runs/notes.txt", "runs/.hidden", "photo.jpg"):
        Path(file).touch()
    return tmp_path


def propose(line: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ask for what may stand at the end of a line, as bash does."""
    words = line.split(" ")
    monkeypatch.setenv("_ISTHMUS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    outcome = isthmus()
    assert outcome.err == ""
    return outcome.out.split()


TABLES: dict[str, Iterable[str]] = {
    "task": TASKS,
    "model": MODELS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "loss": LOSSES,
    "device": DEVICES,
    "precision": PRECISIONS,
    "corrupt": [f"{name}:" for name in CORRUPTIONS],
    "augment": [f"{name}:" for name in AUGMENTATIONS],
}


@pytest.mark.parametrize("option", TABLES)
def test_names_are_those_of_the_table(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(TABLES) == set(OPTIONS)
    assert propose(f"isthmus train x --{option} ", monkeypatch) == list(TABLES[option])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("isthmus tr", ["train", "transposed"]),
        ("isthmus train x --model conv-b", ["conv-bn-2d"]),
        ("isthmus summary conv-b", ["conv-bn-2d"]),
        ("isthmus summary runs/f", ["runs/faces"]),
        ("isthmus data fetch ", list(DATASETS)),
        ("isthmus recipe run ", list(RECIPES)),
        ("isthmus train fash", ["fashion-mnist"]),
        ("isthmus train dig", ["digits", "dig"]),
        ("isthmus train ph", []),  # the shell proposes files
        ("isthmus report runs/", ["runs/digits", "runs/faces", "runs/old/"]),
        ("isthmus report ~/runs/f", ["~/runs/faces"]),
        ("isthmus report runs/old/", ["runs/old/first"]),
        ("isthmus report ru", []),
        ("isthmus report nowhere/", []),
        ("isthmus compare runs/faces runs/d", ["runs/digits"]),
        ("isthmus encode runs/", ["runs/digits", "runs/faces", "runs/mine.onnx", "runs/old/"]),
        ("isthmus encode runs/faces fash", ["fashion-mnist"]),
    ],
)
def test_what_may_stand_there_is_proposed(
    line: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert propose(line, monkeypatch) == expected


def test_a_script_for_the_shell_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    outcome = isthmus("--show-completion", "bash")
    assert outcome.code == 0
    assert "complete -o default -F _isthmus_completion isthmus" in outcome.out


def test_a_table_that_is_not_there_is_a_bug() -> None:
    with pytest.raises(LookupError, match=r"isthmus\.models\.tasks has no NOTHING"):
        table_names("models.tasks", "NOTHING")


def test_nothing_heavy_is_loaded() -> None:
    script = """
import sys
from isthmus.cli import completion
for complete in completion.OPTIONS.values():
    complete("")
completion.complete_model_path("runs/")
completion.complete_source("")
completion.complete_recipe("")
print(sorted({"torch", "matplotlib", "sklearn", "scipy", "faiss"} & set(sys.modules)))
"""
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
