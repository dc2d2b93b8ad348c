"""Recipes: what is printed is what runs, and a page compares metrics with those reported."""

import inspect
import json
import math
import shlex
import shutil
import statistics
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer

from isthmus import Run, TrainingConfig
from isthmus.cli import app
from isthmus.data.cache import open_or_decode
from isthmus.data.samples import Origin, Samples
from isthmus.locks import hold
from isthmus.recipes import RECIPES, Metric, Recipe, Step, steps
from isthmus.recipes.recipe import mse
from isthmus.recipes.run import run_recipe
from isthmus.recipes.workspace import Workspace
from isthmus.reports import outputs, source_outputs
from test_cli import done, isthmus

TINY = Recipe(
    "tiny",
    "a recipe to test recipes with",
    "It trains one small model.",
    (
        steps.Train(
            "digits",
            model="dense",
            code_size=4,
            limit=200,
            epochs=3,
            out="small",
            quick={"limit": 100, "epochs": 1},
        ),
        steps.Evaluate("small"),
        steps.Preview("digits", limit=4, out="digits.png", caption="Four of the digits."),
    ),
    (
        Metric("squared error", "small.test.mse", "0.1", "a <paper>"),
        mse("of PCA", "small.baselines.pca.mse"),
    ),
    needs=("digits",),
)
TEST = Path("test.npz")
EVERYTHING = (  # a step of each class
    steps.Transposed(((1, 2.5), (3, 4)), ((1, 1), (0, 1)), stride=2, out="transposed.png"),
    steps.Train("digits", model="dense", code_size=4, limit=200, epochs=1, out="small"),
    steps.Train("digits", task="classify", size=(16, 16), limit=200, epochs=1, out="classes"),
    steps.Train("digits", model="dense", limit=200, epochs=1, corrupt="gaussian:0.2", out="noisy"),
    steps.Evaluate("small"),
    steps.Evaluate("noisy", plain="small"),
    steps.Evaluate("classes"),
    steps.Export(Path("small"), split="test", count=12, out="test.npz"),
    steps.Export("digits", limit=200, only=("9", "18"), out="files"),
    steps.Preview(TEST, corrupt=("masked:0.5",), through=("small",), limit=4, out="preview.png"),
    steps.Reconstruct("small", TEST, limit=4, out="reconstructions.png"),
    steps.Map("small", TEST, method="pca", layer="code", seed=1, out="map.png"),
    steps.MapSamples(TEST, method="pca", out="pixels.png"),
    steps.BuildIndex("small", "digits", limit=200),
    steps.Search("small", "9", k=3, out="similar.png"),
    steps.Morph("small", ("files/9/9.png", "files/8/18.png"), steps=3, out="morph.png"),
    steps.Predict("classes", TEST, out="predictions.png"),
    steps.Generate("small", n=4, seed=1, out="generated.png"),
    steps.FindOutliers("small", k=3, out="outliers.html"),
)
COMMANDS: Any = typer.main.get_command(app)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "data export": source_outputs.write_export,
    "data map": source_outputs.write_source_map,
    "data preview": source_outputs.write_preview,
    "index": outputs.write_index,
    "map": outputs.write_map,
    "morph": outputs.write_morph,
    "reconstruct": outputs.write_reconstructions,
    "search": outputs.write_search,
    "train": TrainingConfig,
    "transposed": outputs.write_transposed,
}


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


def parse(line: str) -> Any:
    """Let the command line read a command, without executing it."""
    group = COMMANDS
    arguments = shlex.split(line)[1:]
    while hasattr(group, "commands"):
        group = group.commands[arguments.pop(0)]
    return group.make_context(line, arguments)


FEW = {
    "bsd": 14,
    "camvid": 24,
    "lfw": 240,
}  # samples; of faces more, as almost each is of another person


def lessened(step: Step) -> Step:
    """Return a step whose quick run is one epoch on a few samples."""
    if not isinstance(step, steps.Train):
        return step
    few = FEW.get(str(step.source), 120)
    batch = few // 6 if step.normal is None else few // 60  # one class of ten is trained on
    batch = 64 if step.task == "denoise" else batch  # patches, of which there are many
    return replace(step, quick={**step.quick, "limit": few, "epochs": 1, "batch_size": batch})


# -- a step is a command and a call ---------------------------------------------------------------


def test_a_command_and_the_functions_it_stands_for_give_the_same(tmp_path: Path) -> None:
    """Type the commands of every kind of step, and execute the steps: numbers and files agree."""
    typed, called = tmp_path / "typed", tmp_path / "called"
    workspace = Workspace()
    assert {type(step) for step in EVERYTHING} == set(Step.__subclasses__())
    for step in EVERYTHING:
        words = step.with_folder(typed).to_argv()
        printed = json.loads(done(*words, *([] if "--json" in words else ["--json"])).out)
        result = step.with_folder(called).execute(workspace)
        assert comparable(json.loads(json.dumps(result)), called) == comparable(printed, typed)
    files = [file.relative_to(called) for file in called.rglob("*") if file.is_file()]
    assert {step.out for step in EVERYTHING if step.out} <= {file.parts[0] for file in files}
    for file in files:
        if "index" in file.parts:  # the names of its files are drawn at random
            continue
        if file.suffix in (".png", ".csv", ".safetensors") or file == TEST:
            assert (called / file).read_bytes() == (typed / file).read_bytes(), file


def comparable(result: Any, folder: Path) -> Any:
    """Return a result without what differs between two runs: its folder, and seconds.

    What looks wrong with a run is said by the command; who calls functions asks `diagnose`.
    """
    if isinstance(result, dict):
        others = ("seconds", "images_per_second", "findings")
        return {k: comparable(v, folder) for k, v in result.items() if k not in others}
    if isinstance(result, list):
        return [comparable(value, folder) for value in result]
    return result.replace(str(folder), "") if isinstance(result, str) else result


@pytest.mark.parametrize("command", FUNCTIONS)
def test_defaults_of_a_command_are_those_of_its_function(command: str) -> None:
    group = COMMANDS
    for word in command.split():
        group = group.commands[word]
    typed = inspect.signature(group.callback.__wrapped__).parameters
    called = inspect.signature(FUNCTIONS[command]).parameters
    shared = {name for name in typed.keys() & called.keys() if name not in ("out", "track")}
    shared -= {name for name in shared if called[name].default is inspect.Parameter.empty}
    assert shared
    for name in shared:
        default = called[name].default
        assert typed[name].default == (None if default == () else default), name


# -- every recipe runs ----------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_runs_quickly_and_leaves_a_page(
    name: str, tmp_path: Path, require: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = RECIPES[name]
    for part in (*whole.needs, *(whole.file.names[:1] if whole.file else ())):
        if part not in ("digits", "waveforms"):
            require(part.split("/")[0])
    recipe = replace(whole, steps=tuple(map(lessened, whole.steps)))
    monkeypatch.setitem(RECIPES, name, recipe)
    folder = tmp_path / name
    outcome = done("recipe", "run", name, "--quick", "--out", folder, "--json")
    result = json.loads(outcome.out)
    page = Page(folder / "recipe.html")

    assert result["page"] == str(folder / "recipe.html")
    assert [row["title"] for row in result["metrics"]] == [row.title for row in recipe.metrics]
    assert all(math.isfinite(value) for row in result["metrics"] for value in row["values"])
    assert all(len(row["values"]) == 1 for row in result["metrics"])
    commands = shown(name, "--quick", "--out", folder)
    assert [command for command in commands if command not in page.text] == []
    assert [command for command in commands if command not in outcome.err] == []

    captions = [step.caption for step in recipe.steps if step.caption]
    assert "A quick run." in page.text
    assert [text for text in (recipe.explanation, *captions) if text not in page.text] == []
    assert [picture["alt"] for picture in page.pictures][: len(captions)] == captions
    assert [link for link in page.links if not link.startswith("data:image/")] == []
    for step in recipe.steps:
        if isinstance(step, steps.Train):
            run = Run.open(folder / step.out)
            assert run.history()[-1]["epoch"] == run.record.training_config.epochs == 1
            assert run.path.name in page.text


# -- show and list --------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--quick",)], ids=["full", "quick"])
@pytest.mark.parametrize("name", RECIPES)
def test_every_command_that_is_shown_parses(name: str, options: tuple[str, ...]) -> None:
    for command in shown(name, *options):
        parse(command)


def test_quick_options_take_the_place_of_the_commands_own(tiny: Recipe) -> None:
    (train, *rest), (quick, *quick_rest) = shown("tiny"), shown("tiny", "--quick")
    assert "--limit 200 --epochs 3" in train
    assert "--limit 100 --epochs 1" in quick
    assert quick.count("--epochs") == quick.count("--limit") == 1
    assert rest == quick_rest


def test_runs_go_into_a_folder_of_the_recipes_name(tiny: Recipe) -> None:
    assert shown("tiny")[0].endswith("--out runs/tiny/small")
    assert shown("tiny", "--out", "my runs")[0].endswith("--out 'my runs/small'")


def test_show_as_json_says_the_same(tiny: Recipe) -> None:
    content = json.loads(done("recipe", "show", "tiny", "--json").out)
    assert content["commands"] == shown("tiny")
    for name in ("name", "description", "explanation"):
        assert content[name] == getattr(tiny, name)


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
def test_a_misspelled_name_is_answered_by_all_right_ones(command: str) -> None:
    outcome = isthmus("recipe", command, "nowhere")
    assert outcome.code == 2
    assert [name for name in (*RECIPES, "nowhere") if name not in outcome.err] == []


# -- run ------------------------------------------------------------------------------------


def test_what_is_measured_is_what_the_commands_measure(tiny: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    result = json.loads(done("recipe", "run", "tiny", "--out", folder, "--json").out)
    measured = json.loads(done("evaluate", folder / "small", "--json").out)
    model, pca = result["metrics"]
    assert model["values"] == [model["mean"]] == [measured["test"]["mse"]]
    assert model["minutes"] == measured["training"]["seconds"] / 60
    assert pca["mean"] == measured["baselines"]["pca"]["mse"]
    assert pca["minutes"] is pca["reported"] is None
    page = Page(folder / "recipe.html")
    assert f"0.1 a <paper> {model['mean']:.4f}" in page.text
    assert "quick" not in page.text
    assert Run.open(folder / "small").record.training_config.epochs == 3


def test_every_seed_is_trained_and_the_page_gives_their_spread(
    tiny: Recipe, tmp_path: Path
) -> None:
    folder = tmp_path / "tiny"
    arguments = ("run", "tiny", "--quick", "--seeds", 3, "--out", folder, "--json")
    (model, _) = json.loads(done("recipe", *arguments).out)["metrics"]
    assert len(set(model["values"])) == 3
    assert model["mean"] == pytest.approx(statistics.mean(model["values"]))
    assert model["std"] == pytest.approx(statistics.stdev(model["values"]))
    runs = [folder / "small", folder / "seed-1" / "small", folder / "seed-2" / "small"]
    assert [Run.open(run).record.training_config.seed for run in runs] == [0, 1, 2]
    assert f"{model['mean']:.4f} ± {model['std']:.4f}" in Page(folder / "recipe.html").text


def test_a_library_caller_gets_results_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    loaded = []

    def counted(origin: Origin, *rest: Any, **options: Any) -> Samples:
        loaded.append(origin.source)
        return open_or_decode(origin, *rest, **options)

    monkeypatch.setattr("isthmus.data.load.open_or_decode", counted)
    train, evaluate, _ = TINY.steps
    twice = (train, replace(train, out="other"), evaluate, steps.Evaluate("other"))
    result = run_recipe(replace(TINY, steps=twice), tmp_path / "tiny", quick=True)
    assert capfd.readouterr() == ("", "")
    assert loaded == ["digits"]  # once, for two trainings and two evaluations
    assert (
        result.outcomes[0].results["small"]["test"] == result.outcomes[0].results["other"]["test"]
    )
    assert result.metrics[0]["values"] == [result.outcomes[0].results["small"]["test"]["mse"]]
    assert Page(result.page).text.count("--out") == 2


def test_a_folder_that_holds_something_is_left_alone(tiny: Recipe, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    outcome = isthmus("recipe", "run", "tiny", "--out", tmp_path)
    assert outcome.code == 2
    assert "choose another folder" in outcome.err
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]


def test_two_processes_do_not_run_into_one_folder(tiny: Recipe, tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    content = {"recipe": tiny.name, "commands": tiny.commands(Path("{out}"))}
    (tmp_path / "tiny" / "recipe.json").write_text(json.dumps(content))
    with hold(tmp_path / "tiny" / ".lock"):
        outcome = isthmus("recipe", "run", "tiny", "--out", tmp_path / "tiny")
    assert outcome.code == 2
    assert "is in use by another process" in outcome.err
    assert not (tmp_path / "tiny" / "small").exists()


def test_a_recipe_that_was_stopped_continues(tiny: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    whole = json.loads(done("recipe", "run", "tiny", "--out", folder, "--json").out)
    shutil.rmtree(folder / "small")
    (folder / "recipe.html").unlink()
    (train, *_) = shown("tiny", "--out", folder)
    done(*shlex.split(train)[1:], "--max-minutes", 1e-9)
    assert Run.open(folder / "small").history()[-1]["epoch"] < 3

    resumed = json.loads(done("recipe", "run", "tiny", "--out", folder, "--json").out)
    assert Run.open(folder / "small").history()[-1]["epoch"] == 3
    assert resumed["metrics"][0]["values"] == whole["metrics"][0]["values"]
    assert (folder / "recipe.html").exists()


@pytest.mark.parametrize(
    ("place", "reached"),
    [
        ("isthmus.data.load.load", 1),
        ("isthmus.evaluation.evaluate.evaluate", 2),
        ("isthmus.reports.source_outputs.preview", 3),
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
    assert "the same command continues the recipe" in outcome.err
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
    assert len(set(result["metrics"][0]["values"])) == 2


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
    first, second = (row["mean"] for row in result["metrics"][:2])
    assert first == pytest.approx(0.1489, abs=2e-4)
    assert second == pytest.approx(0.1362, abs=2e-4)
