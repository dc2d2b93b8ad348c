"""Reader of Parquet and Arrow tables with a column of pictures, and of folders of them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from isthmus.data.manifest import Manifest
from isthmus.data.readers.files.kinds import ARCHIVE_SUFFIXES, PARQUET_SUFFIXES, PICTURE_SUFFIXES
from isthmus.data.readers.files.listing import Listing
from isthmus.data.readers.files.trees import Tree, folder_tree
from isthmus.data.readers.parquet.columns import NoPicturesError, assign_roles, find_split
from isthmus.data.readers.parquet.joining import Part, count_left_out, join_parts
from isthmus.data.readers.parquet.opening import open_table, reporting_damaged_table
from isthmus.data.readers.parquet.rows import read_rows
from isthmus.data.readers.parquet.splits import find_splits, note_one_shard, note_shards
from isthmus.data.reading import Findings, Reading, note_unused

READ = (*ARCHIVE_SUFFIXES, *PARQUET_SUFFIXES, *PICTURE_SUFFIXES)
# What the library of Hugging Face keeps of computations, next to the tables themselves.
CACHED = re.compile(r"(^|/)(cache-[0-9a-f]+(_\d+_of_\d+)?|tmp\w*)\.arrow$")
IS_CACHED = "table that the library datasets has computed from others"
NO_SPLIT = "table that is called as no split, where others are"
NO_COLUMN = "table without a column of pictures"


def read_parquet(path: Path, limit: int | None = None, reading: Reading | None = None) -> Manifest:
    """Read the pictures in a Parquet or Arrow table, as Hugging Face stores them.

    A column of pictures holds structures of `bytes` and `path`, or bytes. The classes are in a
    column that the metadata of Hugging Face calls `ClassLabel`, or in one of numbers or words that
    is called label, class or target (see `isthmus.data.readers.csv.names`). A column of words that
    is called split, with train and another in it, gives the splits.

    Raises
    ------
    SourceError
        If it is damaged or has no column of pictures.
    OptionError
        If pyarrow is not installed, or there is no such column of labels.
    """
    reading = reading or Reading()
    part = _read_part(path, path.name, reading)
    has_split = reading.parts == "none" and find_split(part.table.schema) is not None
    unused = ("classes_from", "layout", *(() if has_split else ("parts",)))
    notes = note_unused(reading, unused, "a table")
    return join_parts(path, [part], limit, Findings().add([*note_one_shard(path), *notes]))


def is_parquet_folder(names: Sequence[str]) -> bool:
    """Return whether a folder holds tables, and neither pictures nor archives."""
    read = [name for name in map(str.lower, names) if name.endswith(READ)]
    return bool(read) and all(name.endswith(PARQUET_SUFFIXES) for name in read)


def read_parquet_folder(
    path: Path,
    limit: int | None = None,
    reading: Reading | None = None,
    listing: Listing | None = None,
) -> Manifest:
    """Read all Parquet and Arrow tables in a folder; their names or folders are splits.

    Raises
    ------
    SourceError
        If one is damaged, or none has a column of pictures.
    OptionError
        As `read_parquet`.
    """
    reading = reading or Reading()
    tree = folder_tree(path, listing)
    names, reasons = _choose_tables(tree)
    splits = find_splits(path, names, reading.parts)
    if splits:
        reasons |= {name: NO_SPLIT for name in names if name not in splits}
    parts, without = _read_parts(path, [name for name in names if name not in reasons], reading)
    reasons |= without
    notes = note_unused(reading, ("classes_from", "layout"), "tables")
    findings = Findings().add(
        [*tree.notes, *note_shards(path, names), *notes],
        [
            *count_left_out((why, name) for name, why in reasons.items()),
            *_without_tables(tree).list_left_out(),
        ],
    )
    named = [part._replace(split=splits.get(part.name)) for part in parts]
    return join_parts(path, named, limit, findings)


def _choose_tables(tree: Tree) -> tuple[list[str], dict[str, str]]:
    """Return the tables to read, and why others are not read."""
    names = [name for name in tree.names if _is_table(name)]
    own = [name for name in names if not CACHED.search(name)]
    return own or names, {name: IS_CACHED for name in names if own and name not in {*own}}


def _without_tables(tree: Tree) -> Tree:
    return replace(tree, names=[name for name in tree.names if not _is_table(name)])


def _is_table(name: str) -> bool:
    return name.lower().endswith(PARQUET_SUFFIXES)


def _read_parts(
    path: Path, names: Sequence[str], reading: Reading
) -> tuple[list[Part], Mapping[str, str]]:
    """Return the tables with pictures, and why others are left out, by name.

    Raises
    ------
    NoPicturesError
        If none has pictures.
    """
    parts = []
    without: dict[str, NoPicturesError] = {}
    for name in names:
        try:
            parts.append(_read_part(path / name, name, reading))
        except NoPicturesError as error:
            without[name] = error
    if not parts:
        raise next(iter(without.values()))
    return parts, dict.fromkeys(without, NO_COLUMN)


def _read_part(path: Path, name: str, reading: Reading) -> Part:
    table = open_table(path)
    with reporting_damaged_table(path):
        wants_split = reading.parts is None
        roles = assign_roles(table.schema, path, reading.label_column, wants_split=wants_split)
        return Part(name, table, roles, read_rows(table, roles))
