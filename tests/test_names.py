"""A name that is not known is answered by the nearest one that is."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from isthmus import (
    Codes,
    Index,
    Items,
    Map,
    Samples,
    Session,
    TrainingConfig,
    configure,
    load,
    train,
)
from isthmus.data.export import select
from isthmus.errors import ModelError, OptionError, SourceError, find_nearest
from isthmus.inference.load import load_model
from isthmus.latent.interpolation import class_direction
from test_cli import isthmus

Refused = Callable[..., AbstractContextManager[None]]

DIGITS = "train digits --limit 60"


@pytest.mark.parametrize(
    ("command", "nearest"),
    [
        ("train digtis", "digits"),
        ("data fetch Fashion_MNSIT", "fashion-mnist"),
        ("summary cov-bn-2d", "conv-bn-2d"),
        ("recipe show fashion2d", "fashion-2d"),
        (f"{DIGITS} --model lineer", "linear"),
        (f"{DIGITS} --task clasify", "classify"),
        (f"{DIGITS} --optimizer adagrad", "adam"),
        (f"{DIGITS} --schedule cosin", "cosine"),
        (f"{DIGITS} --loss bec", "bce"),
        (f"{DIGITS} --device cdua", "cuda"),
        (f"{DIGITS} --background ligthblue", "lightblue"),
        (f"{DIGITS} --corrupt gausian:0.1", "gaussian"),
        (f"{DIGITS} --model cnn-tiny --augment zom:0.1", "zoom"),
        ("data export digits --split tset --out new.npz", "test"),
        ("train photo", "photos"),
        ("train here/phtos", "here/photos"),
        ("report here/rnu", "here/run"),
        ("report here/photo", None),  # which is no run
        (f"{DIGITS} --model fcn8s --task segment --encoder-from vgg", None),
    ],
)
def test_a_misspelled_name_is_answered_by_the_nearest(
    command: str, nearest: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here/photos").mkdir(parents=True)
    Path("here/run").mkdir()
    Path("here/run/run.json").touch()
    Path("photos").mkdir()
    outcome = isthmus(*command.split())
    assert outcome.code == 2
    said = outcome.err.splitlines()[-1]
    assert said.endswith(".")
    if nearest is None:
        assert "nearest" not in said
    else:
        assert f"; the nearest is {nearest}" in said
        assert f"; the nearest is {nearest}-" not in said


@pytest.mark.parametrize(
    ("command", "nearest"),
    [
        ("trian digits", "'train'"),
        ("data fetsh mnist", "'fetch'"),
        ("train digits --epohcs 3", "--epochs"),
    ],
)
def test_commands_and_options_are_found_too(command: str, nearest: str) -> None:
    outcome = isthmus(*command.split())
    assert outcome.code == 2
    assert nearest in outcome.err


def test_nothing_is_proposed_where_nothing_is_near() -> None:
    outcome = isthmus("train", "digits", "--optimizer", "xyz")
    assert "there is no optimizer 'xyz'; there are" in outcome.err


def test_a_folder_above_that_is_missing_adds_nothing() -> None:
    outcome = isthmus("report", "nowhere/at/all")
    assert outcome.err == "isthmus: there is no run folder called nowhere/at/all.\n"


def test_a_million_names_are_not_compared() -> None:
    assert find_nearest("sample 77x", [f"sample {i}" for i in range(10_000)]) is not None
    assert find_nearest("sample 77x", [f"sample {i}" for i in range(10_001)]) is None


def test_python_proposes_public_names() -> None:
    command = [sys.executable, "-c", "import isthmus; isthmus.trian"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "has no attribute 'trian'. Did you mean: 'train'?" in ended.stderr


# -- names of samples, classes and options ----------------------------------------------------


@pytest.fixture(scope="module")
def session() -> Session:
    """Train on digits that are named as files of a folder are."""
    digits = load("digits", limit=120)
    labels = digits.labels
    assert labels is not None
    names = [f"digit-{label}/scan-{row:03}.png" for row, label in enumerate(labels)]
    items = Items(names, labels, digits.class_names)
    samples = Samples(digits.values, items, origin=digits.origin)
    training = train(samples, "linear", code_size=3, config=TrainingConfig(epochs=1))
    list(training)
    return Session(training.run, samples)


def test_names_of_samples_are_found(
    session: Session, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = session.samples.names[11]
    wrong, near = name.replace(".png", ".jpeg"), f"; the nearest is {name}"
    with refused(OptionError, "sample of the run", near):
        session.code(wrong)
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").touch()
    with refused(OptionError, "no file", "; the nearest is photo.jpg"):
        session.code("foto.jpg")
    index = Index.build(session.codes())
    with refused(OptionError, "in the index" + near):
        index.search_by_name(wrong, 3)
    with refused(OptionError, near + "; names are such as"):
        select(session.samples, [wrong])


def test_names_of_classes_are_found(refused: Refused) -> None:
    names = ("tabby cat", "hound", *(f"breed {number}" for number in range(20)))
    z = np.random.default_rng(0).normal(size=(44, 3)).astype(np.float32)
    items = Items([str(row) for row in range(44)], np.arange(44) % 22, names)
    codes = Codes(z, items, "model")
    said = "; the nearest is tabby cat; there are tabby cat, hound"
    with refused(OptionError, "class 'taby_cat'" + said, "and 10 more"):
        Index.build(codes).search(z[:1], 3, label="taby_cat")
    with refused(OptionError, "class 'Tabby-Cat'" + said, "and 10 more"):
        class_direction(codes, "Tabby-Cat", "hound")


def test_options_of_models_are_found(refused: Refused) -> None:
    with refused(OptionError, "alexnet has no option 'drop_out'; the nearest is dropout; there"):
        configure("alexnet", (3, 64, 64), class_names=("cat", "dog"), options={"drop_out": 0.1})


def test_layers_engines_and_files_are_found(
    session: Session, tmp_path: Path, refused: Refused
) -> None:
    name = session.trained.layers[0].name
    with refused(OptionError, f"layer '{name.upper()}'; the nearest is {name}; there are code, "):
        session.model.feature_shape(name.upper())
    with refused(OptionError, "no engine 'onxx'; the nearest is onnx; there are torch, onnx"):
        load_model(tmp_path, engine="onxx")  # type: ignore[arg-type]
    (tmp_path / "mine.onnx").touch()
    with refused(ModelError, "no run folder", f"; the nearest is {tmp_path / 'mine.onnx'}"):
        load_model(tmp_path / "mine")
    with refused(ModelError, "mien.onnx cannot", f"; the nearest is {tmp_path / 'mine.onnx'}"):
        load_model(tmp_path / "mien.onnx")
    (tmp_path / "map.npz").touch()
    with refused(SourceError, f"; the nearest is {tmp_path / 'map.npz'}; isthmus map draws one"):
        Map.load(tmp_path / "mpa.npz")
