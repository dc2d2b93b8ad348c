"""Selection, layers, training, classes and masks in the page: what Python says, by every way."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from isthmus import Session, TrainingConfig, load, train
from isthmus.evaluation.predictions import targets_in_model_classes
from isthmus.training.kept import KeptEpochs
from isthmus.training.store import FolderStore
from studio.asking import Client
from studio.conftest import fit, once
from studio.exploring import read_picture
from studio.serving import Studio, open_patiently, start_studio, wait_until

Open = Callable[..., Studio]

HOSTILE = ["<img src=x onerror=alert(1)>", "\u202eevil \u05d0\u05d1\u05d2", "long" * 60]


# The middle of a cell of the confusion matrix: 92 pixels of labels, then cells of 22 to 44.
CELL = """(box, [truth, prediction]) => {
    const side = Math.max(22, Math.min(44, Math.floor((box.clientWidth - 94) / 10)));
    box.scrollIntoView({block: "center"});
    const after = box.getBoundingClientRect();
    return [after.left + 93 + side * (prediction + 0.5), after.top + 93 + side * (truth + 0.5)];
}"""


def opened(page: Any, studio: Open, run: Path, state: str) -> None:
    open_patiently(page, f"{studio(run).link}#{state}")


def count(text: str) -> int:
    """Return the first whole number in a text."""
    found = re.search(r"\d[\d,]*", text)
    assert found, text
    return int(found[0].replace(",", ""))


def short(value: float) -> str:
    """Return a number as the page shows it, with three digits."""
    return f"{float(f'{value:.3g}'):g}"


def has_state(page: Any, text: str) -> None:
    page.wait_for_function(f"() => decodeURIComponent(location.hash).includes({text!r})")


# -- selection ------------------------------------------------------------------------------------


def test_the_selection_is_counted_sorted_and_saved(
    page: Any, studio: Open, digits_run: Path, tmp_path: Path
) -> None:
    session = Session(digits_run)
    opened(page, studio, digits_run, "select=rows:3,1,4,15,9&panel=gallery")
    page.wait_for_selector("#panel-gallery .tile")
    assert page.inner_text("#panel-gallery .count") == "5 of 400 selected"
    page.wait_for_function(
        "() => document.querySelector('#panel-gallery .count-list').innerText.trim()"
    )
    counts = page.inner_text("#panel-gallery .count-list").split()
    assert sum(map(int, counts[1::2])) == 5
    x = session.samples.values.astype(np.float32) / 255
    y = session.trained.reconstruct(session.samples.values).astype(np.float32) / 255
    error = np.square(x - y).reshape(len(x), -1).mean(1)
    page.select_option("#panel-gallery select", "-loss")
    wanted = sorted([1, 3, 4, 9, 15], key=lambda row: -error[row])
    page.wait_for_function(
        f"() => document.querySelector('#panel-gallery .tile').dataset.row === '{wanted[0]}'"
    )
    rows = page.locator("#panel-gallery .tile").evaluate_all(
        "tiles => tiles.map(tile => [+tile.dataset.position, +tile.dataset.row])"
    )
    assert [row for _, row in sorted(rows)] == wanted
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save names").click()
    saving.value.save_as(tmp_path / "names.txt")
    names = (tmp_path / "names.txt").read_text().splitlines()
    assert names == [session.samples.names[row] for row in wanted]
    page.get_by_role("button", name="Clear", exact=True).click()
    page.wait_for_selector("#panel-gallery .count >> text=400 shown")


def test_a_long_grid_holds_only_what_is_seen(page: Any, studio: Open, digits_run: Path) -> None:
    session = Session(digits_run)
    opened(page, studio, digits_run, "panel=gallery")
    page.wait_for_selector("#panel-gallery .tile")
    assert page.locator("#panel-gallery .tile").count() < 100
    page.focus("#panel-gallery .grid")
    page.keyboard.press("End")
    page.wait_for_selector("#panel-gallery .tile.active[data-row='399']")
    assert page.locator("#panel-gallery .tile").count() < 100
    page.keyboard.press("Enter")
    has_state(page, "sample=399")
    page.wait_for_selector(f"#panel-gallery .chosen >> text={session.samples.names[399]}")
    shown = read_picture(page, "#panel-gallery .tile.active canvas")
    assert (shown == session.samples.values[399]).all()


# -- layers ---------------------------------------------------------------------------------------


def numbers(text: str) -> list[float]:
    found = re.search(r"from (\S+) to (\S+)", text.replace(",", ""))
    assert found, text
    return [float(found[1]), float(found[2])]


@pytest.mark.parametrize("kind", ["digits_run", "classifier_run"])
def test_layers_are_those_of_the_session(
    kind: str, page: Any, studio: Open, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(kind)
    session = Session(run)
    opened(page, studio, run, "panel=layers&sample=5")
    page.wait_for_selector("#panel-layers .layer")
    truth = session.trained.activations(session.samples.values[5:6])
    layers = page.locator("#panel-layers .layer")
    assert layers.count() == len(session.trained.layers)
    layers.nth(0).locator(".map").last.click()
    page.wait_for_selector("dialog[open]")
    page.get_by_role("button", name="Close").click()
    page.wait_for_function("() => !location.hash.includes('layer=')")
    for number, layer in enumerate(session.trained.layers):
        section = layers.nth(number)
        section.scroll_into_view_if_needed()
        section.locator(".scale").wait_for()
        text = section.inner_text()
        values = truth[layer.name]
        assert layer.name in text
        assert layer.kind in text
        assert " × ".join(map(str, layer.shape)) in text
        np.testing.assert_allclose(
            numbers(text), [values.min(), values.max()], rtol=6e-3, atol=1e-4
        )
    if session.trained.task == "classify":
        shares = session.trained.probabilities(session.samples.values[5:6])[0]
        best = page.locator("#panel-layers .count-list li").first.locator("> span")
        assert best.first.text_content() == session.trained.class_names[shares.argmax()]
        assert float(best.last.text_content().rstrip("%")) == pytest.approx(
            100 * shares.max(), abs=0.1
        )


def test_a_feature_map_is_enlarged_by_keys(page: Any, studio: Open, classifier_run: Path) -> None:
    session = Session(classifier_run)
    layer = session.trained.layers[0]
    values = session.trained.activations(session.samples.values[5:6])[layer.name][0]
    opened(page, studio, classifier_run, "panel=layers&sample=5")
    page.locator("#panel-layers .map").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    has_state(page, "layer=0,1")
    dialog = page.locator("dialog[open]")
    assert dialog.inner_text().startswith(f"{layer.name}, map 2 of {len(values)}")
    assert numbers(dialog.inner_text()) == pytest.approx(
        [values[1].min(), values[1].max()], rel=6e-3, abs=1e-4
    )
    page.keyboard.press("ArrowRight")
    has_state(page, "layer=0,2")
    box = dialog.locator("canvas").bounding_box()
    side = box["width"] / values.shape[2]
    page.mouse.move(box["x"] + 2.5 * side, box["y"] + 1.5 * side)
    dialog.locator("text=row 2, column 3:").wait_for()
    shown = float(dialog.locator(".value").inner_text().split(":")[1])
    assert shown == pytest.approx(values[2, 1, 2], rel=6e-3, abs=1e-4)
    page.reload()
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="hidden")
    page.wait_for_function("() => !location.hash.includes('layer=')")
    page.go_back()
    page.wait_for_selector("dialog[open]")


# -- training -------------------------------------------------------------------------------------


@pytest.fixture
def training(tmp_path: Path) -> Iterator[tuple[Path, Callable[[int], None]]]:
    """Give a run that trains, and a function that lets it finish epochs."""
    samples = load("digits", limit=200)
    config = TrainingConfig(epochs=6, batch_size=32)
    steps = train(samples, "dense", out=tmp_path / "run", config=config, code_size=4)

    def advance(epoch: int) -> None:
        history = tmp_path / "run/history.jsonl"
        for _ in steps:  # several for each epoch
            if history.exists() and len(history.read_text().splitlines()) >= epoch:
                return

    advance(1)
    yield tmp_path / "run", advance
    steps.close()


def test_curves_grow_while_the_run_trains(
    page: Any, training: tuple[Path, Callable[[int], None]]
) -> None:
    run, advance = training
    studio = start_studio(run)
    try:
        open_patiently(page, f"{studio.link}#panel=training")
        page.wait_for_selector(".is-training:has-text('Training now: epoch 1 of 6')")
        dots = page.locator("#panel-training .chart").first.locator("circle.curve-0")
        before = dots.count()
        advance(3)
        page.wait_for_selector(".is-training:has-text('Training now: epoch 3 of 6')")
        assert dots.count() > before
        advance(99)
        page.wait_for_selector("text=Trained for 6 epochs")
        page.wait_for_selector(".is-training", state="detached")
        page.wait_for_selector(".epoch-number:text-is('epoch 6')", timeout=30_000)
    finally:
        page.goto("about:blank")  # a page that loses its server says so
        studio.stop()


def test_a_page_that_is_late_draws_by_the_newest_weights(
    page: Any, training: tuple[Path, Callable[[int], None]]
) -> None:
    run, advance = training
    studio = start_studio(run)
    client = Client(studio)
    asked: list[str] = []
    answered: list[int] = []

    def hold(route: Any) -> None:
        """Let the server take up better weights before it gets the first question for a network."""
        asked.append(route.request.url)
        if len(asked) == 1:
            known = client.manifest["snapshot"]
            advance(3)
            wait_until(lambda: client.manifest["snapshot"] != known)
        route.continue_()

    page.route("**/data/decoder.onnx", hold)
    page.on(
        "response",
        lambda answer: answered.append(answer.status) if answer.url in asked else None,
    )
    try:
        open_patiently(page, studio.link)
        wait_until(lambda: bool(answered), page)
        advance(99)
        model, z = Session(run).model, Session(run).codes().z
        wanted = model.decode(z.mean(0, keepdims=True))[0].astype(int)
        drawn = "#decoder .drawn canvas"
        wait_until(lambda: abs(read_picture(page, drawn).astype(int) - wanted).max() <= 1, page)
        page.wait_for_function("() => document.querySelector('#status').textContent === ''")
        assert answered[0] == 204  # neither an error nor a network that does not fit the codes
    finally:
        page.goto("about:blank")  # a page that loses its server says so
        studio.stop()


def test_curves_are_read_by_keys_and_as_a_table(
    page: Any, studio: Open, classifier_run: Path
) -> None:
    lines = Session(classifier_run).run.history()
    opened(page, studio, classifier_run, "panel=training")
    chart = page.locator("#panel-training .chart", has_text="Loss").first
    chart.locator("svg").focus()
    page.keyboard.press("Home")
    chart.locator("text=epoch 1").first.wait_for()
    assert f"training {short(lines[0]['loss'])}" in chart.inner_text()
    accuracy = page.locator("#panel-training .chart", has_text="Accuracy").inner_text()
    assert short(lines[0]["validation_accuracy"]) in accuracy
    page.get_by_role("button", name="Log scale").click()
    page.click("#panel-training summary")
    page.wait_for_selector("#panel-training tbody tr")
    assert page.locator("#panel-training tbody tr").count() == len(lines)


def test_the_slider_shows_what_each_epoch_made(page: Any, studio: Open, digits_run: Path) -> None:
    kept = KeptEpochs(FolderStore(digits_run))
    opened(page, studio, digits_run, "panel=training&epoch=1")
    answer = "#panel-training .epoch-sample .answer canvas"
    for key, epoch in (("", 1), ("ArrowRight", 2), ("End", 3)):
        page.focus("#panel-training input[type=range]")
        if key:
            page.keyboard.press(key)
        page.wait_for_selector(f".epoch-number:text-is('epoch {epoch}')")
        wanted = kept.read(epoch)
        assert wanted is not None
        page.wait_for_timeout(200)
        assert (read_picture(page, answer) == wanted[0]).all()
    has_state(page, "epoch=3")


# -- classes --------------------------------------------------------------------------------------


def test_a_cell_of_the_confusion_matrix_selects_its_samples(
    page: Any, studio: Open, classifier_run: Path
) -> None:
    session = Session(classifier_run)
    samples = session.samples
    targets = targets_in_model_classes(session.trained, samples)
    predicted = session.trained.probabilities(samples.values).argmax(1)
    opened(page, studio, classifier_run, "panel=classes&split=all")
    page.wait_for_selector("#panel-classes .accuracy >> text=right")
    right = int((targets == predicted).sum())
    assert f"({right} of 400)" in page.inner_text("#panel-classes .accuracy")
    wrong = next(i for i in range(400) if targets[i] != predicted[i])
    truth, guess = int(targets[wrong]), int(predicted[wrong])
    page.focus("#panel-classes .matrix")
    page.keyboard.press("Home")
    for key, times in (("ArrowDown", truth), ("ArrowRight", guess)):
        for _ in range(times):
            page.keyboard.press(key)
    rows = np.flatnonzero((targets == truth) & (predicted == guess))
    names = session.trained.class_names
    page.wait_for_selector(
        f".matrix-text >> text=/{names[truth]}.*, predicted .*{names[guess]}.*: {len(rows)} of/"
    )
    page.keyboard.press("Enter")
    has_state(page, f"select=cell:{truth},{guess}")
    # The mouse takes the selection back, and makes it again.
    cell = page.locator(".matrix").evaluate(CELL, [truth, guess])
    for selected in (False, True):
        page.mouse.click(*cell)
        page.wait_for_function(
            "wanted => location.hash.includes('select=') === wanted", arg=selected
        )
    page.click("#tab-gallery")
    page.wait_for_selector(f".count >> text={len(rows)} of 400 selected")
    shown = page.locator("#panel-gallery .tile").evaluate_all(
        "tiles => tiles.map(tile => +tile.dataset.row)"
    )
    assert sorted(shown) == rows.tolist()
    page.locator("#panel-gallery .tile").first.click()
    page.wait_for_function("() => location.hash.includes('sample=')")


def test_mistakes_come_with_the_most_confident_first(
    page: Any, studio: Open, classifier_run: Path
) -> None:
    session = Session(classifier_run)
    targets = targets_in_model_classes(session.trained, session.samples)
    shares = session.trained.probabilities(session.samples.values)
    test = session.run.split().test
    wrong = [row for row in test if shares[row].argmax() != targets[row]]
    opened(page, studio, classifier_run, "panel=classes")
    page.wait_for_selector(f"text={len(wrong)} mistakes")
    assert f"({len(test) - len(wrong)} of {len(test)})" in page.inner_text(".accuracy")
    if wrong:
        worst = max(wrong, key=lambda row: shares[row].max())
        page.wait_for_selector(f"#panel-classes .tile[data-position='0'][data-row='{worst}']")
        page.click("#panel-classes .tile[data-position='0']")
        has_state(page, f"sample={worst}")


def test_masks_are_shown_over_images_the_worst_first(
    page: Any, studio: Open, segmenter_run: Path
) -> None:
    session = Session(segmenter_run)
    samples = session.samples
    assert samples.masks is not None
    predicted = session.trained.predict(samples.values)
    opened(page, studio, segmenter_run, "panel=classes&sample=7")
    page.wait_for_selector("#panel-classes .tile")
    legend = page.inner_text(".mask-legend").split("\n")
    assert legend == ["paper", "pen", "different"]
    # In full opacity, a canvas shows the class of each pixel and nothing of the image.
    page.locator("input[aria-label='Opacity of the masks']").fill("1")
    page.get_by_role("button", name="Difference").click()
    assert page.get_attribute("button:has-text('Difference')", "aria-pressed") == "true"
    page.wait_for_selector("#panel-classes .tile[data-drawn=true]")  # all sheets are here now
    pictures = {
        layer: read_picture(page, f"#panel-classes canvas[data-layer={layer}]")
        for layer in ("truth", "prediction", "difference")
    }
    known = samples.masks[7] != 255
    for layer, mask in (("truth", samples.masks[7]), ("prediction", predicted[7])):
        for index in (0, 1):
            colors = pictures[layer][known & (mask == index)]
            assert len(np.unique(colors, axis=0)) == min(1, len(colors)), layer
    different = (pictures["difference"] == [224, 30, 90]).all(-1)
    assert (different == (known & (samples.masks[7] != predicted[7]))).all()


# -- all ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile_run(runs: Path) -> Path:
    """Train a classifier on classes and files whose names are markup, turn around, or are long."""
    return once(fit_hostile, runs)


def fit_hostile(runs: Path) -> Path:
    draw = np.random.default_rng(0)
    for number in range(60):
        folder = runs / "hostile" / HOSTILE[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 256, (8, 8), np.uint8) // 2 + number % 3 * 60
        name = f"<script>alert({number})<`script>.png".replace("`", "\u2044")
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    return fit(load(runs / "hostile"), "cnn-tiny", runs / "hostile-run", epochs=1)


def test_hostile_names_are_text(page: Any, studio: Open, hostile_run: Path) -> None:
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page.set_viewport_size({"width": 320, "height": 700})
    opened(page, studio, hostile_run, "panel=gallery&sample=0")
    for panel in ("gallery", "search", "layers", "training", "classes"):
        page.click(f"#tab-{panel}")
        page.wait_for_timeout(300)
        assert page.locator("#panels img, #panels script").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, panel
    page.click("#tab-gallery")
    assert "<script>" in page.inner_text("#panel-gallery .chosen .name")
    text = page.text_content("#panel-gallery .count-list")
    assert all(name in text for name in HOSTILE)
