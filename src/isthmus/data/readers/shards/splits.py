"""Splits of shards, by the names of their files: `train-000000.tar`, `val/00000.tar`."""

from collections.abc import Sequence

from isthmus.data.readers.files.folder_names import find_parts, names_are_parts
from isthmus.data.reading import Note, Reading
from isthmus.errors import list_names


def find_splits(stems: Sequence[str], reading: Reading) -> tuple[list[int] | None, list[Note]]:
    """Return the split of each shard, None if there are none to tell apart, and what to say of it.

    Parameters
    ----------
    stems : sequence of str
        Names of the shards without suffix.
    reading : Reading
    """
    parts = find_parts(stems)
    if reading.parts is not None or not parts:
        return None, []
    if names_are_parts(stems):
        return [parts[stem] for stem in stems], []
    if len(stems) == 1 or (len(parts) == len(stems) and {*parts.values()} == {0}):
        return None, []  # there is nothing to tell apart
    named, way_out = sorted(parts), "call all of them as splits, and one of them train"
    text = f"{list_names(named, most=2)} are called as splits, without one to train on"
    if len(parts) < len(stems):
        other = next(stem for stem in stems if stem not in parts)
        text = f"{named[0]} is called as a split, but {other} is not"
    return None, [Note("guess", "no-training-split", f"{text}, so read as one whole", way_out)]
