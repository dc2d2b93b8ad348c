"""What does not belong: scores, thresholds, maps of errors, and what is measured of them."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from isthmus import (
    IsthmusError,
    OnnxModel,
    Run,
    Samples,
    Session,
    TrainingConfig,
    export,
    load,
    resume,
    train,
)
from isthmus.detection.calibration import choose_threshold, shares_above
from isthmus.detection.outliers import Outliers
from isthmus.detection.scores import SCORES
from isthmus.errors import OptionError
from isthmus.sklearn import OutlierDetector
from isthmus.viz.outliers import mark
from test_cli import Outcome, done, isthmus

NORMAL = TrainingConfig(epochs=6, normal="3", false_alarms=0.1)
SIDE = 16  # pixels of drawn pieces


@pytest.fixture(scope="module", autouse=True)
def surroundings(session_cache: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(session_cache))
        yield


@pytest.fixture(scope="module")
def threes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on one digit, in a folder."""
    out = tmp_path_factory.mktemp("runs") / "threes"
    for _ in train(load("digits"), "dense", code_size=8, config=NORMAL, out=out):
        pass
    return out


@pytest.fixture(scope="module")
def found(threes: Path) -> Outliers:
    return Session(threes).outliers(baselines=True)


@pytest.fixture(scope="module")
def weave(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write woven pieces in the layout of MVTec AD, some with a spot and its mask."""
    root, rng = tmp_path_factory.mktemp("weave") / "weave", np.random.default_rng(0)
    for part, count in (("train/good", 60), ("test/good", 12), ("test/spot", 12)):
        for i in range(count):
            piece, mask = _weave(rng), np.zeros((SIDE, SIDE), np.uint8)
            if part == "test/spot":
                row, column = rng.integers(2, SIDE - 5, 2).tolist()
                mask[row : row + 3, column : column + 3] = 255
                piece[mask > 0] = 250
                _save(mask, root / f"ground_truth/spot/{i:03}_mask.png")
            _save(piece, root / part / f"{i:03}.png")
    return root


@pytest.fixture(scope="module")
def woven(weave: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    out = tmp_path_factory.mktemp("runs") / "weave"
    options = ("--model", "dense", "--code-size", 4, "--epochs", 12, "--batch-size", 8)
    return out, done("train", weave, "--task", "detect", *options, "--out", out, "--json")


def _weave(rng: np.random.Generator) -> NDArray[np.uint8]:
    x = np.mgrid[:SIDE, :SIDE][1]
    shift = rng.integers(0, 4)
    return np.asarray(100 + 40 * ((x + shift) % 4 < 2) + rng.integers(0, 12, x.shape), np.uint8)


def _save(pixels: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


# -- what is trained on -------------------------------------------------------------------------


def test_only_normal_samples_are_trained_on_and_all_others_tested_on(threes: Path) -> None:
    run, samples = Run.open(threes), load("digits")
    split = run.split()
    assert samples.labels is not None
    assert {*samples.labels[np.r_[split.train, split.validation]].tolist()} == {3}
    others = np.flatnonzero(samples.labels != 3)
    assert np.isin(others, split.test).all()
    assert (samples.labels[split.test] == 3).sum() >= 10


def test_others_stay_out_where_the_source_has_a_test_split_and_the_run_resumes(
    tmp_path: Path,
) -> None:
    digits, path = load("digits", limit=200), tmp_path / "digits.npz"
    splits = {"train": digits.take(np.arange(150)), "test": digits.take(np.arange(150, 200))}
    arrays: dict[str, Any] = {f"x_{name}": part.values for name, part in splits.items()}
    arrays |= {f"y_{name}": part.labels for name, part in splits.items()}
    np.savez(path, **arrays)
    config = TrainingConfig(epochs=1, normal="3")
    for _ in train(load(path), "linear", code_size=2, config=config, out=tmp_path / "run"):
        pass
    for _ in resume(tmp_path / "run", epochs=2):
        pass
    run = Run.open(tmp_path / "run")
    split = run.split()
    assert len(split.test) == 50
    unused = run.record.data["unused"]
    assert unused == 200 - sum(map(len, (split.train, split.validation, split.test))) > 100
    run.check(run.samples())


def test_a_folder_of_the_source_may_be_what_is_normal(weave: Path) -> None:
    config = TrainingConfig(epochs=1, normal="train/good/")
    training = train(load(weave), "linear", code_size=2, config=config)
    list(training)
    names = [training.run.samples().names[row] for row in training.run.split().train]
    assert {name.rpartition("/")[0] for name in names} == {"train/good"}


# -- scores -------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", SCORES)
def test_every_score_tells_other_digits_from_the_one_that_was_learned(
    score: str, found: Outliers
) -> None:
    assert found.measured is not None
    areas = found.measured["scores"][score]
    assert areas["auroc"] > 0.8
    assert areas["aupr"] > 0.98  # of 1,614 outliers and 18 others
    assert {*areas["kinds"]} == {*"012456789"}


def test_scores_are_compared_with_baselines_on_the_same_samples(found: Outliers) -> None:
    assert found.measured is not None
    assert {*found.measured["baselines"]} == {"pca", "pixels", "forest"}
    assert found.measured["normal"] + found.measured["outliers"] == len(found) == 1632
    assert all(areas["auroc"] > 0.8 for areas in found.measured["baselines"].values())


def test_noise_planted_among_digits_comes_first(threes: Path) -> None:
    rng = np.random.default_rng(0)
    session, digits = Session(threes), load("digits")
    assert digits.labels is not None
    values = digits.values[digits.labels == 3][:60].copy()
    planted = rng.choice(60, 5, replace=False)
    values[planted] = rng.integers(0, 256, (5, 8, 8, 1))
    result = session.outliers(load_array(values))
    assert {*result.first(5).tolist()} == {*planted.tolist()}
    assert result.measured is None


def load_array(values: NDArray[Any]) -> Samples:
    return load(values)


def test_a_sample_is_not_compared_with_itself(threes: Path) -> None:
    session = Session(threes)
    train_rows = session.split.train
    own = load("digits").take(train_rows)
    alone = session.outliers(own, score="neighbors")  # others, as far as anybody can tell
    detector = session.detector()
    measures = detector.measure(session.samples, train_rows)
    apart = detector.scores(measures, "neighbors", train_rows)
    assert (apart > alone.values).all()


def test_scores_of_other_samples_do_not_depend_on_which_come_with_them(threes: Path) -> None:
    session, digits = Session(threes), load("digits")
    many = session.outliers(digits.take(np.arange(40)), score="error")
    few = session.outliers(digits.take(np.arange(30, 40)), score="error")
    np.testing.assert_allclose(many.values[30:], few.values, rtol=1e-3)


def test_a_notebook_shows_the_oddest_samples(found: Outliers) -> None:
    html = found._repr_html_()
    assert html is not None
    assert html.count("<img") >= 5
    assert f"threshold {found.threshold.value:.4g}" in html


# -- what a score means -------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.3])
def test_at_most_the_share_of_false_alarms_asked_for_is_above_the_threshold(rate: float) -> None:
    rng = np.random.default_rng(0)
    above = [
        (rng.random(200) > choose_threshold(rng.random(199), rate).value).mean() for _ in range(200)
    ]
    assert np.mean(above) == pytest.approx(rate, abs=0.01)


def test_a_share_of_nearly_all_has_the_lowest_score_as_its_threshold() -> None:
    assert choose_threshold(np.arange(10.0), 1 - 1e-12).value == 0


def test_too_few_samples_for_a_rate_are_said(found: Outliers) -> None:
    threshold = choose_threshold(np.arange(9.0), 0.01)
    assert threshold.value == 8
    assert threshold.expected == 0.1
    assert found.threshold.false_alarms == 0.1  # what the run was trained with


def test_shares_are_those_of_normal_samples_and_never_zero() -> None:
    normal = np.random.default_rng(0).random(999)
    shares = shares_above(normal, np.array([2.0, np.median(normal), -1.0]))
    assert shares.tolist() == pytest.approx([0.001, 0.501, 1.0], abs=0.001)


# -- maps and masks -----------------------------------------------------------------------------


def test_maps_find_the_pixels_of_a_defect(woven: tuple[Path, Outcome]) -> None:
    measured = json.loads(woven[1].out)["detection"]["measured"]
    assert (measured["outliers"], measured["normal"]) == (12, 12)
    assert measured["pixels"] > 0.95
    assert measured["scores"]["peak"]["kinds"] == {"spot": pytest.approx(1, abs=0.05)}


def test_only_what_is_above_the_level_is_painted() -> None:
    image, errors = np.full((4, 4, 1), 90, np.uint8), np.zeros((4, 4), np.float32)
    errors[1, 2], errors[0, 0] = 0.5, 0.1
    painted = mark(image, errors, 0.2)
    is_painted = (painted != 90).any(-1)
    assert is_painted.sum() == 1
    assert painted[1, 2, 0] > painted[1, 2, 1]


def test_a_missing_mask_is_said_and_pixels_are_not_measured(weave: Path, tmp_path: Path) -> None:
    copy = tmp_path / "weave"
    shutil.copytree(weave, copy)
    next((copy / "ground_truth/spot").iterdir()).unlink()
    assert "1 of 12 damaged pieces have no mask" in done("data", "check", copy).out


# -- what is kept -------------------------------------------------------------------------------


def test_new_pieces_are_judged_without_the_data_of_the_run(
    woven: tuple[Path, Outcome], weave: Path, tmp_path: Path
) -> None:
    run, gone = tmp_path / "run", tmp_path / "gone"
    shutil.copytree(woven[0], run)
    pieces = tmp_path / "pieces"
    shutil.copytree(weave / "test/spot", pieces)
    try:
        weave.rename(gone)
        content = json.loads(done("outliers", run, pieces, "--score", "peak", "--json").out)
    finally:
        gone.rename(weave)
    assert content["n"] == 12
    assert all(row["is_outlier"] for row in content["samples"])


def test_a_damaged_file_of_the_detector_is_made_again_and_that_is_said(
    threes: Path, found: Outliers, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(threes, run)
    file = run / "detection.npz"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)
    said: list[str] = []
    again = Session(run, say=said.append).outliers()
    assert any("it is made again" in line for line in said)
    np.testing.assert_array_equal(again.values, found.values)
    assert Session(run, say=said.append).outliers().order[0] == found.order[0]
    assert len(said) == 1


# -- other models -------------------------------------------------------------------------------


def test_an_exported_model_gives_the_same_scores(
    threes: Path, found: Outliers, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    file = tmp_path / "threes.onnx"
    export(threes, file)
    samples = Run.open(threes).samples()
    split = Run.open(threes).split()
    session = Session(OnnxModel.load(file))
    reference = samples.take(np.r_[split.train, split.validation])
    result = session.outliers(samples.take(split.test), score="error", reference=reference)
    np.testing.assert_allclose(result.values, found.scores["error"], rtol=0.02, atol=1e-5)
    within = done("outliers", file, "digits", "--limit", 50, "--json")
    assert len(json.loads(within.out)["samples"]) == 20


def test_scikit_learn_has_the_same_scores() -> None:
    digits = load("digits")
    assert digits.labels is not None
    normal, others = (digits.values[digits.labels == name][:150] for name in (3, 0))
    detector = OutlierDetector(
        0.1, score_name="combined", model="dense", code_size=8, epochs=6, random_state=0
    )
    # As many as `contamination` says: none is compared with itself.
    assert (detector.fit_predict(normal) == -1).mean() == pytest.approx(0.1, abs=0.01)
    assert (detector.predict(others) == -1).mean() > 0.9
    assert (detector.predict(normal) == -1).mean() < 0.2
    with pytest.raises(OptionError, match="the nearest is combined"):
        OutlierDetector(score_name="combind").fit(normal)


# -- the command --------------------------------------------------------------------------------


def test_the_page_shows_each_outlier_with_what_is_odd(
    woven: tuple[Path, Outcome], tmp_path: Path
) -> None:
    page = tmp_path / "odd.html"
    outcome = done("outliers", woven[0], "--k", 4, "--out", page)
    html = page.read_text()
    assert html.count("red where it is odd") >= 4
    assert html.count("<img") == 16  # the sample, what is odd, the reconstruction, the nearest
    assert all(text in html for text in ("AUROC", "isolation forest", "test/spot/"))
    assert outcome.out.count("\n") == 4
    counts = re.search(r"finds .* of (\d+) outliers and .* of (\d+) normal ones", outcome.err)
    assert counts is not None
    outliers, normal = map(int, counts.groups())
    assert f"an AUPR of {outliers / (outliers + normal):.3f}, the share of outliers" in html
    again = isthmus("outliers", woven[0], "--out", weave_file(tmp_path))
    assert again.code == 2
    assert "was not written by Isthmus" in again.err


def weave_file(folder: Path) -> Path:
    file = folder / "mine.html"
    file.write_text("<p>mine</p>")
    return file


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("outliers", "RUN", "--score", "eror"), "the nearest is error"),
        (("outliers", "RUN", "--false-alarms", 2), "false alarms must be a share above 0"),
        (("outliers", "RUN", "--k", 0), "k must be at least 1"),
        (("outliers", "RUN", "--limit", 5), "a limit needs a source"),
        (("outliers", "RUN", "--normal", "cat"), "has no class and no folder cat"),
        (("outliers", "RUN", "nowhere/"), "no data set and no file or folder"),
        (("train", "digits", "--task", "detect"), "10 classes to train on"),
        (("train", "digits", "--task", "detect", "--normal", "12"), "no class and no folder 12"),
        (("train", "digits", "--task", "classify", "--normal", "3"), "is not an autoencoder"),
        (("train", "digits", "--false-alarms", "0.1"), "say which by normal"),
        (("train", "digits", "--task", "detekt"), "the nearest is detect"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(
    arguments: tuple[Any, ...], message: str, threes: Path, tmp_path: Path
) -> None:
    words = [threes if word == "RUN" else word for word in arguments]
    out = () if words[0] == "outliers" else ("--out", tmp_path / "run")
    outcome = isthmus(*words, *out)
    assert outcome.code == 2
    assert message in " ".join(outcome.err.split())
    assert not (tmp_path / "run").exists()


def test_a_class_that_is_unknown_is_an_error_in_python(threes: Path) -> None:
    with pytest.raises(IsthmusError, match="no class and no folder"):
        Session(threes).outliers(normal="cat")
