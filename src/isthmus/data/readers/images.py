"""Readers of picture files, folders and archives; labels and splits come from folder names."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from isthmus.data.manifest import Manifest, evenly_spaced
from isthmus.data.readers.layouts import LAYOUTS
from isthmus.data.readers.parts import SPLIT_FOLDERS
from isthmus.data.readers.trees import (
    ARCHIVE_SUFFIXES,
    PICTURE_SUFFIXES,
    Tree,
    archive_tree,
    folder_tree,
    join_trees,
)
from isthmus.data.reading import Reading
from isthmus.errors import SourceError


def read_picture(path: Path, limit: int | None = None, reading: Reading | None = None) -> Manifest:
    """Read a single picture."""
    return Manifest(names=[path.name], files=[str(path)])


def read_folder(
    path: Path,
    limit: int | None = None,
    reading: Reading | None = None,
    names: Sequence[str] | None = None,
) -> Manifest:
    """Read the pictures in a folder, at any depth, or in the archives that it holds instead.

    Unless a layout of `LAYOUTS` is recognized, folders called train, validation and test at the
    top are the source's own splits. The folders in them (or at the top) are the classes, if every
    picture is in one.

    Parameters
    ----------
    path : Path
    limit : int, optional
    reading : Reading, optional
    names : sequence of str, optional
        All files of the folder, if they have been listed already.

    Raises
    ------
    SourceError
        If there is no picture, or pictures and masks do not belong together.
    """
    tree = folder_tree(path, names)
    if not tree.pictures:
        # Archives next to pictures are left alone: most likely they hold the same pictures.
        archives = [name for name in tree.names if name.lower().endswith(ARCHIVE_SUFFIXES)]
        if archives:
            tree = join_trees(path, [archive_tree(path / name) for name in archives])
            return _read_tree(tree, limit, reading or Reading())
        number = f"{len(tree.names):,}"
        others = (
            f"{number} files of other kinds, such as {tree.names[0]}" if tree.names else "empty"
        )
        raise SourceError(
            f"{path} holds no pictures ({others}); pictures end in {', '.join(PICTURE_SUFFIXES)}."
        )
    return _read_tree(tree, limit, reading or Reading())


def read_archive(path: Path, limit: int | None = None, reading: Reading | None = None) -> Manifest:
    """Read the pictures in a tar or zip archive, as those in a folder.

    Raises
    ------
    SourceError
        If the archive is broken, holds no picture, or pictures and masks do not belong together.
    """
    return _read_tree(archive_tree(path), limit, reading or Reading())


def _read_tree(tree: Tree, limit: int | None, reading: Reading) -> Manifest:
    if not tree.pictures:
        raise SourceError(
            f"{tree.path} holds no pictures among its {len(tree.names):,} files; "
            f"pictures end in {', '.join(PICTURE_SUFFIXES)}."
        )
    for layout in LAYOUTS.values():
        if (manifest := layout(tree, limit)) is not None:
            return manifest
    return _read_class_folders(tree, limit)


def _read_class_folders(tree: Tree, limit: int | None) -> Manifest:
    """Take splits and classes from the names of the folders that pictures are in."""
    pictures = tree.pictures
    chosen = [pictures[i] for i in evenly_spaced(len(pictures), limit)]
    names = [tree.display_name(name) for name in chosen]
    files = tree.contents(chosen)
    folders = [name.split("/")[:-1] for name in names]
    splits = None
    # All names decide, not only the chosen: a limit must not change what a folder means.
    if _has_splits([tree.display_name(name) for name in pictures]):
        splits = np.array([SPLIT_FOLDERS[parts[0].lower()] for parts in folders], np.uint8)
        folders = [parts[1:] for parts in folders]
    if not all(folders):
        return Manifest(names, files=files, splits=splits)
    classes = tuple(sorted({parts[0] for parts in folders}))
    index = {name: i for i, name in enumerate(classes)}
    labels = np.array([index[parts[0]] for parts in folders], np.int64)
    return Manifest(names, files=files, labels=labels, class_names=classes, splits=splits)


def _has_splits(names: Sequence[str]) -> bool:
    """Return whether the folders at the top are splits.

    One of them must be for training: a folder called test alone is more likely a class.
    """
    tops = {name.split("/")[0].lower() if "/" in name else "" for name in names}
    return tops <= SPLIT_FOLDERS.keys() and any(SPLIT_FOLDERS[top] == 0 for top in tops)
