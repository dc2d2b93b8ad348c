"""Options that read a source in another way, as far as they change something about it."""

from collections.abc import Mapping

from isthmus.data.items import Items
from isthmus.data.manifest import evenly_spaced
from isthmus.data.readers.files.folder_names import PART_LABELS
from isthmus.data.readers.folders.name_classes import MAX_NAMES, name_class


def parts_option(items: Items, splits: Mapping[str, int]) -> str:
    """Return the option that makes splits of class folders, if there are some, and "or"."""
    if not splits or not _are_in_folders(items):
        return ""
    parts = ",".join(f"{PART_LABELS[split]}={name}" for name, split in splits.items())
    return f"--parts {parts}, or "


def other_classes(items: Items) -> str:
    """Return the options that give pictures other classes, or none."""
    names = [items.names[i] for i in evenly_spaced(len(items), MAX_NAMES)]
    ways = {
        "parent": {_parent(name) for name in names},
        "name": {name_class(name) for name in names},
    }
    others = [
        way
        for way, classes in ways.items()
        if len(classes) > 1 and "" not in classes and classes != {*items.class_names}
    ]
    return f"--classes-from {', '.join(others)}{' or ' if others else ''}none"


def other_splits(items: Items) -> str:
    """Return the options that draw other splits than those of folders, with the same classes."""
    if items.labels is None or not _are_in_folders(items):
        return ""
    is_parent = _parent(items.names[0]) == items.class_names[items.labels[0]]
    return f"--parts none{' --classes-from parent' if is_parent else ''} draws other splits"


def _are_in_folders(items: Items) -> bool:
    return "/" in items.names[0]


def _parent(name: str) -> str:
    """Return the folder that a picture lies in, without those above it."""
    return name.rpartition("/")[0].rpartition("/")[2]
