"""`isthmus recipe`: the known experiments, shown as commands and carried out."""

import io
import json
import shlex
import textwrap
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from isthmus.cli.app import Json, app
from isthmus.cli.terminal import out_console, print_json, print_result, say
from isthmus.errors import OptionError

if TYPE_CHECKING:
    from isthmus.recipes import Recipe
    from isthmus.reports.recipe import Outcome

recipe_app = typer.Typer(
    help="Known experiments, each with what the literature reports.\n\n"
    "Example: isthmus recipe run mnist-denoise --quick",
    no_args_is_help=True,
)
app.add_typer(recipe_app, name="recipe")

Name = Annotated[str, typer.Argument(help="Of isthmus recipe list.")]
Out = Annotated[Path | None, typer.Option(help="Folder to make; else runs/NAME.")]
Quick = Annotated[bool, typer.Option("--quick", help="In under a minute, on a part of the data.")]
PAGE = "recipe.html"


@recipe_app.command("list")
def list_command(as_json: Json = False) -> None:
    """List the recipes, and the data that they need and miss.

    Example: isthmus recipe list
    """
    from isthmus.recipes import RECIPES

    if as_json:
        print_json([_row(recipe) for recipe in RECIPES.values()])
        return
    table = Table(box=None, header_style="bold")
    table.add_column("name", no_wrap=True)
    table.add_column("what")
    table.add_column("data")
    for recipe in RECIPES.values():
        missing = ", ".join(recipe.missing)
        table.add_row(recipe.name, recipe.about, f"needs {missing}" if missing else "present")
    out_console.print(table)


@recipe_app.command()
def show(name: Name, out: Out = None, quick: Quick = False, as_json: Json = False) -> None:
    """Print what a recipe does, as commands that one could type.

    Example: isthmus recipe show fashion-2d
    """
    from isthmus.recipes import recipe_row

    recipe = recipe_row(name)
    lines = recipe.lines(_folder(recipe, out), quick)
    if as_json:
        print_json({**_row(recipe), "story": recipe.story, "commands": lines})
        return
    about = [f"# {line}" for line in textwrap.wrap(f"{recipe.about}. {recipe.story}", 97)]
    print_result({}, "\n".join([*about, *lines]), False)


@recipe_app.command()
def run(
    name: Name,
    out: Out = None,
    quick: Quick = False,
    seeds: Annotated[
        int, typer.Option(help="Do all so many times, and give mean and deviation.")
    ] = 1,
    as_json: Json = False,
) -> None:
    """Carry out a recipe; it leaves run folders, pictures and a page.

    A recipe that was stopped goes on when it is run again: what has been trained stays.

    Example: isthmus recipe run mnist-denoise --quick
    """
    from isthmus import __version__
    from isthmus.recipes import recipe_row
    from isthmus.reports.recipe import begin_recipe, measure_recipe, write_recipe_page

    recipe = recipe_row(name)
    if seeds < 1:
        raise OptionError(f"seeds must be at least 1, not {seeds}.")
    recipe.require_data()
    folder = _folder(recipe, out)
    begin_recipe(recipe, folder, quick)
    try:
        outcomes = [_carried_out(recipe, folder, quick, seed) for seed in range(seeds)]
    except (KeyboardInterrupt, SystemExit):
        say("The same recipe run goes on with what is left.")
        raise
    page = folder / PAGE
    write_recipe_page(recipe, outcomes, page, quick=quick, version=__version__)
    content = {"page": str(page), "quick": quick, "figures": measure_recipe(recipe, outcomes)}
    print_result(content, f"{page}", as_json)


def _carried_out(recipe: "Recipe", folder: Path, quick: bool, seed: int) -> "Outcome":
    """Carry out what is left of the steps; every seed but the first has a folder of its own."""
    from isthmus.reports.recipe import Outcome, remaining_command

    folder = folder / f"seed-{seed}" if seed else folder
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    commands = recipe.commands(folder, quick, seed)
    for number, (step, words) in enumerate(zip(recipe.steps, commands, strict=True), 1):
        say(f"[{number}/{len(commands)}] isthmus {shlex.join(words)}")
        left = remaining_command(step, words, folder)
        if not left:
            say("    is there already.")
            continue
        printed = _printed(left)
        if step.name:
            results[step.name] = json.loads(printed)
    return Outcome(folder, results)


def _printed(words: list[str]) -> str:
    """Carry out a command in this process and return what it prints."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = app(words, standalone_mode=False)
    if code:  # of an interruption
        raise SystemExit(code)
    return printed.getvalue()


def _folder(recipe: "Recipe", out: Path | None) -> Path:
    return out or Path("runs") / recipe.name


def _row(recipe: "Recipe") -> dict[str, Any]:
    return {"name": recipe.name, "about": recipe.about, "missing": list(recipe.missing)}
