"""Classes in the names of files, such as cat.0.jpg."""

import re
from collections import Counter
from collections.abc import Sequence

from isthmus.data.manifest import evenly_spaced
from isthmus.data.readers.files.folder_names import names_are_parts
from isthmus.data.reading import Note
from isthmus.errors import list_names

MAX_NAMES = 10_000  # that are looked at to find classes in them


def name_class(name: str) -> str:
    """Return what a picture's name begins with before its number, "" if that has no letters.

    Examples
    --------
    >>> [name_class(name) for name in ("train/cat.0.jpg", "american_bulldog_10.jpg", "7.png")]
    ['cat', 'american_bulldog', '']
    """
    stem = name.rpartition("/")[2].rpartition(".")[0]
    found = re.match(r"(.*?)[\W_]*\d+$", stem)
    start = found[1] if found else ""
    return start if re.search(r"[^\W\d_]", start) else ""


def guess_name_classes(names: Sequence[str]) -> tuple[Note, ...]:
    """Return a note if all names begin with one of a few words, which may be classes."""
    counts = Counter(name_class(names[i]) for i in evenly_spaced(len(names), MAX_NAMES))
    if len(counts) < 2 or "" in counts or min(counts.values()) < 2:
        return ()
    if names_are_parts(counts):
        text = "the pictures have no splits, but their names begin as those of splits"
        way_out = f"folders called {list_names(sorted(counts))} would be splits"
        return (Note("guess", "splits-in-names", text, way_out),)
    listed = list_names([name for name, _ in counts.most_common()], most=4)
    text = f"the pictures have no classes, but their names begin with {listed}"
    return (Note("guess", "classes-in-names", text, "--classes-from name"),)
