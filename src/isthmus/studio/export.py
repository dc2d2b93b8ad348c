"""`write_studio`: the studio of a run as a folder for a web host, or as one HTML file."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.damage import DAMAGE
from isthmus.data.cache import Track, untracked
from isthmus.errors import IsthmusError, OptionError
from isthmus.files import (
    atomic_folder,
    atomic_write,
    fingerprint,
    flush_folder,
    flush_tree,
    is_within,
    nearest_folder,
    put,
    require_writable_place,
    temporary_folder,
    write_bytes,
)
from isthmus.locks import working_alone
from isthmus.places import PAGE_SUFFIXES, require_regular
from isthmus.session import Session
from isthmus.studio.assets import page_files, read_page
from isthmus.studio.content import Content
from isthmus.studio.policy import FOLDER
from isthmus.studio.single import join_page, with_head
from isthmus.temporaries import sweep, sweep_for
from isthmus.text import is_plain_name, to_utf8
from isthmus.training.store import is_run
from isthmus.version import __version__

if TYPE_CHECKING:
    from isthmus.inference.model import Model
    from isthmus.training.run import Run

MARKER = "isthmus studio"  # by which an earlier export is known
LIST = "isthmus-studio.json"  # of the files of a folder, with their fingerprints
START = "index.html"  # the page itself
HEAD_BYTES = 4096  # of a file, in which its marker is

Files = Iterator[tuple[str, bytes]]  # their addresses and contents


def write_studio(
    run: "str | Path | Run | Model | Session",
    out: str | Path,
    source: str | Path | None = None,
    *,
    split: str | None = None,
    limit: int | None = None,
    methods: Sequence[str] = (),
    encoder: "Model | None" = None,
    data: str | Path | None = None,
    track: Track = untracked,
    say: Any = lambda text: None,
) -> dict[str, Any]:
    """Write the studio of a run as a folder that any web host serves, or as one HTML file.

    The page shows the samples themselves: look at it before you publish it. An earlier export is
    replaced; any other file is left alone.

    Parameters
    ----------
    run : path, Run, Model or Session
        A run folder, a run, the file of a model (.safetensors or .onnx), or a model.
    out : path
        A file that ends in .html, which opens from a disk, or a folder.
    source, split, limit, methods, encoder, data, track, say
        See `serve_studio`.

    Returns
    -------
    dict
        `out`; `samples`, how many are shown; `bytes` and `files`, of the whole export.

    Raises
    ------
    OptionError
        If `out` holds something else.
    IsthmusError
        If the run or the source cannot be shown, or a file cannot be written.
    """
    out = Path(out)
    is_file = out.suffix.lower() in PAGE_SUFFIXES
    (_require_page if is_file else _require_folder)(out)  # before anything is computed
    if not isinstance(run, Session):
        run = Session(run, data=data, encoder=encoder, track=track, say=say)
    chosen: dict[str, Any] = {"split": split, "limit": limit, "methods": tuple(methods)}
    content = Content(run, source, **chosen, track=track, say=say)
    content.finish()
    manifest = content.manifest()
    title = f"{manifest['name']} · Isthmus studio"
    files = _data(content, track)
    count, size = (_write_file if is_file else _write_folder)(out, files, title)
    return {"out": str(out), "samples": manifest["count"], "bytes": size, "files": count}


def _data(content: Content, track: Track) -> Files:
    """Yield the files of the data by their addresses, one at a time: together they are large."""
    paths = content.paths()
    for path in track(paths, len(paths), "Writing"):  # which draws the thumbnails of a large set
        try:
            yield f"data/{path}", content.read(path)
        except KeyError:  # another studio of the run has stored better weights in its place
            raise IsthmusError("the run has changed meanwhile; write the studio again.") from None


# -- one file ---------------------------------------------------------------------------------


def _write_file(out: Path, data: Files, title: str) -> tuple[int, int]:
    parts = join_page(page_files(), read_page, data, f"{MARKER} {__version__}", title)
    with atomic_write(out) as file:
        for part in parts:
            file.write(part)
    return 1, out.stat().st_size


def _require_page(out: Path) -> None:
    """Reject a path for one file that is taken by something else."""
    require_writable_place(out)
    require_regular(out)
    sweep_for(out)
    if out.exists() and not _is_our_page(out):
        raise OptionError(f"{out} exists and is no export of the studio; choose another name.")


def _is_our_page(file: Path) -> bool:
    with file.open("rb") as opened:
        return f'<meta name="generator" content="{MARKER} '.encode() in opened.read(HEAD_BYTES)


# -- a folder ---------------------------------------------------------------------------------


def _write_folder(out: Path, data: Files, title: str) -> tuple[int, int]:
    files = _folder_files(data, title)
    with working_alone(out):
        known = _read_list(out)
        if known:
            return _replace(out, known, files)
        with atomic_folder(out) as folder:
            written, size = _put_all(folder, files)
            _write_list(folder, {name: [content] for name, content in written.items()})
        return len(written), size


def _folder_files(data: Files, title: str) -> Files:
    """Yield all files; the page last, which is of no use without the others."""
    yield from data
    for name in page_files():
        if name != START:
            yield name, read_page(name)
    page = read_page(START).decode()
    marker = f"{MARKER} {__version__}"
    yield START, to_utf8(with_head(page, FOLDER, marker, title))


def _put_all(folder: Path, files: Files) -> tuple[dict[str, str], int]:
    """Write files into a folder; return their fingerprints by name, and their size."""
    written: dict[str, str] = {}
    size = 0
    for name, content in files:
        put(folder / name, content)
        written[name] = fingerprint(content)
        size += len(content)
    return written, size


def _replace(out: Path, known: dict[str, list[str]], files: Files) -> tuple[int, int]:
    """Replace the files of the last export, and no others; return count and size.

    All are on the disk before the first gets its name. There is no page while they do: so a crash
    leaves the old export, the new one, or files without a page, which the next export replaces.
    """
    sweep(out)
    with temporary_folder(out / "export") as staged:
        written, size = _put_all(staged, files)
        for name in written:
            _require_own(out, name, is_known=name in known)
        flush_tree(staged)
        # Until all is done, a file may be the old one or the new one.
        both = {name: [*known.get(name, ()), content] for name, content in written.items()}
        _write_list(out, known | both)
        (out / START).unlink(missing_ok=True)
        flush_folder(out)
        for name in written.keys() - {START}:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (staged / name).replace(out / name)
        for name in known.keys() - written.keys():
            (out / name).unlink(missing_ok=True)
        flush_tree(out)
        (staged / START).replace(out / START)
    _write_list(out, {name: [content] for name, content in written.items()})
    return len(written), size


def _require_own(out: Path, name: str, is_known: bool) -> None:
    """Reject a file that would replace one of others, here or behind a link.

    Raises
    ------
    OptionError
    """
    file = out / name
    if not is_known and file.exists():
        raise OptionError(f"{file} is not of the export that {out} holds; move it away.")
    if not is_within(file.parent, out):
        raise OptionError(f"{file.parent} leads out of {out}; give a new folder.")


def _require_folder(out: Path) -> None:
    """Reject a path for a folder that is taken by something else.

    Raises
    ------
    OptionError
        If it is a file, a run, a folder of other files, or an export that was changed since.
    """
    if is_run(out):
        raise OptionError(f"{out} is a run folder; write the studio to a new one.")
    if out.exists() and not out.is_dir():
        raise OptionError(f"{out} is a file; give a new folder, or a name that ends in .html.")
    above = nearest_folder(out)
    if not above.is_dir():
        raise OptionError(f"{out} cannot be written: {above} is not a folder.")
    known = _read_list(out)
    if known is None and out.is_dir() and any(out.iterdir()):
        raise OptionError(f"{out} is not empty and no export of the studio; give a new folder.")
    if out.absolute() == Path.cwd() and not known:
        raise OptionError(f"{out} is the current folder; give a new one, such as {out / 'site'}.")
    for name, written in (known or {}).items():
        file = out / name
        if file.exists() and not (file.is_file() and fingerprint(file.read_bytes()) in written):
            raise OptionError(f"{file} was changed since it was exported; give a new folder.")


def _read_list(out: Path) -> dict[str, list[str]] | None:
    """Return the files of an earlier export with their fingerprints, or None if there is none.

    A file has several fingerprints if it was about to be replaced when a crash came.
    """
    try:
        content = json.loads((out / LIST).read_bytes())
        # Older versions wrote one, not a list.
        files = {
            name: [one] if isinstance(one, str) else list(one)
            for name, one in content["files"].items()
        }
        # A list that somebody wrote could name files that are not below the folder.
        is_ours = content["made_by"] == MARKER and all(map(is_plain_name, files))
    except DAMAGE:
        return None
    return files if is_ours else None


def _write_list(out: Path, files: dict[str, list[str]]) -> None:
    content = {"made_by": MARKER, "version": __version__, "files": dict(sorted(files.items()))}
    write_bytes(out / LIST, (json.dumps(content, indent=1) + "\n").encode())
