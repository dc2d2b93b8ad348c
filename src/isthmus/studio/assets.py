"""The files of the page itself: what a browser is given, live, in a folder and in one file."""

from functools import cache
from pathlib import Path

PAGE = Path(__file__).parent / "page"
SUFFIXES = (".css", ".html", ".js", ".svg", ".wasm")  # not sources, such as of the kernels


@cache
def page_files(page: Path = PAGE) -> tuple[str, ...]:
    """Return the names of all files, relative to the page's folder."""
    files = (file for file in page.rglob("*") if file.suffix in SUFFIXES)
    return tuple(sorted(file.relative_to(page).as_posix() for file in files))
