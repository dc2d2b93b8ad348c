"""The folder to publish: metadata as the Hub defines them, true numbers, and examples that run."""

import json
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from isthmus import Items, Run, Samples, TrainingConfig, load, load_model, train
from isthmus.errors import ModelError, RunError
from isthmus.inference.conversion import to_onnx
from isthmus.reports.card import write_card
from isthmus.reports.page import to_yaml
from test_cli import done, isthmus

Refused = Callable[..., AbstractContextManager[None]]
BRIEF = TrainingConfig(epochs=2)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train an autoencoder, a denoiser, a classifier and one of signals."""
    folder = tmp_path_factory.mktemp("runs")
    common = ("--limit", 300, "--epochs", 2)
    done(
        "train", "digits", *common, "--model", "dense", "--code-size", 6, "--out", folder / "plain"
    )
    noise = ("--model", "dense", "--corrupt", "gaussian:0.3", "--augment", "none")
    done("train", "digits", *common, *noise, "--out", folder / "denoiser")
    done("train", "digits", *common, "--model", "cnn-tiny", "--out", folder / "classifier")
    parts = ("--model", "linear", "--accumulate", 2)
    done("train", "waveforms", *common, *parts, "--out", folder / "signals")
    return folder


@pytest.fixture(scope="module")
def cards(runs: Path) -> Path:
    for run in runs.iterdir():
        if run.name != "cards":
            done("card", run, "--out", runs / "cards" / run.name)
    return runs / "cards"


def parts(card: Path) -> tuple[dict[str, Any], str]:
    """Return the metadata of a card, parsed as YAML, and its page."""
    empty, metadata, page = (card / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert empty == ""
    return yaml.safe_load(metadata), page


def measured(run: Path) -> dict[str, Any]:
    test: dict[str, Any] = json.loads((run / "evaluation.json").read_text())["result"]["test"]
    return test


# -- metadata ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "pipeline", "tags", "metrics"),
    [
        ("plain", "image-feature-extraction", ["autoencoder"], ["mse", "psnr", "ssim"]),
        ("denoiser", "image-to-image", ["autoencoder", "denoising"], ["mse", "psnr", "ssim"]),
        ("classifier", "image-classification", ["classifier"], ["accuracy", "ece"]),
        ("signals", None, ["autoencoder"], ["mse", "psnr"]),
    ],
)
def test_the_metadata_are_those_of_the_hub(
    name: str, pipeline: str | None, tags: list[str], metrics: list[str], cards: Path, runs: Path
) -> None:
    metadata, _ = parts(cards / name)
    assert metadata["library_name"] == "isthmus"
    assert metadata.get("pipeline_tag") == pipeline
    assert metadata["tags"] == ["isthmus", *tags]
    assert metadata["metrics"] == metrics
    assert "license" not in metadata  # a license is never guessed
    assert "datasets" not in metadata  # the Hub has no such set of this name
    (entry,) = metadata["model-index"]
    assert entry["name"] == name
    (result,) = entry["results"]
    assert result["task"]["type"] == (pipeline or "other")
    assert {"type", "name"} <= set(result["dataset"])
    assert result["dataset"]["split"] == "test"
    test = measured(runs / name)
    assert {one["type"]: one["value"] for one in result["metrics"]} == {
        key: test[key] for key in metrics
    }


def test_a_set_of_the_hub_is_named(require: Callable[[str], Path], tmp_path: Path) -> None:
    require("mnist")
    training = train(load("mnist", limit=200), "linear", code_size=4, config=BRIEF)
    list(training)
    metadata, _ = parts(write_card(training.run, out=tmp_path / "card"))
    assert metadata["datasets"] == ["ylecun/mnist"]
    assert metadata["model-index"][0]["results"][0]["dataset"]["type"] == "ylecun/mnist"


def test_the_license_is_the_users(runs: Path, tmp_path: Path) -> None:
    done("card", runs / "plain", "--out", tmp_path / "card", "--license", "apache-2.0")
    metadata, _ = parts(tmp_path / "card")
    assert metadata["license"] == "apache-2.0"
    text = (tmp_path / "card/README.md").read_text()
    assert "# license:" not in text
    done("card", runs / "plain", "--out", tmp_path / "without")
    assert "# license:" in (tmp_path / "without/README.md").read_text()


@pytest.mark.parametrize(
    "value",
    [
        {
            "a": "no",
            "b": ["1", 1, None, True],
            "c": {"d": ["x: y", "- z", "#", "ü"], "e": {"f": 1}},
        },
        {"list": [{"a": 1, "b": [{"c": "d"}]}, {"e": "f g/h"}]},
    ],
)
def test_yaml_says_what_it_was_given(value: dict[str, Any]) -> None:
    assert yaml.safe_load(to_yaml(value)) == value


# -- the page ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "denoiser", "classifier", "signals"])
def test_every_picture_of_the_page_is_there(name: str, cards: Path) -> None:
    _, page = parts(cards / name)
    linked = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page)
    files = {path.relative_to(cards / name).as_posix() for path in (cards / name).rglob("*.png")}
    assert len(linked) >= 3
    assert set(linked) == files
    for file in linked:
        with Image.open(cards / name / file) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 100


def test_the_numbers_of_the_page_are_those_of_the_evaluation(cards: Path, runs: Path) -> None:
    _, page = parts(cards / "plain")
    test = measured(runs / "plain")
    assert f"| {test['mse']:.4g} | {test['psnr']:.4g} | {test['ssim']:.4g} |" in page
    assert f"Measured once on {test['n']} test samples" in page
    assert "PCA with 6 components" in page
    _, page = parts(cards / "classifier")
    assert f"| {measured(runs / 'classifier')['accuracy']:.2%} |" in page
    assert "Train longer" not in page  # advice for who trains, not for who reads
    assert "batches of 32 in 2 micro-batches |" in parts(cards / "signals")[1]
    assert "micro-batches" not in page


@pytest.mark.parametrize("name", ["plain", "denoiser", "classifier"])
def test_the_examples_of_the_page_run(
    name: str, cards: Path, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(cards / name, tmp_path / "mine"))
    shutil.copytree(photos, folder / "photos")
    shutil.copytree(photos / "cat", folder / "noisy")
    monkeypatch.chdir(folder)
    _, page = parts(folder)
    blocks = dict(re.findall(r"```(bash|python)\n(.*?)```", page, flags=re.DOTALL))
    install, *commands = blocks["bash"].splitlines()
    assert install == "pip install isthmus"
    for command in commands:
        done(*command.split()[1:])
    values: dict[str, Any] = {}
    exec(blocks["python"], values)
    shapes = re.findall(r"^(\w+) = .*# \(N, ?([\d, ]*)\) (\w+)", blocks["python"], re.MULTILINE)
    assert len(shapes) >= 2
    for variable, sides, kind in shapes:
        array = values[variable]
        assert array.shape == (6, *map(int, filter(None, sides.split(", "))))
        assert array.dtype == kind


def test_folders_above_the_data_are_not_published(tmp_path: Path, photos: Path) -> None:
    secret = tmp_path / "secret"
    photos.rename(secret)
    options = ("--model", "linear", "--code-size", 2, "--epochs", 1, "--size", 8)
    done("train", secret, *options, "--validation", 0.3, "--test", 0.3, "--out", tmp_path / "run")
    done("card", tmp_path / "run")
    text = (tmp_path / "run/card/README.md").read_text()
    assert str(tmp_path) not in text
    assert "on secret (6 images" in text
    assert "\n# run\n" in text  # the name of the run, not of its folder for the card


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    digits = load("digits", limit=120)
    names = ["a|b", "<script>", "*x*", "[y](z)", *"456789"]
    samples = Samples(digits.values, Items(digits.names, digits.labels, tuple(names)))
    training = train(samples, "cnn-tiny", config=BRIEF)
    list(training)
    _, page = parts(write_card(training.run, samples, out=tmp_path / "card"))
    assert r"Its classes are: a\|b, \<script\>, \*x\*, \[y\](z), 4, 5" in page


def test_masks_get_a_card_too(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), np.uint8)
    masks = (pixels[..., 0] > 128).astype(np.uint8)
    names = [str(row) for row in range(24)]
    samples = Samples(pixels, Items(names, None, ("dark", "light")), masks=masks)
    config = TrainingConfig(epochs=1, validation=0.2, test=0.2)
    training = train(samples, "fcn32s", options={"width": 0.1}, config=config)
    list(training)
    metadata, page = parts(write_card(training.run, samples, out=tmp_path / "card"))
    assert metadata["pipeline_tag"] == "image-segmentation"
    assert metadata["metrics"] == ["mean_iou", "accuracy"]
    assert "each pixel" in page
    assert "The mean intersection over union of the classes is " in page
    assert (tmp_path / "card/images/predictions.png").is_file()


# -- the folder -------------------------------------------------------------------------------


def test_the_weights_are_those_of_the_run(cards: Path, runs: Path) -> None:
    published = load_model(cards / "plain" / "model.safetensors")
    digits = load("digits", limit=20)
    np.testing.assert_array_equal(
        published.encode(digits), Run.open(runs / "plain").model().encode(digits)
    )
    assert published.fingerprint in parts(cards / "plain")[1]


@pytest.mark.usefixtures("kept_conversions")
def test_an_exported_file_is_published_if_it_is_of_this_model(
    runs: Path, tmp_path: Path, refused: Refused
) -> None:
    run, file = Run.open(runs / "plain"), tmp_path / "mine.onnx"
    done("export", runs / "plain", "--out", file)
    done("card", runs / "plain", "--onnx", file, "--out", tmp_path / "card")
    assert "`model.onnx` answers the same" in parts(tmp_path / "card")[1]
    assert (tmp_path / "card/model.onnx").read_bytes() == file.read_bytes()
    assert "onnx" not in parts(write_card(run, out=tmp_path / "without"))[1]
    with refused(ModelError, "mine.onnx was exported from another model", "export"):
        write_card(Run.open(runs / "denoiser"), out=tmp_path / "other", onnx=file)
    (tmp_path / "part.onnx").write_bytes(to_onnx(run.model(), "encoder"))
    with refused(ModelError, "part.onnx holds only the encoder"):
        write_card(run, out=tmp_path / "other", onnx=tmp_path / "part.onnx")
    assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("kept_conversions")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--precision", "int8"), "holds precision int8; export it with --precision 32"),
        (("--precision", "16"), "holds precision 16; export it with --precision 32"),
        (("--layer", "encoder.0"), "holds only the layer encoder.0; export the model whole"),
    ],
)
def test_other_codes_of_this_model_are_not_taken_for_another_model(
    options: tuple[str, str], said: str, runs: Path, tmp_path: Path
) -> None:
    done("export", runs / "plain", *options, "--out", tmp_path / "a8.onnx")
    outcome = isthmus(
        "card", runs / "plain", "--onnx", tmp_path / "a8.onnx", "--out", tmp_path / "card"
    )
    assert outcome.code == 2
    assert outcome.err.splitlines()[-1] == f"isthmus: {tmp_path / 'a8.onnx'} {said}."
    assert not (tmp_path / "card").exists()


def test_nothing_is_overwritten(runs: Path, tmp_path: Path) -> None:
    done("card", runs / "plain", "--out", tmp_path / "card")
    (tmp_path / "card/README.md").write_text("mine")
    outcome = isthmus("card", runs / "plain", "--out", tmp_path / "card")
    assert outcome.code == 2
    assert "exists already and is not empty; choose another folder" in outcome.err
    assert (tmp_path / "card/README.md").read_text() == "mine"


def test_the_current_folder_is_no_place_for_a_card(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = isthmus("card", runs / "plain", "--out", ".")
    assert outcome.code == 2
    assert outcome.err == "isthmus: . is the current folder; choose a new one, such as new.\n"


def test_a_run_needs_an_epoch(runs: Path, tmp_path: Path, refused: Refused) -> None:
    folder = Path(shutil.copytree(runs / "plain", tmp_path / "run"))
    (folder / "history.jsonl").unlink()
    with refused(RunError, str(folder), "no whole epoch"):
        write_card(Run.open(folder))


def test_the_card_of_a_run_in_memory_needs_a_place(refused: Refused) -> None:
    training = train(load("digits", limit=60), "linear", code_size=2, config=BRIEF)
    list(training)
    with refused(RunError, "the run in memory has no folder; say with out="):
        write_card(training.run)


def test_the_command_lists_what_it_wrote(runs: Path, tmp_path: Path) -> None:
    content = json.loads(done("card", runs / "plain", "--out", tmp_path / "card", "--json").out)
    assert content["folder"] == str(tmp_path / "card")
    names = ["README.md", "images/curves.png", "images/map.png", "images/reconstructions.png"]
    assert content["files"] == [*names, "model.safetensors"]
