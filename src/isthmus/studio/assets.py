"""The files of the page itself: what a browser is given, live, in a folder and in one file."""

from functools import cache
from pathlib import Path

from isthmus.studio.linker import without_comments

PAGE = Path(__file__).parent / "page"
SUFFIXES = (".css", ".html", ".js", ".svg", ".wasm")  # not sources, such as of the kernels
TYPES = "types.js"  # nothing but comments, for those who read the code and check its types


@cache
def page_files(page: Path = PAGE) -> tuple[str, ...]:
    """Return the names of all files, relative to the page's folder."""
    files = (file for file in page.rglob("*") if file.suffix in SUFFIXES and file.name != TYPES)
    return tuple(sorted(file.relative_to(page).as_posix() for file in files))


def read_page(name: str) -> bytes:
    """Return the content of a file as a browser gets it: scripts without their comments.

    Comments are a third of the page's code, and nobody reads them there.
    """
    content = (PAGE / name).read_bytes()
    return without_comments(content.decode()).encode() if name.endswith(".js") else content
