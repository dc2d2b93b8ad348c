"""What tests of the studio share: small runs, servers of them, and a browser that is watched.

Runs are trained once, also where several processes share the tests, and servers started once in
each process, when a test first asks for one. A test gets a page of its own, which must not print an
error and must not ask another server for anything.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from isthmus import TrainingConfig, load, train
from isthmus.data.samples import Samples
from isthmus.session import Session
from isthmus.studio.content import Content
from sharing import make_once
from studio.serving import Studio, Watch, start_studio

BROWSERS = ("chromium", "chromium-browser", "google-chrome")  # what the system calls its Chromium


def fit(samples: Samples, model: str | None, out: Path, epochs: int = 3, **choices: Any) -> Path:
    """Train a run with small batches, and return its folder."""
    config = TrainingConfig(epochs=epochs, batch_size=32)
    list(train(samples, model, out=out, config=config, **choices))
    return out


@pytest.fixture(scope="session")
def runs(shared: Path) -> Path:
    """Give the folder that the runs of all tests of the studio are in."""
    folder = shared / "studio"
    folder.mkdir(exist_ok=True)
    return folder


def once(make: Callable[[Path], Path], runs: Path) -> Path:
    """Make a run and all that its studio stores, unless another process has.

    Here torch is imported already. Servers find everything and start without it, which takes a
    tenth of the time; test_events.py, test_server.py and the guides have servers that compute.
    """

    def make_run() -> str:
        run = make(runs)
        Content(Session(run)).finish()
        return str(run)

    return Path(make_once(runs, make.__name__, make_run))


@pytest.fixture(scope="session")
def digits_run(runs: Path) -> Path:
    """Train an autoencoder with a code of 8 on 400 digits of 8 × 8."""
    return once(fit_digits, runs)


@pytest.fixture(scope="session")
def plane_run(runs: Path) -> Path:
    """Train one with a code of 2, which is a map as it is."""
    return once(fit_plane, runs)


@pytest.fixture(scope="session")
def color_run(runs: Path) -> Path:
    """Train a convolutional one on a folder of colored blots in three classes."""
    return once(fit_blots, runs)


@pytest.fixture(scope="session")
def classifier_run(runs: Path) -> Path:
    """Train a classifier on 400 digits."""
    return once(fit_classifier, runs)


@pytest.fixture(scope="session")
def segmenter_run(runs: Path) -> Path:
    """Train a segmenter on a folder of 60 digits of 32 × 32, whose strokes are masks."""
    return once(fit_strokes, runs)


@pytest.fixture(scope="session")
def signal_run(runs: Path) -> Path:
    """Train an autoencoder on 120 waves of 32 steps."""
    return once(fit_waves, runs)


def fit_digits(runs: Path) -> Path:
    return fit(load("digits", limit=400), "dense", runs / "digits", code_size=8)


def fit_plane(runs: Path) -> Path:
    return fit(load("digits", limit=300), "dense", runs / "plane", code_size=2)


def fit_blots(runs: Path) -> Path:
    draw = np.random.default_rng(1)
    for number in range(90):
        tint = np.eye(3)[number % 3] * 200
        rows, columns = np.mgrid[:16, :16]
        center = draw.uniform(4, 12, 2)
        blot = np.exp(-((rows - center[0]) ** 2 + (columns - center[1]) ** 2) / 12)
        folder = runs / "blots" / ("red", "green", "blue")[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = (blot[..., None] * tint + 30).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return fit(load(runs / "blots"), "conv", runs / "color", code_size=4)


def fit_classifier(runs: Path) -> Path:
    return fit(load("digits", limit=400), "cnn-tiny", runs / "classes")


def fit_strokes(runs: Path) -> Path:
    digits = load("digits", limit=60, size=32).values[..., 0]
    for name in ("images", "masks"):
        (runs / "strokes" / name).mkdir(parents=True)
    for number, pixels in enumerate(digits):
        mask = np.where(pixels > 150, 1, 0).astype(np.uint8)
        mask[(pixels > 100) & (pixels < 180)] = 255
        Image.fromarray(pixels).save(runs / "strokes/images" / f"{number:03}.png")
        Image.fromarray(mask).save(runs / "strokes/masks" / f"{number:03}.png")
    (runs / "strokes/classes.txt").write_text("paper\npen\n")
    options = {"width": 0.1, "batch_norm": True}
    return fit(load(runs / "strokes"), "fcn8s", runs / "segments", epochs=2, options=options)


def fit_waves(runs: Path) -> Path:
    phases = np.random.default_rng(0).uniform(0, 6, (120, 1, 1))
    np.save(runs / "waves.npy", np.sin(phases + np.arange(32)[:, None] / 3).astype(np.float32))
    return fit(load(runs / "waves.npy"), None, runs / "signals", code_size=3)


@pytest.fixture(scope="session")
def studio() -> Iterator[Callable[..., Studio]]:
    """Give a function that starts `isthmus studio` with arguments, once for each of them."""
    started: dict[tuple[object, ...], Studio] = {}

    def start(*arguments: object) -> Studio:
        if arguments not in started:
            started[arguments] = start_studio(*arguments)
        return started[arguments]

    yield start
    for one in started.values():
        code, said = one.stop()
        assert (code, said.splitlines()[-1:]) == (0, ["The studio has ended."]), said


# Not for the session: while it is open, nothing else can run an event loop in this thread.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """Start the system's Chromium, or skip the test."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        # Without a sandbox, which root has not; it opens only pages of these tests.
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def watch() -> Watch:
    """Give what collects the mistakes of a page."""
    return Watch()


@pytest.fixture
def page(chromium: Any, watch: Watch) -> Iterator[Any]:
    """Give a page of 1280 × 800 with no cookies and nothing stored, and watch it."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(30_000)  # of a busy machine
    watch.follow(opened)
    yield opened
    opened.unroute_all(behavior="wait")  # a handler that a closed page interrupts fails elsewhere
    context.close()
    assert watch.errors == []
    assert watch.strangers() == set()
