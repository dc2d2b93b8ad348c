"""README and docs are true: counts agree and links lead somewhere; test_guides runs the code."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus import MODELS, configure, summarize
from isthmus.recipes import RECIPES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


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
    config = configure(
        name, model.shape, class_names=model.class_names, style_names=model.style_names
    )
    layers = summarize(config)
    count = sum(layer.trainable + layer.frozen for layer in layers)
    row = re.search(rf"^\| `{name}` \|.*$", README, flags=re.MULTILINE)
    assert row is not None
    assert f"| {count:,} |" in row[0]


def test_the_guide_to_recipes_has_every_one() -> None:
    table, _, _ = GUIDE.partition("\n## Results")
    rows = re.findall(r"^\| `([\w-]+)` \| (.*?) \|", table, flags=re.MULTILINE)
    assert dict(rows) == {recipe.name: recipe.description for recipe in RECIPES.values()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    # Pictures are taken when the site is built; tests/studio/test_pictures.py looks at them.
    links = re.findall(r"\]\((?!pictures/)([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_architecture_draws_every_room() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    paths = (ROOT / "src/isthmus").iterdir()
    rooms = [f"{p.name}/" if p.is_dir() else p.name for p in paths if p.suffix in ("", ".py")]
    assert [room for room in rooms if not room.startswith("_") and f"{room} " not in page] == []
