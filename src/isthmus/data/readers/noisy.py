"""Pairs of noisy and clean images: folders `noisy/` and `clean/` with the same names in them.

They may lie below or above folders of splits: `train/noisy/a.png` and `train/clean/a.jpg`, or
`noisy/train/a.png` and `clean/train/a.jpg`. Only models that denoise learn from pairs; whoever else
loads such a source gets all its pictures.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from isthmus.data.manifest import Manifest, evenly_spaced
from isthmus.data.readers.files.folder_names import find_noise
from isthmus.data.readers.files.trees import Tree
from isthmus.data.readers.masks.pairs import Files, add_file, find_splits, is_split
from isthmus.data.reading import Findings, LeftOut, Note
from isthmus.errors import SourceError

NOISY = "noisy and clean"  # the layout
LAYOUT = "pairs of noisy and clean images"
MAX_UNPAIRED_SHARE = 0.10  # of all files; more may be called by other names
OTHER = "in a folder of neither noisy nor clean images"


class Role(NamedTuple):
    """What a folder holds, and the rest of its path, which noisy and clean images share."""

    is_noisy: bool
    shared: str


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
    noisy, clean, others = _sort(tree, roles)
    keys = [key for key in noisy if key in clean]
    if not keys:
        names = [tree.display_name(next(iter(side.values()))) for side in (noisy, clean)]
        raise SourceError(
            f"no noisy image of {tree.path} has a clean one of the same name: there are "
            f"{names[0]} and {names[1]}; give both of a pair the same name, or --layout folders if "
            "they are no pairs."
        )
    splits = find_splits(keys)
    rows = evenly_spaced(len(keys), limit)
    chosen = [keys[row] for row in rows]
    unpaired = _list_unpaired(tree, noisy, clean)
    left_out = (*unpaired, *([LeftOut.of(OTHER, others)] if others else ()))
    return Manifest(
        [tree.display_name(noisy[key]) for key in chosen],
        files=tree.contents([noisy[key] for key in chosen]),
        splits=np.array(splits, np.uint8)[rows] if is_split(splits) else None,
        clean=tree.contents([clean[key] for key in chosen]),
        clean_names=[tree.display_name(clean[key]) for key in chosen],
        findings=Findings(LAYOUT, left_out, _warn_of_unpaired(unpaired, len(keys))),
    )


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
    return Role(bool(found[place]), "/".join(parts[:place] + parts[place + 1 :]))


def _sort(tree: Tree, roles: Mapping[str, Role | None]) -> tuple[Files, Files, list[str]]:
    """Return noisy and clean images by what their paths share, and the names of all others."""
    noisy: Files = {}
    clean: Files = {}
    others = []
    for name in tree.pictures:
        role = roles[_folder(name)]
        if role is None:
            others.append(tree.display_name(name))
        else:
            files = noisy if role.is_noisy else clean
            add_file(tree, files, _key(role, name), name, "noisy and clean images")
    return noisy, clean, others


def _key(role: Role, name: str) -> str:
    return f"{role.shared}/{PurePosixPath(name).stem}"


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _list_unpaired(
    tree: Tree, noisy: Mapping[str, str], clean: Mapping[str, str]
) -> tuple[LeftOut, ...]:
    reasons = (
        (noisy, clean, "noisy, without a clean image of the same name"),
        (clean, noisy, "clean, without a noisy image of the same name"),
    )
    return LeftOut.by_reason(
        (why, tree.display_name(files[key]))
        for files, others, why in reasons
        for key in sorted(files.keys() - others.keys())
    )


def _warn_of_unpaired(unpaired: tuple[LeftOut, ...], pairs: int) -> tuple[Note, ...]:
    """Return a note if many images have no counterpart."""
    count = sum(one.count for one in unpaired)
    if count <= MAX_UNPAIRED_SHARE * (count + 2 * pairs):
        return ()
    name = unpaired[0].examples[0]
    text = f"{count:,} of {count + 2 * pairs:,} images have no counterpart, such as {name}"
    return (Note("warning", "unpaired", text, "give both of a pair the same name"),)
