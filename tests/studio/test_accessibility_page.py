"""What a person can use in the page has a name, Tab leads to it, and it fits a phone."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio.serving import Studio, open_patiently

Open = Callable[..., Studio]

NAMELESS = re.compile(
    r"- (button|combobox|spinbutton|textbox|slider|radio|checkbox|tab|tabpanel|listbox|option|meter"
    r"|application|link|img|dialog)(?= \[|:|$)"
)
FOLLOW = """() => {
    const known = document.activeElement;
    const isNew = known !== document.body && !("visited" in known.dataset);
    known.dataset.visited = "";
    return isNew;
}"""
# Of tabs, radio buttons and feature maps, Tab leads to one, and arrow keys to the others.
MISSED = """() => {
    const usable = "a[href], button, input, select, summary, [tabindex='0']";
    const group = "[role=tablist], [role=radiogroup], .maps";
    const isVisited = element =>
        "visited" in element.dataset || element.closest(group)?.querySelector("[data-visited]");
    return [...document.querySelectorAll(usable)]
        .filter(one => one.checkVisibility() && !one.disabled && !isVisited(one))
        .map(one => one.outerHTML.slice(0, 200));
}"""


def follow_tab(page: Any) -> list[str]:
    """Press Tab until it leads to nothing new, and return what it has not led to."""
    page.locator(".skip").focus()
    while page.evaluate(FOLLOW):
        page.keyboard.press("Tab")
    missed: list[str] = page.evaluate(MISSED)
    page.evaluate(
        "document.querySelectorAll('[data-visited]').forEach(e => delete e.dataset.visited)"
    )
    return missed


@pytest.mark.parametrize("kind", ["digits_run", "classifier_run", "segmenter_run"])
def test_everything_has_a_name_is_reached_by_tab_and_fits_a_phone(
    kind: str, page: Any, studio: Open, request: pytest.FixtureRequest
) -> None:
    served = studio(request.getfixturevalue(kind))
    open_patiently(page, f"{served.link}#sample=3&ends=1,2")
    for tab in page.get_by_role("tab").all():
        tab.click()
        page.wait_for_timeout(500)
        snapshot = page.locator("body").aria_snapshot()
        nameless = [line for line in snapshot.splitlines() if NAMELESS.search(line)]
        assert nameless == [], tab.inner_text()
        assert follow_tab(page) == [], tab.inner_text()
    page.set_viewport_size({"width": 320, "height": 640})
    page.emulate_media(color_scheme="dark")
    for tab in page.get_by_role("tab").all():
        tab.click()
        page.wait_for_timeout(200)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 320, tab.inner_text()


def test_focus_stays_in_a_panel_whose_button_is_gone(
    page: Any, studio: Open, digits_run: Path
) -> None:
    open_patiently(page, f"{studio(digits_run).link}#panel=gallery&select=rows:1,2,3")
    page.get_by_role("button", name="Clear", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".count >> text=400 shown")
    page.wait_for_function("() => document.activeElement.id === 'panel-gallery'")
