"""The command line: what each command takes, writes and prints."""

import base64
import dataclasses
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import typer
from PIL import Image
from sklearn.datasets import load_digits

from isthmus.cli import app, main
from isthmus.cli.options import parameter_docs
from isthmus.data.catalog import DATASETS
from isthmus.data.load import load
from isthmus.models.registry import MODELS
from isthmus.training.config import TrainingConfig
from isthmus.training.run import Run

TINY = ("--epochs", 2, "--code-size", 4, "--limit", 300)
LONG = ("digits", "--model", "dense", "--epochs", 30, "--code-size", 4, "--limit", 300)
RUN_FILES = {
    "run.json",
    "split.npz",
    "history.jsonl",
    "model.safetensors",
    "last.safetensors",
    "checkpoint/state.pt",
}


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


def isthmus(*arguments: object) -> Outcome:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["isthmus", *map(str, arguments)])
        with pytest.raises(SystemExit) as exited:
            main()
    return Outcome(int(exited.value.code or 0), out.getvalue(), err.getvalue())


def done(*arguments: object) -> Outcome:
    """Run a command that has to work."""
    outcome = isthmus(*arguments)
    assert outcome.code == 0, outcome.err
    return outcome


def files_of(folder: Path) -> set[str]:
    """List a run's files but its lock, what test_kept looks at, and findings, if there are any."""
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    files -= {".lock", "diagnosis.json"}
    return {name for name in files if not re.fullmatch(r"epochs/\w+\.npy\.gz", name)}


def pictures(folder: Path, count: int = 12, shape: tuple[int, ...] = (20, 24, 3)) -> Path:
    """Fill a folder with pictures of noise."""
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
    for i, pixels in enumerate(noise):
        Image.fromarray(pixels).save(folder / f"{i:03}.png")
    return folder


def same_weights(one: Path, other: Path) -> bool:
    """Tell whether two files hold the same weights, bit by bit."""
    first, second = (safetensors.torch.load_file(file) for file in (one, other))
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


@pytest.fixture(scope="module", autouse=True)
def surroundings(session_cache: Path) -> Iterator[None]:
    """Keep this module's fixtures away from the user's cache, and other work's processors."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(session_cache))
        torch.set_num_threads(1)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """Train a run to look at, and to copy before changing it."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    return folder, done("train", "digits", *TINY, "--out", folder, "--json")


@pytest.fixture
def run(model: tuple[Path, Outcome]) -> Path:
    return model[0]


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


# -- help -----------------------------------------------------------------------------------


def walked(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, below in getattr(command, "commands", {}).items():
        yield (*path, name), below
        yield from walked(below, (*path, name))


COMMANDS = dict(walked(typer.main.get_command(app), ("isthmus",)))


def examples(command: Any) -> list[list[str]]:
    lines = (command.help or "").splitlines()
    return [shlex.split(line.split(":", 1)[1]) for line in lines if line.startswith("Example:")]


every_command = pytest.mark.parametrize("path", COMMANDS, ids=" ".join)


def test_the_commands_are_these() -> None:
    assert {" ".join(path[1:]) for path in COMMANDS} == {
        "train",
        "resume",
        "export",
        "studio",
        "card",
        "info",
        "evaluate",
        "reconstruct",
        "summary",
        "report",
        "activations",
        "compare",
        "doctor",
        "duplicates",
        "mislabelled",
        "outliers",
        "denoise",
        "encode",
        "codes",
        "codes export",
        "map",
        "index",
        "search",
        "generate",
        "morph",
        "predict",
        "transposed",
        "data",
        "data fetch",
        "data check",
        "data clean",
        "data preview",
        "data map",
        "data export",
        "data shard",
        "recipe",
        "recipe list",
        "recipe show",
        "recipe run",
        "style",
        "style train",
        "style add",
        "style apply",
    }


@every_command
def test_the_help_has_an_example_of_this_command(path: tuple[str, ...]) -> None:
    found = examples(COMMANDS[path])
    assert len(found) >= 1
    for example in found:
        assert tuple(example[: len(path)]) == path


@every_command
def test_the_examples_in_the_help_parse(path: tuple[str, ...]) -> None:
    for example in examples(COMMANDS[path]):
        COMMANDS[path].make_context(path[-1], example[len(path) :])


@every_command
def test_the_help_is_printed(path: tuple[str, ...]) -> None:
    for flag in ("--help", "-h"):
        outcome = done(*path[1:], flag)
        assert "Usage:" in outcome.out
        assert "--help" in outcome.out


@every_command
def test_every_option_and_argument_has_help(path: tuple[str, ...]) -> None:
    for parameter in COMMANDS[path].params:
        assert parameter.help, f"{' '.join(path)} {parameter.name}"


def test_the_help_of_train_is_grouped_and_is_the_documentation_of_the_config() -> None:
    options = {option.name: option for option in COMMANDS["isthmus", "train"].params}
    fields = {field.name: field for field in dataclasses.fields(TrainingConfig)}
    documented = parameter_docs(TrainingConfig)
    assert list(documented) == list(fields)
    for name, field in fields.items():
        assert options[name].help == documented[name]
        assert options[name].rich_help_panel == field.metadata["panel"]
        assert options[name].default == field.default
    panels = [option.rich_help_panel for name, option in options.items() if name != "source"]
    assert set(panels) == {
        "Data",
        "Reading",
        "Model",
        "Training",
        "Noise and augmentation",
        "Denoisers",
        "Variational autoencoders",
        "Outliers",
        "Labels",
        "Output",
    }


def test_help_imports_nothing_heavy() -> None:
    script = """
import sys
from isthmus.cli import main
for command in ([], ["train"], ["evaluate"], ["data", "fetch"]):
    sys.argv = ["isthmus", *command, "--help"]
    try:
        main()
    except SystemExit as error:
        assert not error.code, error
loaded = {name.split(".")[0] for name in sys.modules}
print(*sorted(loaded & {"torch", "numpy", "matplotlib", "sklearn", "PIL"}), file=sys.stderr)
"""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert b"Usage:" in finished.stdout
    assert finished.stderr.strip() == b""


# -- data -----------------------------------------------------------------------------------


def test_data_lists_every_data_set() -> None:
    listed = done("data").out
    assert [name for name in DATASETS if name not in listed] == []


def test_data_as_json_says_which_are_present(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path))
    rows = json.loads(done("data", "--json").out)
    assert [row["name"] for row in rows] == list(DATASETS)
    assert {row["name"] for row in rows if row["present"]} == {"digits", "waveforms", "patterns"}
    assert all(row["description"] and row["samples"] and row["origin"] for row in rows)


def test_fetching_what_is_here_says_so() -> None:
    assert "on this machine already" in done("data", "fetch", "digits").out


def test_cleaning_frees_the_cache_and_the_data_still_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path))
    source = pictures(tmp_path / "source", count=4)
    before = load(source).fingerprint
    assert len(list((tmp_path / "samples").glob("*/samples.json"))) == 1
    assert " freed." in done("data", "clean").out
    assert not list(tmp_path.glob("samples/*"))
    assert load(source).fingerprint == before


# -- train ----------------------------------------------------------------------------------


def test_a_run_folder_holds_its_files_and_nothing_temporary(run: Path) -> None:
    assert files_of(run) - {"evaluation.json"} == RUN_FILES
    assert [path.name for path in run.parent.iterdir()] == [run.name]


def test_the_history_has_a_line_for_every_epoch(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert lines[1]["validation_loss"] < lines[0]["validation_loss"]


def test_train_says_what_it_reads_and_how_it_goes(model: tuple[Path, Outcome]) -> None:
    _, outcome = model
    assert "300 images of 8 × 8, gray, 10 classes" in outcome.err
    assert "epoch 2/2" in outcome.err


def test_train_as_json_tells_the_best_epoch(model: tuple[Path, Outcome]) -> None:
    run, outcome = model
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    best = min(history, key=lambda line: float(line["validation_loss"]))
    assert json.loads(outcome.out) == {
        "run": str(run),
        "epochs": 2,
        "seconds": history[-1]["seconds"],
        "best": {"epoch": best["epoch"], "validation_loss": best["validation_loss"]},
        "reading": json.loads((run / "run.json").read_text())["data"]["reading"],
        "findings": json.loads(done("doctor", run, "--json").out)["findings"],
    }


def test_train_without_json_points_to_the_report(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    out = done("train", "digits", *TINY, "--model", "linear", "--out", folder).out
    assert f"isthmus report {folder}" in out


def test_a_run_goes_to_runs_and_the_name_of_the_source_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "photos")
    done("train", "photos/", "--model", "linear", "--epochs", 1)
    assert files_of(tmp_path / "runs" / "photos") == RUN_FILES


def test_training_twice_gives_the_same_weights(run: Path, tmp_path: Path) -> None:
    done("train", "digits", *TINY, "--out", tmp_path / "again")
    assert same_weights(run / "last.safetensors", tmp_path / "again" / "last.safetensors")


def test_another_seed_gives_other_weights(run: Path, tmp_path: Path) -> None:
    done("train", "digits", *TINY, "--seed", 1, "--out", tmp_path / "again")
    assert not same_weights(run / "last.safetensors", tmp_path / "again" / "last.safetensors")


@pytest.mark.parametrize(
    ("options", "shape", "expected"),
    [
        (["--size", "12x16"], [3, 12, 16], {"size": [12, 16], "channels": 3, "crop": None}),
        (["--size", "12"], [3, 12, 12], {"size": [12, 12], "channels": 3}),
        (["--gray"], [1, 20, 24], {"size": [20, 24], "channels": 1}),
        (["--rgb"], [3, 20, 24], {"channels": 3}),
        (["--crop", "10"], [3, 10, 10], {"crop": 10, "size": [10, 10]}),
        (["--crop", "16", "--size", "8", "--gray"], [1, 8, 8], {"crop": 16, "size": [8, 8]}),
        (["--background", "#ff0000"], [3, 20, 24], {"background": "#ff0000"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and "-" in str(value[0]) else "",
)
def test_preprocessing_options_reach_the_run(
    options: list[str], shape: list[int], expected: dict[str, Any], tmp_path: Path
) -> None:
    source, folder = pictures(tmp_path / "source"), tmp_path / "run"
    done("train", source, *options, "--model", "linear", "--epochs", 1, "--out", folder)
    record = json.loads((folder / "run.json").read_text())
    assert record["model_config"]["shape"] == shape
    assert {name: record["preprocessing"][name] for name in expected} == expected


def test_rgb_turns_gray_pictures_into_color(tmp_path: Path) -> None:
    source = pictures(tmp_path / "source", shape=(9, 9))
    done("train", source, "--rgb", "--model", "linear", "--epochs", 1, "--out", tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["model_config"]["shape"] == [
        3,
        9,
        9,
    ]


SETTINGS: dict[str, tuple[str, object]] = {
    "epochs": ("--epochs 3", 3),
    "batch_size": ("--batch-size 5", 5),
    "optimizer": ("--optimizer sgd", "sgd"),
    "lr": ("--lr 0.02", 0.02),
    "momentum": ("--momentum 0.5", 0.5),
    "weight_decay": ("--weight-decay 0.001", 0.001),
    "schedule": ("--schedule cosine", "cosine"),
    "loss": ("--loss mse", "mse"),
    "flip": ("--flip", True),
    "corrupt": ("--corrupt masked:0.5", "masked:0.5"),
    "augment": ("--augment shift:0.1", "shift:0.1"),
    "label_smoothing": ("", 0.0),  # of classifiers; see test_cli_answers.py
    "class_weights": ("", False),
    "encoder_from": ("", None),
    "freeze": ("", False),
    "patience": ("--patience 2", 2),
    "validation": ("--validation 0.25", 0.25),
    "test": ("--test 0.3", 0.3),
    "seed": ("--seed 11", 11),
    "device": ("--device cpu", "cpu"),
    "precision": ("--precision 32", "32"),
    "tensorboard": ("", False),
}


def test_every_setting_reaches_the_run(tmp_path: Path) -> None:
    options = " ".join(option for option, _ in SETTINGS.values()).split()
    folder = tmp_path / "run"
    done("train", "digits", "--limit", 40, "--model", "dense-selu", *options, "--out", folder)
    recorded = json.loads((folder / "run.json").read_text())["training_config"]
    assert recorded == {name: kept for name, (_, kept) in SETTINGS.items()}


def test_tensorboard_gets_event_files(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    folder = tmp_path / "run"
    options = ("--limit", 40, "--epochs", 1, "--model", "linear", "--tensorboard")
    done("train", "digits", *options, "--out", folder)
    assert len(list((folder / "tensorboard").glob("events.out.tfevents.*"))) == 1


def test_a_csv_trains_as_the_reference_recipe_does(tmp_path: Path) -> None:
    digits = load_digits()
    pixels = np.round(digits.images.reshape(-1, 64) * (255 / 16)).astype(int)
    rows = np.column_stack([digits.target, pixels])
    header = ",".join(["label", *(f"pixel{i}" for i in range(64))])
    np.savetxt(tmp_path / "digits.csv", rows, "%d", ",", header=header, comments="")
    options = ("--model", "dense-selu", "--optimizer", "sgd", "--lr", 1.5, "--epochs", 2)
    done("train", tmp_path / "digits.csv", *options, "--out", tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert run.record.data["description"] == "1,797 images of 8 × 8, gray, 10 classes"
    assert (run.record.training_config.optimizer, run.record.training_config.lr) == ("sgd", 1.5)
    first, second = (line["validation_loss"] for line in run.history())
    assert second < first < 0.6


def test_stopping_after_minutes_leaves_a_run_that_resumes(tmp_path: Path, run: Path) -> None:
    folder = tmp_path / "run"
    stopped = done("train", "digits", *TINY, "--max-minutes", 1e-6, "--out", folder)
    assert f"isthmus resume {folder}" in stopped.out
    assert Run.open(folder).history()[-1]["epoch"] < 1
    done("resume", folder)
    assert same_weights(folder / "last.safetensors", run / "last.safetensors")


def test_the_record_of_a_run_says_no_more_than_it_did_when_trained_again(
    run: Path, copy: Path
) -> None:
    refused = isthmus("train", "digits", *TINY, "--out", copy)
    assert refused.code == 2
    assert "is a run already" in refused.err
    assert {name: (copy / name).read_bytes() for name in RUN_FILES} == {
        name: (run / name).read_bytes() for name in RUN_FILES
    }


# -- evaluate -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def evaluation(model: tuple[Path, Outcome]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(done("evaluate", model[0], "--json").out)
    return content


def test_evaluate_as_json_has_these_keys(evaluation: dict[str, Any]) -> None:
    labeled = {"codes", "pca", "pixels"}
    assert evaluation.keys() == {"test", "baselines", "training", "model"} | labeled
    assert evaluation["test"].keys() == {"n", "bce", "mse", "psnr", "ssim"}
    assert evaluation["baselines"].keys() == {"pca", "mean"}
    assert evaluation["baselines"]["pca"].keys() == {"components", "bce", "mse", "psnr", "ssim"}
    assert evaluation["baselines"]["mean"].keys() == {"bce", "mse", "psnr", "ssim"}
    assert all(evaluation[name].keys() == {"knn_4", "logistic"} for name in labeled)
    assert evaluation["training"].keys() == {"seconds", "epochs", "images_per_second"}
    assert evaluation["model"].keys() == {"name", "code_size", "parameters"}
    assert evaluation["test"]["n"] == 30


def test_evaluate_tells_what_training_and_the_model_took(
    evaluation: dict[str, Any], run: Path
) -> None:
    weights = safetensors.torch.load_file(run / "model.safetensors")
    assert evaluation["training"]["epochs"] == 2
    assert evaluation["training"]["seconds"] > 0
    assert evaluation["training"]["images_per_second"] > 0
    assert evaluation["model"] == {
        "name": "conv",
        "code_size": 4,
        "parameters": sum(tensor.numel() for tensor in weights.values()),
    }


def test_the_errors_are_those_computed_by_hand(evaluation: dict[str, Any], run: Path) -> None:
    opened = Run.open(run)
    values = load("digits", limit=300).values[..., 0] / 255.0
    split = opened.split()
    x = values[split.test]
    with torch.inference_mode():
        logits = opened.model().module(torch.from_numpy(x[:, None]).float())
    y = 1 / (1 + np.exp(-logits[:, 0].double().numpy()))
    per_sample = np.square(y - x).mean((1, 2))
    entropy = -(x * np.log(y) + (1 - x) * np.log(1 - y)).mean()
    mean = values[split.train].mean(0)
    assert evaluation["test"]["mse"] == pytest.approx(per_sample.mean(), rel=1e-4)
    assert evaluation["test"]["psnr"] == pytest.approx(-10 * np.log10(per_sample).mean(), rel=1e-4)
    assert evaluation["test"]["bce"] == pytest.approx(entropy, rel=1e-4)
    assert evaluation["baselines"]["mean"]["mse"] == pytest.approx(
        np.square(mean - x).mean(), rel=1e-4
    )


def test_evaluate_takes_another_source(run: Path, tmp_path: Path) -> None:
    images = load("digits").values[1000:1020, ..., 0]
    (tmp_path / "others").mkdir()
    for i, pixels in enumerate(images):
        Image.fromarray(pixels).save(tmp_path / "others" / f"{i}.png")
    measured = json.loads(done("evaluate", run, tmp_path / "others", "--json").out)["test"]
    assert measured["n"] == 20
    x = torch.from_numpy(images[:, None] / 255.0).float()
    with torch.inference_mode():
        errors = (torch.sigmoid(Run.open(run).model().module(x)) - x).square().mean()
    assert measured["mse"] == pytest.approx(float(errors), rel=1e-4)


def test_evaluate_takes_a_part_of_another_source(run: Path, tmp_path: Path) -> None:
    source = pictures(tmp_path / "others", count=9, shape=(12, 12))
    result = json.loads(done("evaluate", run, source, "--limit", 5, "--json").out)
    assert result["test"]["n"] == 5


def test_evaluate_prints_a_table_for_people(run: Path, evaluation: dict[str, Any]) -> None:
    out = done("evaluate", run).out
    assert f"{evaluation['test']['mse']:.5g}" in out
    assert f"{evaluation['baselines']['pca']['mse']:.5g}" in out
    assert f"{evaluation['model']['parameters']:,}" in out


# -- reconstruct ----------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 6])
def test_reconstruct_writes_a_picture(run: Path, tmp_path: Path, count: int) -> None:
    out = tmp_path / "grid.png"
    printed = done("reconstruct", run, "digits", "--out", out, "--limit", count, "--json").out
    assert json.loads(printed) == {"picture": str(out), "samples": count}
    with Image.open(out) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert 150 * (1 + count) < picture.width < 200 * (1 + count)
        assert 200 < picture.height < 1000
        assert np.asarray(picture.convert("L")).std() > 20
    assert files_of(tmp_path) == {"grid.png"}


def test_reconstruct_takes_a_weights_file_alone(run: Path, tmp_path: Path) -> None:
    shutil.copy(run / "model.safetensors", tmp_path / "mine.safetensors")
    source = pictures(tmp_path / "source", count=3, shape=(8, 8))
    done("reconstruct", tmp_path / "mine.safetensors", source, "--out", tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.width > 450


# -- summary --------------------------------------------------------------------------------


def test_summary_without_a_model_lists_all() -> None:
    assert json.loads(done("summary", "--json").out) == {
        name: row.description for name, row in MODELS.items()
    }
    out = done("summary").out
    assert [name for name in MODELS if name not in out] == []


@pytest.mark.parametrize("model", MODELS)
def test_summary_of_a_model_adds_up(model: str) -> None:
    content = json.loads(done("summary", model, "--json").out)
    layers = content["layers"]
    assert content["config"]["model"] == model
    assert content["trainable"] == sum(layer["trainable"] for layer in layers) > 0
    assert content["not_trainable"] == sum(layer["frozen"] for layer in layers)
    assert content["parameters"] == content["trainable"] + content["not_trainable"]
    assert content["macs"] == sum(layer["macs"] for layer in layers) > 0
    printed = done("summary", model).out
    assert f"{content['parameters']:,} parameters" in printed
    assert layers[0]["name"] in printed


def test_summary_of_a_run_tells_its_model(run: Path, evaluation: dict[str, Any]) -> None:
    content = json.loads(done("summary", run, "--json").out)
    assert content["config"] == json.loads((run / "run.json").read_text())["model_config"]
    assert content["parameters"] == evaluation["model"]["parameters"]


def test_summary_of_a_run_takes_no_other_shape(run: Path) -> None:
    outcome = isthmus("summary", run, "--code-size", 5)
    assert outcome.code == 2
    assert "leave both options out" in outcome.err


def test_summary_takes_a_shape_and_a_code_size() -> None:
    options = ("--shape", "20x30x3", "--code-size", 5)
    content = json.loads(done("summary", "linear", *options, "--json").out)
    assert content["config"]["shape"] == [3, 20, 30]
    assert content["parameters"] == 2 * 5 * 20 * 30 * 3 + 5 + 20 * 30 * 3


def test_summary_takes_the_shape_of_signals() -> None:
    content = json.loads(done("summary", "conv1d", "--shape", "140x2", "--json").out)
    assert content["config"]["shape"] == [2, 140]


# -- report ---------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page shows and what it points to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        known = ("src", "href", "srcset", "data", "action", "poster", "background")
        self.links += [value or "" for name, value in attrs if name in known]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(model: tuple[Path, Outcome], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "page.html"
    assert json.loads(done("report", model[0], "--out", out, "--json").out) == {"page": str(out)}
    assert files_of(out.parent) == {"page.html"}
    return out


def test_the_report_needs_no_other_file(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    parsed = Page(text)
    assert [link for link in parsed.links if not link.startswith("data:image/png;base64,")] == []
    assert {"script", "link", "iframe"}.isdisjoint(parsed.tags)
    assert "url(" not in text
    assert "@import" not in text


def test_the_report_shows_five_pictures(page: Path) -> None:
    links = Page(page.read_text(encoding="utf-8")).links
    assert len(links) == 5  # reconstructions, a map, searches, morphs, curves
    for link in links:
        with Image.open(io.BytesIO(base64.b64decode(link.split(",", 1)[1]))) as picture:
            picture.load()
            assert picture.width > 500


def test_the_report_holds_the_figures(page: Path, evaluation: dict[str, Any], run: Path) -> None:
    text = Page(page.read_text(encoding="utf-8")).text
    test, baselines = evaluation["test"], evaluation["baselines"]
    for figure in (
        f"{test['mse']:.4g}",
        f"{test['psnr']:.2f} dB",
        f"{test['ssim']:.3f}",
        f"{test['bce']:.4f}",
        f"{baselines['pca']['mse']:.5f}",
        f"{baselines['mean']['mse']:.5f}",
        f"{evaluation['model']['parameters']:,}",
        Run.open(run).record.data["fingerprint"],
    ):
        assert figure in text


def test_the_report_goes_into_the_run_by_itself(copy: Path) -> None:
    assert str(copy / "report.html") in done("report", copy).out
    assert files_of(copy) == RUN_FILES | {"report.html", "evaluation.json"}


def test_a_name_with_markup_does_no_harm_to_the_report(tmp_path: Path, run: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "<script>alert(1)<"))
    done("report", folder, "--out", tmp_path / "page.html")
    parsed = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "script" not in parsed.tags
    assert "<script>alert(1)<" in parsed.text


# -- resume ---------------------------------------------------------------------------------


def test_resume_makes_a_run_longer(copy: Path) -> None:
    before = (copy / "history.jsonl").read_text()
    content = json.loads(done("resume", copy, "--epochs", 3, "--json").out)
    assert content["epochs"] == 3
    after = (copy / "history.jsonl").read_text()
    assert after.startswith(before)
    assert len(after.splitlines()) == 3
    assert json.loads((copy / "run.json").read_text())["training_config"]["epochs"] == 3
    assert files_of(copy) - {"evaluation.json"} == RUN_FILES


def test_resume_completes_what_is_missing_and_says_so(copy: Path) -> None:
    last = (copy / "last.safetensors").read_bytes()
    (copy / "last.safetensors").unlink()
    outcome = done("resume", copy)
    assert "files that were missing are complete" in outcome.err
    assert f"{copy}: 2 epochs" in outcome.out
    assert (copy / "last.safetensors").read_bytes() == last
    assert isthmus("resume", copy).code == 2


def test_a_deterministic_run_that_has_lost_patience_names_the_way_on(tmp_path: Path) -> None:
    options = ("--limit", 100, "--model", "linear", "--optimizer", "sgd", "--lr", 3)
    run = tmp_path / "run"
    more = ("--schedule", "constant", "--patience", 1, "--deterministic")
    outcome = done("train", "digits", *options, *more, "--out", run)
    assert "--patience" in outcome.out
    epochs = len((run / "history.jsonl").read_text().splitlines())
    assert epochs < 30
    assert "larger patience" in isthmus("resume", run).err
    done("resume", run, "--patience", 9, "--epochs", epochs + 1)
    assert len((run / "history.jsonl").read_text().splitlines()) == epochs + 1


@dataclass(frozen=True)
class Stopped:
    """A run whose process was stopped, and what was found on the way."""

    folder: Path
    code: int
    err: str
    epochs: int
    refused: Outcome


def stopped(folder: Path, how: signal.Signals) -> Stopped:
    """Train in another process until two epochs are done; stop it by a signal."""
    command = [sys.executable, "-m", "isthmus", "train", *map(str, LONG), "--out", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        _await_epochs(folder / "history.jsonl", process)
        os.kill(process.pid, signal.SIGSTOP)  # it lives and holds the run, but does nothing
        refused = isthmus("resume", folder)
        os.kill(process.pid, how)
        os.kill(process.pid, signal.SIGCONT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    epochs = len((folder / "history.jsonl").read_text().splitlines())
    return Stopped(folder, process.returncode, err, epochs, refused)


def _await_epochs(history: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(6000):
        if history.exists() and len(history.read_text().splitlines()) >= 2:
            return
        assert process.poll() is None, "training ended before it could be stopped"
        time.sleep(0.01)
    raise AssertionError("training did not get through two epochs")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train without an interruption."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done("train", *LONG, "--out", folder)
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    return stopped(tmp_path_factory.mktemp("killed") / "run", signal.SIGKILL)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    return stopped(tmp_path_factory.mktemp("interrupted") / "run", signal.SIGINT)


def test_a_killed_run_resumes_to_the_same_weights(
    killed: Stopped, whole: Path, tmp_path: Path
) -> None:
    assert killed.code == -signal.SIGKILL
    assert 2 <= killed.epochs < 30
    resumed = Path(shutil.copytree(killed.folder, tmp_path / "run"))
    content = json.loads(done("resume", resumed, "--json").out)
    assert content["epochs"] == 30
    for name in ("last.safetensors", "model.safetensors"):
        assert same_weights(resumed / name, whole / name)
    losses = [
        [(line["step"], line["loss"], line["validation_loss"]) for line in Run.open(run).history()]
        for run in (resumed, whole)
    ]
    assert losses[0] == losses[1]


def test_ctrl_c_leaves_a_run_that_resumes_to_the_same_weights(
    interrupted: Stopped, whole: Path, tmp_path: Path
) -> None:
    assert interrupted.code == 130
    assert f"isthmus resume {interrupted.folder}" in interrupted.err
    assert "Traceback" not in interrupted.err
    assert 2 <= interrupted.epochs < 30
    assert files_of(interrupted.folder) == RUN_FILES - {"last.safetensors"}
    resumed = Path(shutil.copytree(interrupted.folder, tmp_path / "run"))
    done("resume", resumed)
    assert same_weights(resumed / "last.safetensors", whole / "last.safetensors")


def test_what_a_longer_run_has_learnt_is_plausible(whole: Path) -> None:
    content = json.loads(done("evaluate", whole, "--json").out)
    test, baselines = content["test"], content["baselines"]
    assert 0.02 < test["mse"] < 0.8 * baselines["mean"]["mse"]
    assert 0.02 < baselines["pca"]["mse"] < baselines["mean"]["mse"] < 0.1
    assert 0.2 < test["bce"] < 0.5
    assert 12 < test["psnr"] < 20
    assert 0.5 < test["ssim"] < 1


def test_a_killed_run_can_be_used_as_it_is(killed: Stopped) -> None:
    content = json.loads(done("evaluate", killed.folder, "--json").out)
    assert content["training"]["epochs"] == killed.epochs
    assert 0.02 < content["test"]["mse"] < 0.2


def test_a_run_in_training_by_another_process_is_not_resumed(killed: Stopped) -> None:
    assert killed.refused.code == 2
    assert "in use by another process" in killed.refused.err
    assert killed.refused.out == ""


def test_loading_a_model_spares_torch_s_compiler(run: Path) -> None:
    """Importing torch._dynamo takes a second, and nothing that uses a model needs it."""
    code = (
        "import sys; from isthmus import Session; session = Session(sys.argv[1]); "
        "session.reconstruct(session.samples); session.model.layers; "
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(run)], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
