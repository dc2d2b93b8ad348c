"""The notebooks run, show pictures, and become pages of the site, which is built strictly."""

import importlib.util
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
CONFIGURATION = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
EPOCHS = re.compile(r"\bepochs=\d+")
# How many pictures each notebook shows at least: samples, curves, maps and what was found.
PICTURES = {"first-steps": 33, "latent-space": 32, "own-folder": 26}


def test_every_notebook_is_in_the_navigation_and_counted_here() -> None:
    names = {path.stem for path in ROOT.glob("docs/notebooks/*.md")}
    assert names == set(PICTURES)
    assert [name for name in names if f": notebooks/{name}.md\n" not in CONFIGURATION] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which all notebooks were run, and the site was built of all pages.

    They train for fewer epochs: they show what works together, not how good a model gets.
    """
    folder = tmp_path_factory.mktemp("site")
    docs = Path(shutil.copytree(ROOT / "docs", folder / "docs"))
    for notebook in docs.glob("notebooks/*.md"):
        text = notebook.read_text(encoding="utf-8")
        notebook.write_text(EPOCHS.sub("epochs=3", text), encoding="utf-8")
    prepared = prepare_pages(docs, folder)
    assert prepared.returncode == 0, prepared.stderr
    build_site(folder)
    return folder


@pytest.mark.parametrize("name", PICTURES)
def test_a_notebook_runs_and_becomes_a_page(name: str, site: Path) -> None:
    written = nbformat.read(site / f"build/docs/notebooks/{name}.ipynb", as_version=4)
    outputs = [output for cell in written.cells for output in cell.get("outputs", [])]
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    shown = [output.data.get("text/html", "") for output in outputs if "data" in output]
    assert sum(html.count("<img ") for html in shown) >= PICTURES[name]
    bars = [html for html in shown if "<progress" in html]
    assert bars or name == "own-folder"  # which may be done before a bar would appear
    assert all(re.search(r'value="(\d+)" max="\1"', bar) for bar in bars)  # the last numbers
    page = (site / f"site/notebooks/{name}.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/') >= PICTURES[name]
    assert "&lt;div" not in page  # no output is shown as text by mistake
    assert (site / f"site/notebooks/{name}.ipynb").is_file()


def test_the_site_has_every_page_and_every_public_name(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in ROOT.glob("docs/**/*.md")}
    built = {path.relative_to(site / "site") for path in (site / "site").rglob("*.html")}
    assert {page.with_suffix(".html") for page in pages} <= built
    reference = (site / "site/api.html").read_text(encoding="utf-8")
    names = re.findall(r"^::: (isthmus\.\w+)$", (ROOT / "docs/api.md").read_text(), re.MULTILINE)
    assert [name for name in names if f'id="{name}"' not in reference] == []


def test_a_cell_that_fails_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs/notebooks").mkdir(parents=True)
    shutil.copy(ROOT / "docs/pages.py", tmp_path / "docs")
    text = "# Broken\n\n```python\nnowhere\n```\n"
    (tmp_path / "docs/notebooks/broken.md").write_text(text)
    prepared = prepare_pages(tmp_path / "docs", tmp_path, "broken")
    assert prepared.returncode != 0
    assert "name 'nowhere' is not defined" in prepared.stderr


def prepare_pages(docs: Path, folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Write the pages of the site into a folder, as `make docs` does."""
    command = [sys.executable, str(docs / "pages.py"), *names]
    command += ["--out", str(folder / "build/docs")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# -- the site ---------------------------------------------------------------------------------


class Resources(HTMLParser):
    """Collects the addresses that a browser loads to show a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.addresses.append((named.get("href") if tag == "link" else named.get("src")) or "")


def build_site(folder: Path) -> None:
    """Build the site of a folder's build/docs strictly; it must fetch nothing."""
    for module in ("zensical", "mkdocstrings_handlers"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed; make docs installs it")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    (folder / "src").symlink_to(ROOT / "src")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    for page in (folder / "site").rglob("*.html"):
        addresses = Resources(page.read_text(encoding="utf-8")).addresses
        assert [one for one in addresses if "//" in one.partition(",")[0]] == [], page.name
    for style in (folder / "site").rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", style.read_text(encoding="utf-8"))


@pytest.mark.parametrize("mistake", ["[nowhere](nowhere.md)", "[no](index.md#such-heading)"])
def test_a_link_that_leads_nowhere_stops_the_build(mistake: str, tmp_path: Path) -> None:
    (tmp_path / "build/docs").mkdir(parents=True)
    (tmp_path / "build/docs/index.md").write_text(f"# Start\n\n{mistake}\n")
    with pytest.raises(AssertionError, match="does not exist"):
        build_site(tmp_path)
