"""Pairs of noisy and clean images: folders `noisy/` and `clean/` with the same names in them.

They may lie below or above folders of splits: `train/noisy/a.png` and `train/clean/a.jpg`, or
`noisy/train/a.png` and `clean/train/a.jpg`. Folders such as `noisy15/` and `noisy50/` hold versions
of the same clean images: each is a pair of its own. Only models that denoise learn from pairs;
whoever else loads such a source gets all its pictures.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from isthmus.data.manifest import Content, Manifest, evenly_spaced
from isthmus.data.readers.files.folder_names import find_noise
from isthmus.data.readers.files.trees import Tree
from isthmus.data.readers.masks.pairs import Files, add_file, find_splits, is_split
from isthmus.data.reading import Findings, LeftOut, Note
from isthmus.errors import SourceError, list_names

NOISY = "noisy and clean"  # the layout
LAYOUT = "pairs of noisy and clean images"
MAX_UNPAIRED_SHARE = 0.10  # of all files; more may be called by other names
OTHER = "in a folder of neither noisy nor clean images"


class Role(NamedTuple):
    """What a folder holds, as what it is called, and the rest of its path, which pairs share."""

    is_noisy: bool
    called: str
    shared: str


class Pair(NamedTuple):
    """A noisy image and its clean one, and what their paths share."""

    noisy: str
    clean: str
    key: str


def read_noisy(tree: Tree, limit: int | None) -> Manifest | None:
    """Pair noisy and clean images of the same name; None if there are none of one sort.

    Raises
    ------
    SourceError
        If no two have the same name.
    """
    roles = _find_roles(tree)
    if roles is None:
        return None
    versions, clean, others = _sort(tree, roles)
    pairs = _pair(versions, clean)
    if not pairs:
        noisy = next(name for files in versions.values() for name in files.values())
        names = [tree.display_name(name) for name in (noisy, next(iter(clean.values())))]
        raise SourceError(
            f"no noisy image of {tree.path} has a clean one of the same name: there are "
            f"{names[0]} and {names[1]}; give both of a pair the same name, or --layout folders if "
            "they are no pairs."
        )
    splits = find_splits([pair.key for pair in pairs])
    rows = evenly_spaced(len(pairs), limit)
    chosen = [pairs[row] for row in rows]
    unpaired = _list_unpaired(tree, versions, clean)
    left_out = (*unpaired, *([LeftOut.of(OTHER, others)] if others else ()))
    paired = len(pairs) + len({pair.clean for pair in pairs})
    notes = (*_warn_of_unpaired(unpaired, paired), *_tell_of_versions(pairs, versions))
    return Manifest(
        [tree.display_name(pair.noisy) for pair in chosen],
        files=tree.contents([pair.noisy for pair in chosen]),
        splits=np.array(splits, np.uint8)[rows] if is_split(splits) else None,
        clean=_read_repeated(tree, [pair.clean for pair in chosen]),
        clean_names=[tree.display_name(pair.clean) for pair in chosen],
        findings=Findings(LAYOUT, left_out, notes),
    )


def name_clean(name: str) -> str:
    """Return what the name of a noisy image shares with those of all versions of it.

    Examples
    --------
    >>> name_clean("train/noisy25/a.png"), name_clean("train/noisy50/a.jpg"), name_clean("a.png")
    ('train/a', 'train/a', 'a.png')
    """
    role = _find_role(_folder(name))
    return name if role is None else _key(role, name).lstrip("/")


def warn_of_pairs(tree: Tree) -> tuple[Note, ...]:
    """Return a note if pictures that are pairs of noisy and clean ones are read one by one."""
    roles = _find_roles(tree)
    if roles is None:
        return ()
    keys: dict[bool, set[str]] = {True: set(), False: set()}
    for name in tree.pictures:
        if (role := roles[_folder(name)]) is not None:
            keys[role.is_noisy].add(_key(role, name))
    if not keys[True] & keys[False]:
        return ()
    text = "noisy images and clean ones of the same name are read as pictures of their own"
    return (Note("guess", "pairs-apart", text, "--task denoise learns from such pairs"),)


def _find_roles(tree: Tree) -> dict[str, Role | None] | None:
    """Return the role of each folder; None unless there are noisy images and clean ones."""
    roles = {folder: _find_role(folder) for folder in {_folder(name) for name in tree.pictures}}
    kinds = {role.is_noisy for role in roles.values() if role is not None}
    return roles if len(kinds) == 2 else None


def _find_role(folder: str) -> Role | None:
    parts = folder.split("/")
    found = [find_noise(part) for part in parts]
    place = next((i for i, is_noisy in enumerate(found) if is_noisy is not None), None)
    if place is None:
        return None
    shared = "/".join(parts[:place] + parts[place + 1 :])
    return Role(bool(found[place]), parts[place], shared)


def _sort(
    tree: Tree, roles: Mapping[str, Role | None]
) -> tuple[dict[str, Files], Files, list[str]]:
    """Return noisy and clean images by what their paths share, and the names of all others.

    The noisy ones are apart for each name of a folder.
    """
    noisy: dict[str, Files] = {}
    clean: Files = {}
    others = []
    for name in tree.pictures:
        role = roles[_folder(name)]
        if role is None:
            others.append(tree.display_name(name))
        else:
            files = noisy.setdefault(role.called, {}) if role.is_noisy else clean
            add_file(tree, files, _key(role, name), name, "noisy and clean images")
    return noisy, clean, others


def _key(role: Role, name: str) -> str:
    return f"{role.shared}/{PurePosixPath(name).stem}"


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _pair(versions: Mapping[str, Files], clean: Files) -> list[Pair]:
    """Return all pairs; the versions of one clean image follow each other."""
    keys = dict.fromkeys(key for files in versions.values() for key in files if key in clean)
    return [
        Pair(files[key], clean[key], key)
        for key in keys
        for files in versions.values()
        if key in files
    ]


def _read_repeated(tree: Tree, names: Sequence[str]) -> Iterable[Content]:
    """Return contents; a name that is repeated in succession is read once, as of a packed tar."""
    counts = Counter(names)
    contents = tree.contents(list(counts))
    if len(counts) == len(names):
        return contents
    return (
        content for name, content in zip(counts, contents, strict=True) for _ in range(counts[name])
    )


def _list_unpaired(tree: Tree, versions: Mapping[str, Files], clean: Files) -> tuple[LeftOut, ...]:
    noisy = [(key, name) for files in versions.values() for key, name in files.items()]
    used = {key for key, _ in noisy}
    reasons = (
        ("noisy, without a clean image", [name for key, name in noisy if key not in clean]),
        ("clean, without a noisy image", [clean[key] for key in clean if key not in used]),
    )
    return LeftOut.by_reason(
        (f"{why} of the same name", tree.display_name(name))
        for why, names in reasons
        for name in sorted(names)
    )


def _tell_of_versions(pairs: Sequence[Pair], versions: Mapping[str, Files]) -> tuple[Note, ...]:
    """Return a note if clean images have several noisy ones."""
    count = len({pair.key for pair in pairs})
    if count == len(pairs):
        return ()
    folders = list_names([f"{name}/" for name in versions])
    text = f"{folders} hold noisy versions of the same {count:,} clean images"
    return (Note("guess", "noisy-versions", text, "--layout folders if not"),)


def _warn_of_unpaired(unpaired: tuple[LeftOut, ...], paired: int) -> tuple[Note, ...]:
    """Return a note if many images have no counterpart."""
    count = sum(one.count for one in unpaired)
    if count <= MAX_UNPAIRED_SHARE * (count + paired):
        return ()
    name = unpaired[0].examples[0]
    text = f"{count:,} of {count + paired:,} images have no counterpart, such as {name}"
    return (Note("warning", "unpaired", text, "give both of a pair the same name"),)
