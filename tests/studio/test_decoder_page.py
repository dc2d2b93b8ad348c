"""The decoder under the pointer, its gauge and the sliders, in a browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus import Codes, Session
from isthmus.data.items import Items
from studio.exploring import Truth, differ, open_at, read_code, read_decoded, read_picture
from studio.serving import Studio, Watch

START = Callable[..., Studio]
DRIFT = """() => /samples$/.test(document.querySelectorAll(".meter-words")[1].textContent)"""
METHODS = [("plane", "code"), ("digits", "pca"), ("digits", "tsne")]
PLACES = [
    (0.2, 0.3),
    (-0.35, 0.1),
    (0.05, -0.4),
]  # of the view: shares of its width from its middle


@pytest.fixture(scope="module")
def digits(digits_run: Path) -> Truth:
    return Truth(Session(digits_run))


@pytest.fixture(scope="module")
def plane(plane_run: Path) -> Truth:
    return Truth(Session(plane_run))


def serve(studio: START, run: Path, method: str) -> Studio:
    """Start a server that has a map, which is the one of all tests if that has it."""
    return studio(run, "--map", "pca", "--map", "tsne") if method == "tsne" else studio(run)


def view_of(truth: Truth, method: str) -> tuple[float, float, float]:
    """Return the middle and the width of a view of the whole map."""
    xy = truth.map(method).xy
    x, y = (xy.min(0) + xy.max(0)) / 2
    return round(float(x), 3), round(float(y), 3), round(float(np.ptp(xy, axis=0).max()) * 2, 3)


def pixel_of(page: Any, view: tuple[float, float, float], at: tuple[float, float]) -> Any:
    """Return the pixel of the window at a place of the map, and the place that this pixel has."""
    box = page.locator("#map").bounding_box()
    unit = view[2] / box["width"]
    across = round(box["width"] / 2 + (at[0] - view[0]) / unit)
    down = round(box["height"] / 2 - (at[1] - view[1]) / unit)
    place = (
        view[0] + (across - box["width"] / 2) * unit,
        view[1] + (box["height"] / 2 - down) * unit,
    )
    return (box["x"] + across, box["y"] + down), place


def gauge(page: Any) -> str:
    page.wait_for_function("() => document.querySelector('.gauge').dataset.verdict")
    return str(page.locator(".gauge").get_attribute("data-verdict"))


# -- the picture under the pointer ------------------------------------------------------------


@pytest.mark.parametrize(("run", "method"), METHODS)
def test_the_picture_is_what_the_decoder_draws_there(
    run: str, method: str, page: Any, studio: START, runs: Path, request: pytest.FixtureRequest
) -> None:
    truth: Truth = request.getfixturevalue(run)
    served = serve(studio, runs / run, method)
    view = view_of(truth, method)
    open_at(page, served, map=method, view=",".join(map(str, view)))
    for right, up in PLACES:
        wanted = view[0] + right * view[2] / 2, view[1] + up * view[2] / 3
        pixel, (x, y) = pixel_of(page, view, wanted)
        page.mouse.move(*pixel)
        page.wait_for_timeout(100)
        shown = read_decoded(page)
        if page.locator("#decoder .drawn b").text_content() == "Decoded":  # and not upon a sample
            assert differ(shown, truth.decode(truth.code_at(method, x, y))) <= 1
            assert differ(read_picture(page, ".floating canvas"), shown) == 0


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_a_code_lies_where_python_puts_it(
    method: str, page: Any, studio: START, digits: Truth, runs: Path
) -> None:
    open_at(page, serve(studio, runs / "digits", method), map=method)
    draw = np.random.default_rng(3)
    z = digits.z
    mixed = np.concatenate([z[:3], (z[10:20] + z[30:40]) / 2, draw.normal(size=(5, z.shape[1]))])
    codes = digits.session.codes()
    new = Codes(
        mixed.astype(np.float32),
        Items([str(i) for i in range(len(mixed))]),
        codes.layer,
        model_fingerprint=codes.model_fingerprint,
    )
    found = page.evaluate(
        """async ([codes, method]) => {
            const [{Store}, {Place}] = [await import("/store.js"), await import("/place.js")];
            const place = new Place(await Store.open(), {get: () => method}, null);
            return Promise.all(codes.map(code => place.of(Float32Array.from(code))));
        }""",
        [new.z.tolist(), method],
    )
    assert np.abs(np.array(found) - digits.map(method).transform(new)).max() < 1e-3


def test_a_sample_is_shown_beside_its_reconstruction(
    page: Any, studio: START, digits: Truth, digits_run: Path
) -> None:
    open_at(page, studio(digits_run), sample=7)
    shown = read_decoded(page)
    assert differ(shown, digits.decode(digits.z[7])) <= 1
    assert page.locator("#decoder .beside").inner_text().startswith("Original")
    original = read_picture(page, "#decoder .beside canvas")
    assert differ(original, digits.session.samples.values[7]) == 0
    assert gauge(page) == "like"


def test_the_keyboard_draws_and_pins(
    page: Any, studio: START, digits: Truth, digits_run: Path
) -> None:
    open_at(page, studio(digits_run), map="pca")
    page.locator("#map .overlay").focus()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowUp")
    before = read_decoded(page)
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_timeout(200)
    assert (read_decoded(page) != before).any()
    page.keyboard.press("Enter")
    page.wait_for_function("() => /place=|sample=/.test(location.hash)")
    page.get_by_role("button", name="Unpin").click()
    page.wait_for_function("() => !/place=|sample=/.test(location.hash)")


# -- how far to trust it ----------------------------------------------------------------------


def test_the_gauge_says_far_when_far(
    page: Any, studio: START, digits: Truth, digits_run: Path
) -> None:
    x, y = 40 * digits.map("pca").xy[0] / np.linalg.norm(digits.map("pca").xy[0])
    open_at(page, studio(digits_run), map="pca", place=f"{x},{y}")
    shown = read_decoded(page)
    code = digits.code_at("pca", float(x), float(y))
    assert differ(shown, digits.decode(code)) <= 1
    assert gauge(page) == "far"
    assert "the decoder invents" in page.locator(".verdict").inner_text()
    distance, drift = page.get_by_role("meter").all()
    nearest = np.linalg.norm(digits.z - code, axis=1).min()
    again = digits.session.model.encode(digits.decode(code)[None])[0]
    for meter, value in ((distance, nearest), (drift, np.linalg.norm(again - code))):
        assert meter.get_attribute("aria-valuenow") == "100"
        told = float(meter.get_attribute("aria-valuetext").split(",")[0])
        assert told == pytest.approx(value, rel=0.02)


def test_a_pinned_place_stays_until_it_is_unpinned(
    page: Any, studio: START, digits_run: Path
) -> None:
    open_at(page, studio(digits_run), map="pca", place="1,1")
    pinned = read_decoded(page)
    box = page.locator("#map").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.wait_for_timeout(200)
    page.mouse.move(box["x"] + box["width"] + 50, box["y"] + 300)
    page.wait_for_timeout(200)
    assert (read_decoded(page) == pinned).all()
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert (read_decoded(page) == pinned).all()


# -- models without a decoder -----------------------------------------------------------------


def test_a_classifier_shows_its_probabilities(
    page: Any, studio: START, classifier_run: Path
) -> None:
    open_at(page, studio(classifier_run), sample=3)
    page.wait_for_selector(".probabilities li")
    session = Session(classifier_run)
    probabilities = session.trained.probabilities(session.samples.values[3:4])[0]
    names = session.trained.class_names
    shown = [item.inner_text().split("\n") for item in page.locator(".probabilities li").all()]
    best = probabilities.argsort()[::-1][: len(shown)]
    assert [name for name, _ in shown] == [names[i] for i in best]
    assert shown[0][1] == f"{100 * probabilities[best[0]]:.1f}%"
    assert page.locator(".gauge").count() == 0
    assert page.get_by_role("tab", name="Morph").count() == 0


# -- sliders ----------------------------------------------------------------------------------


def test_sliders_move_point_and_picture(
    page: Any, studio: START, digits: Truth, digits_run: Path
) -> None:
    open_at(page, studio(digits_run), map="pca", sample=5, panel="sliders")
    page.wait_for_function(
        "() => document.querySelector('#panel-sliders').innerText.includes('From sample')"
    )
    axis = page.get_by_role("slider", name="Axis 1")
    before = float(axis.input_value())
    axis.focus()
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    assert axis.get_attribute("aria-valuetext").endswith("σ")
    page.wait_for_function("() => location.hash.includes('code=')")
    code = read_code(page)
    moved = code - digits.z[5]
    centered = digits.z - digits.z.mean(0)
    direction = np.linalg.svd(centered, full_matrices=False)[2][0]
    assert abs(moved @ direction) == pytest.approx(np.linalg.norm(moved), rel=1e-3)
    assert float(axis.input_value()) > before
    assert differ(read_decoded(page), digits.decode(code)) <= 1
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert differ(read_decoded(page), digits.decode(code)) <= 1
    assert (read_code(page) == code).all()
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function("() => !location.hash.includes('code=')")
    assert differ(read_decoded(page), digits.decode(digits.z[5])) <= 1


def test_a_number_of_the_code_is_moved_by_the_mouse(
    page: Any, studio: START, digits: Truth, digits_run: Path
) -> None:
    open_at(page, studio(digits_run), sample=2, panel="sliders")
    slider = page.get_by_role("slider", name="Number 4")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)
    page.wait_for_function("() => location.hash.includes('code=')")
    code, start = read_code(page), digits.z[2]
    assert np.abs(np.delete(code - start, 3)).max() < 1e-3
    assert abs(code[3] - start[3]) > 1e-2
    assert differ(read_decoded(page), digits.decode(code)) <= 1


def test_a_direction_leads_from_one_class_to_another(
    page: Any, studio: START, digits: Truth, digits_run: Path
) -> None:
    open_at(page, studio(digits_run), sample=2, panel="sliders")
    page.get_by_role("combobox", name="From group").select_option("3")
    page.get_by_role("combobox", name="To group").select_option("8")
    slider = page.get_by_role("slider", name="3 → 8")
    slider.fill("1")
    page.wait_for_function("() => location.hash.includes('code=')")
    labels = digits.session.codes().labels
    assert labels is not None
    direction = digits.z[labels == 8].mean(0) - digits.z[labels == 3].mean(0)
    assert np.abs(read_code(page) - digits.z[2] - direction).max() < 1e-3


def test_selections_can_be_the_groups(
    page: Any, studio: START, digits: Truth, digits_run: Path
) -> None:
    open_at(page, studio(digits_run), sample=2, panel="sliders", select="rows:1,2,3")
    page.get_by_role("button", name="Keep selection as A").click()
    page.wait_for_function("() => document.body.innerText.includes('the mean of 3 samples')")
    page.evaluate("() => { location.hash = location.hash.replace('1,2,3', '10,11') }")
    page.get_by_role("button", name="Keep selection as B").click()
    page.get_by_role("slider", name="selection A → selection B").fill("1")
    page.wait_for_function("() => location.hash.includes('code=')")
    direction = digits.z[[10, 11]].mean(0) - digits.z[[1, 2, 3]].mean(0)
    assert np.abs(read_code(page) - digits.z[2] - direction).max() < 1e-3


# -- a model that the page cannot compute -----------------------------------------------------


def spoil_decoder(page: Any, **changes: object) -> None:
    """Let the page read a decoder with an operator that nobody knows, and a changed manifest."""

    def change(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), **changes})

    def spoil(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.body().replace(b"Gemm", b"Geum"))

    page.route("**/data/manifest.json", change)
    page.route("**/data/decoder.onnx", spoil)


def test_the_server_decodes_what_the_page_cannot(
    page: Any, studio: START, digits: Truth, digits_run: Path, watch: Watch
) -> None:
    spoil_decoder(page)
    open_at(page, studio(digits_run), sample=9)
    assert differ(read_decoded(page), digits.decode(digits.z[9])) <= 1
    assert any(address.endswith("/decode") for address in watch.requests)


def test_an_export_says_what_it_cannot_compute(
    page: Any, studio: START, digits_run: Path, watch: Watch
) -> None:
    spoil_decoder(page, live=False)
    open_at(page, studio(digits_run), sample=9)
    page.wait_for_function("() => document.querySelector('#status').textContent")
    said = page.locator("#status").inner_text()
    assert (
        said
        == "This page cannot compute the decoder's Geum; open the run itself with isthmus studio."
    )
    assert not any(address.endswith("/decode") for address in watch.requests)


def test_what_is_being_prepared_comes_by_itself(
    page: Any, studio: START, digits: Truth, digits_run: Path
) -> None:
    is_prepared = []

    def change(route: Any) -> None:
        answer = route.fetch()
        manifest = answer.json()
        if not is_prepared:
            manifest["networks"] = {"encoder": None, "decoder": None, "layers": None}
            manifest["pending"], manifest["fingerprint"] = ["networks", "drift"], "early"
            manifest["code_statistics"]["drift"] = None
        route.fulfill(response=answer, json=manifest)

    page.route("**/data/manifest.json", change)
    told = "retry: 200\nevent: manifest\ndata: {}\n\n"  # again and again
    page.route("**/events", lambda r: r.fulfill(content_type="text/event-stream", body=told))
    open_at(page, studio(digits_run), sample=9, panel="layers")
    page.wait_for_selector(".meter-words >> text=is being prepared")
    assert differ(read_decoded(page), digits.decode(digits.z[9])) <= 1
    page.wait_for_selector("#panel-layers .layer")  # all that the server computes meanwhile
    is_prepared.append(True)
    page.wait_for_function(DRIFT)
    assert differ(read_decoded(page), digits.decode(digits.z[9])) <= 1


def test_a_fast_pointer_ends_on_the_last_picture(
    page: Any, studio: START, plane: Truth, plane_run: Path
) -> None:
    view = view_of(plane, "code")
    open_at(page, studio(plane_run), map="code", view=",".join(map(str, view)))
    page.mouse.move(400, 300)
    for at in ((200, 700), (700, 100), (300, 200)):
        page.mouse.move(*at, steps=40)
    pixel, (x, y) = pixel_of(page, view, (view[0] - view[2] / 2.4, view[1] + view[2] / 4))
    page.mouse.move(*pixel, steps=30)
    page.wait_for_timeout(300)
    assert differ(read_decoded(page), plane.decode(np.array([x, y]))) <= 1
