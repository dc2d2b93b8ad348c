"""Morphs in a browser: two samples or a path, the strip, the film, and the files that are saved."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from isthmus import Session, interpolate
from studio.exploring import Truth, differ, open_at, read_picture
from studio.serving import Studio

START = Callable[..., Studio]
FRAMES = 41  # of a film, one way


@pytest.fixture(scope="module")
def digits(digits_run: Path) -> Truth:
    return Truth(Session(digits_run))


def way(truth: Truth, a: int, b: int, steps: int, path: str = "linear") -> list[NDArray[np.uint8]]:
    """Return the pictures between two samples, as Python makes them."""
    codes = interpolate(truth.z[a], truth.z[b], steps, path)
    return list(truth.session.trained.decode(codes))


def wait_film(page: Any) -> None:
    page.wait_for_function(
        f"() => document.querySelector('.morph-film input[type=range]')?.max === '{FRAMES - 1}'"
    )


def read_strip(page: Any) -> list[NDArray[np.uint8]]:
    count = page.locator(".morph-strip canvas").count()
    return [read_picture(page, f".morph-strip canvas:nth-child({i + 1})") for i in range(count)]


def save(page: Any, button: str) -> tuple[str, Image.Image]:
    """Press a button that saves; return the file's name and the picture in it."""
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    content = Path(download.value.path()).read_bytes()
    return download.value.suggested_filename, Image.open(io.BytesIO(content))


def read_frames(gif: Image.Image) -> list[NDArray[np.uint8]]:
    return [np.array(frame.convert("RGB")) for frame in ImageSequence.Iterator(gif)]


def enlarged(sample: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Return an image (H, W, C), every pixel of it as a block, at a size (width, height)."""
    return sample.repeat(size[1] // sample.shape[0], 0).repeat(size[0] // sample.shape[1], 1)


def test_codes_on_the_way_are_those_of_python(page: Any, studio: START, digits_run: Path) -> None:
    open_at(page, studio(digits_run))
    draw = np.random.default_rng(0)
    pairs = [*draw.normal(size=(5, 2, 6)), np.array([[0, 0], [1, 2]]), np.array([[1, 2], [2, 4]])]
    ways = [(path, *pair.astype(np.float32)) for path in ("linear", "spherical") for pair in pairs]
    found = page.evaluate(
        """async ways => {
            const {interpolate} = await import("/interpolate.js");
            return ways.map(([path, a, b]) =>
                Array.from(interpolate(Float32Array.from(a), Float32Array.from(b), 7, path)));
        }""",
        [(path, a.tolist(), b.tolist()) for path, a, b in ways],
    )
    for numbers, (path, a, b) in zip(found, ways, strict=True):
        wanted = interpolate(a, b, 7, path)
        assert np.abs(np.reshape(numbers, wanted.shape) - wanted).max() < 1e-6, path


def test_two_clicked_samples_become_a_strip_a_film_and_files(
    page: Any, studio: START, digits: Truth, digits_run: Path
) -> None:
    xy = digits.map("pca").xy
    x, y = ((xy.min(0) + xy.max(0)) / 2).tolist()
    width = 3 * float(np.ptp(xy, axis=0).max())
    open_at(page, studio(digits_run), map="pca", panel="morph", view=f"{x},{y},{width}")
    box = page.locator("#map").bounding_box()
    unit = width / box["width"]
    rows: list[int] = []
    for at in xy[xy[:, 0].argsort()[[0, -1]]].tolist():
        across, down = box["width"] / 2 + (at[0] - x) / unit, box["height"] / 2 - (at[1] - y) / unit
        page.mouse.click(box["x"] + across, box["y"] + down)
        page.wait_for_function(
            "count => location.hash.match(/ends=([^&]*)/)?.[1].match(/[0-9]+/g).length === count",
            arg=len(rows) + 1,
        )
        rows.append(int(page.evaluate("location.hash.match(/sample=([0-9]+)/)[1]")))
    assert f"ends={rows[0]},{rows[1]}" in page.evaluate("location.hash")
    wait_film(page)
    strip = read_strip(page)
    wanted = way(digits, rows[0], rows[1], len(strip))
    assert len(strip) == 11
    assert max(map(differ, strip, wanted)) <= 1
    name, gif = save(page, "Save GIF")
    names = digits.session.samples.names
    assert name == "morph-{}-to-{}-linear.gif".format(
        *(names[row].replace("/", "-") for row in rows)
    )
    frames = read_frames(gif)
    film = way(digits, rows[0], rows[1], FRAMES)
    film += film[-2:0:-1]  # there and back
    assert len(frames) == len(film)
    assert gif.info["loop"] == 0
    assert (
        max(differ(frame, enlarged(one, gif.size)) for frame, one in zip(frames, film, strict=True))
        <= 1
    )
    _, png = save(page, "Save strip as PNG")
    side = png.height
    first, last = np.array(png.convert("RGB"))[:, :side], np.array(png.convert("RGB"))[:, -side:]
    assert differ(first, enlarged(wanted[0], (side, side))) <= 1
    assert differ(last, enlarged(wanted[-1], (side, side))) <= 1


def test_the_keyboard_makes_and_plays_a_morph(
    page: Any, studio: START, digits: Truth, digits_run: Path
) -> None:
    page.emulate_media(reduced_motion="reduce")
    open_at(page, studio(digits_run), panel="morph")
    for letter, row in (("A", "3"), ("B", "8")):
        page.get_by_label(f"Row of sample {letter}").fill(row)
        page.keyboard.press("Enter")
    wait_film(page)
    assert page.get_by_role("button", name="Play").is_visible()  # it does not start by itself
    page.get_by_label("linear").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => location.hash.includes('path=spherical')")
    page.wait_for_timeout(300)
    page.get_by_role("slider", name="Pictures in the strip").focus()
    page.keyboard.press("Home")
    page.wait_for_function("() => document.querySelectorAll('.morph-strip canvas').length === 7")
    wait_film(page)
    page.wait_for_timeout(300)
    assert max(map(differ, read_strip(page), way(digits, 3, 8, 7, "spherical"))) <= 1
    frame = page.get_by_role("slider", name="Frame")
    frame.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert frame.get_attribute("aria-valuetext") == f"Frame 5 of {FRAMES}"
    film = way(digits, 3, 8, FRAMES, "spherical")
    assert differ(read_picture(page, ".morph-film canvas"), film[4]) <= 1
    page.get_by_role("button", name="Play").focus()
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => Number(document.querySelector('.morph-film input[type=range]').value) > 8"
    )
    page.keyboard.press("Enter")
    held = frame.input_value()
    page.wait_for_timeout(200)
    assert frame.input_value() == held


def test_a_reload_restores_the_morph(
    page: Any, studio: START, digits: Truth, digits_run: Path
) -> None:
    open_at(page, studio(digits_run), panel="morph", ends="20,30", path="spherical")
    wait_film(page)
    page.reload()
    wait_film(page)
    assert max(map(differ, read_strip(page), way(digits, 20, 30, 11, "spherical"))) <= 1
    page.get_by_role("button", name="Swap").click()
    page.wait_for_function("() => location.hash.includes('ends=30,20')")


def test_the_chosen_sample_becomes_an_end(page: Any, studio: START, digits_run: Path) -> None:
    open_at(page, studio(digits_run), panel="morph", sample=12)
    page.get_by_role("button", name="Use chosen sample as B").click()
    page.wait_for_function("() => location.hash.includes('ends=,12')")
    page.go_back()
    page.wait_for_function("() => !location.hash.includes('ends=')")


def test_a_drawn_path_becomes_a_film(
    page: Any, studio: START, digits: Truth, digits_run: Path
) -> None:
    open_at(page, studio(digits_run), map="pca", panel="morph", ends="1,2")
    page.get_by_role("button", name="Draw a path", exact=True).click()
    box = page.locator("#map").bounding_box()
    page.mouse.move(box["x"] + 250, box["y"] + 250)
    page.mouse.down()
    for right, down in ((300, 260), (380, 400), (500, 420)):
        page.mouse.move(box["x"] + right, box["y"] + down, steps=4)
    page.mouse.up()
    page.wait_for_function("() => location.hash.includes('route=')")
    wait_film(page)
    page.wait_for_timeout(500)
    route = page.evaluate("location.hash.match(/route=([^&]*)/)[1]").split(",")
    line = np.reshape([float(value) for value in route], (-1, 2))
    strip = read_strip(page)
    for picture, (x, y) in zip(strip, along(line, len(strip)), strict=True):
        assert differ(picture, digits.decode(digits.code_at("pca", x, y))) <= 1
    name, _ = save(page, "Save GIF")
    assert name == "morph-path-pca.gif"
    page.get_by_role("button", name="Remove path").click()
    page.wait_for_function("() => !location.hash.includes('route=')")


def along(line: NDArray[Any], steps: int) -> NDArray[Any]:
    """Return places (steps, 2) evenly spaced on a line (n, 2)."""
    lengths = np.concatenate([[0], np.linalg.norm(np.diff(line, axis=0), axis=1).cumsum()])
    at = np.linspace(0, lengths[-1], steps)
    return np.stack([np.interp(at, lengths, axis) for axis in line.T], axis=1)


def test_a_film_in_color_keeps_its_colors(page: Any, studio: START, color_run: Path) -> None:
    truth = Truth(Session(color_run))
    open_at(page, studio(color_run), panel="morph", ends="0,70")
    wait_film(page)
    page.get_by_label("There and back").uncheck()
    frames = read_frames(save(page, "Save GIF")[1])
    film = way(truth, 0, 70, FRAMES)
    assert len(frames) == FRAMES
    size = frames[0].shape[1::-1]
    errors = [
        np.abs(frame.astype(int) - enlarged(one, size))
        for frame, one in zip(frames, film, strict=True)
    ]
    assert np.mean(errors) < 4
    assert np.max(errors) < 40


def test_signals_morph_as_lines(page: Any, studio: START, signal_run: Path) -> None:
    open_at(page, studio(signal_run), panel="morph", ends="0,50")
    wait_film(page)
    strip = read_strip(page)
    assert len(strip) == 11
    assert len({picture.tobytes() for picture in strip}) > 8
    page.get_by_label("There and back").uncheck()
    frames = read_frames(save(page, "Save GIF")[1])
    assert len(frames) == FRAMES
    ink = [(frame.min(2) < 128).mean() for frame in frames]
    assert 0.001 < min(ink) <= max(ink) < 0.2
