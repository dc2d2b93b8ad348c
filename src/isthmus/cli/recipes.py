"""`isthmus recipe`: known experiments, printed as commands and run."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from isthmus.cli.app import Json, app
from isthmus.cli.completion import complete_recipe
from isthmus.cli.terminal import (
    follow_in_recipe,
    out_console,
    print_json,
    print_result,
    say,
    show_training,
    track,
)

if TYPE_CHECKING:
    from isthmus.recipes import Recipe

recipe_app = typer.Typer(
    help="Repeat known experiments and compare the results with published ones.\n\n"
    "Example: isthmus recipe run mnist-denoise --quick",
    no_args_is_help=True,
)
app.add_typer(recipe_app, name="recipe")

Name = Annotated[
    str,
    typer.Argument(
        help="The name of a recipe; isthmus recipe list prints them all.",
        autocompletion=complete_recipe,
    ),
]
Out = Annotated[Path | None, typer.Option(help="The folder to create; by default runs/NAME.")]
Quick = Annotated[
    bool,
    typer.Option(
        "--quick", help="Shorten the recipe to about a minute, with less data and fewer epochs."
    ),
]


@recipe_app.command("list")
def list_command(as_json: Json = False) -> None:
    """List the recipes and the data that is missing for each.

    Example: isthmus recipe list
    """
    from isthmus.recipes import RECIPES

    if as_json:
        print_json([_summarize(recipe) for recipe in RECIPES.values()])
        return
    table = Table(box=None, header_style="bold")
    table.add_column("name", no_wrap=True)
    table.add_column("description")
    table.add_column("data")
    for recipe in RECIPES.values():
        missing = ", ".join(recipe.missing)
        table.add_row(recipe.name, recipe.description, f"needs {missing}" if missing else "present")
    out_console.print(table)


@recipe_app.command()
def show(name: Name, out: Out = None, quick: Quick = False, as_json: Json = False) -> None:
    """Print the commands that a recipe runs.

    Example: isthmus recipe show fashion-2d
    """
    from isthmus.recipes import recipe_row

    recipe = recipe_row(name)
    commands = recipe.commands(out or _default_folder(recipe), quick)
    texts = {"explanation": recipe.explanation, "commands": commands}
    intro = textwrap.wrap(f"{recipe.description}. {recipe.explanation}", 97)
    # The prose as comments of a shell, so that the output is a script.
    text = "\n".join([*(f"# {line}" for line in intro), *commands])
    print_result(_summarize(recipe) | texts, text, as_json)


@recipe_app.command()
def run(
    name: Name,
    out: Out = None,
    quick: Quick = False,
    seeds: Annotated[
        int,
        typer.Option(
            help="How many times to run everything; with several, the mean and deviation are given."
        ),
    ] = 1,
    as_json: Json = False,
) -> None:
    """Run a recipe, which writes run folders, pictures and a page of results.

    If a recipe was stopped, the same command continues it; finished runs are kept.

    Example: isthmus recipe run mnist-denoise --quick
    """
    from isthmus.recipes import recipe_row
    from isthmus.recipes.run import run_recipe

    recipe = recipe_row(name)
    folder = out or _default_folder(recipe)
    # A quick run is too short on purpose: that its models are no better than PCA is no news.
    follow = show_training if quick else follow_in_recipe
    try:
        result = run_recipe(
            recipe, folder, quick=quick, seeds=seeds, track=track, follow=follow, say=say
        )
    except (KeyboardInterrupt, SystemExit):  # the latter after Ctrl-C in a training
        say("Stopped; the same command continues the recipe.")
        raise
    content = {"page": str(result.page), "quick": quick, "metrics": result.metrics}
    print_result(content, f"{result.page}", as_json)


def _default_folder(recipe: "Recipe") -> Path:
    return Path("runs") / recipe.name


def _summarize(recipe: "Recipe") -> dict[str, Any]:
    return {
        "name": recipe.name,
        "description": recipe.description,
        "missing": list(recipe.missing),
    }
