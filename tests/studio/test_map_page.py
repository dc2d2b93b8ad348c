"""The page's map, by mouse, touch and keyboard: what is selected, hidden, seen and remembered."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.exploring import wait_finished
from studio.mapping import (
    MAP,
    POINTS,
    are_inside,
    draw_line,
    read_area,
    read_map,
    read_numbers,
    read_screen,
    read_state,
    wait_until,
)
from studio.serving import Studio

Open = Callable[..., Studio]

SELECTED = "#map .map-selection"
SUMMARY = "#map-summary"
VIEW = "view=0,0,1.5"  # in the units of the map


@pytest.fixture
def link(studio: Open, digits_run: Path) -> str:
    return studio(digits_run).link


def count_in(text: str) -> int:
    """Return the first number of a text."""
    found = re.search(r"[\d,]+", text)
    assert found
    return int(found.group().replace(",", ""))


def open_map(page: Any, link: str, state: str = VIEW) -> None:
    named = state if "map=" in state else f"map=pca&{state}"
    page.goto(f"{link}#{named}")
    page.wait_for_selector("html[data-ready]", timeout=90_000)  # its server may just have started
    wait_until(page, f"document.querySelector('{SUMMARY}').textContent !== ''")


def picture(page: Any) -> str:
    """Return the points as they are drawn, once nothing moves."""
    page.wait_for_timeout(300)
    return str(page.locator(POINTS).evaluate("canvas => canvas.toDataURL()"))


# -- selecting ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["tool", "shift"])
def test_lasso_selects_what_numpy_finds_in_it(page: Any, link: str, way: str) -> None:
    open_map(page, link)
    if way == "tool":
        page.get_by_role("button", name="Select with a lasso").click()
    else:
        page.keyboard.down("Shift")
    draw_line(page, [(300, 250), (450, 200), (520, 420), (420, 330), (310, 520), (240, 360)])
    page.keyboard.up("Shift")
    inside = are_inside(read_map(page), read_area(page))
    assert 10 < inside.sum() < 390
    assert count_in(page.locator(SELECTED).inner_text()) == inside.sum()
    assert f"{inside.sum()} selected" in page.locator(SUMMARY).inner_text()
    page.locator(SELECTED).get_by_role("button").click()
    assert page.locator(SELECTED).is_hidden()
    assert read_state(page, "select") == ""


def test_rectangle_by_keyboard_selects_and_escape_clears(page: Any, link: str) -> None:
    open_map(page, link)
    page.get_by_role("button", name="Select a rectangle").press("Enter")
    page.locator(MAP).focus()
    for keys in (
        "Shift+ArrowLeft",
        "Enter",
        *["Shift+ArrowRight"] * 3,
        *["Shift+ArrowDown"] * 2,
        "Enter",
    ):
        page.keyboard.press(keys)
        page.wait_for_timeout(30)
    corners = read_area(page)
    assert len(corners) == 4
    inside = are_inside(read_map(page), corners)
    assert count_in(page.locator(SELECTED).inner_text()) == inside.sum() > 0
    page.locator(MAP).focus()
    page.keyboard.press("Escape")
    assert read_state(page, "select") == ""


def test_selection_stays_on_another_map_and_leaves_out_what_is_hidden(
    page: Any, studio: Open, plane_run: Path
) -> None:
    open_map(page, studio(plane_run).link, "map=code")
    points = read_map(page, "code")
    x0, y0, x1, y1 = (float(value) for value in np.quantile(points, (0.2, 0.8), axis=0).flat)
    page.evaluate(
        f"location.hash = 'map=code&select=area:code:{x0},{y0},{x1},{y0},{x1},{y1},{x0},{y1}'"
    )
    inside = are_inside(points, read_area(page))
    classes = read_numbers(page, "class.bin")
    hide = page.locator(".map-legend").get_by_role("button", name=re.compile(r"^3\b"))
    hide.focus()
    page.keyboard.press("Enter")
    assert hide.get_attribute("aria-pressed") == "false"
    expected = int((inside & (classes != 3)).sum())
    assert 0 < expected < inside.sum()
    wait_until(page, f"document.querySelector('{SELECTED}').innerText.startsWith('{expected} ')")
    page.locator("#map-choice").select_option("pca")
    assert read_state(page, "map") == "pca"
    assert count_in(page.locator(SELECTED).inner_text()) == expected


# -- hiding ------------------------------------------------------------------------------------


def test_hiding_and_showing_fifty_times_leaves_the_same_picture(page: Any, link: str) -> None:
    open_map(page, link)
    before = picture(page)
    entry = page.locator(".map-legend").get_by_role("button", name=re.compile(r"^1\b"))
    entry.click()
    assert picture(page) != before
    entry.evaluate("button => { for (let i = 0; i < 99; i++) button.click(); }")
    assert entry.get_attribute("aria-pressed") == "true"
    assert picture(page) == before


def test_only_one_category_is_shown_and_hit(page: Any, link: str) -> None:
    open_map(page, link)
    page.get_by_role("button", name="Show only 4").focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    classes, points, screen = read_numbers(page, "class.bin"), read_map(page), read_screen(page)
    for row in (*np.flatnonzero(classes == 4)[:3], *np.flatnonzero(classes != 4)[:3]):
        page.mouse.click(*screen.pixel(points[row]))
        page.wait_for_timeout(100)
        chosen = read_state(page, "sample")
        assert chosen == "" or classes[int(chosen)] == 4
        assert classes[row] != 4 or chosen != ""
    page.get_by_role("button", name="Show all").click()
    assert read_state(page, "hidden") == ""


# -- seeing ------------------------------------------------------------------------------------


def test_zoom_keeps_the_place_under_the_pointer(page: Any, link: str) -> None:
    open_map(page, link)
    place = read_screen(page).place(300, 300)
    page.mouse.move(300, 300)
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(100)
    page.mouse.dblclick(300, 300)
    after = read_screen(page)
    assert after.width < 1.5 / 2
    np.testing.assert_allclose(after.place(300, 300), place, atol=0.002)
    draw_line(page, [(300, 300), (400, 350)])
    np.testing.assert_allclose(read_screen(page).place(400, 350), place, atol=0.002)
    page.get_by_role("button", name="Show the whole map").click()
    assert read_state(page, "view") == ""


def test_reload_and_back_restore_what_was_seen(page: Any, link: str) -> None:
    open_map(page, link)
    before = picture(page)
    page.locator(".map-legend").get_by_role("button", name=re.compile(r"^2\b")).click()
    page.locator("#color-choice").select_option("loss")
    after = picture(page)
    assert after != before
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert picture(page) == after
    page.go_back()
    page.go_back()
    assert picture(page) == before


def test_thumbnail_shows_its_own_sample_after_filtering(page: Any, link: str) -> None:
    open_map(page, link, "view=0,0,0.3&hidden=0,1")
    page.wait_for_timeout(800)
    points, screen = read_map(page), read_screen(page)
    pixels = page.evaluate(
        """async () => {
          const image = new Image();
          const { thumbs } = await (await fetch("data/manifest.json")).json();
          image.src = `data/${thumbs.pattern.replace("{n}", "0")}`;
          await image.decode();
          const canvas = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
          const context = canvas.getContext("2d", { willReadFrequently: true });
          return Array.from({ length: 400 }, (_, row) => {
            context.drawImage(image, 8 * (row % 32), 8 * Math.floor(row / 32), 8, 8, 0, 0, 8, 8);
            return Array.from(context.getImageData(0, 0, 8, 8).data).filter((_, i) => i % 4 === 0);
          });
        }"""
    )
    seen = 0
    inner = [row for row in range(400) if np.abs(points[row] - [screen.x, screen.y]).max() < 0.1]
    for row in inner[:9]:
        page.mouse.click(*screen.pixel(points[row]))
        page.wait_for_timeout(60)
        chosen = read_state(page, "sample")
        shown = read_thumbnail(page, screen.pixel(points[int(chosen)])) if chosen else None
        if shown is not None:
            seen += 1
            errors = np.abs(np.array(pixels, float) - shown).mean(axis=1)
            assert errors.argmin() == int(chosen)
    assert seen > 1


def read_thumbnail(page: Any, at: tuple[float, float]) -> Any:
    """Return the 64 pixels of the thumbnail at a place of the page, or None if there is none."""
    page.mouse.move(5, 5)  # so that no ring is drawn
    page.evaluate("history.replaceState(null, '', location.hash.replace(/&?sample=[0-9]+/, ''))")
    page.evaluate("dispatchEvent(new HashChangeEvent('hashchange'))")
    page.wait_for_timeout(100)
    return page.locator(MAP).evaluate(
        """(canvas, [x, y]) => {
          const { left, top } = canvas.getBoundingClientRect();
          const open = side => new OffscreenCanvas(side, side)
            .getContext("2d", { willReadFrequently: true });
          const context = open(8);
          const [column, line] = [Math.round(x - left), Math.round(y - top)];
          const around = open(120);
          around.drawImage(canvas, 60 - column, 60 - line);
          const all = around.getImageData(0, 0, 120, 120).data;
          const isOpaque = (right, down) => all[4 * ((60 + down) * 120 + 60 + right) + 3] === 255;
          let half = 0;
          while (half < 59 && isOpaque(half, 0) && isOpaque(-half, 0)) half++;
          half -= 2;
          if (half < 10) return null;
          context.imageSmoothingQuality = "high";
          context.drawImage(canvas, column - half, line - half, 2 * half, 2 * half, 0, 0, 8, 8);
          return Array.from(context.getImageData(0, 0, 8, 8).data).filter((_, i) => i % 4 === 0);
        }""",
        list(at),
    )


def test_numbers_color_the_map_and_the_legend_says_their_range(page: Any, link: str) -> None:
    open_map(page, link)
    before = picture(page)
    page.locator("#color-choice").select_option("loss")
    assert picture(page) != before
    assert "Reconstruction error" in page.locator(".map-legend").inner_text()
    assert "≤" in page.locator(".map-legend").inner_text()
    light = picture(page)
    page.get_by_role("button", name="Use dark colors").click()
    assert picture(page) != light
    assert read_state(page, "theme") == "dark"


def test_quality_is_always_seen_and_explained(page: Any, link: str) -> None:
    open_map(page, link)
    quality = page.locator(".map-quality")
    assert re.search(
        r"Trust \d\.\d\d \(\d\.\d\d\).*Continuity.*10-NN \d+%", quality.inner_text(), re.DOTALL
    )
    quality.locator("summary").press("Enter")
    assert "PCA of raw pixels" in quality.inner_text()


# -- keyboard and touch ------------------------------------------------------------------------


def test_keyboard_moves_a_cursor_zooms_and_chooses(page: Any, link: str) -> None:
    open_map(page, link)
    points = read_map(page)
    row = int(np.hypot(*points.T).argmin())
    page.evaluate(f"location.hash = 'map=pca&view={points[row, 0] + 0.015},{points[row, 1]},0.6'")
    assert read_screen(page).width == pytest.approx(0.6)  # which waits for the view to rest
    page.locator(MAP).focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    wait_until(
        page, f"document.querySelector('{SUMMARY}').textContent.includes('at the cursor: sample')"
    )
    page.keyboard.press("Enter")
    assert read_state(page, "sample") != ""
    page.keyboard.press("+")
    assert read_screen(page).width == pytest.approx(0.4, rel=1e-3)
    page.keyboard.press("0")
    assert read_state(page, "view") == ""


def test_nothing_is_said_of_points_that_are_still_on_their_way(page: Any, link: str) -> None:
    waiting: list[Any] = []
    page.route("**/data/maps/pca.bin", lambda route: waiting.append(route))
    page.goto(f"{link}#map=pca&{VIEW}")
    page.wait_for_selector("html[data-ready]")
    page.wait_for_timeout(1000)  # in which all else is read
    said = page.locator(SUMMARY).inner_text()
    waiting[0].continue_()
    assert said == ""
    wait_until(page, f"document.querySelector('{SUMMARY}').textContent.includes('points')")


@pytest.mark.slow
def test_the_cursor_stays_when_the_server_has_made_another_part(
    page: Any, studio: Open, digits_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(digits_run, run, ignore=shutil.ignore_patterns("studio"))
    served = studio(run)
    open_map(page, served.link)
    page.locator(MAP).focus()
    at_cursor = f"document.querySelector('{SUMMARY}').textContent.includes('at the cursor: sample')"
    for key in ("ArrowLeft", "ArrowUp", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    wait_until(page, at_cursor)
    wait_finished(served)
    page.wait_for_timeout(1000)  # in which the page notices
    assert page.evaluate(at_cursor)


def test_phone_pans_pinches_and_does_not_scroll_sideways(chromium: Any, link: str) -> None:
    context = chromium.new_context(
        viewport={"width": 320, "height": 640}, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    open_map(page, link)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    box = page.locator(MAP).bounding_box()
    x, y = box["x"] + 160, box["y"] + 150
    session = context.new_cdp_session(page)
    place = read_screen(page).place(x, y)
    touch(session, [[(x, y)], [(x + 30, y + 20)], [(x + 60, y + 40)]])
    np.testing.assert_allclose(read_screen(page).place(x + 60, y + 40), place, atol=0.04)
    fingers = [[(x - step, y), (x + step, y)] for step in (20, 30, 40)]
    touch(session, fingers)
    assert read_screen(page).width == pytest.approx(0.75, rel=0.05)
    page.touchscreen.tap(x, y)
    assert read_state(page, "sample") or read_state(page, "place")
    context.close()


def touch(session: Any, steps: list[list[tuple[float, float]]]) -> None:
    """Put fingers down, move them, and lift them."""
    for number, places in enumerate(steps):
        points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(places)]
        kind = "touchMove" if number else "touchStart"
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_code_of_two_is_its_own_map_and_a_click_on_nothing_pins_a_place(
    page: Any, studio: Open, plane_run: Path
) -> None:
    open_map(page, studio(plane_run).link, "map=code")
    points = read_map(page, "code")
    low, high = points.min(axis=0), points.max(axis=0)
    side = float((high - low).max())
    page.evaluate(f"location.hash = 'map=code&view={high[0] + side},{high[1] + side},{side}'")
    page.wait_for_timeout(300)
    page.mouse.click(400, 400)
    pinned = np.array(read_state(page, "place").split(","), float)
    np.testing.assert_allclose(pinned, read_screen(page).place(400, 400), atol=side / 100)
    page.locator(MAP).focus()
    page.keyboard.press("Escape")
    assert read_state(page, "place") == ""


def test_map_that_is_not_computed_yet_is_shown_when_it_is_there(
    page: Any, studio: Open, digits_run: Path
) -> None:
    open_map(page, studio(digits_run).link)
    choice = page.locator("#map-choice")
    missing = choice.locator("option", has_text="(compute)").first
    method = missing.get_attribute("value")
    choice.select_option(method)
    wait_until(page, f"location.hash.includes('map={method}')", 90)
    assert choice.input_value() == method
    assert choice.locator("option", has_text="(compute)").count() < 2
    wait_until(page, "document.querySelector('.map-quality').innerText.includes('Trust')")
    assert read_state(page, "view") == ""
