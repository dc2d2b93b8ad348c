"""Prepare the pages of the site in build/docs: guides as they are, notebooks with their outputs.

`make docs` runs it before the site is built. Notebooks are kept as text without outputs, so what
the site shows of them comes from this version of the code. A cell that fails stops everything.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jupytext
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbformat import NotebookNode, write
from nbformat.v4 import new_code_cell, new_notebook

DOCS = Path(__file__).parent
SECONDS = 300  # for one cell; each takes a few


def main() -> None:
    """Write all pages."""
    names = [path.stem for path in sorted((DOCS / "notebooks").glob("*.md"))]
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", default=names, help="the notebooks to run: all")
    parser.add_argument("--out", type=Path, default=DOCS.parent / "build/docs")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    shutil.copytree(DOCS, options.out, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    with tempfile.TemporaryDirectory() as folder, start_kernel(Path(folder)) as kernel:
        for name in options.names:
            (own := Path(folder, name)).mkdir()
            notebook = execute(DOCS / "notebooks" / f"{name}.md", kernel, own)
            write_notebook(notebook, options.out / "notebooks" / name)


@contextmanager
def start_kernel(folder: Path) -> Iterator[AsyncKernelManager]:
    """Start the kernel of all notebooks, as each start imports torch; end it in the end."""
    # `!isthmus` in a cell is the program of this environment.
    paths = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join(paths),
        "ISTHMUS_CACHE": str(folder / "cache"),
        "ISTHMUS_STATE": str(folder / "state"),
        "COLUMNS": "100",
    }
    kernel = AsyncKernelManager()
    # Without a warning that other users of this machine could listen.
    quiet = ["--IPKernelApp.log_level=ERROR"]
    run_sync(kernel.start_kernel)(env=environment, extra_arguments=quiet)
    try:
        yield kernel
    finally:
        run_sync(kernel.shutdown_kernel)()


def execute(path: Path, kernel: AsyncKernelManager, folder: Path) -> NotebookNode:
    """Run a notebook in an empty folder, without names of others; return it with its outputs.

    Raises
    ------
    CellExecutionError
        If a cell fails.
    """
    notebook: NotebookNode = jupytext.read(path)
    forget = f"import os; os.chdir({str(folder)!r}); get_ipython().reset()"
    count = "get_ipython().execution_count = 0"  # of the cells that were run so far
    start = new_notebook(cells=[new_code_cell(f"{forget}; {count}")])
    for one in (start, notebook):
        NotebookClient(one, km=kernel, timeout=SECONDS).execute()
    return notebook


def write_notebook(notebook: NotebookNode, path: Path) -> None:
    """Write an executed notebook as a page of the site, and as a file to download."""
    write(notebook, path.with_suffix(".ipynb"))
    path.with_suffix(".md").write_text(to_markdown(notebook, path.name), encoding="utf-8")


def to_markdown(notebook: NotebookNode, name: str) -> str:
    """Return an executed notebook as Markdown: text, code, and below each cell its outputs."""
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(fence(cell.source, "python"))
        parts += [text for output in cell.outputs if (text := show(output))]
    # Below the title, which is the first line of the first cell.
    title, _, rest = "\n\n".join(parts).partition("\n")
    download = f"[Download this notebook]({name}.ipynb) with its outputs."
    return f"{title}\n\n{download}\n{rest}\n"


def show(output: NotebookNode) -> str:
    """Return an output as Markdown: HTML where there is some, else text."""
    if output.output_type == "stream":
        return fence(output.text, "text")
    data: dict[str, Any] = output.data
    if "text/html" in data:
        return f'<div class="cell-output">{data["text/html"]}</div>'
    return fence(data["text/plain"], "text")


def fence(text: str, language: str) -> str:
    """Return text as a block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


if __name__ == "__main__":
    main()
