"""Where outputs go: nothing is replaced but files of Isthmus, which are known by a mark in them.

A mark also tells the pictures that Isthmus drew from those of the user: a figure in a folder of
images is no sample.
"""

import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import OptionError, first_sentence
from isthmus.files import atomic_write, is_within, require_writable_place
from isthmus.temporaries import sweep_for
from isthmus.text import is_plain_name

MARK = b"Isthmus"
PAGE_SUFFIXES = (".html", ".htm")
PAGE_MARK = b'<meta name="generator" content="Isthmus'
PNG_MARK = b"tEXtSoftware\0" + MARK
HEAD_BYTES = 4096  # of a page, in which its mark is
TAIL_BYTES = 256  # of an animation, in which its mark is
PNG_START_BYTES = 33  # the signature and the chunk IHDR, which comes first
OWN_FOLDERS = {"run.json": b'"model_config"', "isthmus-studio.json": b'"isthmus studio"'}
UNFINISHED = {  # hidden in a folder until it is done: the command that completes it
    ".isthmus-denoise.jsonl": "isthmus denoise",
    ".isthmus-style.jsonl": "isthmus style apply",
}
OWN = "written by Isthmus"  # why a file or folder is no part of a source
FACTS = "metadata"  # the array of facts, as JSON, in an .npz file that a run keeps
TABLE_COLUMNS = ("name", "label", "x", "y", "fitted")  # of a map
# Pictures that we write have a multiple of so many bytes: the text of their mark is as long as that
# needs. So only one picture of others in 128 is opened to look for a mark, and a folder of a
# million images is still listed in seconds.
BLOCK_BYTES = 128
MAX_FIGURE_BYTES = 2**26  # more than any has


def require_own_place(path: str | Path, suffixes: Sequence[str]) -> None:
    """Reject a path for an output, unless it is free or holds an earlier output of Isthmus.

    To be called before the work that fills it.

    Parameters
    ----------
    path : path
    suffixes : sequence of str
        The endings, in lower case, that suit what is written; the keys of `MARKS`.

    Raises
    ------
    OptionError
        If the ending is another one, or there is a file of others, a link or a device.
    IsthmusError
        If nothing can be written there.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise OptionError(f"{path} does not end in {' or '.join(suffixes)}; give a name that does.")
    require_writable_place(path)
    require_regular(path)
    if path.exists() and not is_own_file(path):
        raise OptionError(
            f"{path} exists and was not written by Isthmus; choose another name, or move it away."
        )
    if path.exists() and _holds_facts(path):
        raise OptionError(f"{path} is a file of a run; choose another name.")
    sweep_for(path)


def require_new(path: str | Path, why: str = "") -> None:
    """Reject a path for an output that nothing marks as ours, unless there is nothing at all.

    Parameters
    ----------
    path : path
    why : str
        What may be lost, to follow "it exists", such as " and may hold corrections".

    Raises
    ------
    OptionError
        If there is anything, also a link that leads nowhere, or no file can be written there.
    """
    require_writable_place(Path(path))
    if os.path.lexists(path):
        raise OptionError(f"{path} exists{why}; choose another name, or move it away.")


def is_free(path: str | Path) -> bool:
    """Return whether a folder can be written: nothing is there, or an empty folder."""
    path = Path(path)
    # A link to nothing exists as well.
    return not os.path.lexists(path) or (path.is_dir() and not any(path.iterdir()))


def require_free(path: Path) -> None:
    """Reject a folder for outputs that holds something, or a file.

    Raises
    ------
    OptionError
    """
    if not is_free(path):
        state = "is not empty" if path.is_dir() else "is no folder"
        raise OptionError(
            f"{path} exists already and {state}; choose another place, or an empty folder."
        )


def require_regular(path: Path) -> None:
    """Reject a link, a device or a pipe where a file is to be written.

    Raises
    ------
    OptionError
    """
    if path.is_symlink():
        raise OptionError(f"{path} is a link; give the name of a file.")
    if path.exists() and not path.is_file():
        raise OptionError(f"{path} is no regular file; choose another name.")


def require_apart(path: str | Path, *sources: str | Path | None) -> None:
    """Reject a path for an output that is one of the files that it is made from.

    Raises
    ------
    OptionError
    """
    path = Path(path)
    for source in sources:
        with suppress(OSError):  # it is the name of a data set, or of a sample
            if source is not None and path.exists() and path.samefile(source):
                raise OptionError(f"{path} is what is read; choose another name.")


def require_outside(path: str | Path, source: Path) -> None:
    """Reject a path for an output that lies in the folder that it is made from.

    Raises
    ------
    OptionError
        Also if there can be no such path.
    """
    path = Path(path)
    try:
        if source.is_dir() and is_within(path, source):
            raise OptionError(f"{path} lies in {source}, its source; choose another place.")
        path.exists()
    except OSError as error:
        raise OptionError(f"{path} cannot be written: {first_sentence(error)}.") from error


def require_inner_name(name: str, *, is_windows: bool = os.name == "nt") -> None:
    r"""Reject the name of a sample as the path of an output, if it leads out of its folder.

    Archives and tables name their samples as they like. On Windows, more names lead elsewhere; see
    `text.is_plain_name`.

    Raises
    ------
    OptionError

    Examples
    --------
    >>> require_inner_name("../a.png")
    Traceback (most recent call last):
    isthmus.errors.OptionError: ../a.png lies outside its source, so its output has no place.
    >>> require_inner_name("cats\a.png", is_windows=True)
    Traceback (most recent call last):
    isthmus.errors.OptionError: cats.png can be no name of a file on Windows; rename it.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise OptionError(f"{name} lies outside its source, so its output has no place.")
    if is_windows and not is_plain_name(name):
        raise OptionError(f"{name} can be no name of a file on Windows; rename it.")


def is_own_file(path: Path) -> bool:
    """Return whether a file has the mark of its kind, by its ending; see `MARKS`."""
    try:
        return MARKS[path.suffix.lower()](path)
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {first_sentence(error)}.") from error


def is_figure(path: str | Path, size: int) -> bool:
    """Return whether a file is a picture that Isthmus drew, which is no sample.

    Parameters
    ----------
    path : path
    size : int
        Of the file, in bytes; most pictures of others are told by it without being opened.
    """
    if not _may_be_figure(str(path), size):
        return False
    try:
        return is_own_file(Path(path))
    except OptionError:  # decoding it will say why
        return False


def is_figure_content(name: str, size: int, read: Callable[[], bytes]) -> bool:
    """Return the same of a member of an archive; `read` returns its content if that is needed."""
    if not _may_be_figure(name, size):
        return False
    try:
        content = read()
    except Exception:  # of a damaged archive, libraries raise almost anything; decoding says why
        return False
    if name.lower().endswith(".gif"):
        return _has_comment(content[-TAIL_BYTES:])
    return content[PNG_START_BYTES + 4 :].startswith(PNG_MARK)


def is_own_folder(path: str | Path) -> bool:
    """Return whether a folder is a run or an exported page, whose pictures are no samples."""
    with suppress(OSError):  # of a file that cannot be read, and is none of ours
        return any(
            Path(path, name).is_file() and key in _read(Path(path, name), 0, HEAD_BYTES)
            for name, key in OWN_FOLDERS.items()
        )
    return False


def mark_png(content: bytes) -> bytes:
    """Return a PNG file with the mark, as the text "Software" of its metadata."""
    data = PNG_MARK + b" " * _missing(len(content) + 8 + len(PNG_MARK))
    chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    return content[:PNG_START_BYTES] + chunk + content[PNG_START_BYTES:]


def mark_gif(content: bytes) -> bytes:
    """Return a GIF file with the mark, as a comment at its end."""
    text = MARK + b" " * _missing(len(content) + 4 + len(MARK))
    return content[:-1] + b"\x21\xfe" + bytes([len(text)]) + text + b"\0" + content[-1:]


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to an .npz file with the mark, whole or not at all."""
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        archive.comment = MARK
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)


def _may_be_figure(name: str, size: int) -> bool:
    is_of_size = size % BLOCK_BYTES == 0 and size <= MAX_FIGURE_BYTES
    return is_of_size and name.lower().endswith((".png", ".gif"))


def _missing(size: int) -> int:
    """Return how many bytes a file of a size lacks to a multiple of `BLOCK_BYTES`."""
    return -size % BLOCK_BYTES


def _is_our_png(path: Path) -> bool:
    # Behind the length of the second chunk.
    return _read(path, PNG_START_BYTES + 4, len(PNG_MARK)) == PNG_MARK


def _is_our_gif(path: Path) -> bool:
    return _has_comment(_read(path, max(0, path.stat().st_size - TAIL_BYTES), TAIL_BYTES))


def _has_comment(tail: bytes) -> bool:
    """Return whether the end of an animation has the mark."""
    _, comment, text = tail.rpartition(b"\x21\xfe")
    return bool(comment) and text[1:].startswith(MARK)


def _is_our_page(path: Path) -> bool:
    return PAGE_MARK in _read(path, 0, HEAD_BYTES)


def _is_our_table(path: Path) -> bool:
    head = (",".join(TABLE_COLUMNS) + "\n").encode()  # a table has no room for another mark
    return _read(path, 0, len(head)) == head


def _has_our_arrays(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment == MARK
    except zipfile.BadZipFile:
        return False


def _holds_facts(path: Path) -> bool:
    """Return whether a file of ours is one that a run keeps, such as a map."""
    if path.suffix.lower() != ".npz":
        return False
    with zipfile.ZipFile(path) as archive:
        return f"{FACTS}.npy" in archive.namelist()


def _read(path: Path, start: int, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(count)


MARKS: dict[str, Callable[[Path], bool]] = {
    ".csv": _is_our_table,
    ".gif": _is_our_gif,
    ".htm": _is_our_page,
    ".html": _is_our_page,
    ".npz": _has_our_arrays,
    ".png": _is_our_png,
}
