"""Several runs on one page: the figures of each, and only runs of one task."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from isthmus import Run, Samples, TrainingConfig, evaluate, load, train, write_comparison
from isthmus.data.items import Items
from isthmus.errors import OptionError, RunError
from isthmus.reports.comparison_rows import ROW_TITLES
from test_cli import Page

Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=300)


@pytest.fixture(scope="module")
def strokes(digits: Samples) -> Samples:
    values = load("digits", limit=60, size=32).values
    masks = (values[..., 0] > 150).astype(np.uint8)
    return Samples(values, Items(digits.names[:60], class_names=("paper", "pen")), masks=masks)


def trained_on(samples: Samples, model: str, out: Path, epochs: int = 2, **options: object) -> Run:
    list(train(samples, model, out=out, options=options, config=TrainingConfig(epochs=epochs)))
    return Run.open(out)


@pytest.fixture(scope="module")
def classifiers(digits: Samples, folder: Path) -> list[Run]:
    names = ("cnn-small", "cnn-tiny")
    return [trained_on(digits, name, folder / name) for name in names]


def test_classifiers_are_compared_by_what_they_get_right(
    classifiers: list[Run], digits: Samples, tmp_path: Path
) -> None:
    rows = write_comparison(classifiers, tmp_path / "page.html", samples=[digits, digits])
    page = Page((tmp_path / "page.html").read_text())
    for row, run in zip(rows, classifiers, strict=True):
        result = evaluate(run, own=digits)
        for name in ("accuracy", "top_5", "ece", "cross_entropy"):
            assert row[name] == result["test"][name]
        assert row["logistic_of_pixels"] == result["baselines"]["pixels"]["logistic"]
        assert row["majority"] == result["baselines"]["majority"]
        assert f"{row['accuracy']:,.4g}" in page.text
        assert row.keys() - {"run"} <= ROW_TITLES.keys()
    assert "expected calibration error" in page.text
    assert len(page.links) == 3  # accuracy by epoch, two maps
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert "Maps of the features" in page.text
    assert "What comes back" not in page.text


def test_runs_of_few_and_of_many_classes_share_a_table(
    classifiers: list[Run], digits: Samples, folder: Path, tmp_path: Path
) -> None:
    assert digits.labels is not None
    two = Samples(digits.values, Items(digits.names, digits.labels % 2, ("even", "odd")))
    parity = trained_on(two, "cnn-small", folder / "parity")
    runs, out = [parity, classifiers[0]], tmp_path / "page.html"
    rows = write_comparison(runs, out, samples=[two, digits])
    assert rows[0]["top_5"] is None
    assert rows[1]["top_5"] > 0
    assert "different data" in Page(out.read_text()).text


def test_segmenters_are_compared_by_mean_iou(
    strokes: Samples, folder: Path, tmp_path: Path
) -> None:
    runs = [
        trained_on(strokes, name, folder / name, width=0.05, batch_norm=True)
        for name in ("fcn8s", "fcn32s")
    ]
    rows = write_comparison(runs, tmp_path / "page.html", samples=[strokes, strokes])
    for row, run in zip(rows, runs, strict=True):
        result = evaluate(run, own=strokes)
        for name in ("mean_iou", "pixel_accuracy"):
            assert row[name] == result["test"][name]
    page = Page((tmp_path / "page.html").read_text())
    assert len(page.links) == 1  # mean IoU by epoch
    assert "Maps of" not in page.text


def test_runs_of_several_tasks_are_refused(
    classifiers: list[Run], digits: Samples, folder: Path, tmp_path: Path, refused: Refused
) -> None:
    autoencoder = trained_on(digits, "linear", folder / "linear")
    runs, out = [*classifiers, autoencoder], tmp_path / "page.html"
    with refused(OptionError, classifiers[0].path, autoencoder.path, "classify", "reconstruct"):
        write_comparison(runs, out, samples=[digits] * 3)
    with refused(OptionError, "two runs"):
        write_comparison(runs[:1], out)
    assert not out.exists()


def test_an_unknown_map_is_refused_before_any_work(
    classifiers: list[Run], tmp_path: Path, refused: Refused
) -> None:
    with refused(OptionError, "'pcaa'", "tsne"):
        write_comparison(classifiers, tmp_path / "page.html", method="pcaa")


def test_a_run_without_an_epoch_is_refused(
    classifiers: list[Run], digits: Samples, tmp_path: Path, refused: Refused
) -> None:
    next(train(digits, "cnn-small", out=tmp_path / "new", config=TrainingConfig(epochs=2)))
    with refused(RunError, tmp_path / "new", "isthmus resume"):
        write_comparison([classifiers[0], Run.open(tmp_path / "new")], tmp_path / "page.html")
