"""What has to be true of the files that a command leaves, whenever it was ended."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from isthmus.temporaries import is_temporary
from soak.contents import content_of, mask

IGNORED = ("home/",)
NOTES = ("checked.json",)  # when something was checked: written in place, and sealed
IN_BETWEEN = ("new/", "half/", "recipe/")  # where several states are written, one after another
AGAIN = "/diagnosis.json"  # what `isthmus doctor` writes again where it is missing
CACHE, INDEX = "cache/", "run/index/"
WEIGHTS = ".safetensors"

Contents = dict[str, Counter[str]]

_known: dict[tuple[str, int, int], str] = {}  # digests by name, size and time: most are copies


@dataclass(frozen=True)
class Findings:
    """What is in a workspace.

    Parameters
    ----------
    contents : dict
        Digests of what has to be equal, by the names of files without what is random in them.
    damaged : list of str
        What cannot be opened, with the reason.
    leftovers : list of str
        Temporary files and folders.
    """

    contents: Contents
    damaged: list[str]
    leftovers: list[str]

    @property
    def weights(self) -> Contents:
        """What is in the files of weights."""
        return {name: found for name, found in self.contents.items() if name.endswith(WEIGHTS)}


def look(folder: Path) -> Findings:
    """Open every file of a workspace."""
    contents: Contents = {}
    damaged = []
    for name, path in _files(folder):
        try:
            contents.setdefault(mask(name), Counter())[_digest(name, path, folder)] += 1
        except Exception as error:  # whatever a parser raises
            damaged.append(f"{name} cannot be opened: {type(error).__name__} {error}")
    return Findings(contents, damaged, _leftovers(folder))


def strays(now: Findings, before: Findings, after: Findings) -> list[str]:
    """Return what is neither as before a command nor as after it, by the names of files.

    A file that a command writes but once has to be the old one or the new one.
    """
    found, old, new = now.contents, before.contents, after.contents
    absent = (old.keys() & new.keys()) - found.keys()
    lost = [f"{name} is lost" for name in sorted(absent) if not name.startswith(CACHE)]
    settled = [name for name in found if not name.startswith(IN_BETWEEN)]
    known = {name: old.get(name, Counter()) + new.get(name, Counter()) for name in settled}
    strange = [name for name in settled if found[name].keys() - known[name].keys()]
    return lost + [f"{name} is neither old nor new" for name in strange]


def differences(found: Findings, wanted: Findings, unchanged: bool = False) -> list[str]:
    """Return what differs between the results in two workspaces, by the names of files.

    Of decoded samples some may be missing: where there is little room, the oldest make place. Of
    an index there may be an older version where the last command found nothing to change: the next
    change removes it.
    """
    ours, theirs = found.contents, wanted.contents
    absent = [name for name in theirs.keys() - ours.keys() if not _may_be_missing(name)]
    missing = [f"{name} is missing" for name in sorted(absent)]
    added = [f"{name} should not be there" for name in sorted(ours.keys() - theirs.keys())]
    both = sorted(ours.keys() & theirs.keys())
    others = [name for name in both if not _is_equal(name, ours[name], theirs[name], unchanged)]
    return missing + added + [f"{name} differs" for name in others]


def _may_be_missing(name: str) -> bool:
    return name.startswith(CACHE) or name.endswith(AGAIN)


def _is_equal(name: str, ours: Counter[str], theirs: Counter[str], unchanged: bool) -> bool:
    if name.startswith(CACHE):
        return ours <= theirs
    return ours >= theirs if unchanged and name.startswith(INDEX) else ours == theirs


def _digest(name: str, path: Path, folder: Path) -> str:
    status = path.stat()
    key = (name, status.st_size, status.st_mtime_ns)
    if key not in _known:
        _known[key] = hashlib.sha256(content_of(path, folder)).hexdigest()
    return _known[key]


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of a workspace and their names in it, without hidden ones."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(place, name)
            inside = path.relative_to(folder).as_posix()
            if not name.startswith(".") and name not in NOTES and not inside.startswith(IGNORED):
                yield inside, path


def _leftovers(folder: Path) -> list[str]:
    """Return the names of temporary files and folders."""
    found = []
    for place, folders, files in os.walk(folder):
        names = [name for name in (*folders, *files) if is_temporary(name)]
        found += [Path(place, name).relative_to(folder).as_posix() for name in names]
        folders[:] = [name for name in folders if name not in names]
    return sorted(found)
