"""The page of duplicates, and the list of files that can go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isthmus.data.samples import SPLITS
from isthmus.detection.duplicates.candidates import Box
from isthmus.detection.duplicates.groups import Group
from isthmus.detection.duplicates.pairs import Pair
from isthmus.detection.duplicates.result import Duplicates
from isthmus.errors import OptionError
from isthmus.files import write_bytes
from isthmus.places import PAGE_SUFFIXES, require_new, require_own_place
from isthmus.reports.elements import image_url
from isthmus.reports.page import render
from isthmus.text import to_utf8
from isthmus.version import __version__
from isthmus.viz.mosaic import size_within

MAX_GROUPS = 60  # in each section of the page
MAX_PAIRS = 4  # of a group that are shown
SIDE = 150  # pixels of a picture


@dataclass(frozen=True)
class Shown:
    """A picture of the page.

    Parameters
    ----------
    url : str
    width, height : int
        In pixels, as it is shown.
    name, facts : str
    box : (left, top, width, height), optional
        The part that the other picture shows, in percent.
    """

    url: str
    width: int
    height: int
    name: str
    facts: str
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Row:
    """A pair, or equal pictures, of which one is shown; with what differs, and other names."""

    pictures: list[Shown]
    text: str
    agreement: str = ""
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """Groups of one kind: rows, names of further equal pictures, and how many pairs are hidden."""

    title: str
    note: str
    groups: list[tuple[list[Row], list[str], int]]
    hidden: int


def write_duplicates(duplicates: Duplicates, out: str | Path) -> Path:
    """Write the page of duplicates, which needs no other file.

    Raises
    ------
    OptionError
        If it does not end in .html, or a file of others is there.
    """
    out = Path(out)
    require_own_place(out, PAGE_SUFFIXES)
    write_bytes(out, render_duplicates(duplicates))
    return out


def render_duplicates(duplicates: Duplicates) -> bytes:
    """Return the page of duplicates: pairs next to each other, with what differs."""
    leaks = duplicates.leaks
    inner = [group for group in duplicates.groups if group not in leaks]
    parts = (
        ("Shared by splits", "A model is tested on what it was trained on.", leaks),
        ("Nearly equal", "", [group for group in inner if not group.is_exact]),
        ("Equal", "One of each is shown.", [group for group in inner if group.is_exact]),
    )
    return render(
        "duplicates.html.jinja",
        title="Duplicates",
        duplicates=duplicates,
        lines=duplicates.describe(),
        sections=[_section(duplicates, *part) for part in parts if part[2]],
        version=__version__,
    )


def write_list(duplicates: Duplicates, path: str | Path) -> Path:
    """Write the names of the pictures that can go, one a line; nothing is removed.

    Raises
    ------
    OptionError
        If there is such a file, or a name has a line break.
    """
    path = Path(path)
    require_new(path)
    for name in duplicates.removable:
        if "\n" in name or "\r" in name:
            raise OptionError(f"{name!r} has a line break and fits in no list; rename it.")
    write_bytes(path, to_utf8("".join(f"{name}\n" for name in duplicates.removable)))
    return path


def _section(duplicates: Duplicates, title: str, note: str, groups: Sequence[Group]) -> Section:
    shown = sorted(groups, key=lambda group: min(pair.agreement for pair in group.pairs))
    shown = shown[:MAX_GROUPS]
    chosen = [_choose(duplicates, group) for group in shown]
    wanted = sorted({row for pairs, _ in chosen for pair in pairs[:MAX_PAIRS] for row in pair.rows})
    pixels = dict(zip(wanted, duplicates.pictures.load(np.array(wanted, np.int64)), strict=True))

    def row(pair: Pair, group: Group) -> Row:
        return _row(duplicates, pair, group, pixels)

    groups_of_rows = [
        ([row(pair, group) for pair in pairs[:MAX_PAIRS]], same, len(pairs[MAX_PAIRS:]))
        for group, (pairs, same) in zip(shown, chosen, strict=True)
    ]
    return Section(title, note, groups_of_rows, len(groups) - len(shown))


def _choose(duplicates: Duplicates, group: Group) -> tuple[list[Pair], list[str]]:
    """Return pairs that each bring a picture into the group, and the names of equal ones.

    Pairs between splits come first, then the best. Of equal pictures one pair is enough.
    """
    splits, names = duplicates.pictures.splits, duplicates.pictures.names

    def is_inner(pair: Pair) -> bool:
        return splits is None or bool(splits[pair.first] == splits[pair.second])

    pairs = sorted(group.pairs, key=lambda pair: (is_inner(pair), pair.is_exact))
    if group.is_exact and group not in duplicates.leaks:
        return pairs[:1], []
    chosen = _connecting(pairs)
    shown = [pair for pair in chosen if not (pair.is_exact and is_inner(pair))]
    same = [names[pair.second] for pair in chosen if pair.is_exact and is_inner(pair)]
    return shown, same


def _connecting(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs, in their order, that connect pictures which the ones before do not."""
    parts: dict[int, int] = {}
    chosen = []
    for pair in pairs:
        first, second = (parts.setdefault(row, row) for row in (pair.first, pair.second))
        if first != second:
            parts = {row: first if part == second else part for row, part in parts.items()}
            chosen.append(pair)
    return chosen


def _row(
    duplicates: Duplicates, pair: Pair, group: Group, pixels: Mapping[int, NDArray[np.uint8]]
) -> Row:
    """Return a pair; of equal pictures in one split, one picture and the names of the others."""
    text = ", ".join(duplicates.differences(pair))
    first = _show(duplicates, pair.first, pixels[pair.first], pair.first_box)
    if group.is_exact and group not in duplicates.leaks:
        others = tuple(duplicates.pictures.names[row] for row in group.rows if row != pair.first)
        return Row([first], text, "", others)
    second = _show(duplicates, pair.second, pixels[pair.second], pair.second_box)
    return Row([first, second], text, pair.written)


def _show(duplicates: Duplicates, row: int, pixels: NDArray[np.uint8], box: Box | None) -> Shown:
    pictures = duplicates.pictures
    width, height = size_within(pixels, SIDE)
    facts = [f"{pixels.shape[0]} × {pixels.shape[1]}"]
    if pictures.splits is not None:
        facts.insert(0, SPLITS[pictures.splits[row]])
    if pictures.labels is not None:
        facts.insert(0, pictures.class_names[pictures.labels[row]])
    return Shown(
        image_url(pixels, width, height),
        width,
        height,
        pictures.names[row],
        " · ".join(facts),
        _percent(box),
    )


def _percent(box: Box | None) -> tuple[float, float, float, float] | None:
    if box is None or box == (0.0, 0.0, 1.0, 1.0):
        return None
    left, top, right, bottom = (round(100 * end, 1) for end in box)
    return left, top, right - left, bottom - top
