"""Lists that name the classes of masks, and their colors, in a file next to the masks.

A line of `classes.txt` is the name of a class, from 0 on, or a name and a color. All other lists
have colors: `label_colors.txt` as CamVid is distributed, `class_dict.csv` as many sets on Kaggle,
and `labelmap.txt` as CVAT exports it.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from isthmus.data.masks.mask import pack_color
from isthmus.data.readers.files.trees import Tree
from isthmus.errors import SourceError, first_sentence

CLASSES_FILE = "classes.txt"
COLOR_LISTS = ("label_colors.txt", "class_dict.csv", "class_dict_seg.csv", "labelmap.txt")
CLASS_LISTS = (*COLOR_LISTS, CLASSES_FILE)  # one with colors says more, so those come first
MAX_SHOWN = 40  # letters of a line in a message
MAX_CLASS_LIST = 2**20  # letters; masks have 256 classes at most
LINES = (  # a name and red, green and blue; CVAT has more behind a colon
    r"(?P<name>.+?)[\s,;:]+(?P<r>\d{1,3})[\s,;]+(?P<g>\d{1,3})[\s,;]+(?P<b>\d{1,3})\s*(:.*)?",
    r"(?P<r>\d{1,3})[\s,;]+(?P<g>\d{1,3})[\s,;]+(?P<b>\d{1,3})[\s,;]+(?P<name>.+)",
)
HEADER = re.compile(r"#|.*\bname\b.*\br", re.IGNORECASE)

Classes = tuple[tuple[str, ...], tuple[int, ...]]  # names and colors; the latter may be missing


def read_classes(tree: Tree, folders: Iterable[str]) -> Classes:
    """Read the list of classes, in one of the folders or above it.

    Returns
    -------
    names : tuple of str
        Empty if there is no list.
    colors : tuple of int
        As 0xRRGGBB; empty if the list has none.

    Raises
    ------
    SourceError
        If a list cannot be read, or a line is not as the others are.
    """
    names = {*tree.names}
    above = [folder for start in folders for folder in PurePosixPath(start, "_").parents]
    lists = (str(folder / name) for name in CLASS_LISTS for folder in above)
    file = next((file for file in lists if file in names), None)
    return ((), ()) if file is None else parse_list(read_text(tree, file), file, tree.path)


def read_text(tree: Tree, name: str) -> str:
    """Read a list of a tree.

    Raises
    ------
    SourceError
        If it cannot be read.
    """
    try:
        return tree.read_list(name).decode(errors="replace")
    except SourceError as error:
        raise SourceError(f"{name} of {tree.path} is not read: {error}.") from error
    except Exception as error:  # readers of damaged archives raise almost anything
        raise SourceError(
            f"{name} of {tree.path} cannot be read: {first_sentence(error)}."
        ) from error


def parse_list(text: str, file: str, source: object) -> Classes:
    """Return the names and colors in a list of classes, which is called `file`.

    Raises
    ------
    SourceError
        If a line is not as the others are.
    """
    # Windows editors put a byte order mark in front.
    if len(text) > MAX_CLASS_LIST:
        raise SourceError(
            f"{file} of {source} has {len(text):,} letters, which is no list of classes; remove "
            "it, or give --layout folders."
        )
    lines = text.removeprefix("\ufeff").rstrip().splitlines()
    found = [_parse_line(line.strip()) for line in lines]
    if not any(found) and file.endswith(CLASSES_FILE):
        # An empty line is a class without a name.
        return tuple(line.strip() or str(index) for index, line in enumerate(lines)), ()
    for number, (line, match) in enumerate(zip(lines, found, strict=True)):
        if match is None and line.strip() and not (number == 0 and HEADER.match(line)):
            shown = line.strip()[:MAX_SHOWN]
            raise SourceError(
                f"line {number + 1} of {file} in {source} is {shown!r}, not a name and its red, "
                "green and blue from 0 to 255; repair it."
            )
    listed = [match for match in found if match is not None]
    _reject_repeated(source, file, listed)
    return tuple(name for name, _ in listed), tuple(color for _, color in listed)


def _parse_line(line: str) -> tuple[str, int] | None:
    for pattern in LINES:
        match = re.fullmatch(pattern, line)
        if match and max(channels := [int(match[key]) for key in "rgb"]) <= 255:
            return match["name"].strip(" \"'"), pack_color(*channels)
    return None


def _reject_repeated(source: object, file: str, listed: Sequence[tuple[str, int]]) -> None:
    names: dict[int, str] = {}
    for name, color in listed:
        if color in names:
            raise SourceError(
                f"{file} of {source} gives {names[color]} and {name} the same color "
                f"#{color:06x}; repair it."
            )
        names[color] = name
