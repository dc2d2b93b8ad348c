"""Take the pictures of the guides in a browser: the studio over two small runs.

`make docs` takes them for the site, where there is a browser; a test looks at each of them. They
are made from this version of the code and are not kept in git.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus import TrainingConfig, load, train, write_studio

DOCS = Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")  # what systems call their Chromium
EPOCHS = 20
SIDES = {"width": 1280, "height": 800}
POINTER = (0.42, 0.55)  # where on the map, in shares of its width and height

# What the page shows in each picture: the run, and the state in the page's address.
VIEWS = {
    "studio-map": ("digits", "map=tsne"),
    "studio-sliders": ("digits", "map=pca&panel=sliders&sample=12"),
    "studio-search": ("digits", "map=tsne&panel=search&sample=12"),
    "studio-morph": ("digits", "map=tsne&panel=morph&ends=12,33"),
    "studio-layers": ("digits", "map=tsne&panel=layers&sample=12"),
    "studio-training": ("digits", "map=tsne&panel=training"),
    "studio-classes": ("classes", "map=pca&panel=classes"),
}


def main() -> None:
    """Take all pictures for the pages in a folder; without a browser, leave them out there."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("pages", type=Path, nargs="?", default=DOCS.parent / "build/docs")
    pages = parser.parse_args().pages
    if find_browser():
        take_pictures(pages / "pictures")
    else:
        print("The pages have no pictures of the studio: there is no Chromium to take them with.")
        leave_pictures_out(pages)


def leave_pictures_out(pages: Path) -> None:
    """Remove the lines that show pictures."""
    for page in pages.glob("*.md"):
        lines = page.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if "](pictures/" not in line]
        page.write_text("".join(kept), encoding="utf-8")


def find_browser() -> str | None:
    """Return the path of the system's Chromium, if there is one."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def take_pictures(
    out: Path, runs: dict[str, Path] | None = None, browser: Any = None
) -> list[Path]:
    """Open the studio over two small runs and take a picture of each view.

    Parameters
    ----------
    out : Path
    runs : dict, optional
        The run folders of "digits" and "classes"; by default they are trained.
    browser : optional
        Of Playwright; by default the system's Chromium is started.

    Returns
    -------
    list of Path
        PNG files of 1280 × 800 in `out`, by the names of `VIEWS`.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, _open_page(browser) as page:
        pages = _write_pages(runs or _train_runs(Path(folder)), Path(folder))
        return [_take(page, pages[run], state, out, name) for name, (run, state) in VIEWS.items()]


def _train_runs(folder: Path) -> dict[str, Path]:
    """Train an autoencoder and a classifier on digits."""
    samples = load("digits")
    runs = {name: folder / name for name in ("digits", "classes")}
    config = TrainingConfig(epochs=EPOCHS)
    list(train(samples, "conv", out=runs["digits"], config=config, code_size=8))
    list(train(samples, "cnn-tiny", out=runs["classes"], config=config))
    return runs


def _write_pages(runs: dict[str, Path], folder: Path) -> dict[str, Path]:
    """Export a page of each run."""
    pages = {name: folder / f"{name}.html" for name in runs}
    for name, run in runs.items():
        write_studio(run, pages[name], methods=("tsne",))
    return pages


@contextmanager
def _open_page(browser: Any) -> Iterator[Any]:
    """Give a page of a browser, which is started and ended if there is none."""
    if browser is not None:
        page = browser.new_page(viewport=SIDES)
        yield page
        page.close()
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # Without its sandbox, which root has not; it opens only our own files.
        started = driver.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        with _open_page(started) as page:
            yield page
        started.close()


def _take(page: Any, file: Path, state: str, out: Path, name: str) -> Path:
    """Open a view, put the pointer on the map, and take the picture once the page is at rest."""
    page.goto("about:blank")  # another address of the same file would not load it again
    page.goto(f"{file.as_uri()}#{state}")
    page.wait_for_selector("html[data-ready]")
    box = page.locator("#map").bounding_box()
    across, down = POINTER
    page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
    page.wait_for_timeout(1500)
    picture = out / f"{name}.png"
    page.screenshot(path=picture)
    return picture


if __name__ == "__main__":
    main()
