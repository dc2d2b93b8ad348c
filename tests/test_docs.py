"""README and docs say what is so: code runs, commands parse, links lead somewhere."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from isthmus import MODELS, specify, summarise
from isthmus.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
COMMANDS = sorted(
    {
        line.split("#")[0].strip()
        for language, code in BLOCKS
        if not language
        for line in code.splitlines()
        if line.startswith("isthmus ")
    }
)


@pytest.mark.parametrize("code", PYTHON)
def test_python_in_the_readme_runs(code: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_in_the_readme_parse(command: str) -> None:
    group: Any = typer.main.get_command(app)
    arguments = shlex.split(command)[1:]
    while hasattr(group, "commands") and arguments and arguments[0] in group.commands:
        group = group.commands[arguments.pop(0)]
    group.make_context(command, arguments)


def test_the_command_reference_is_what_the_program_says(tmp_path: Path) -> None:
    page = tmp_path / "commands.md"
    subprocess.run(
        [sys.executable, "-m", "typer", "isthmus.cli", "utils", "docs", "--name", "isthmus",
         "--output", str(page)],
        check=True, capture_output=True,
    )  # fmt: skip
    assert (ROOT / "docs/commands.md").read_text(encoding="utf-8") == page.read_text(
        encoding="utf-8"
    ), "make docs writes it again"


@pytest.mark.parametrize("name", MODELS)
def test_the_readme_counts_every_model_right(name: str) -> None:
    model = MODELS[name]
    layers = summarise(specify(name, model.shape, class_names=model.class_names))
    count = sum(layer.trainable + layer.frozen for layer in layers)
    row = re.search(rf"^\| `{name}` \|.*$", README, flags=re.MULTILINE)
    assert row is not None
    assert f"| {count:,} |" in row[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_architecture_names_every_module() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    package = ROOT / "src/isthmus"
    modules = [file.stem for file in package.rglob("*.py") if not file.stem.startswith("__")]
    assert [name for name in modules if f"`{name}`" not in page] == []
