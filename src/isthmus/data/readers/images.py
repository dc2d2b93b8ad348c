"""Pictures in files, folders and archives: which there are, and what their places tell."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from isthmus.data.manifest import Manifest, evenly_spaced
from isthmus.data.readers.layouts import LAYOUTS, PARTS
from isthmus.data.readers.trees import (
    ARCHIVE_SUFFIXES,
    PICTURE_SUFFIXES,
    Tree,
    archive_tree,
    folder_tree,
    joined_tree,
)
from isthmus.errors import SourceError


def read_picture(path: Path, limit: int | None = None) -> Manifest:
    """Find a single picture."""
    return Manifest(names=[path.name], files=[str(path)])


def read_folder(
    path: Path, limit: int | None = None, names: Sequence[str] | None = None
) -> Manifest:
    """Find the pictures below a folder, at any depth, or in the archives that it holds instead.

    Where no layout of `LAYOUTS` is met, folders called train, validation and test at the top are
    the source's own parts; the folders below them (or at the top) are the classes, if every
    picture is in one. `names` are those of all its files, if a walk has told them before.

    Raises
    ------
    SourceError
        If there is no picture, or pictures and masks do not go together.
    """
    tree = folder_tree(path, names)
    if not tree.pictures:
        archives = [name for name in tree.names if name.lower().endswith(ARCHIVE_SUFFIXES)]
        if archives:
            return _found(
                joined_tree(path, [archive_tree(path / name) for name in archives]), limit
            )
        number = f"{len(tree.names):,}"
        others = (
            f"{number} files of other kinds, such as {tree.names[0]}" if tree.names else "empty"
        )
        raise SourceError(
            f"{path} holds no pictures ({others}); known are {', '.join(PICTURE_SUFFIXES)}."
        )
    return _found(tree, limit)


def read_archive(path: Path, limit: int | None = None) -> Manifest:
    """Find the pictures in a tar or zip archive, laid out as a folder would be.

    Raises
    ------
    SourceError
        If the archive is broken, holds no picture, or pictures and masks do not go together.
    """
    return _found(archive_tree(path), limit)


def _found(tree: Tree, limit: int | None) -> Manifest:
    if not tree.pictures:
        raise SourceError(
            f"{tree.path} holds no pictures among its {len(tree.names):,} files; "
            f"known are {', '.join(PICTURE_SUFFIXES)}."
        )
    for layout in LAYOUTS.values():
        if (found := layout(tree, limit)) is not None:
            return found
    return _labelled(tree, limit)


def _labelled(tree: Tree, limit: int | None) -> Manifest:
    """Read the parts and classes from the folders that pictures lie in."""
    pictures = tree.pictures
    chosen = [pictures[i] for i in evenly_spaced(len(pictures), limit)]
    names = [tree.display_name(name) for name in chosen]
    files = tree.contents(chosen)
    folders = [name.split("/")[:-1] for name in names]
    splits = None
    if _has_parts([tree.display_name(name) for name in pictures]):
        splits = np.array([PARTS[parts[0].lower()] for parts in folders], np.uint8)
        folders = [parts[1:] for parts in folders]
    if not all(folders):
        return Manifest(names, files=files, splits=splits)
    classes = tuple(sorted({parts[0] for parts in folders}))
    index = {name: i for i, name in enumerate(classes)}
    labels = np.array([index[parts[0]] for parts in folders], np.int64)
    return Manifest(names, files=files, labels=labels, class_names=classes, splits=splits)


def _has_parts(names: Sequence[str]) -> bool:
    """Tell whether the folders at the top are the source's own parts, training among them."""
    tops = {name.split("/")[0].lower() if "/" in name else "" for name in names}
    return tops <= PARTS.keys() and any(PARTS[top] == 0 for top in tops)
