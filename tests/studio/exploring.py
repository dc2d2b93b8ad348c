"""How tests read the page's pictures, and what Python says they must be."""

import json
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus import Session
from isthmus.latent.maps import Map
from studio.asking import Client
from studio.serving import PATIENCE, Studio, open_studio

# Read from a copy: a browser warns if the canvas itself is read often.
READ = """canvas => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
    copy.drawImage(canvas, 0, 0);
    const {data} = copy.getImageData(0, 0, canvas.width, canvas.height);
    return {width: canvas.width, height: canvas.height, data: Array.from(data)};
}"""
QUIET = """() => [...document.querySelectorAll("#decoder .meter-box:not([hidden]) .meter-words")]
    .every(words => words.textContent !== "…")"""


def wait_finished(served: Studio, *methods: str) -> None:
    """Wait until the server has made the networks that the page decodes with, and the maps."""
    client = Client(served)
    until = time.monotonic() + PATIENCE
    while True:
        manifest = client.ask("/data/manifest.json").json
        if not manifest["pending"] and {*methods} <= {one["method"] for one in manifest["maps"]}:
            return
        assert time.monotonic() < until, manifest["pending"]
        time.sleep(0.1)


def open_at(page: Any, served: Studio, **state: object) -> None:
    """Open the page of a run in a state, as a link gives it, with all that it can have."""
    wait_finished(served, str(state.get("map", "pca")))
    open_studio(page, served.link)
    # The link's token is exchanged for a cookie, and the address is then without it.
    page.evaluate(
        "address => { location.hash = address }",
        "&".join(f"{key}={value}" for key, value in state.items()),
    )
    page.wait_for_timeout(300)


def read_picture(page: Any, selector: str) -> NDArray[np.uint8]:
    """Return the pixels (H, W, 3) of a canvas."""
    found = page.locator(selector).first.evaluate(READ)
    pixels = np.array(found["data"], np.uint8)
    return pixels.reshape(found["height"], found["width"], 4)[..., :3]


def read_decoded(page: Any) -> NDArray[np.uint8]:
    """Return the decoded picture, once the gauge says that it has come to rest."""
    page.wait_for_timeout(50)
    page.wait_for_function(QUIET)
    return read_picture(page, "#decoder .drawn canvas")


def as_colors(sample: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an image (H, W, C) as it is shown: (H, W, 3)."""
    return np.broadcast_to(sample, (*sample.shape[:2], 3)) if sample.shape[2] == 1 else sample


def differ(picture: NDArray[Any], sample: NDArray[Any]) -> int:
    """Return by how many of 255 steps a picture and a sample differ at most."""
    return int(np.abs(picture.astype(int) - as_colors(sample).astype(int)).max())


@dataclass(frozen=True)
class Truth:
    """A run as Python has it: what the page must show."""

    session: Session

    def decode(self, code: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the picture (H, W, C) of one code (D,)."""
        decoded = self.session.trained.decode(np.asarray(code, np.float32)[None])
        picture: NDArray[np.uint8] = decoded[0]
        return picture

    @property
    def z(self) -> NDArray[np.float32]:
        return self.session.codes().z

    def map(self, method: str) -> Map:
        return self.session.map(self.session.codes(), method)

    def code_at(self, method: str, x: float, y: float) -> NDArray[Any]:
        """Return the code at a place on a map."""
        shown = self.map(method)
        if method == "code":
            return np.array([x, y])
        if method == "pca":
            code: NDArray[Any] = shown.params["mean"] + [x, y] @ shown.params["components"]
            return code
        fitted, points = shown.params["z"], shown.params["xy"]
        apart = np.linalg.norm(points - [x, y], axis=1)
        near = apart.argsort(kind="stable")[:5]
        weights = 1 / np.maximum(apart[near], shown.params["spacing"]) ** 2
        mean: NDArray[Any] = weights @ fitted[near] / weights.sum()
        return mean


def read_code(page: Any) -> NDArray[np.float32]:
    """Return the code that the address names."""
    address = page.evaluate("location.hash.slice(1)")
    parts = dict(part.split("=", 1) for part in address.split("&") if "=" in part)
    return np.array(json.loads(f"[{parts.get('code', '')}]"), np.float32)
