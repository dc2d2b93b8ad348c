"""Recipes: what is shown is what is run, and a page puts our figures beside those reported."""

import json
import math
import shlex
import shutil
import statistics
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer

from isthmus import Run
from isthmus.cli import app
from isthmus.recipes import RECIPES, Metric, Recipe, Step
from test_cli import done, isthmus

TRAINED = ("train digits --model dense --limit 200 --epochs 3 --code-size 4 --out {out}/small",)
TINY = Recipe(
    "tiny",
    "a recipe to try recipes with",
    "It trains one small model.",
    (
        Step(*TRAINED, quick="--limit 100 --epochs 1"),
        Step("evaluate {out}/small --json", name="small"),
        Step("data preview digits --limit 4 --out {out}/digits.png", caption="Four of the digits."),
    ),
    (
        Metric("squared error", "small.test.mse", "0.1", "a <paper>"),
        Metric("of PCA", "small.baselines.pca.mse"),
    ),
    needs=("digits",),
)


class Page(HTMLParser):
    """What a page shows: its text, its pictures and where it leads."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.text, self.pictures, self.links = "", list[dict[str, str | None]](), list[str]()
        self.feed(file.read_text(encoding="utf-8"))
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.text += " "
        if tag == "img":
            self.pictures.append(dict(attrs))
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setitem(RECIPES, TINY.name, TINY)
    return TINY


def shown(*arguments: object) -> list[str]:
    """Return the commands that `recipe show` prints."""
    lines = done("recipe", "show", *arguments).out.splitlines()
    return [line for line in lines if not line.startswith("#")]


# -- every recipe runs ----------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_runs_quickly_and_leaves_a_page(
    name: str, tmp_path: Path, require: Callable[[str], Path]
) -> None:
    recipe = RECIPES[name]
    for part in (*recipe.needs, *recipe.files[:1]):
        if part not in ("digits", "waveforms"):
            require(part.split("/")[0])
    folder = tmp_path / name
    outcome = done("recipe", "run", name, "--quick", "--out", folder, "--json")
    result = json.loads(outcome.out)
    page = Page(folder / "recipe.html")

    assert result["page"] == str(folder / "recipe.html")
    assert [row["title"] for row in result["figures"]] == [row.title for row in recipe.figures]
    assert all(math.isfinite(value) for row in result["figures"] for value in row["ours"])
    assert all(len(row["ours"]) == 1 for row in result["figures"])
    commands = shown(name, "--quick", "--out", folder)
    assert [command for command in commands if command not in page.text] == []
    assert [command for command in commands if command not in outcome.err] == []

    captions = [step.caption for step in recipe.steps if step.caption]
    assert "A quick run." in page.text
    assert [text for text in (recipe.story, *captions) if text not in page.text] == []
    assert [picture["alt"] for picture in page.pictures][: len(captions)] == captions
    assert [link for link in page.links if not link.startswith("data:image/")] == []
    for step in recipe.steps:
        if step.trains:
            run = Run.open(step.output(folder) or folder)
            assert run.history()[-1]["epoch"] == run.record.training_config.epochs
            assert run.path.name in page.text


# -- show and list --------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--quick",)], ids=["full", "quick"])
@pytest.mark.parametrize("name", RECIPES)
def test_every_command_that_is_shown_parses(name: str, options: tuple[str, ...]) -> None:
    for command in shown(name, *options):
        group: Any = typer.main.get_command(app)
        arguments = shlex.split(command)[1:]
        while hasattr(group, "commands"):
            group = group.commands[arguments.pop(0)]
        group.make_context(command, arguments)


def test_quick_options_take_the_place_of_the_commands_own(tiny: Recipe) -> None:
    (train, *rest), (quick, *quick_rest) = shown("tiny"), shown("tiny", "--quick")
    assert "--limit 200 --epochs 3" in train
    assert "--limit 100 --epochs 1" in quick
    assert quick.count("--epochs") == quick.count("--limit") == 1
    assert rest == quick_rest


def test_runs_go_into_a_folder_of_the_recipes_name(tiny: Recipe) -> None:
    assert shown("tiny")[0].endswith("--out runs/tiny/small")
    assert shown("tiny", "--out", "my runs")[0].endswith("--out 'my runs/small'")


def test_show_as_json_tells_the_same(tiny: Recipe) -> None:
    told = json.loads(done("recipe", "show", "tiny", "--json").out)
    assert told["commands"] == shown("tiny")
    assert (told["name"], told["about"], told["story"]) == (tiny.name, tiny.about, tiny.story)


def test_list_names_every_recipe_and_what_it_misses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path))
    rows = json.loads(done("recipe", "list", "--json").out)
    assert [row["name"] for row in rows] == list(RECIPES)
    missing = {row["name"]: row["missing"] for row in rows}
    assert missing["voc-fcn"] == ["voc2012"]
    assert missing["digits-dense"] == ["digit-recognizer/train.csv.gz"]
    assert missing["digits-pca"] == missing["signals-1d"] == []
    text = done("recipe", "list").out
    assert [name for name in RECIPES if name not in text] == []
    assert "needs voc2012" in " ".join(text.split())


@pytest.mark.parametrize(
    ("name", "culprit"),
    [("voc-fcn", "isthmus data fetch voc2012"), ("digits-dense", "Kaggle")],
)
def test_a_recipe_without_its_data_does_not_begin(
    name: str, culprit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path / "nothing"))
    outcome = isthmus("recipe", "run", name, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert culprit in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_the_unpacked_csv_will_do_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path))
    file = tmp_path / "digit-recognizer" / "train.csv"
    file.parent.mkdir()
    file.touch()
    assert RECIPES["digits-dense"].missing == ()
    assert all(str(file) in line for line in shown("digits-dense") if "isthmus train" in line)


@pytest.mark.parametrize("command", ["show", "run"])
def test_a_misspelt_name_is_answered_by_all_right_ones(command: str) -> None:
    outcome = isthmus("recipe", command, "nowhere")
    assert outcome.code == 2
    assert [name for name in (*RECIPES, "nowhere") if name not in outcome.err] == []


# -- run ------------------------------------------------------------------------------------


def test_what_is_measured_is_what_the_commands_measure(tiny: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    result = json.loads(done("recipe", "run", "tiny", "--out", folder, "--json").out)
    measured = json.loads(done("evaluate", folder / "small", "--json").out)
    ours, pca = result["figures"]
    assert ours["ours"] == [ours["mean"]] == [measured["test"]["mse"]]
    assert ours["minutes"] == measured["training"]["seconds"] / 60
    assert pca["mean"] == measured["baselines"]["pca"]["mse"]
    assert pca["minutes"] is pca["reported"] is None
    page = Page(folder / "recipe.html")
    assert f"0.1 a <paper> {ours['mean']:.4f}" in page.text
    assert "quick" not in page.text
    assert Run.open(folder / "small").record.training_config.epochs == 3


def test_every_seed_is_trained_and_the_page_gives_their_spread(
    tiny: Recipe, tmp_path: Path
) -> None:
    folder = tmp_path / "tiny"
    arguments = ("run", "tiny", "--quick", "--seeds", 3, "--out", folder, "--json")
    (ours, _) = json.loads(done("recipe", *arguments).out)["figures"]
    assert len(set(ours["ours"])) == 3
    assert ours["mean"] == pytest.approx(statistics.mean(ours["ours"]))
    assert ours["deviation"] == pytest.approx(statistics.stdev(ours["ours"]))
    runs = [folder / "small", folder / "seed-1" / "small", folder / "seed-2" / "small"]
    assert [Run.open(run).record.training_config.seed for run in runs] == [0, 1, 2]
    assert f"{ours['mean']:.4f} ± {ours['deviation']:.4f}" in Page(folder / "recipe.html").text


def test_a_folder_that_holds_something_is_left_alone(tiny: Recipe, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    outcome = isthmus("recipe", "run", "tiny", "--out", tmp_path)
    assert outcome.code == 2
    assert "choose another folder" in outcome.err
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]


def test_a_recipe_that_was_stopped_goes_on(tiny: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    whole = json.loads(done("recipe", "run", "tiny", "--out", folder, "--json").out)
    shutil.rmtree(folder / "small")
    (folder / "recipe.html").unlink()
    (train, *_) = shown("tiny", "--out", folder)
    done(*shlex.split(train)[1:], "--max-minutes", 1e-9)
    assert Run.open(folder / "small").history()[-1]["epoch"] < 3

    resumed = json.loads(done("recipe", "run", "tiny", "--out", folder, "--json").out)
    assert Run.open(folder / "small").history()[-1]["epoch"] == 3
    assert resumed["figures"][0]["ours"] == whole["figures"][0]["ours"]
    assert (folder / "recipe.html").exists()


@pytest.mark.parametrize(
    ("place", "reached"),
    [
        ("isthmus.data.loading.load_as", 1),
        ("isthmus.evaluation.evaluate", 2),
        ("isthmus.gallery.previews.preview", 3),
    ],
)
def test_an_interruption_ends_the_recipe_at_any_step(
    place: str, reached: int, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "tiny"
    with monkeypatch.context() as patch:
        patch.setattr(place, interrupted)
        outcome = isthmus("recipe", "run", "tiny", "--out", folder)
    assert outcome.code == 130
    assert f"[{reached}/3]" in outcome.err
    assert f"[{reached + 1}/3]" not in outcome.err
    assert "goes on with what is left" in outcome.err
    assert done("recipe", "run", "tiny", "--out", folder).out.split() == [
        str(folder / "recipe.html")
    ]


def test_the_commands_that_are_shown_can_be_typed(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in reversed(shown("tiny")):  # the first to be typed makes the folder
        if "evaluate" not in command:
            done(*shlex.split(command)[1:])
    assert {file.name for file in (tmp_path / "runs/tiny").iterdir()} == {"small", "digits.png"}


def test_what_has_been_trained_is_not_trained_again(tiny: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    done("recipe", "run", "tiny", "--out", folder)
    made = Run.open(folder / "small").record.environment
    picture = (folder / "digits.png").stat().st_mtime_ns
    result = json.loads(done("recipe", "run", "tiny", "--seeds", 2, "--out", folder, "--json").out)
    assert Run.open(folder / "small").record.environment == made
    assert (folder / "digits.png").stat().st_mtime_ns == picture
    assert len(set(result["figures"][0]["ours"])) == 2


@pytest.mark.parametrize("options", [("tiny", "--quick"), ("digits-pca",)])
def test_the_folder_of_another_recipe_is_left_alone(
    options: tuple[str, ...], tiny: Recipe, tmp_path: Path
) -> None:
    folder = tmp_path / "tiny"
    done("recipe", "run", "tiny", "--out", folder)
    outcome = isthmus("recipe", "run", *options, "--out", folder)
    assert outcome.code == 2
    assert "choose another folder" in outcome.err


def test_without_json_the_last_line_is_the_page(tiny: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    assert done("recipe", "run", "tiny", "--quick", "--out", folder).out.split() == [
        str(folder / "recipe.html")
    ]


def test_no_seed_at_all_is_refused(tiny: Recipe, tmp_path: Path) -> None:
    outcome = isthmus("recipe", "run", "tiny", "--seeds", 0, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "seeds" in outcome.err


def test_the_digits_show_as_much_variance_as_reported(tmp_path: Path) -> None:
    folder = tmp_path / "pca"
    result = json.loads(done("recipe", "run", "digits-pca", "--out", folder, "--json").out)
    first, second = (row["mean"] for row in result["figures"][:2])
    assert first == pytest.approx(0.1489, abs=2e-4)
    assert second == pytest.approx(0.1362, abs=2e-4)
