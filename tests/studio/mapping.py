"""How tests find their way on the page's map: places, pixels and what the link says."""

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import numpy as np
from numpy.typing import NDArray

MAP = "#map .overlay"
POINTS = "#map .points"

READ = """async path => {
    const buffer = await (await fetch(path)).arrayBuffer();
    const head = new DataView(buffer);
    const type = [Uint8Array, Uint16Array, Int32Array, Float32Array][head.getUint8(5)];
    return Array.from(new type(buffer, 16));
}"""
SETTLED = """async () => {
    let address = location.href;
    for (let same = 0; same < 2; ) { // the view is told a while after it changed
        await new Promise(resolve => setTimeout(resolve, 350));
        same = address === location.href ? same + 1 : 0;
        address = location.href;
    }
}"""


def wait_until(page: Any, script: str, seconds: float = 20) -> None:
    """Wait until an expression is true on the page, whose policy forbids it to wait by itself."""
    end = time.monotonic() + seconds
    while not page.evaluate(script):
        assert time.monotonic() < end, script
        page.wait_for_timeout(50)


def read_numbers(page: Any, path: str) -> NDArray[np.float64]:
    """Return the numbers of a column of the page's data."""
    return np.array(page.evaluate(READ, f"data/{path}"))


def read_map(page: Any, method: str = "pca") -> NDArray[np.float64]:
    """Return the points (N, 2) of a map."""
    return read_numbers(page, f"maps/{method}.bin").reshape(-1, 2)


def read_state(page: Any, key: str) -> str:
    """Return what the link says of a key, once the view has come to rest."""
    page.evaluate(SETTLED)
    return str(parse_qs(page.evaluate("location.hash.slice(1)")).get(key, [""])[0])


@dataclass(frozen=True)
class Screen:
    """Where places of the map are on the page."""

    x: float
    y: float
    width: float
    box: dict[str, float]

    def pixel(self, place: NDArray[np.float64]) -> tuple[float, float]:
        """Return where a place of the map is on the page."""
        scale = self.box["width"] / self.width
        right = self.box["x"] + self.box["width"] / 2 + (place[0] - self.x) * scale
        down = self.box["y"] + self.box["height"] / 2 - (place[1] - self.y) * scale
        return float(right), float(down)

    def place(self, right: float, down: float) -> NDArray[np.float64]:
        """Return which place of the map is at a pixel of the page."""
        unit = self.width / self.box["width"]
        x = self.x + (right - self.box["x"] - self.box["width"] / 2) * unit
        y = self.y - (down - self.box["y"] - self.box["height"] / 2) * unit
        return np.array([x, y])


def read_screen(page: Any) -> Screen:
    """Return what is seen; the link must name the view."""
    x, y, width = map(float, read_state(page, "view").split(","))
    return Screen(x, y, width, page.locator(MAP).bounding_box())


def draw_line(page: Any, corners: list[tuple[float, float]]) -> None:
    """Drag the mouse from corner to corner of the page."""
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=4)
    page.mouse.up()


def read_area(page: Any) -> NDArray[np.float64]:
    """Return the corners (n, 2) of the selected area."""
    text = read_state(page, "select")
    assert text.startswith("area:")
    return np.array(text.split(":")[-1].split(","), float).reshape(-1, 2)


def are_inside(points: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for each point (N, 2) whether it is in a polygon, by the even-odd rule."""
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        spans = (y0 > points[:, 1]) != (y1 > points[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = (x1 - x0) * (points[:, 1] - y0) / (y1 - y0) + x0
        inside ^= spans & (points[:, 0] < crossing)
    return inside
