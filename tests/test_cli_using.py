"""The commands that put a trained model to use: what each takes, writes and prints."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from isthmus import TrainedModel, load
from isthmus.latent.codes import Codes
from test_cli import done, isthmus

FIGURES = {"trustworthiness", "continuity", "knn_1", "knn_10"}


@pytest.fixture(scope="module", autouse=True)
def surroundings(session_cache: Path) -> Iterator[None]:
    """Keep this module's fixtures away from the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(session_cache))
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a plain run of a code of 2 and a denoiser."""
    folder = tmp_path_factory.mktemp("runs")
    common = ("--model", "dense", "--epochs", 15, "--code-size")
    done("train", "digits", *common, 2, "--out", folder / "plain")
    noise = ("--corrupt", "gaussian:0.4,masked:0.1")
    done("train", "digits", *common, 16, *noise, "--out", folder / "denoiser")
    return folder


@pytest.fixture(scope="module")
def plain(runs: Path) -> Path:
    return runs / "plain"


@pytest.fixture(scope="module")
def digit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the first digit as a picture of another size and in color."""
    file = tmp_path_factory.mktemp("pictures") / "zero.png"
    pixels = load("digits").values[0, ..., 0]
    Image.fromarray(pixels).resize((24, 24), Image.Resampling.NEAREST).convert("RGB").save(file)
    return file


@pytest.fixture
def indexed(plain: Path, tmp_path: Path) -> Path:
    run = Path(shutil.copytree(plain, tmp_path / "run"))
    done("index", run, "digits")
    return run


def shape_of(file: Path) -> tuple[int, ...]:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB")).shape


def answer(*arguments: object) -> Any:
    return json.loads(done(*arguments, "--json").out)


# -- denoise, encode ------------------------------------------------------------------------


def test_denoise_gives_files_of_the_same_names_and_sizes(runs: Path, tmp_path: Path) -> None:
    noisy = tmp_path / "noisy" / "deep"
    noisy.mkdir(parents=True)
    for number, side in enumerate((8, 8, 20)):
        pixels = np.random.default_rng(number).integers(0, 256, (side, side), np.uint8)
        Image.fromarray(pixels).save(noisy / f"{number}.png")
    told = answer("denoise", runs / "denoiser", noisy.parent, "--out", tmp_path / "clean")
    assert (told["denoised"], told["resized"], told["skipped"]) == (3, 1, [])
    clean = [shape_of(tmp_path / "clean" / "deep" / f"{number}.png") for number in range(3)]
    assert clean == [(8, 8, 3), (8, 8, 3), (20, 20, 3)]


def test_denoise_says_what_files_lose(runs: Path, tmp_path: Path) -> None:
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    draw = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(draw.integers(0, 256, (8, 8, 3), np.uint8)).save(noisy / name)
    Image.fromarray(draw.integers(0, 65536, (8, 8), np.uint16)).save(noisy / "deep.png")
    told = answer("denoise", runs / "denoiser", noisy, "--out", tmp_path / "clean")
    color = {"what": "color: the model is gray", "count": 2, "example": "a.png"}
    assert color in told["lost"]
    out = done("denoise", runs / "denoiser", noisy, "--out", tmp_path / "again").out
    assert "lost in 2 files, such as a.png: color: the model is gray" in out
    assert "lost in 1 file, such as deep.png: precision beyond 8 bits" in out


def test_ctrl_c_in_denoise_leaves_a_folder_that_the_same_command_completes(
    runs: Path, tmp_path: Path
) -> None:
    noisy, clean = tmp_path / "noisy", tmp_path / "clean"
    noisy.mkdir()
    for number in range(600):
        Image.new("L", (8, 8), number % 256).save(noisy / f"{number}.png")
    command = ("denoise", runs / "denoiser", noisy, "--out", clean)
    process = subprocess.Popen(
        [sys.executable, "-m", "isthmus", *map(str, command)], stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not list(clean.glob("*.png")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 130, err
    count = len(list(clean.glob("*.png")))
    assert f"Stopped; {count} are done, and the same command does the rest." in err
    assert "Traceback" not in err
    assert 0 < count < 600
    assert answer(*command)["denoised"] == 600
    assert {file.name for file in clean.iterdir()} == {file.name for file in noisy.iterdir()}


def test_denoise_says_when_the_run_never_saw_noise(
    plain: Path, digit: Path, tmp_path: Path
) -> None:
    outcome = done("denoise", plain, digit, "--out", tmp_path / "clean")
    assert "trained without noise" in outcome.err


def test_encode_writes_codes_of_any_layer(plain: Path, tmp_path: Path) -> None:
    told = answer("encode", plain, "digits", "--out", tmp_path / "codes.npy")
    model, digits = TrainedModel.load(plain), load("digits")
    assert told["n"] == len(digits)
    codes = Codes.load(tmp_path / "codes.npy", model)
    assert np.allclose(codes.z, model.encode(digits), atol=1e-5)
    layer = model.layers[1].name
    told = answer("encode", plain, "digits", "--out", tmp_path / "f.npy", "--layer", layer)
    assert told["shape"] == list(model.layers[1].shape)
    assert told["size"] == np.load(tmp_path / "f.npy").shape[1]


@pytest.mark.parametrize("command", ["encode", "map", "reconstruct", "evaluate", "index"])
def test_images_of_another_shape_are_said_to_be_resized(
    command: str, plain: Path, tmp_path: Path
) -> None:
    run, out = Path(shutil.copytree(plain, tmp_path / "run")), tmp_path / "map.png"
    source = tmp_path / "odd"
    source.mkdir()
    for number, shape in enumerate([(8, 8), (12, 20, 3), (12, 20, 3), (8, 8)] * 2):
        pixels = np.random.default_rng(number).integers(0, 256, shape, np.uint8)
        Image.fromarray(pixels).save(source / f"{number}.png")
    method = ("--method", "code") if command == "map" else ()
    where = () if command in ("evaluate", "index") else ("--out", out.with_suffix(".npy"))
    where = ("--out", out) if command in ("map", "reconstruct") else where
    said = " ".join(done(command, run, source, *method, *where).err.split())
    resized, turned = "4 images of 12 × 20 were resized to 8 × 8", "turned from RGB into gray"
    assert f"{resized}, and 4 images were {turned}, as the model takes them" in said
    if command in ("encode", "map", "reconstruct"):
        told = answer(command, run, source, *method, *where)
        assert resized in told["fitting"]
    assert "resized" not in done(command, run, "digits", *method, *where).err


def test_a_query_of_another_shape_is_said_to_be_resized(indexed: Path, digit: Path) -> None:
    said = " ".join(done("search", indexed, digit).err.split())
    assert "1 image of 24 × 24 was resized to 8 × 8, and 1 image was turned from RGB" in said


def test_an_unknown_layer_is_answered_by_the_names(plain: Path, tmp_path: Path) -> None:
    outcome = isthmus("encode", plain, "digits", "--layer", "no", "--out", tmp_path / "codes.npy")
    assert outcome.code == 2
    assert all(layer.name in outcome.err for layer in TrainedModel.load(plain).layers)
    assert not (tmp_path / "codes.npy").exists()


# -- map ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["pca", "tsne", "code"])
def test_map_writes_picture_coordinates_and_figures(
    plain: Path, tmp_path: Path, method: str
) -> None:
    out = tmp_path / "map.png"
    told = answer("map", plain, "digits", "--method", method, "--out", out, "--limit", 300)
    assert (told["method"], told["n"], told["fitted"]) == (method, 300, 300)
    assert told.keys() >= FIGURES
    assert told["raw_pca"].keys() >= FIGURES
    assert min(shape_of(out)[:2]) > 300
    rows = list(csv.DictReader(out.with_suffix(".csv").read_text().splitlines()))
    assert len(rows) == 300
    assert {row["label"] for row in rows} == set("0123456789")


def test_samples_are_placed_on_a_map_and_another_models_is_refused(
    runs: Path, plain: Path, tmp_path: Path
) -> None:
    make = ("map", plain, "digits", "--method", "tsne", "--limit", 200)
    kept = answer(*make, "--out", tmp_path / "a.png")["map"]
    onto = ("--onto", kept, "--out", tmp_path / "b.png")
    told = answer("map", plain, "digits", "--limit", 150, *onto)
    assert (told["n"], told["fitted"]) == (150, 0)
    outcome = isthmus("map", runs / "denoiser", "digits", *onto)
    assert outcome.code == 2
    assert "another model" in outcome.err


def test_the_same_map_is_drawn_from_what_is_kept(plain: Path, tmp_path: Path) -> None:
    make = ("map", plain, "digits", "--method", "pca", "--limit", 100, "--out", tmp_path / "a.png")
    kept = Path(answer(*make)["map"])
    stamp = kept.stat().st_mtime_ns
    assert Path(answer(*make)["map"]).stat().st_mtime_ns == stamp
    kept.write_bytes(kept.read_bytes()[:100])
    assert answer(*make)["n"] == 100  # a damaged one is drawn again
    assert kept.stat().st_size > 100


@pytest.mark.parametrize("draw", ["thumbnails", "decoded"])
def test_a_code_of_two_is_drawn_in_pictures(plain: Path, tmp_path: Path, draw: str) -> None:
    out = tmp_path / "map.png"
    done("map", plain, "digits", "--method", "code", "--draw", draw, "--out", out, "--limit", 200)
    assert min(shape_of(out)[:2]) > 300


def test_a_code_of_two_alone_is_drawn_as_it_is(runs: Path, tmp_path: Path) -> None:
    outcome = isthmus("map", runs / "denoiser", "digits", "--method", "code", "--limit", 50)
    assert outcome.code == 2
    assert "16" in outcome.err


# -- index and search -----------------------------------------------------------------------


def test_search_finds_the_nearest_first(indexed: Path, digit: Path, tmp_path: Path) -> None:
    out = tmp_path / "similar.png"
    found = answer("search", indexed, digit, "--k", 4, "--out", out)
    assert [row.keys() for row in found] == [{"name", "label", "distance"}] * 4
    distances = [row["distance"] for row in found]
    assert distances == sorted(distances)
    assert found[0]["label"] == "0"
    assert shape_of(out)[1] > shape_of(out)[0] > 50


def test_a_stored_sample_finds_others_of_a_class(indexed: Path) -> None:
    found = answer("search", indexed, "5", "--k", 3, "--label", "7")
    assert {row["label"] for row in found} == {"7"}
    assert "5" not in {row["name"] for row in answer("search", indexed, "5", "--k", 10)}


def test_the_index_grows_and_shrinks(indexed: Path, digit: Path) -> None:
    count = len(load("digits"))
    told = answer("index", indexed, digit, "--add")
    assert (told["n"], told["kind"], told["recall_10"]) == (count + 1, "exact", 1.0)
    assert answer("search", indexed, digit, "--k", 1)[0]["name"] == digit.name
    assert answer("index", indexed, "--remove", digit.name)["n"] == count
    assert answer("search", indexed, digit, "--k", 1)[0]["name"] != digit.name


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        (("--limit", 5), "source"),
        (("--remove", "5", "--metric", "cosine"), "metric"),
        (("digits", "--add", "--layer", "encoder.1"), "layer"),
        (("--check", "--remove", "5"), "--check"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(
    indexed: Path, options: tuple[object, ...], culprit: str
) -> None:
    outcome = isthmus("index", indexed, *options)
    assert outcome.code == 2
    assert culprit in outcome.err


def test_more_than_there_are_cannot_be_found(indexed: Path, digit: Path) -> None:
    outcome = isthmus("search", indexed, digit, "--k", 5000)
    assert outcome.code == 2
    assert "1,797" in outcome.err


def test_a_damaged_index_is_made_again_and_said(indexed: Path, digit: Path) -> None:
    before = answer("search", indexed, digit)
    (vectors,) = (indexed / "index").glob("*.vectors.safetensors")
    vectors.write_bytes(b"x" * 100)
    outcome = done("search", indexed, digit, "--json")
    assert json.loads(outcome.out) == before
    assert "made again" in outcome.err


def test_a_search_looks_at_no_source_and_a_check_does(
    plain: Path, digit: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(plain, tmp_path / "run"))
    source = tmp_path / "pictures"
    source.mkdir()
    for name in ("a.png", "b.png"):
        shutil.copy(digit, source / name)
    done("index", run, source)
    index = run / "index"
    assert f"{index} matches its model and its sources." in done("index", run, "--check").out
    assert answer("index", run, "--check") == {"index": str(index), "current": True, "reason": None}
    (source / "b.png").unlink()
    reason = f"was made before {source} changed"
    assert answer("index", run, "--check")["reason"] == reason
    shutil.rmtree(source)
    assert "cannot be read any more" in done("index", run, "--check").out
    outcome = done("search", run, "a.png", "--k", 1)
    assert (outcome.out.split()[1], outcome.err) == ("b.png", "")


def test_a_query_that_is_nowhere_is_said(indexed: Path) -> None:
    outcome = isthmus("search", indexed, "nowhere.png")
    assert outcome.code == 2
    assert "no file and no indexed sample called 'nowhere.png'" in outcome.err


def test_a_source_is_not_ignored_when_samples_are_removed(indexed: Path, digit: Path) -> None:
    outcome = isthmus("index", indexed, digit, "--remove", "5")
    assert outcome.code == 2
    assert "--add" in outcome.err


def test_names_are_printed_as_they_are(indexed: Path, digit: Path, tmp_path: Path) -> None:
    odd = shutil.copy(digit, tmp_path / "a[red]b.png")
    done("index", indexed, odd)
    assert "a[red]b.png" in done("search", indexed, digit, "--k", 1).out


def test_without_an_index_the_way_to_one_is_said(plain: Path, digit: Path) -> None:
    outcome = isthmus("search", plain, digit)
    assert outcome.code == 2
    assert "isthmus index" in outcome.err


# -- morph, activations, compare ------------------------------------------------------------


def test_morphs_between_two_and_four_and_as_a_film(
    plain: Path, digit: Path, tmp_path: Path
) -> None:
    done("morph", plain, digit, digit, "--out", tmp_path / "strip.png", "--steps", 5)
    height, width, _ = shape_of(tmp_path / "strip.png")
    assert width > 4 * height
    done("morph", plain, *[digit] * 4, "--out", tmp_path / "sheet.png", "--steps", 3)
    height, width, _ = shape_of(tmp_path / "sheet.png")
    assert width == pytest.approx(height, rel=0.1)
    done("morph", plain, digit, digit, "--out", tmp_path / "film.gif", "--path", "spherical")
    classes = ("--among", "digits", "--start", "0", "--end", "4")
    done("morph", plain, digit, *classes, "--out", tmp_path / "way.png")
    assert shape_of(tmp_path / "way.png")[0] > 50


def test_the_way_between_classes_has_no_path(plain: Path, digit: Path, tmp_path: Path) -> None:
    classes = ("--among", "digits", "--start", "0", "--end", "4", "--path", "spherical")
    outcome = isthmus("morph", plain, digit, *classes, "--out", tmp_path / "way.png")
    assert outcome.code == 2
    assert "spherical" in outcome.err


def test_a_morph_of_one_image_needs_classes(plain: Path, digit: Path, tmp_path: Path) -> None:
    outcome = isthmus("morph", plain, digit, "--out", tmp_path / "strip.png")
    assert outcome.code == 2
    assert "needs --among, --start and --end" in outcome.err


def test_three_images_are_no_morph(plain: Path, digit: Path, tmp_path: Path) -> None:
    outcome = isthmus("morph", plain, *[digit] * 3, "--out", tmp_path / "strip.png")
    assert outcome.code == 2
    assert "not 3" in outcome.err


def test_pictures_are_called_what_they_are(plain: Path, digit: Path, tmp_path: Path) -> None:
    for command in (
        ("morph", plain, digit, digit),
        ("activations", plain, digit),
        ("map", plain, "digits"),
    ):
        outcome = isthmus(*command, "--out", tmp_path / "picture.csv")
        assert outcome.code == 2
        assert ".png" in outcome.err
    assert not list(tmp_path.iterdir())


def test_activations_draws_every_layer(plain: Path, digit: Path, tmp_path: Path) -> None:
    told = answer("activations", plain, digit, "--out", tmp_path / "layers.png")
    assert told["layers"] == len(TrainedModel.load(plain).layers)
    assert shape_of(tmp_path / "layers.png")[0] > 300


def test_compare_puts_runs_into_one_table_and_one_page(
    runs: Path, plain: Path, tmp_path: Path
) -> None:
    out = tmp_path / "compare.html"
    told = answer("compare", plain, runs / "denoiser", "--out", out)
    assert [row["run"] for row in told["runs"]] == ["plain", "denoiser"]
    assert [row["noise"] for row in told["runs"]] == [None, "gaussian:0.4,masked:0.1"]
    page = out.read_text()
    assert page.count("data:image/png") == 4  # curves, reconstructions, two maps
    assert "http" not in page
    outcome = isthmus("compare", plain, "--out", tmp_path / "one.html")
    assert outcome.code == 2


def test_runs_of_the_same_name_are_told_apart(plain: Path, tmp_path: Path) -> None:
    other = shutil.copytree(plain, tmp_path / plain.name)
    told = answer("compare", plain, other, "--out", tmp_path / "compare.html")
    assert [row["run"] for row in told["runs"]] == ["plain (1)", "plain (2)"]


def test_the_report_of_a_denoiser_shows_noise_and_baselines(
    runs: Path, plain: Path, tmp_path: Path
) -> None:
    done("train", "digits", "--model", "dense", "--epochs", 2, "--out", tmp_path / "twin")
    out = tmp_path / "report.html"
    done("report", runs / "denoiser", "--plain", tmp_path / "twin", "--out", out)
    page = out.read_text()
    for text in ("gaussian:0.4,masked:0.1", "the noisy input itself", "trained without noise"):
        assert text in page


# -- small sets, empty names, data that moved -----------------------------------------------


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a run on three pictures of one color each, and index them."""
    folder = tmp_path_factory.mktemp("three")
    for name, gray in (("a", 0), ("b", 0), ("c", 200)):
        Image.new("L", (9, 9), gray).save(folder / f"{name}.png")
    run = tmp_path_factory.mktemp("runs") / "three"
    done("train", folder, "--model", "linear", "--epochs", 1, "--out", run)
    done("index", run)
    return run


def test_a_search_among_three_finds_the_other_two(three: Path) -> None:
    assert {row["name"] for row in answer("search", three, "a.png")} == {"b.png", "c.png"}
    result = isthmus("search", three, "a.png", "--k", 3)
    assert result.code == 2
    assert "k must be from 1 to 2" in result.err


@pytest.mark.filterwarnings("error")
def test_three_constant_pictures_are_measured_without_a_warning(
    three: Path, tmp_path: Path
) -> None:
    result = answer("evaluate", three)
    assert np.isfinite([*result["test"].values()][:3]).all()
    assert result["baselines"]["pca"]["psnr"] is not None
    for method in ("pca", "tsne"):
        answer("map", three, "--method", method, "--out", tmp_path / f"{method}.png")
    answer("studio", three, "--export", tmp_path / "page.html")


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", ""),
        ("train", "digits", "--out", ""),
        ("train", "digits", "--out="),
        ("evaluate", " "),
        ("data", "map", ""),
        ("search", "run", ""),
    ],
)
def test_an_empty_argument_is_refused(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = isthmus(*arguments)
    assert result.code == 2
    assert "is empty" in result.err
    assert not list(tmp_path.iterdir())


def test_data_that_moved_is_given_again(photos: Path, tmp_path: Path) -> None:
    run, place = tmp_path / "run", tmp_path / "elsewhere"
    done("train", photos, "--model", "linear", "--epochs", 1, "--out", run)
    done("index", run)
    photos.rename(place)
    result = isthmus("evaluate", run)
    assert result.code == 2
    assert "--data" in result.err
    moved = ("--data", place)
    assert answer("evaluate", run, *moved)["test"]["n"] == 1
    assert answer("index", run, "--check", *moved)["current"]
    for command in (
        ("map", run, "--method", "pca", "--out", tmp_path / "map.png"),
        ("encode", run, "--out", tmp_path / "codes.npy"),
        ("search", run, "cat/0.png", "--out", tmp_path / "found.png"),
        ("data", "export", run, "--split", "test", "--out", tmp_path / "test.npz"),
        ("resume", run, "--epochs", 2),
    ):
        done(*command, *moved)
    assert str(place) in (run / "run.json").read_text()
    assert answer("evaluate", run)["training"]["epochs"] == 2


def test_people_of_a_group_stay_together_and_classes_without_test_are_named(
    tmp_path: Path,
) -> None:
    for number in range(24):
        folder = tmp_path / "people" / ("rare" if number < 2 else f"class{number % 2}")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.full((8, 8), number, np.uint8)
        Image.fromarray(pixels).save(folder / f"p{number // 2}_{number}.png")
    common = ("--model", "cnn-tiny", "--epochs", 1, "--out", tmp_path / "run")
    pattern = ("--group-by", "^(.*?)_")
    result = done("train", tmp_path / "people", *common, *pattern)
    assert "1 of 3 classes have no sample to test on (rare)" in result.err
    assert json.loads((tmp_path / "run/run.json").read_text())["training_config"]["group_by"]
    with np.load(tmp_path / "run/split.npz") as arrays:
        split = dict(arrays)
    names = load(tmp_path / "people").names
    people = [{names[row].split("/")[1].split("_")[0] for row in split[part]} for part in split]
    assert sum(map(len, people)) == len(set.union(*people)) == 12
