"""Search in the page: the neighbors that Python finds, of samples and of other pictures."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from isthmus import Session, write_studio
from isthmus.latent.indexing import build_index
from studio.dropping import drop, paste, png
from studio.exploring import read_picture
from studio.serving import Studio, Watch, open_patiently, open_studio

Open = Callable[..., Studio]

RESULTS = "#panel-search .grid"
TILES = f"{RESULTS} .tile"
STATUS = "#status"


@pytest.fixture(scope="module")
def session(digits_run: Path) -> Session:
    opened = Session(digits_run)
    build_index(digits_run / "index", opened.trained, opened.samples)
    return Session(digits_run)


@pytest.fixture(scope="module")
def files(digits_run: Path, color_run: Path, signal_run: Path, tmp_path_factory: Any) -> Path:
    """Export runs, each as one file."""
    out: Path = tmp_path_factory.mktemp("files")
    for run in (digits_run, color_run, signal_run):
        write_studio(run, out / f"{run.name}.html")
    return out


def result(page: Any) -> tuple[list[int], list[float]]:
    """Return the rows and the distances that the page shows."""
    page.wait_for_selector(TILES)
    tiles = page.locator(TILES).evaluate_all(
        "tiles => tiles.map(tile => [tile.dataset.position, tile.dataset.row, tile.innerText])"
    )
    tiles.sort(key=lambda tile: int(tile[0]))
    return [int(row) for _, row, _ in tiles], [float(text.split("·")[1]) for _, _, text in tiles]


def expect_neighbors(page: Any, rows: NDArray[np.int64], distances: NDArray[np.float32]) -> None:
    shown, values = result(page)
    assert shown == rows.tolist()
    np.testing.assert_allclose(values, distances, rtol=6e-3, atol=1e-5)  # three digits are shown


def nearest(session: Session, code: NDArray[np.float32], k: int) -> tuple[Any, Any]:
    found = session.search(code, k)
    return found.rows[0], found.distances[0]


def opened(page: Any, studio: Open, run: Path, state: str) -> None:
    open_patiently(page, f"{studio(run).link}#{state}")


def test_neighbors_of_a_sample_are_those_of_the_session(
    page: Any, studio: Open, digits_run: Path, session: Session
) -> None:
    opened(page, studio, digits_run, "panel=search&sample=7")
    found = session.search(session.samples.names[7], 12)
    expect_neighbors(page, found.rows[0], found.distances[0])


def test_a_click_on_a_neighbor_searches_for_it(
    page: Any, studio: Open, digits_run: Path, session: Session
) -> None:
    opened(page, studio, digits_run, "panel=search&sample=7&k=6")
    rows, _ = result(page)
    page.locator(TILES).nth(2).click()
    page.wait_for_function(f"() => location.hash.includes('sample={rows[2]}&')")
    page.wait_for_selector(f"#panel-search .query >> text={session.samples.names[rows[2]]}")
    found = session.search(session.samples.names[rows[2]], 6)
    expect_neighbors(page, found.rows[0], found.distances[0])
    page.go_back()
    page.wait_for_selector(f"#panel-search .query >> text={session.samples.names[7]}")
    assert result(page)[0] == rows


def test_arrows_and_enter_choose_a_neighbor(page: Any, studio: Open, digits_run: Path) -> None:
    opened(page, studio, digits_run, "panel=search&sample=7")
    rows, _ = result(page)
    page.focus(RESULTS)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    active = page.get_attribute(RESULTS, "aria-activedescendant")
    assert page.get_attribute(f"#{active}", "aria-posinset") == "11"
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => location.hash.includes('sample={rows[10]}&')")


def test_only_one_class_and_another_number(
    page: Any, studio: Open, digits_run: Path, session: Session
) -> None:
    opened(page, studio, digits_run, "panel=search&sample=7")
    result(page)
    page.select_option("#panel-search select[aria-label='Search only']", label="3")
    page.select_option("#panel-search select[aria-label='Number of neighbors']", "24")
    page.wait_for_function(f"() => document.querySelectorAll('{TILES}').length >= 20")
    page.evaluate(f"document.querySelector('{RESULTS}').style.maxHeight = 'none'")
    page.wait_for_function(f"() => document.querySelectorAll('{TILES}').length == 24")
    found = session.search(session.samples.names[7], 24, label="3")
    expect_neighbors(page, found.rows[0], found.distances[0])
    assert "filter=3" in page.url
    assert "k=24" in page.url


def test_a_dropped_picture_finds_its_own_sample(
    page: Any, studio: Open, digits_run: Path, session: Session
) -> None:
    opened(page, studio, digits_run, "panel=search")
    hint = re.compile("Click a sample .* drop, paste or choose")
    page.locator("#panel-search", has_text=hint).wait_for()
    drop(page, png(session.samples.values[42]), "<b>forty-two</b>.png")
    page.wait_for_selector("#panel-search .query figure:nth-of-type(2)")
    assert page.inner_text("#panel-search .query .name") == "<b>forty-two</b>.png"
    code = session.trained.encode(session.samples.values[42:43])
    expect_neighbors(page, *nearest(session, code, 12))
    seen = read_picture(page, "#panel-search .query figure:nth-of-type(1) canvas")
    assert (seen == session.samples.values[42]).all()
    made = read_picture(page, "#panel-search .query figure:nth-of-type(2) canvas")
    wanted = session.trained.decode(code)[0]
    assert np.abs(made.astype(int) - wanted).max() <= 1


def test_a_pasted_picture_and_a_chosen_file(
    page: Any, studio: Open, digits_run: Path, session: Session
) -> None:
    opened(page, studio, digits_run, "")
    paste(page, png(session.samples.values[3]))
    assert result(page)[0][0] == 3
    content = {
        "name": "nine.png",
        "mimeType": "image/png",
        "buffer": png(session.samples.values[9]),
    }
    page.set_input_files("#panel-search input[type=file]", content)
    page.wait_for_selector("#panel-search .query >> text=nine.png")
    assert result(page)[0][0] == 9
    page.locator(TILES).nth(1).click()
    page.get_by_role("button", name="Back to nine.png").click()
    page.wait_for_selector("#panel-search .query >> text=nine.png")
    assert result(page)[0][0] == 9


def test_a_page_without_a_server_searches_pictures(
    page: Any, files: Path, session: Session
) -> None:
    open_studio(page, (files / "digits.html").as_uri())
    drop(page, png(session.samples.values[42]))
    code = session.trained.encode(session.samples.values[42:43])
    expect_neighbors(page, *nearest(session, code, 12))


def pictures() -> list[tuple[str, Image.Image]]:
    draw = np.random.default_rng(0)
    small = draw.integers(0, 256, (9, 13, 4), np.uint8)
    rough = Image.fromarray(small).resize((131, 87), Image.Resampling.BICUBIC)
    color = rough.convert("RGB")
    return [
        ("color", color),
        ("gray", color.convert("L")),
        ("transparent", rough),
        ("palette", color.quantize(32)),
        ("smaller than the model's input", color.resize((11, 7))),
        ("the model's own size", color.resize((16, 16))),
    ]


@pytest.mark.parametrize("run", ["color", "digits"])
def test_pictures_are_prepared_as_by_python(
    run: str, page: Any, files: Path, color_run: Path, digits_run: Path
) -> None:
    trained = Session({"color": color_run, "digits": digits_run}[run]).trained
    channels, height, width = trained.shape
    wanted = trained.preprocessing.resolve((height, width, channels))
    open_studio(page, (files / f"{run}.html").as_uri())
    for name, picture in pictures():
        content = png(picture)
        drop(page, content, f"{name}.png")
        page.wait_for_selector(f"#panel-search .query >> text={name}.png")
        seen = read_picture(page, "#panel-search .query canvas")
        fitted = wanted.decode_and_fit(content)
        assert np.abs(seen.astype(int) - fitted).max() <= 2, name


def test_what_is_no_picture_is_refused(page: Any, files: Path, watch: Watch) -> None:
    open_studio(page, (files / "digits.html").as_uri())  # what a server refuses is tested elsewhere
    drop(page, b"no picture", "notes.txt", "text/plain")
    page.wait_for_selector(f"{STATUS} >> text=The browser cannot read this file")
    drop(page, 20_000_001, "large.png")
    page.wait_for_selector(f"{STATUS} >> text=at most 20 MB")
    wide = Image.new("1", (8000, 6251))
    drop(page, png(wide), "wide.png")
    page.wait_for_selector(f"{STATUS} >> text=8,000 × 6,251 pixels; at most 50 million")
    assert page.locator(".drop-cover").is_hidden()
    watch.errors.clear()  # a browser may say that it could not show them


def test_signals_refuse_pictures(page: Any, files: Path) -> None:
    open_studio(page, (files / "signals.html").as_uri() + "#panel=search&sample=3")
    assert len(result(page)[0]) == 12
    drop(page, png(np.zeros((8, 8), np.uint8)))
    page.wait_for_selector(f"{STATUS} >> text=takes signals")
