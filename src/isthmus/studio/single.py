"""The page and its data as one HTML file, which opens from a disk and loads nothing else."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from isthmus.errors import IsthmusError
from isthmus.studio import policy
from isthmus.studio.linker import link
from isthmus.studio.parts import MAX_EXACT, split_network
from isthmus.studio.policy import Policy
from isthmus.text import to_utf8

STYLE = re.compile(r'[ \t]*<link rel="stylesheet" href="([^"]+)">\n?')
SCRIPT = re.compile(r'[ \t]*<script type="module" src="([^"]+)"></script>\n?')
WORKER, NETWORK = ".worker.js", ".onnx"


def with_head(page: str, allowed: Policy, marker: str, title: str) -> str:
    """Return a page with its policy, what made it, and its title.

    The policy comes first: it holds for what stands below it.
    """
    lines = (
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy.write(allowed)}">',
        '<meta name="referrer" content="no-referrer">',
        f'<meta name="generator" content="{html.escape(marker)}">',
    )
    page = page.replace(lines[0], "\n    ".join(lines), 1)
    title = f"<title>{html.escape(title)}</title>"
    return re.sub(r"<title>.*?</title>", lambda found: title, page, count=1)


def join_page(
    page_files: Iterable[str],
    read_page: Callable[[str], bytes],
    data: Iterable[tuple[str, bytes]],
    marker: str,
    title: str,
) -> Iterable[bytes]:
    """Yield the parts of one HTML file.

    Parameters
    ----------
    page_files : iterable of str
        Names of the page's files.
    read_page : callable
        Returns the content of one.
    data : iterable of (str, bytes)
        The files of the data, by their addresses relative to the page.
    marker : str
        What made it.
    title : str
    """

    def text(name: str) -> str:
        return read_page(name).decode()

    page = text("index.html")
    style = "\n".join(text(name) for name in STYLE.findall(page))
    if "url(" in style or "@import" in style:
        raise IsthmusError("a style of the page loads another file; a page in one file cannot.")
    (entry,) = SCRIPT.findall(page)
    script = _escape(link(entry, text))
    style_element, script_element = f"<style>{style}</style>\n", f"<script>{script}</script>\n"
    allowed = policy.single_file(_hash(script), _hash(style))
    page = with_head(page, allowed, marker, title)
    page = SCRIPT.sub("", page)
    page = STYLE.sub(lambda found: "", STYLE.sub(lambda found: style_element, page, count=1))
    start, end = page.split("</body>")
    yield to_utf8(start)
    for name in page_files:
        if name.endswith(WORKER):
            yield _element(name, _escape(link(name, text)).encode())
        elif PurePosixPath(name).suffix not in (".css", ".html", ".js"):
            yield _element(name, base64.b64encode(read_page(name)))
    yield from _data_elements(data)
    # Last: it is no module, so it runs where it stands and finds only what is above it.
    yield f"{script_element}</body>{end}".encode()


def _data_elements(data: Iterable[tuple[str, bytes]]) -> Iterable[bytes]:
    networks: dict[str, bytes] = {}
    for address, content in data:
        if not address.endswith(NETWORK):
            yield _element(address, base64.b64encode(content))
            continue
        parts = split_network(content, networks, half=len(content) > MAX_EXACT)
        networks[address.removeprefix("data/")] = content
        yield _element(address, json.dumps(parts).encode(), " data-parts")


def _element(name: str, content: bytes, attributes: str = "") -> bytes:
    start = f'<script type="text/plain" data-file="{html.escape(name)}"{attributes}>'
    return start.encode() + content + b"</script>\n"


def _escape(script: str) -> str:
    r"""Return a script that an HTML parser does not end too early.

    In strings, comments and patterns, where alone these can stand, `<\/` and `<\!` mean the same.
    """
    return re.sub(r"<(?=/script|!--)", r"<\\", script, flags=re.IGNORECASE)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
