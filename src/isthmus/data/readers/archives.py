"""Tar and zip archives as trees."""

from dataclasses import replace
from pathlib import Path

from isthmus.data.readers.tars import tar_tree
from isthmus.data.readers.trees import Tree, find_top
from isthmus.data.readers.zips import zip_tree


def archive_tree(path: Path) -> Tree:
    """Return the tree in a tar or zip archive.

    Raises
    ------
    SourceError
        If the archive is broken.
    """
    tree = zip_tree(path) if path.name.lower().endswith(".zip") else tar_tree(path)
    return replace(tree, top=find_top(tree.pictures))
