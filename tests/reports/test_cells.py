"""What notebooks show: pictures, tables and lines, and text where nothing can be drawn."""

import base64
import io
import pickle
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from isthmus import (
    Codes,
    Images,
    Index,
    Items,
    Map,
    Run,
    Samples,
    Session,
    TrainingConfig,
    check_data,
    fit_map,
    load,
    summarize,
    train,
)
from isthmus.errors import OptionError
from looking import in_color, noise

MAX_BYTES = 210_000


class Cell(HTMLParser):
    """What a cell shows: its text, its pictures with their alternative texts, its table."""

    def __init__(self, shown: Any) -> None:
        super().__init__()
        self.html: str = shown._repr_html_()
        self.text, self.alts, self.rows = "", [""][:0], [[""]][:0]
        self.contents: list[bytes] = []
        self.open: list[str] = []
        self.feed(self.html)
        self.close()
        assert self.open == [], "every element is closed"
        assert len(self.html) < MAX_BYTES

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "img":
            self.alts.append(named["alt"] or "")
            head, _, content = (named["src"] or "").partition(";base64,")
            assert head.startswith("data:image/")
            self.contents.append(base64.b64decode(content))
            return
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data}\n"
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    @property
    def pictures(self) -> list[NDArray[np.uint8]]:
        return [
            np.asarray(Image.open(io.BytesIO(content)).convert("RGB")) for content in self.contents
        ]


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=300)


@pytest.fixture(scope="module")
def run(digits: Samples) -> Run:
    """Train a run in memory."""
    training = train(digits, "dense", code_size=12, config=TrainingConfig(epochs=2))
    list(training)
    return training.run


@pytest.fixture(scope="module")
def session(run: Run) -> Session:
    return Session(run)


@pytest.fixture
def stored(run: Run, tmp_path: Path) -> Path:
    return run.save(tmp_path / "runs" / "one").path


# -- what was read ----------------------------------------------------------------------------


def test_a_reading_report_is_a_table_with_its_notes() -> None:
    report = check_data(np.full((9, 4, 4), 7, np.uint8))
    cell = Cell(report)
    assert report.description in cell.text
    assert ["values", "all 7"] in cell.rows
    (kind, text) = cell.rows[-1]
    assert kind == "warning"
    assert "9 samples are blank" in text


# -- samples ----------------------------------------------------------------------------------


def test_images_of_any_size_are_shown_with_their_names() -> None:
    sides = [(3000, 3), (1, 1), (40, 60), *[(9, 9)] * 15]
    images = [np.full(side, 90, np.uint8) for side in sides]
    cell = Cell(Images.of(images, names=[f"{row}.png" for row in range(18)]))
    assert "18 images of 1 × 1 to 3000 × 3, gray" in cell.text
    assert "16 of them" in cell.text
    assert cell.alts[0] == "0.png"
    assert len(cell.pictures) == 16
    assert all((picture == 90).all() for picture in cell.pictures)


def test_samples_are_shown_evenly_spaced_with_their_classes(digits: Samples) -> None:
    cell = Cell(digits)
    assert "300 images of 8 × 8, gray, 10 classes" in cell.text
    assert len(cell.pictures) == 16
    rows = [int(alt.split(": ")[1]) for alt in cell.alts]
    assert rows == sorted(rows)
    assert (rows[0], rows[-1]) == (int(digits.names[0]), int(digits.names[-1]))
    for alt, picture in zip(cell.alts, cell.pictures, strict=True):
        label, name = alt.split(": ")
        row = list(digits.names).index(name)
        assert digits.items.label_names()[row] == label
        np.testing.assert_array_equal(picture, in_color(digits.values[row]))


def test_few_samples_are_all_shown_by_name() -> None:
    cell = Cell(load(noise(3, 9, 7, 3)))
    assert cell.alts == ["0", "1", "2"]
    assert "evenly" not in cell.text


def test_large_pictures_are_reduced() -> None:
    cell = Cell(load(noise(40, 300, 400, 3)))
    assert len(cell.pictures) == 16
    assert {picture.shape for picture in cell.pictures} == {(62, 83, 3)}


def test_of_very_large_pictures_a_part_of_the_pixels_is_read() -> None:
    image = np.zeros((1, 2100, 3000, 3), np.uint8)
    image[:, 1200:] = 255
    (picture,) = Cell(load(image)).pictures
    assert picture.shape == (60, 86, 3)
    assert picture[:30].mean() < 10
    assert picture[40:].mean() > 245


def test_masks_lie_over_their_images_and_are_named() -> None:
    images = np.full((2, 6, 6, 3), 200, np.uint8)
    masks = np.zeros((2, 6, 6), np.uint8)
    masks[0, :3], masks[1, 3:] = 2, 255
    items = Items(["a", "b"], class_names=("<sky>", "unseen", "road"))
    cell = Cell(Samples(images, items, masks=masks))
    first, second = cell.pictures
    assert not np.array_equal(first[0, 0], first[5, 0])
    np.testing.assert_array_equal(second[5, 0], [200, 200, 200])
    assert "<sky>" in cell.text
    assert "road" in cell.text
    assert "unseen" not in cell.text


def test_of_many_classes_in_masks_a_few_are_named() -> None:
    masks = np.arange(64, dtype=np.uint8).reshape(1, 8, 8) % 20
    items = Items(["a"], class_names=tuple(f"class {i}" for i in range(20)))
    cell = Cell(Samples(np.zeros((1, 8, 8, 3), np.uint8), items, masks=masks))
    assert "and 8 more classes" in cell.text


def test_signals_are_curves_that_keep_their_peaks() -> None:
    signals = np.zeros((2, 10_000, 2), np.float32)
    signals[0, 7_777, 0] = 1.0
    cell = Cell(load(signals))
    peaked, flat = (content.decode() for content in cell.contents)
    assert peaked.count("<polyline") == flat.count("<polyline") == 2
    assert len(heights(peaked)) > len(heights(flat)) == 1


def test_signals_of_many_channels_stay_small() -> None:
    signals = np.random.default_rng(0).normal(size=(20, 500, 12)).astype(np.float32)
    cell = Cell(Samples(signals, Items([str(i) for i in range(20)])))
    assert len(cell.contents) == 16
    assert {content.decode().count("<polyline") for content in cell.contents} == {4}


def heights(svg: str) -> set[str]:
    """Return the different heights of the points of the first curve."""
    points = svg.split('points="')[1].split('"')[0]
    return {point.split(",")[1] for point in points.split()}


def test_names_are_data() -> None:
    names = ["<script>alert(1)</script>.png", 'a"b&c.png', "broken \udcff.png"]
    cell = Cell(Samples(noise(3, 4, 4, 1), Items(names)))
    assert "<script" not in cell.html
    assert cell.alts[1] == 'a"b&c.png'
    cell.html.encode()  # a notebook is JSON in UTF-8


# -- runs and models --------------------------------------------------------------------------


def test_a_run_shows_its_curves_and_figures(run: Run) -> None:
    cell = Cell(run)
    loss = f"validation loss {run.history()[-1]['validation_loss']:.4g}"
    for fact in ("the run in memory", "dense", "code of 12", "300 images", "epoch 2 of 2", loss):
        assert fact in cell.text
    (picture,) = cell.pictures
    assert picture.std() > 10
    assert loss in cell.alts[0]


def test_a_run_without_an_epoch_says_so(digits: Samples, tmp_path: Path) -> None:
    training = train(digits, "dense", out=tmp_path / "run")
    next(training)
    cell = Cell(training.run)
    assert "no whole epoch yet" in cell.text
    assert cell.pictures == []
    training.close()


def test_a_damaged_run_is_text(stored: Path) -> None:
    run = Run.open(stored)
    (stored / "history.jsonl").write_text("{")
    assert run._repr_html_() is None
    assert "Run(" in repr(run)


def test_a_model_shows_its_layers_and_their_parameters(session: Session) -> None:
    header, *rows, total = Cell(session.model).rows
    layers = summarize(session.trained.config)
    assert header[0] == "layer"
    assert [row[0] for row in rows] == [layer.name for layer in layers]
    counts = [layer.trainable + layer.frozen for layer in layers]
    assert [row[3] for row in rows] == [f"{count:,}" for count in counts]
    assert total[3] == f"{sum(counts):,}"


def test_of_many_layers_the_first_and_last_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.reports.cells.MAX_LAYERS", 4)
    training = train(load("digits", limit=60), "conv", config=TrainingConfig(epochs=1))
    list(training)
    model = training.run.model()
    rows = Cell(model).rows[1:-1]
    assert [row[0] for row in (*rows[:2], *rows[3:])] == [
        layer.name for layer in (*model.layers[:2], *model.layers[-2:])
    ]
    assert rows[2][0] == f"… {len(model.layers) - 4} more"


# -- codes, maps and searches -----------------------------------------------------------------


def test_codes_are_rows_of_numbers(session: Session) -> None:
    codes = session.codes()
    header, first, *_, last = Cell(codes).rows
    assert header == ["name", "class", *map(str, range(8)), "…"]
    assert first[:3] == [codes.names[0], "0", f"{codes.z[0, 0]:.3f}"]
    assert last[0] == "…"
    few = Codes(np.ones((2, 3), np.float32), Items(["a", "b"]))
    assert Cell(few).rows[1:] == [["a", "", *["1.000"] * 3], ["b", "", *["1.000"] * 3]]


def test_a_map_is_its_picture(session: Session) -> None:
    cell = Cell(session.map(session.codes(), "pca"))
    (picture,) = cell.pictures
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20  # ten classes and their shades
    assert "300 samples" in cell.alts[0]
    assert "evenly" not in cell.text


def test_of_a_large_map_some_points_are_drawn() -> None:
    xy = np.random.default_rng(0).normal(size=(30_000, 2)).astype(np.float32)
    items = Items([str(i) for i in range(len(xy))])
    cell = Cell(Map("tsne", xy, items, np.ones(len(xy), np.bool_)))
    assert "tsne of 30,000" in cell.text
    assert "5,000 of them, evenly spaced" in cell.text
    assert len(cell.pictures) == 1


def test_a_search_shows_the_query_and_what_was_found(session: Session) -> None:
    samples, name = session.samples, session.samples.names[3]
    result = session.search(name, 5)
    query, *found = Cell(result).pictures
    rows = [list(samples.names).index(one) for one in result.names[0]]
    np.testing.assert_array_equal(result.values(), samples.values[rows])
    for row, picture in zip([3, *rows], [query, *found], strict=True):
        np.testing.assert_array_equal(picture, in_color(samples.values[row]))


def test_images_in_memory_are_shown_as_queries_and_codes_are_not(session: Session) -> None:
    samples = session.samples
    cell = Cell(session.search(samples.take(np.arange(6)), 9))
    assert "9 nearest of 6 queries), the nearest 7 of the first 3" in cell.text
    assert cell.alts.count("query") == 3
    assert len(cell.pictures) == 3 * (1 + 7)
    result = session.search(session.codes().z[:1], 2)
    assert result.query_values() is None
    assert len(Cell(result).pictures) == 2


def test_pictures_that_compress_badly_stay_small() -> None:
    samples = load(noise(40, 90, 90, 3))
    training = train(samples, "linear", code_size=2, config=TrainingConfig(epochs=1))
    list(training)
    cell = Cell(Session(training.run).search(samples.take(np.arange(3)), 8))
    assert len(cell.pictures) == 24


def test_an_index_alone_gives_a_table(session: Session) -> None:
    result = Index.build(session.codes()).search(session.codes().z[:2], 3)
    cell = Cell(result)
    assert cell.pictures == []
    assert [row[:2] for row in cell.rows[1:]] == [
        [str(query), name] for query in (0, 1) for name in result.names[query]
    ]
    assert "Session.search" in cell.text
    with pytest.raises(OptionError, match=r"Session\.search"):
        result.values()


def test_of_a_source_that_is_gone_a_table_is_shown(photos: Path, tmp_path: Path) -> None:
    config = TrainingConfig(epochs=1, batch_size=2)
    list(train(load(photos), "dense", out=tmp_path / "run", config=config))
    Index.build(Session(tmp_path / "run").codes()).save(tmp_path / "run/index")
    session = Session(tmp_path / "run")  # which has not loaded the samples
    result = session.search("cat/0.png", 2)
    for file in photos.rglob("*.*"):
        file.unlink()
    cell = Cell(result)
    assert cell.pictures == []
    assert cell.rows[1][1] == result.names[0][0]
    assert str(photos) in cell.text


def test_a_run_in_memory_on_an_array_is_searched_too() -> None:
    training = train(load(noise(40, 8, 8, 1)), "dense", config=TrainingConfig(epochs=1))
    list(training)
    session = Session(training.run)
    query, *found = Cell(session.search("5", 3)).pictures
    np.testing.assert_array_equal(query, in_color(session.samples.values[5]))
    assert len(found) == 3


# -- all --------------------------------------------------------------------------------------


def test_a_copy_in_another_process_shows_what_it_can(
    session: Session, digits: Samples, stored: Path
) -> None:
    result = session.search(digits.values[:1], 2)
    codes = session.codes()
    objects = [digits, Run.open(stored), codes, fit_map(codes, "pca")]
    for shown in objects:
        assert len(pickle.loads(pickle.dumps(shown))._repr_html_()) > 100
    copy = pickle.loads(pickle.dumps(result))
    assert copy.names == result.names
    np.testing.assert_array_equal(copy.query_values(), digits.values[0])
    assert Cell(copy).pictures == []


def test_a_kind_without_a_picture_is_text() -> None:
    from isthmus.display import Displayed

    class Unknown(Displayed):
        pass

    assert Unknown()._repr_html_() is None


def test_showing_samples_loads_neither_torch_nor_matplotlib() -> None:
    script = """
import sys, isthmus
print(len(isthmus.load("digits", limit=20)._repr_html_()) > 1000)
print(sorted({"torch", "matplotlib.figure"} & set(sys.modules)))
"""
    command = [sys.executable, "-c", script]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert printed == "True\n[]\n"
