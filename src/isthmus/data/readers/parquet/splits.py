"""Splits of tables, by the names of their files and folders; and shards that are missing."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from isthmus.data.readers.files.folder_names import find_parts, has_training, parse_parts
from isthmus.data.reading import Note
from isthmus.errors import OptionError, list_names

SHARD = re.compile(r"^(.*?)[-_.]?(\d{1,6})-of-(\d{1,6})(?:-[0-9a-fA-F]+)?$")


def find_splits(path: Path, names: Sequence[str], parts: str | None) -> dict[str, int]:
    """Return the split of each table that is called as one; empty if there are none.

    Parameters
    ----------
    path : Path
        The folder, for messages.
    names : sequence of str
        Paths of the tables below it.
    parts : str, optional
        See `Reading`.

    Raises
    ------
    OptionError
        If a part is no folder or name of a table.

    Examples
    --------
    >>> find_splits(Path("."), ["data/train-00000-of-00001.parquet", "data/test.parquet"], None)
    {'data/train-00000-of-00001.parquet': 0, 'data/test.parquet': 2}
    >>> find_splits(Path("."), ["train/0000.parquet", "test/0000.parquet"], None)
    {'train/0000.parquet': 0, 'test/0000.parquet': 2}
    """
    words = {name: _words(name) for name in names}
    if parts is not None:
        return _choose_splits(path, words, parse_parts(parts) or {})
    for level in range(max(map(len, words.values()), default=0)):
        called = {name: own[level] for name, own in words.items() if level < len(own)}
        found = find_parts({*called.values()})
        if has_training(found):
            return {name: found[word] for name, word in called.items() if word in found}
    return {}


def note_shards(path: Path, names: Iterable[str]) -> list[Note]:
    """Return warnings of files of which there should be more, by their names."""
    shards = [(match[1], int(match[3])) for match in map(_match, names) if match]
    return [
        Note(
            "warning",
            "shards-missing",
            f"{path} holds {count:,} of the {total:,} files of {prefix or 'a table'}",
            "fetch the others, or leave it so",
        )
        for (prefix, total), count in Counter(shards).items()
        if count < total
    ]


def note_one_shard(path: Path) -> list[Note]:
    """Return a note if a file is one of several of the same table."""
    match = _match(path.name)
    if match is None or int(match[3]) < 2:
        return []
    text = f"{path.name} is one of {int(match[3]):,} files, and the others are not read"
    return [Note("guess", "one-shard", text, "give the folder to read all")]


def _match(name: str) -> re.Match[str] | None:
    return SHARD.match(name.rpartition(".")[0])


def _words(name: str) -> list[str]:
    """Return the name of a table without its number, and those of its folders, outwards."""
    *folders, last = name.rpartition(".")[0].split("/")
    match = SHARD.match(last)
    return [match[1] if match else last, *reversed(folders)]


def _choose_splits(
    path: Path, words: dict[str, list[str]], parts: dict[str, int]
) -> dict[str, int]:
    places = {name: f"/{'/'.join(reversed(own))}/" for name, own in words.items()}
    for part in parts:
        if not any(f"/{part}/" in place for place in places.values()):
            raise OptionError(
                f"parts names {part!r}, which is no folder of tables and no table in {path}; it "
                f"holds {list_names(list(words))}."
            )
    found = {
        name: [split for part, split in parts.items() if f"/{part}/" in place]
        for name, place in places.items()
    }
    return {name: splits[0] for name, splits in found.items() if splits}
