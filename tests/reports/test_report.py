"""The page and the pictures, read back."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from isthmus import (
    Run,
    Samples,
    TrainedModel,
    TrainingConfig,
    diagnose,
    evaluate,
    load,
    train,
    write_report,
)
from isthmus.data.items import Items
from isthmus.errors import RunError
from isthmus.evaluation.summaries import prediction_verdict
from isthmus.viz.canvas import to_png
from isthmus.viz.grids import reconstruction_grid


class Page(HTMLParser):
    """Collects a page's references, pictures and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=500)


@pytest.fixture(scope="module")
def run(digits: Samples, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "<digits & co>"
    list(train(digits, "dense", out=out, code_size=6, config=TrainingConfig(epochs=3)))
    return Run.open(out)


@pytest.fixture(scope="module")
def page(run: Run, digits: Samples) -> Page:
    return Page(write_report(run, digits).read_text())


def test_the_page_is_well_formed_and_needs_no_other_file(page: Page) -> None:
    assert page.open == []
    assert len(page.references) == 5
    assert all(reference.startswith("data:image/png;base64,") for reference in page.references)


def test_its_pictures_open_and_show_something(page: Page) -> None:
    for reference in page.references:
        picture = Image.open(io.BytesIO(base64.b64decode(reference.split(",")[1])))
        assert picture.width > 600
        assert np.asarray(picture.convert("L")).std() > 10


def test_its_figures_are_those_of_evaluate(page: Page, run: Run, digits: Samples) -> None:
    result = evaluate(run, own=digits)
    for value in (
        f"{result['test']['mse']:.5f}",
        f"{result['test']['psnr']:.2f} dB",
        f"{result['test']['bce']:.4f}",
        f"{result['baselines']['pca']['mse']:.5f}",
        f"{result['baselines']['mean']['mse']:.5f}",
        f"{result['model']['parameters']:,}",
        digits.fingerprint,
    ):
        assert value in page.text


def test_it_says_whether_pca_is_better(page: Page, run: Run, digits: Samples) -> None:
    result = evaluate(run, own=digits)
    better = result["test"]["mse"] < result["baselines"]["pca"]["mse"]
    assert ("lower than that of PCA" in page.text) is better
    assert ("does better" in page.text) is not better


def test_it_says_what_looks_wrong_and_else_nothing(page: Page, run: Run, digits: Samples) -> None:
    findings = diagnose(run, digits).findings
    assert ("What looks wrong" in page.text) is bool(findings)
    for finding in findings:
        assert f"{finding.code} {finding.text} {finding.advice}" in page.text
    assert not findings or "Train longer, or try another model" not in page.text


def test_names_are_escaped(page: Page) -> None:
    assert "<digits & co>" in page.text


def test_a_run_without_an_epoch_has_no_report(digits: Samples, tmp_path: Path) -> None:
    next(train(digits, "dense", out=tmp_path / "run", config=TrainingConfig(epochs=3)))
    with pytest.raises(RunError, match="no whole epoch"):
        write_report(Run.open(tmp_path / "run"), digits)


def test_signals_are_drawn_as_lines(tmp_path: Path) -> None:
    waves = np.sin(np.random.default_rng(0).uniform(0, 6, (80, 1, 1)) + np.arange(32)[:, None] / 3)
    samples = load(waves.astype(np.float32))
    list(train(samples, out=tmp_path / "run", code_size=3, config=TrainingConfig(epochs=2)))
    page = Page(write_report(Run.open(tmp_path / "run"), samples).read_text())
    assert "80 signals of 32 × 1" in page.text
    assert "structural similarity" not in page.text


# -- classifiers and segmenters -------------------------------------------------------------


def pictures_of(page: Page) -> list[Image.Image]:
    """Open a page's pictures, which are all in the page itself."""
    assert page.open == []
    starts = [reference.split(",")[0] for reference in page.references]
    assert set(starts) == {"data:image/png;base64"}
    contents = [base64.b64decode(reference.split(",")[1]) for reference in page.references]
    return [Image.open(io.BytesIO(content)) for content in contents]


@pytest.fixture(scope="module")
def classifier(digits: Samples, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "classifier"
    list(train(digits, "cnn-small", out=out, config=TrainingConfig(epochs=5)))
    return Run.open(out)


def test_the_page_of_a_classifier_has_its_sections(classifier: Run, digits: Samples) -> None:
    page = Page(write_report(classifier, digits).read_text())
    for title in (
        *("Most confident mistakes", "Compared with baselines", "Results by class"),
        *("Calibration", "Map of the features", "Training"),
    ):
        assert title in page.text
    pictures = pictures_of(page)  # mistakes, confusion, reliability, map, curves
    assert len(pictures) == 5
    assert min(picture.width for picture in pictures) > 400
    assert "masks" not in page.text


def test_the_page_of_a_classifier_holds_the_figures(classifier: Run, digits: Samples) -> None:
    text = Page(write_report(classifier, digits).read_text()).text
    result = evaluate(classifier, own=digits)
    test, baselines = result["test"], result["baselines"]
    for value in (
        f"{test['accuracy']:.2%} correct",
        f"{test['top_5']:.2%} top-5 accuracy",
        f"{test['ece']:.1%} expected calibration error",
        f"{test['cross_entropy']:.4f}",
        f"logistic regression on the raw values {baselines['pixels']['logistic']:.2%}",
        f"4 nearest neighbors by the raw values {baselines['pixels']['knn_4']:.2%}",
        f"the most frequent class of training {baselines['majority']:.2%}",
    ):
        assert value in text
    for name, row in test["classes"].items():
        precision = "–" if row["precision"] is None else f"{row['precision']:.1%}"
        assert f"{name} {row['n']} {row['recall']:.1%} {precision}" in text


@pytest.mark.parametrize(
    ("ours", "sentence"),
    [
        (
            0.75,
            "the class of 75.0% of the test samples correctly; the best baseline, simple, reaches",
        ),
        (0.50, "50.0% of the test samples correctly, no more than a baseline, simple."),
        (
            0.25,
            "25.0% of the test samples correctly; a baseline does better: simple, 50.0%. Train",
        ),
    ],
)
def test_the_verdict_names_the_best_baseline(ours: float, sentence: str) -> None:
    rows = [("this model", ours), ("majority", 0.1), ("simple", 0.5)]
    assert sentence in prediction_verdict(rows, "samples")


def test_the_page_of_a_segmenter_has_sections_and_figures(tmp_path: Path) -> None:
    values = load("digits", limit=60, size=32).values
    masks = np.digitize(values[..., 0], (80, 170)).astype(np.uint8)
    masks[:, 0] = 255
    names = ("paper", "edge <of it>", "pen")
    samples = Samples(values, Items(list(map(str, range(60))), class_names=names), masks=masks)
    options = {"width": 0.05, "batch_norm": True}
    config = TrainingConfig(epochs=2)
    list(train(samples, "fcn8s", out=tmp_path / "run", options=options, config=config))
    run = Run.open(tmp_path / "run")
    page = Page(write_report(run, samples).read_text())
    result = evaluate(run, own=samples)
    test = result["test"]
    for text in (
        *("Ground truth and prediction", "Compared with baselines", "Results by class", "Training"),
        f"{test['mean_iou']:.1%} mean intersection over union",
        f"{test['pixel_accuracy']:.1%} of the pixels correct",
        f"the most frequent class of training {result['baselines']['majority']:.2%}",
        "void pixels are ignored",
    ):
        assert text in page.text
    for name, row in test["classes"].items():
        assert f"{name} {row['share']:.2%} {row['iou']:.1%}" in page.text
    overlays, confusion, _ = pictures_of(page)  # and curves
    assert overlays.height > overlays.width  # six rows of four
    assert np.ptp(np.asarray(overlays.convert("RGB")).astype(int), axis=2).max() > 100
    assert confusion.width > 300
    assert "Calibration" not in page.text


@pytest.mark.parametrize(("columns", "code"), [(1, 2), (10, 32), (3, 128), (2, 7), (2, 500)])
@pytest.mark.parametrize("shape", [(8, 8, 1), (20, 40, 3), (30, 10, 4)])
def test_the_grid_shows_originals_above_and_reconstructions_below(
    columns: int, code: int, shape: tuple[int, int, int]
) -> None:
    white = np.full((columns, *shape), 255, np.uint8)
    figure = reconstruction_grid(white // 255, np.ones((columns, code), np.float32), white)
    pixels = np.asarray(Image.open(io.BytesIO(to_png(figure, dpi=80))).convert("L"))
    column = pixels[:, -30]
    assert (column[: len(column) // 3] < 10).any()  # a black original
    assert (column[-len(column) // 4 :] > 250).all()  # a white reconstruction
    assert not re.search("nan", str(figure.get_size_inches()))


def test_a_report_encodes_each_sample_once(
    digits: Samples, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainingConfig(epochs=1)
    list(train(digits, "dense", out=tmp_path / "run", code_size=6, config=config))
    encoded = []
    encode = TrainedModel.encode

    def count(model: TrainedModel, values: Any, **options: Any) -> Any:
        encoded.append(len(values))
        return encode(model, values, **options)

    monkeypatch.setattr(TrainedModel, "encode", count)
    run = Run.open(tmp_path / "run")
    write_report(run, digits)
    split, examples = run.split(), 10  # the codes of the examples are drawn
    assert sum(encoded) == len(split.train) + len(split.test) + examples


def test_a_report_loads_the_model_once(
    run: Run, digits: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    load_model = Run.model

    def count(run: Run) -> TrainedModel:
        loaded.append(run)
        return load_model(run)

    monkeypatch.setattr(Run, "model", count)
    write_report(run, digits, out=tmp_path / "report.html")
    assert len(loaded) == 1
