"""New samples from any autoencoder: `isthmus generate` and `isthmus.generate`."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus import (
    MODELS,
    Run,
    Samples,
    Session,
    TrainingConfig,
    generate,
    load,
    load_model,
    train,
)
from isthmus.errors import ModelError, OptionError, RunError
from isthmus.latent.drawing import Draw
from isthmus.latent.mixture import Mixture
from isthmus.models.tasks import WITH_PRIOR
from test_cli import done, files_of, isthmus

Refused = Callable[..., AbstractContextManager[None]]

DENSE = ("--model", "dense", "--code-size", 6)


@pytest.fixture(scope="module", autouse=True)
def surroundings(session_cache: Path) -> Iterator[None]:
    """Keep this module's fixtures away from the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(session_cache))
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train an autoencoder and a classifier, and fit a mixture to the codes of the first."""
    folder = tmp_path_factory.mktemp("runs")
    done("train", "digits", *DENSE, "--epochs", 10, "--out", folder / "dense")
    classifier = ("--task", "classify", "--model", "cnn-small", "--epochs", 4)
    done("train", "digits", *classifier, "--out", folder / "judge")
    generate(folder / "dense", 1)
    return folder


@pytest.fixture(scope="module")
def run(runs: Path) -> Path:
    return runs / "dense"


@pytest.fixture(scope="module")
def judge(runs: Path) -> Path:
    return runs / "judge"


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


def test_samples_look_like_the_class_that_they_were_drawn_from(run: Path, judge: Path) -> None:
    samples = generate(run, 100)
    assert samples.describe() == "100 images of 8 × 8, gray, 10 classes"
    predicted = load_model(judge).predict(samples)
    assert (predicted == samples.labels).mean() > 0.6
    sevens = generate(run, 40, label="7", temperature=0.5)
    assert set(sevens.items.label_names()) == {"7"}
    assert (load_model(judge).predict(sevens) == 7).mean() > 0.8


def test_a_seed_gives_the_same_samples_however_many(run: Path) -> None:
    few, many = generate(run, 5, seed=3), generate(run, 20, seed=3)
    np.testing.assert_array_equal(few.values, many.values[:5])
    assert few.names[:2] == ["generated-0000", "generated-0001"]
    assert not np.array_equal(generate(run, 5, seed=4).values, few.values)


def test_the_mixture_is_kept_and_needs_no_data_afterwards(run: Path, copy: Path) -> None:
    record = copy / "run.json"
    content = json.loads(record.read_text())
    content["origin"]["source"] = "gone.npz"
    record.write_text(json.dumps({key: content[key] for key in content if key != "seal"}))
    np.testing.assert_array_equal(generate(copy, 4).values, generate(run, 4).values)


def test_a_mixture_of_other_codes_or_a_damaged_one_is_fitted_again(run: Path, copy: Path) -> None:
    file, expected = copy / "mixture.npz", generate(run, 4).values
    stored = Mixture.load(file)
    for content, what in ((stored.means + 1, "other codes"), (None, "damaged")):
        if content is None:
            file.write_bytes(file.read_bytes()[:-900] + bytes(900))
        else:
            moved = Mixture(stored.weights, content, stored.factors, stored.classes)
            Mixture.save(_with_classes(moved, stored), file)
        outcome = done("generate", copy, "--n", 4, "--out", copy.parent / "arrays.npz")
        assert re.search(f"mixture .*{what}; it is fitted again", outcome.err.replace("\n", " "))
        with np.load(copy.parent / "arrays.npz") as arrays:
            np.testing.assert_array_equal(arrays["images"], expected)
        again = done("generate", copy, "--n", 4, "--out", copy.parent / "arrays.npz")
        assert "again" not in again.err


def _with_classes(mixture: Mixture, other: Mixture) -> Mixture:
    from dataclasses import replace

    return replace(mixture, class_names=other.class_names, model_fingerprint="0" * 16)


def test_a_file_of_others_in_the_place_of_the_mixture_is_left_alone(copy: Path) -> None:
    np.savez(copy / "mixture.npz", images=np.zeros(3))
    before = (copy / "mixture.npz").read_bytes()
    outcome = isthmus("generate", copy, "--out", copy.parent / "a.png")
    assert (outcome.code, "mixture.npz is no file" in outcome.err.replace("\n", " ")) == (2, True)
    assert (copy / "mixture.npz").read_bytes() == before


def test_a_run_in_memory_generates_too() -> None:
    digits = load("digits", limit=300)
    training = train(digits, "dense", code_size=4, config=TrainingConfig(epochs=2))
    list(training)
    samples = generate(training.run, 3)
    assert samples.values.shape == (3, 8, 8, 1)
    assert samples.labels is None  # 24 training samples of a class are too few
    with pytest.raises(OptionError, match="'7'"):
        generate(training.run, 3, label="7")


def test_signals_are_generated_as_signals(tmp_path: Path) -> None:
    waves = np.sin(np.linspace(0, 9, 32) + np.linspace(0, 6, 80)[:, None])[..., None]
    np.save(tmp_path / "waves.npy", waves.astype(np.float32))
    done("train", tmp_path / "waves.npy", *DENSE, "--epochs", 2, "--out", tmp_path / "run")
    samples = generate(tmp_path / "run", 3)
    assert (samples.values.shape, str(samples.values.dtype)) == ((3, 32, 1), "float32")
    done("generate", tmp_path / "run", "--n", 3, "--out", tmp_path / "sheet.png")
    outcome = isthmus("generate", tmp_path / "run", "--out", tmp_path / "folder")
    assert (outcome.code, "npz" in outcome.err) == (2, True)


# -- the command --------------------------------------------------------------------------------


def test_a_sheet_is_written_and_described(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    result = json.loads(done("generate", run, "--n", 16, "--out", out, "--json").out)
    components = result.pop("components")
    assert set(components) == set("0123456789")
    assert result == {
        "out": str(out),
        "n": 16,
        "class": None,
        "sampler": "mixture",
        "temperature": 1.0,
        "seed": 0,
    }
    with Image.open(out) as picture:
        assert picture.width == picture.height
    text = done("generate", run, "--class", 7, "--out", out).out
    assert re.fullmatch(r".*64 samples of class 7 from a mixture of \d+ components\n", text, re.S)


def test_a_folder_has_a_picture_of_each_sample(run: Path, tmp_path: Path) -> None:
    done("generate", run, "--n", 6, "--out", tmp_path / "made")
    read = load(tmp_path / "made")
    samples = generate(run, 6)
    assert len(read) == 6
    assert sorted(read.values.tobytes()) == sorted(samples.values.tobytes())


def test_a_walk_is_an_endless_animation(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "walk.gif"
    done("generate", run, "--n", 3, "--steps", 4, "--out", out)
    with Image.open(out) as picture:
        assert (picture.n_frames, picture.info["loop"]) == (12, 0)  # type: ignore[attr-defined]
    assert json.loads(done("generate", run, "--steps", 1, "--out", out, "--json").out)["n"] == 8


def test_a_page_shows_the_nearest_training_samples_and_the_measures(
    run: Path, judge: Path, tmp_path: Path
) -> None:
    out = tmp_path / "page.html"
    outcome = done("generate", run, "--features", judge, "--plain", run, "--out", out, "--json")
    result = json.loads(outcome.out)
    rows = result["measures"]["rows"]
    assert list(rows) == ["real", "rebuilt", "pca", "mixture", "plain"]
    assert rows["plain"] == rows["mixture"]
    assert rows["mixture"]["frechet"] < rows["pca"]["frechet"]
    assert 0.2 < result["copies"]["closer"]["rebuilt"] < 0.8
    page = out.read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    for text in (
        "nearest training sample",
        "Fréchet",
        f"{rows['pca']['frechet']:.4g}",
        "Samples of",
    ):
        assert text in page
    assert page.count("<img") == 5
    assert files_of(run) >= {"mixture.npz"}


def test_another_source_is_looked_at_once_and_changes_nothing(run: Path, tmp_path: Path) -> None:
    before = (run / "mixture.npz").read_bytes()
    out = tmp_path / "other.npz"
    outcome = done("generate", run, "digits", "--n", 3, "--out", out)
    assert "again" not in outcome.err
    assert (run / "mixture.npz").read_bytes() == before
    judged = isthmus("generate", run, "digits", "--features", run, "--out", out)
    assert (judged.code, "own test samples" in judged.err.replace("\n", " ")) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "culprits"),
    [
        (("--out", "a.jpg"), ("a.jpg", ".png")),
        (("--class", "seven"), ("'seven'", "0, 1, 2")),
        (("--n", 0), ("n must be", "0")),
        (("--n", 5000), ("1,024", "folder")),
        (("--temperature", "nan"), ("temperature", "nan")),
        (("--sampler", "prior"), ("variational", "mixture")),
        (("--sampler", "dice"), ("'dice'", "prior")),
        (("--plain", "nowhere"), ("--features",)),
        (("--n", 1, "--out", "walk.gif"), ("at least 2",)),
        (("--seed", -1), ("seed", "-1")),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    arguments: tuple[object, ...],
    culprits: tuple[str, ...],
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = isthmus("generate", run, *arguments)
    assert outcome.code == 2
    assert [one for one in culprits if one not in outcome.err.replace("\n", " ")] == []
    assert list(tmp_path.iterdir()) == []


def test_the_prior_is_that_of_variational_models(tmp_path: Path, refused: Refused) -> None:
    rows = {name for name, row in MODELS.items() if row.objective == "variational"}
    assert set(WITH_PRIOR) == rows
    training = train(load("digits", limit=300), "dense-vae", config=TrainingConfig(epochs=2))
    list(training)
    session = Session(training.run)
    codes = session.draw(Draw(4000, sampler="prior"))
    assert codes.z.mean() == pytest.approx(0, abs=0.02)
    assert codes.z.std() == pytest.approx(1, abs=0.02)
    samples = session.generate(5, sampler="prior")
    np.testing.assert_array_equal(samples.values, session.model.decode(codes.z[:5]))
    with refused(OptionError, "no classes", "'7'"):
        session.generate(5, sampler="prior", label="7")
    measures = session.measure_generated(session.model)
    assert list(measures["rows"]) == ["real", "rebuilt", "pca", "mixture", "prior"]


def test_the_report_shows_samples_once_there_is_a_mixture(copy: Path) -> None:
    assert "Generated samples" in (done("report", copy).out and (copy / "report.html").read_text())
    (copy / "mixture.npz").unlink()
    done("report", copy)
    assert "Generated samples" not in (copy / "report.html").read_text()
    assert not (copy / "mixture.npz").exists()


def test_only_an_autoencoder_generates(run: Path, judge: Path, refused: Refused) -> None:
    with refused(ModelError, "classifier", "autoencoder"):
        generate(judge, 3)


def test_a_run_of_other_data_is_no_comparison(
    run: Path, judge: Path, tmp_path: Path, refused: Refused
) -> None:
    done("train", "digits", *DENSE, "--epochs", 1, "--seed", 1, "--out", tmp_path / "other")
    session = Session(run)
    with refused(RunError, "other", "another split"):
        session.measure_generated(load_model(judge), plain=Run.open(tmp_path / "other"))


def test_nothing_that_is_there_is_overwritten(run: Path, photos: Path, tmp_path: Path) -> None:
    for place in (photos, photos / "cat" / "0.png"):
        assert isthmus("generate", run, "--out", place).code == 2
    assert isinstance(load(photos), Samples)
