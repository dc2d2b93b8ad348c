"""The command line of classifiers and segmenters: train, predict, evaluate, report, compare."""

import csv
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from isthmus import Run, TrainedModel, load
from isthmus.errors import OptionError
from isthmus.evaluation.tables import write_table
from isthmus.latent.codes import Codes
from isthmus.metrics import mean_iou
from isthmus.models.registry import MODELS
from isthmus.viz.masks import colors
from test_cli import Page, done, files_of, isthmus

DIGITS = ("digits", "--limit", 300)


@pytest.fixture(scope="module", autouse=True)
def surroundings(session_cache: Path) -> Iterator[None]:
    """Keep this module's fixtures away from the user's cache, and other work's processors."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(session_cache))
        patch.setenv("COLUMNS", "80")
        torch.set_num_threads(1)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a classifier and an autoencoder on the same digits."""
    folder = tmp_path_factory.mktemp("runs")
    classify = ("--model", "cnn-small", "--epochs", 4, "--lr", 0.005)
    done("train", *DIGITS, *classify, "--out", folder / "classifier")
    done("train", *DIGITS, "--model", "dense", "--epochs", 2, "--out", folder / "autoencoder")
    return folder


@pytest.fixture(scope="module")
def classifier(runs: Path) -> Path:
    return runs / "classifier"


@pytest.fixture(scope="module")
def autoencoder(runs: Path) -> Path:
    return runs / "autoencoder"


@pytest.fixture(scope="module")
def strokes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write pictures of digits and masks of paper, pen and, at the edges of strokes, void."""
    folder = tmp_path_factory.mktemp("strokes")
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for i, pixels in enumerate(load("digits", limit=60, size=32).values[..., 0]):
        mask = (pixels > 150).astype(np.uint8)
        mask[(pixels > 100) & (pixels < 180)] = 255
        Image.fromarray(pixels).save(folder / "images" / f"{i:02}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def segmenter(runs: Path, strokes: Path) -> Path:
    options = ("--task", "segment", "--width", 0.1, "--batch-norm", "--epochs", 3)
    done("train", strokes, *options, "--out", runs / "segmenter")
    return runs / "segmenter"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on 31 classes, more than a terminal shows well."""
    folder = tmp_path_factory.mktemp("many")
    noise = np.random.default_rng(0).integers(0, 256, (31, 4, 8, 8), np.uint8)
    for number, members in enumerate(noise):
        (folder / "kinds" / f"kind{number:02}").mkdir(parents=True)
        for i, pixels in enumerate(members):
            Image.fromarray(pixels).save(folder / "kinds" / f"kind{number:02}" / f"{i}.png")
    options = ("--model", "cnn-small", "--epochs", 1, "--out", folder / "run")
    done("train", folder / "kinds", *options)
    return folder / "run"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a folder of three digits and, beside it, one in color and of another size."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    values = load("digits").values[:4, ..., 0]
    for i, pixels in enumerate(values[1:]):
        Image.fromarray(pixels).save(folder / "more" / f"{i}.png")
    Image.fromarray(values[0]).resize((24, 24)).convert("RGB").save(folder / "single.png")
    return folder


def answer(*arguments: object) -> Any:
    return json.loads(done(*arguments, "--json").out)


def pixels_of(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def record_of(run: Path) -> Any:
    return json.loads((run / "run.json").read_text())


# -- train ----------------------------------------------------------------------------------


def test_training_tells_how_many_are_right(classifier: Path, tmp_path: Path) -> None:
    history = Run.open(classifier).history()
    told = answer("resume", shutil.copytree(classifier, tmp_path / "run"), "--epochs", 5)
    assert told["best"].keys() == {"epoch", "validation_loss", "validation_accuracy"}
    assert told["best"]["validation_accuracy"] >= history[-1]["validation_accuracy"] > 0.3


def test_the_options_of_a_classifier_reach_the_run(tmp_path: Path) -> None:
    options = "--task classify --width 6 --dropout 0.25 --epochs 1 --augment shift:0.1,rotate:5"
    smoothing = "--label-smoothing 0.2 --class-weights --schedule step"
    out = tmp_path / "run"
    done("train", *DIGITS, *options.split(), *smoothing.split(), "--out", out)
    record = record_of(out)
    assert record["model_config"]["model"] == "cnn"
    assert record["model_config"]["options"] == {"width": 6, "dropout": 0.25}
    assert record["model_config"]["class_names"] == list("0123456789")
    config = record["training_config"]
    assert (config["augment"], config["label_smoothing"]) == ("shift:0.1,rotate:5", 0.2)
    assert (config["class_weights"], config["schedule"]) == (True, "step")
    assert config["loss"] == "cross-entropy"


def test_alexnet_is_narrowed_and_trained_without_response_normalization(tmp_path: Path) -> None:
    out, narrow = tmp_path / "run", ("--model", "alexnet", "--width", 0.05)
    size = ("--size", 16, "--limit", 60, "--epochs", 1)
    done("train", "digits", *narrow, "--no-lrn", *size, "--out", out)
    assert record_of(out)["model_config"]["options"] == {
        "width": 0.05,
        "lrn": False,
        "dropout": 0.5,
    }
    kinds = {layer["kind"] for layer in answer("summary", out)["layers"]}
    assert not any("ResponseNorm" in kind for kind in kinds)


def test_a_segmenter_says_what_it_is_made_of(segmenter: Path) -> None:
    model_config = record_of(segmenter)["model_config"]
    assert (model_config["model"], model_config["class_names"]) == ("fcn8s", ["0", "1"])
    assert (model_config["options"]["width"], model_config["options"]["batch_norm"]) == (0.1, True)


def test_a_classifier_starts_with_an_encoder_and_may_leave_it(
    autoencoder: Path, tmp_path: Path
) -> None:
    common = ("--task", "classify", "--encoder-from", autoencoder, "--epochs", 2)
    for name, more in (("frozen", ["--freeze"]), ("tuned", [])):
        done("train", *DIGITS, *common, *more, "--out", tmp_path / name)
    digits = load("digits", limit=20)
    learnt = TrainedModel.load(autoencoder).encode(digits)
    assert np.array_equal(TrainedModel.load(tmp_path / "frozen").encode(digits), learnt)
    assert not np.allclose(TrainedModel.load(tmp_path / "tuned").encode(digits), learnt, atol=1e-4)
    page = tmp_path / "page.html"
    done("report", tmp_path / "frozen", "--out", page)
    assert f"frozen encoder of {autoencoder}" in " ".join(Page(page.read_text()).text.split())


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        (
            "--task clasify",
            "no task 'clasify'; the nearest is classify; there are reconstruct, classify, segment",
        ),
        ("--task segment", "digits has no masks"),
        ("--task classify --model conv", "conv does not classify"),
        ("--task classify --width wide", "'wide'"),
        ("--task classify --width 1.5", "whole number above 0, at most 1,048,576, not 1.5"),
        ("--task classify --dropout 1", "from 0 to below 1, not 1"),
        ("--model cnn-small --width 4", "no option 'width'; there are dropout"),
        ("--model dense --no-lrn", "no option 'lrn'"),
        ("--model dense --batch-norm", "no option 'batch_norm'"),
        ("--model dense --label-smoothing 0.1", "label smoothing"),
        ("--model dense --class-weights", "class weights"),
        ("--task classify --label-smoothing 1", "label smoothing must be from 0"),
        ("--task classify --augment spin:3", "no augmentation 'spin'"),
        ("--task classify --augment rotate", "'rotate' has no strength"),
        ("--corrupt poisson:0.1+stripes:0.05", "and commas between several"),
        ("--task classify --loss bce", "take cross-entropy"),
        ("--task classify --freeze", "freeze needs an encoder"),
        ("--task classify --encoder-from nowhere", "no file of weights called nowhere"),
        ("--model alexnet", "at least 16"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_run_is_made(
    options: str, culprit: str, tmp_path: Path
) -> None:
    outcome = isthmus("train", *DIGITS, *options.split(), "--out", tmp_path / "run")
    assert outcome.code == 2
    assert culprit in outcome.err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


# -- predict --------------------------------------------------------------------------------


def test_predict_takes_pictures_and_folders_together(classifier: Path, photos: Path) -> None:
    rows = answer("predict", classifier, photos / "single.png", photos / "more")
    assert [row["name"] for row in rows] == ["single.png", "0.png", "1.png", "2.png"]
    model = TrainedModel.load(classifier)
    read = [model.read(photos / "single.png"), model.read(photos / "more")]
    values = np.concatenate([samples.values for samples in read])
    for row, index, chances in zip(
        rows, model.predict(values), model.probabilities(values), strict=True
    ):
        assert row["class"] == model.config.class_names[index]
        assert row["probability"] == pytest.approx(chances.max(), abs=1e-6)
        ordered = pytest.approx(sorted(chances, reverse=True), abs=2e-6)
        assert list(row["probabilities"].values()) == ordered
        assert row["probabilities"].keys() == set("0123456789")


def test_predict_prints_a_line_for_each_picture(classifier: Path, photos: Path) -> None:
    (row,) = answer("predict", classifier, photos / "single.png")
    out = done("predict", classifier, photos / "single.png").out
    assert out.startswith(f"single.png: {row['class']} ({row['probability']:.1%}), ")
    assert out.count("%") == 3
    assert len(done("predict", classifier, "digits", "--limit", 7).out.splitlines()) == 7


def test_predict_draws_the_answers(classifier: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.png"
    done("predict", classifier, photos / "single.png", photos / "more", "--out", out)
    height, width, _ = pixels_of(out).shape
    assert width > 2 * height > 200  # four in a row
    assert files_of(tmp_path) == {"answers.png"}


def test_a_segmenter_says_the_share_of_each_class_and_draws_it(
    segmenter: Path, strokes: Path, tmp_path: Path
) -> None:
    frame, out = strokes / "images" / "00.png", tmp_path / "overlay.png"
    (row,) = answer("predict", segmenter, frame, "--out", out)
    model = TrainedModel.load(segmenter)
    (mask,) = model.predict(model.read(frame))
    assert row["name"] == "00.png"
    assert row["shares"] == {
        str(k): pytest.approx((mask == k).mean(), abs=1e-6) for k in np.unique(mask)
    }
    drawn = pixels_of(out).astype(int)
    middle = drawn.shape[1] // 2
    lively = [
        np.ptp(half[50:200], axis=2).mean() for half in (drawn[:, :middle], drawn[:, middle:])
    ]
    assert lively[0] < 1 < 10 < lively[1]  # a gray picture, and colors over it


def test_masks_that_the_model_knows_are_drawn_beside_its_answers(
    segmenter: Path, strokes: Path, tmp_path: Path
) -> None:
    """The truth and the errors make the picture twice as wide; classes of other names do not."""
    for i in range(2):
        for kind in ("images", "masks"):
            (tmp_path / "few" / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(strokes / kind / f"{i:02}.png", tmp_path / "few" / kind)
    known, unknown = tmp_path / "known.png", tmp_path / "unknown.png"
    answer("predict", segmenter, tmp_path / "few", "--out", known)
    (tmp_path / "few" / "classes.txt").write_text("paper\npen")
    answer("predict", segmenter, tmp_path / "few", "--out", unknown)
    assert pixels_of(known).shape[1] > 1.8 * pixels_of(unknown).shape[1]


def test_masks_have_the_sizes_of_the_pictures_and_are_masks_again(
    segmenter: Path, strokes: Path, tmp_path: Path
) -> None:
    source = tmp_path / "set" / "images"
    (source / "deep").mkdir(parents=True)
    with Image.open(strokes / "images" / "00.png") as picture:
        picture.resize((50, 90)).save(source / "a.bmp")
        picture.save(source / "deep" / "b.c.png")
    rows = answer("predict", segmenter, source, "--masks", tmp_path / "set" / "masks")
    masks = tmp_path / "set" / "masks"
    assert files_of(masks) == {"a.png", "deep/b.c.png", "classes.txt"}
    assert [row["mask"] for row in rows] == [str(masks / "a.png"), str(masks / "deep/b.c.png")]
    model = TrainedModel.load(segmenter)
    samples = model.read(source)
    predicted = model.predict(samples)
    for row, name, mask in zip(rows, samples.names, predicted, strict=True):
        assert row["name"] == name
        assert row["shares"] == {
            str(k): pytest.approx((mask == k).mean(), abs=1e-6) for k in np.unique(mask)
        }
    with Image.open(masks / "a.png") as picture:
        assert picture.mode == "P"
        assert picture.size == (50, 90)
        wanted = Image.fromarray(predicted[0]).resize((50, 90), Image.Resampling.NEAREST)
        assert np.array_equal(np.asarray(picture), np.asarray(wanted))
        palette = picture.getpalette("RGB") or []
        assert palette[:6] == colors(2).ravel().tolist()
    again = load(tmp_path / "set", size=32)
    assert again.class_names == model.class_names
    assert again.masks is not None
    assert np.array_equal(again.masks[1], predicted[1])


def test_what_the_model_crops_away_is_void(strokes: Path, tmp_path: Path) -> None:
    options = ("--task", "segment", "--width", 0.1, "--batch-norm", "--epochs", 1, "--limit", 30)
    run = tmp_path / "run"
    done("train", strokes, *options, "--crop", 24, "--size", 12, "--out", run)
    done("predict", run, strokes / "images", "--limit", 3, "--masks", tmp_path / "set" / "masks")
    shutil.copytree(strokes / "images", tmp_path / "set" / "images")
    for file in (tmp_path / "set" / "images").iterdir():
        if not (tmp_path / "set" / "masks" / file.name).exists():
            file.unlink()
    again = load(tmp_path / "set").masks
    assert again is not None
    assert again.shape == (3, 32, 32)
    model = TrainedModel.load(run)
    inside = model.predict(model.read(strokes / "images", limit=3)).repeat(2, 1).repeat(2, 2)
    assert np.isin(again[:, 4:-4, 4:-4], inside).all()
    again[:, 4:-4, 4:-4] = 255
    assert (again == 255).all()


@pytest.mark.parametrize("kind", ["exists", "inside", "same name", "classifier"])
def test_masks_that_have_no_place_are_refused(
    kind: str, segmenter: Path, classifier: Path, strokes: Path, tmp_path: Path
) -> None:
    out, run, sources = tmp_path / "masks", segmenter, [strokes / "images"]
    if kind == "exists":
        out.mkdir()
        (out / "mine.png").touch()
    if kind == "inside":
        out = strokes / "images" / "masks"
    if kind == "same name":
        sources *= 2
    if kind == "classifier":
        run = classifier
    before = files_of(tmp_path)
    page = isthmus("predict", run, *sources, "--masks", out)
    assert page.code == 2
    wanted = {"exists": "exists", "inside": "its source", "same name": "same mask"}
    assert wanted.get(kind, "is a classifier; this needs a segmenter") in " ".join(page.err.split())
    assert files_of(tmp_path) == before
    assert not (strokes / "images" / "masks").exists()


def test_masks_are_written_whole_or_not_at_all(
    segmenter: Path, strokes: Path, tmp_path: Path
) -> None:
    source = tmp_path / "images"
    shutil.copytree(strokes / "images", source)
    for i in range(50, 60):
        (source / f"{i}.png").write_bytes(b"")
    page = isthmus("predict", segmenter, source, "--masks", tmp_path / "masks")
    assert page.code == 2
    assert "cannot be decoded" in page.err
    assert {path.name for path in tmp_path.iterdir()} == {"images"}


def test_the_picture_says_what_a_sample_really_is(classifier: Path, tmp_path: Path) -> None:
    model, digits = TrainedModel.load(classifier), load("digits", limit=8)
    assert digits.labels is not None
    predicted = model.predict(digits)
    labeled = {"right": predicted, "wrong": (predicted + 1) % 10, "unknown": predicted + 100}
    pictures = {}
    for name, labels in labeled.items():
        np.savez(tmp_path / f"{name}.npz", images=digits.values, labels=labels)
        out = tmp_path / f"{name}.png"
        answer("predict", classifier, tmp_path / f"{name}.npz", "--out", out)
        pictures[name] = pixels_of(out)
    assert np.array_equal(pictures["right"], pictures["unknown"])
    assert pictures["wrong"].shape[0] > pictures["right"].shape[0]  # room for a second line


@pytest.mark.parametrize("task", ["classifier", "segmenter"])
def test_a_table_has_all_predictions(
    task: str, strokes: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    import pyarrow.parquet

    run, source = request.getfixturevalue(task), tmp_path / "few"
    source.mkdir()
    for name, picture in (("=1+1.png", "00.png"), ("b.png", "01.png")):
        shutil.copy(strokes / "images" / picture, source / name)
    rows = answer("predict", run, source)
    model = TrainedModel.load(run)
    for kind in ("json", "csv", "parquet"):
        result = answer("predict", run, source, "--out", tmp_path / f"table.{kind}")
        assert (result["n"], result["model_fingerprint"]) == (2, model.fingerprint)
    assert json.loads((tmp_path / "table.json").read_text()) == rows
    if task == "segmenter":
        files = ("--out", tmp_path / "shares.csv", "--masks", tmp_path / "masks")
        assert answer("predict", run, source, *files)["masks"] == str(tmp_path / "masks")
    columns = pyarrow.parquet.read_table(tmp_path / "table.parquet").to_pylist()
    lines = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    for row, cells, line in zip(rows, columns, lines, strict=True):
        shares = row["probabilities" if task == "classifier" else "shares"]
        prefix = "probability" if task == "classifier" else "share"
        known = {f"{prefix}_{name}": shares.get(name, 0.0) for name in model.class_names}
        own = {name: row[name] for name in ("name", "class", "probability") if name in row}
        assert cells == {**own, **known}
        apostrophe = "'" if row["name"].startswith("=") else ""
        assert line == {
            name: f"{apostrophe if name == 'name' else ''}{value}" for name, value in cells.items()
        }
    outcome = isthmus("predict", run, source, "--out", tmp_path / "table.csv")
    assert (outcome.code, outcome.out) == (2, "")
    assert "table.csv exists" in outcome.err


def test_a_table_replaces_nothing_and_has_its_columns_also_without_rows(
    classifier: Path, segmenter: Path, tmp_path: Path, refused: Callable[..., Any]
) -> None:
    import pyarrow.parquet

    for model in map(TrainedModel.load, (classifier, segmenter)):
        for kind in ("json", "csv", "parquet"):
            assert write_table(tmp_path / f"{model.task}.{kind}", model, []) == 0
        assert json.loads((tmp_path / f"{model.task}.json").read_text()) == []
        [columns] = csv.reader((tmp_path / f"{model.task}.csv").read_text().splitlines())
        schema = pyarrow.parquet.read_schema(tmp_path / f"{model.task}.parquet")
        assert columns == schema.names
        assert columns[-1].endswith(f"_{model.class_names[-1]}")
    (tmp_path / "mine.csv").write_text("mine")  # which was not there when the work began
    with refused(OptionError, "mine.csv exists"):
        write_table(tmp_path / "mine.csv", model, [])
    assert (tmp_path / "mine.csv").read_text() == "mine"


def test_predict_says_what_it_skips(classifier: Path, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    shutil.copytree(photos / "more", folder)
    for i in range(20):
        shutil.copy(photos / "single.png", folder / f"good{i}.png")
    (folder / "broken.png").write_bytes(b"none")
    outcome = done("predict", classifier, folder, "--json")
    assert len(json.loads(outcome.out)) == 23
    assert "1 skipped as broken, such as broken.png" in outcome.err


def test_what_cannot_be_answered_is_refused(
    classifier: Path, autoencoder: Path, photos: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"none")
    good, out = photos / "single.png", ("--out", tmp_path / "answers.png")
    for command, culprit in (
        ((autoencoder, good), "dense, is an autoencoder; this needs a classifier or a segmenter."),
        ((classifier, "nowhere"), "'nowhere'"),
        ((classifier, good, broken), "broken.png"),
        ((classifier, good, "--out", tmp_path / "answers.jpg"), ".png"),
        ((tmp_path, good), f"{tmp_path} holds no trained model"),
    ):
        outcome = isthmus("predict", *command, *([] if "--out" in command else out), "--json")
        assert (outcome.code, outcome.out) == (2, "")
        assert culprit in outcome.err
    assert files_of(tmp_path) == {"broken.png"}


# -- what autoencoders do, and what all do --------------------------------------------------


@pytest.mark.parametrize(
    "command",
    ["reconstruct RUN PICTURE --out OUT.png", "denoise RUN PICTURE --out OUT",
     "morph RUN PICTURE PICTURE --out OUT.png"],
)  # fmt: skip
@pytest.mark.parametrize("task", ["classifier", "segmenter"])
def test_what_only_autoencoders_do_is_refused(
    command: str, task: str, segmenter: Path, photos: Path, tmp_path: Path
) -> None:
    words = {"RUN": segmenter.parent / task, "PICTURE": photos / "single.png"}
    outcome = isthmus(
        *(words.get(word, word.replace("OUT", str(tmp_path / "out"))) for word in command.split())
    )
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("isthmus: ") == len(outcome.err.splitlines()) == 1
    assert f"is a {task}; this needs " in outcome.err
    assert "an autoencoder." in outcome.err
    assert not list(tmp_path.iterdir())


def test_features_of_a_classifier_are_encoded_and_mapped(classifier: Path, tmp_path: Path) -> None:
    told = answer("encode", classifier, *DIGITS, "--out", tmp_path / "codes.npy")
    model = TrainedModel.load(classifier)
    assert (told["n"], told["size"]) == (300, model.config.code_size)
    codes = Codes.load(tmp_path / "codes.npy", model)
    assert np.allclose(codes.z, model.encode(load("digits", limit=300)), atol=1e-5)
    drawn = answer("map", classifier, *DIGITS, "--method", "pca", "--out", tmp_path / "map.png")
    assert drawn["knn_10"] > drawn["raw_pca"]["knn_10"] - 0.2
    assert (tmp_path / "map.csv").exists()


def test_features_of_a_classifier_are_searched(
    classifier: Path, photos: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(classifier, tmp_path / "run")
    assert answer("index", run, *DIGITS)["n"] == 300
    found = answer("search", run, photos / "more" / "0.png", "--k", 5)
    assert [row["label"] for row in found].count("1") >= 3


def test_activations_show_every_layer(classifier: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "layers.png"
    told = answer("activations", classifier, photos / "single.png", "--out", out)
    assert told["layers"] == len(TrainedModel.load(classifier).layers)
    assert len(pixels_of(out)) > 40 * told["layers"]


def test_summary_of_a_labeled_row_has_its_classes() -> None:
    for name, classes in (("alexnet", 1000), ("cnn-tiny", 10), ("fcn8s", 21)):
        content = answer("summary", name)
        assert len(content["config"]["class_names"]) == MODELS[name].classes == classes
        assert content["layers"][-1]["shape"][0] == classes


# -- evaluate -------------------------------------------------------------------------------


def test_a_classifier_is_evaluated_class_by_class(classifier: Path) -> None:
    result = answer("evaluate", classifier)
    assert result.keys() == {"test", "baselines", "training", "model"}
    assert result["baselines"].keys() == {"majority", "pixels"}
    digits, run = load("digits", limit=300), Run.open(classifier)
    part = digits.take(run.split().test)
    assert part.labels is not None
    predicted, test = run.model().predict(part), result["test"]
    matrix = np.zeros((10, 10), int)
    np.add.at(matrix, (part.labels, predicted), 1)
    assert test["confusion"] == matrix.tolist()
    assert test["accuracy"] == pytest.approx((predicted == part.labels).mean())
    assert test["n"] == len(part) == 30
    for label, row in enumerate(test["classes"].values()):
        right, taken = matrix[label, label], matrix[:, label].sum()
        assert row["n"] == matrix[label].sum()
        assert row["recall"] == (right / row["n"] if row["n"] else None)
        assert row["precision"] == (right / taken if taken else None)


def test_people_get_tables_that_can_be_read(classifier: Path) -> None:
    result, out = answer("evaluate", classifier), done("evaluate", classifier).out
    assert "[" not in out
    assert max(map(len, out.splitlines()[:-1])) <= 80
    test = result["test"]
    assert f"{test['accuracy']:.2%}" in out
    assert f"{result['baselines']['pixels']['logistic']:.2%}" in out
    assert f"{result['model']['parameters']:,} parameters" in out
    rows = [line.split() for line in out.split("true \\ predicted")[1].splitlines()]
    assert rows[0] == list("0123456789")
    for label, counts in enumerate(test["confusion"]):
        assert rows[label + 1] == [str(label), *(str(count or "·") for count in counts)]
    for name, row in test["classes"].items():
        precision = "–" if row["precision"] is None else f"{row['precision']:.2%}"
        line = rf"^{name} +{row['n']} +{row['recall']:.2%} +{precision}$"
        assert re.search(line, out, re.MULTILINE)


def test_what_many_classes_would_fill_a_terminal_with_is_left_out_and_said(many: Path) -> None:
    test, out = answer("evaluate", many)["test"], done("evaluate", many).out
    assert np.shape(test["confusion"]) == (31, 31)
    assert "predicted" not in out
    assert "The confusion matrix is too large for a terminal; --json" in out
    assert "--json and isthmus report show all 31 classes" in out
    shown = re.findall(r"^(kind\d+) +\d", out, re.MULTILINE)
    recalls = [row["recall"] for row in test["classes"].values() if row["n"]]
    assert len(shown) == min(10, len(recalls)) > 5
    assert [test["classes"][name]["recall"] for name in shown] == sorted(recalls)[:10]


def test_a_segmenter_is_evaluated_by_pixels(segmenter: Path, strokes: Path) -> None:
    result = answer("evaluate", segmenter)
    test = result["test"]
    run = Run.open(segmenter)
    part = load(strokes).take(run.split().test)
    assert part.masks is not None
    valid = part.masks != 255
    predicted = run.model().predict(part)
    assert test["pixel_accuracy"] == pytest.approx((predicted == part.masks)[valid].mean())
    matrix = np.array(test["confusion"])
    assert matrix.sum() == valid.sum()
    assert test["mean_iou"] == pytest.approx(mean_iou(torch.from_numpy(matrix)))
    assert result["baselines"] == {"majority": pytest.approx((part.masks[valid] == 0).mean())}
    out = done("evaluate", segmenter).out
    assert "[" not in out
    assert f"mean intersection over union  {test['mean_iou']:.2%}" in out
    shares = matrix / matrix.sum(1, keepdims=True)
    assert out.splitlines()[-4].split()[1] == f"{shares[0, 0]:.0%}"


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """Write digits of another source: sevens, and threes, whose classes count from 0 there."""
    digits = load("digits")
    assert digits.labels is not None
    for label in (7, 3):
        (tmp_path / "others" / str(label)).mkdir(parents=True)
        for i in np.flatnonzero(digits.labels == label)[-12:]:
            file = tmp_path / "others" / str(label) / f"{i}.png"
            Image.fromarray(digits.values[i, ..., 0]).save(file)
    return tmp_path / "others"


def test_another_source_may_have_fewer_classes(classifier: Path, others: Path) -> None:
    test = answer("evaluate", classifier, others)["test"]
    assert [name for name, row in test["classes"].items() if row["n"]] == ["3", "7"]
    model = TrainedModel.load(classifier)
    for label in ("3", "7"):
        predicted = model.predict(model.read(others / label))
        assert test["classes"][label]["recall"] == (predicted == int(label)).mean()
    assert test["classes"]["0"]["recall"] is None
    assert re.search(r"^0 +0 +– ", done("evaluate", classifier, others).out, re.MULTILINE)


def test_classes_that_the_model_does_not_know_are_refused(classifier: Path, others: Path) -> None:
    (others / "7").rename(others / "seven")
    outcome = isthmus("evaluate", classifier, others)
    assert (outcome.code, outcome.out) == (2, "")
    assert "has the class seven, which the model does not know; it knows 0, 1, 2" in outcome.err


def test_what_has_no_labels_or_masks_is_refused(
    classifier: Path, segmenter: Path, photos: Path
) -> None:
    for run, what in ((classifier, "labels"), (segmenter, "masks")):
        outcome = isthmus("evaluate", run, photos / "more")
        assert (outcome.code, outcome.out) == (2, "")
        assert f"more has no {what} to compare with; isthmus predict works without." in outcome.err


# -- compare --------------------------------------------------------------------------------


def test_compare_classifiers_and_refuse_other_tasks(
    classifier: Path, autoencoder: Path, many: Path, tmp_path: Path
) -> None:
    out = tmp_path / "compare.html"
    rows = answer("compare", classifier, many, "--out", out)["runs"]
    accuracy = answer("evaluate", classifier)["test"]["accuracy"]
    assert [row["run"] for row in rows] == ["classifier", "run"]
    assert rows[0]["accuracy"] == accuracy
    assert f"{accuracy:.5g}" in done("compare", classifier, many, "--out", out).out
    outcome = isthmus("compare", classifier, autoencoder, "--out", tmp_path / "mixed.html")
    assert (outcome.code, outcome.out) == (2, "")
    assert "to classify" in outcome.err
    assert "to reconstruct; compare runs of one task." in outcome.err
    assert files_of(tmp_path) == {"compare.html"}
