"""What strangers try with generated samples, outliers, labels and styles: all of it is answered."""

import csv
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isthmus import (
    Codes,
    Run,
    Session,
    TrainingConfig,
    find_mislabelled,
    generate,
    load,
    train,
)
from isthmus.errors import ModelError, OptionError, SourceError
from isthmus.latent.drawing import Draw, draw_codes
from isthmus.latent.mixture import FILE as MIXTURE
from isthmus.latent.mixture import Mixture
from isthmus.styling.shares import choose_shares
from isthmus.training.styles import StyleSettings
from test_cli import isthmus

Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture(scope="module", autouse=True)
def surroundings(session_cache: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(session_cache))
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train an autoencoder on a few digits, and fit its mixture."""
    out = tmp_path_factory.mktemp("runs") / "few"
    list(train(load("digits", limit=60), "dense", config=TrainingConfig(epochs=1), out=out))
    generate(out, 1)
    return out


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def test_a_file_of_a_run_is_no_place_for_samples(run: Path) -> None:
    before = (run / MIXTURE).read_bytes()
    outcome = isthmus("generate", run, "--n", 2, "--out", run / MIXTURE)
    assert outcome.code == 2
    assert "is a file of a run; choose another name" in outcome.err
    assert (run / MIXTURE).read_bytes() == before


def test_a_folder_holds_any_number_of_samples_and_may_be_empty(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, n in (("empty", 3), ("new", 1_100)):
        assert isthmus("generate", run, "--n", n, "--out", tmp_path / name).code == 0
        assert len(list((tmp_path / name).iterdir())) == n
    taken = tmp_path / "taken"
    taken.write_text("mine")
    assert "exists already" in isthmus("generate", run, "--out", taken).err
    assert taken.read_text() == "mine"


@pytest.mark.parametrize("steps", [0, 99_999_999])
def test_a_walk_of_too_many_frames_is_refused_before_it_is_computed(
    run: Path, tmp_path: Path, steps: int
) -> None:
    out = tmp_path / "walk.gif"
    outcome = isthmus("generate", run, "--n", 3, "--steps", steps, "--out", out)
    assert outcome.code == 2
    assert f"from 1 to 1,000 steps, not {steps:,}" in outcome.err


def test_samples_beyond_memory_are_refused(
    run: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    model = Run.open(run).model()
    monkeypatch.setattr("isthmus.runtime.total_memory", lambda: 2**20)
    with refused(SourceError, "drawing 20,000 samples", "memory"):
        draw_codes(Draw(20_000), model, lambda: Mixture.load(run / MIXTURE))


def test_a_class_without_a_mixture_of_its_own_is_told_from_one_that_is_not_there(
    run: Path, refused: Refused
) -> None:
    with refused(OptionError, "'3'", "too few training samples"):
        generate(run, 2, label="3")
    with refused(OptionError, "no class 'cat'"):
        generate(run, 2, label="cat")


def test_what_is_no_file_stays_where_the_mixture_would_be(run: Path, refused: Refused) -> None:
    (run / MIXTURE).unlink()
    (run / MIXTURE).mkdir()
    with refused(OptionError, MIXTURE, "move it away"):
        generate(run, 2)


@pytest.fixture
def locked(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a run that may be read only, with a damaged mixture, to a user who is not root."""
    if not hasattr(os, "geteuid"):
        pytest.skip("this system has no users")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    monkeypatch.setenv("ISTHMUS_CACHE", str(folder / "cache"))
    run, euid = Path(shutil.copytree(made, folder / "run")), os.geteuid()
    (run / MIXTURE).write_bytes(b"damaged")
    for path in (run, *run.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    if euid == 0:
        os.seteuid(65534)
    try:
        yield run
    finally:
        os.seteuid(euid)
        for path in (run, *run.rglob("*")):
            path.chmod(0o700)
        shutil.rmtree(folder)


def test_a_damaged_mixture_that_cannot_be_replaced_stops_nothing(locked: Path) -> None:
    said: list[str] = []
    assert len(Session(locked, say=said.append).generate(2)) == 2
    assert [line for line in said if "is not kept" in line and "cannot be replaced" in line]
    assert (locked / MIXTURE).read_bytes() == b"damaged"


def test_a_limit_of_outliers_needs_a_source(run: Path) -> None:
    outcome = isthmus("outliers", run, "--limit", 5)
    assert outcome.code == 2
    assert "a limit needs a source" in outcome.err


def test_spreadsheets_compute_no_name_of_a_suspect() -> None:
    digits = load("digits", limit=120)
    names = [f"=1+{row}.png" for row in range(120)]
    classes = ("=A1", "+x", "@y", "-1", *map(str, range(6)))
    items = replace(digits.items, names=names, class_names=classes)
    found = find_mislabelled(Codes.of_values(replace(digits, items=items)), folds=2)
    assert len(found)
    rows = list(csv.DictReader(found.to_csv().splitlines()))
    assert [row["name"] for row in rows] == [f"'{one['name']}" for one in found.suspects()]
    labels = {row[column] for row in rows for column in ("label", "suggested")}
    assert labels <= {"'=A1", "'+x", "'@y", "-1", *map(str, range(6))}


def test_codes_too_large_to_compute_with_are_refused(refused: Refused) -> None:
    codes = Codes.of_values(load("digits", limit=60))
    huge = replace(codes, z=np.full_like(codes.z, 1e38))
    with refused(ModelError, codes.names[0], "leave it out"):
        find_mislabelled(huge, folds=2)


def test_shares_of_a_mix_may_be_as_large_as_numbers_are() -> None:
    shares = choose_shares(["ink", "oil"], mix={"ink": 1e308, "oil": 1e308})
    assert shares.tolist() == [0.5, 0.5]


def test_weights_beyond_what_can_be_trained_are_refused(refused: Refused) -> None:
    with refused(OptionError, "weight of style", "1e+300"):
        StyleSettings(style=1e300)
    with refused(OptionError, "beta", "1e+300"):
        TrainingConfig(beta=1e300)
