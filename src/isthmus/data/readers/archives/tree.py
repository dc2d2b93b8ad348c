"""Tar and zip archives as trees."""

import tarfile
from dataclasses import replace
from pathlib import Path

from isthmus.data.readers.archives.members import reporting_broken_archive
from isthmus.data.readers.archives.tars import tar_tree
from isthmus.data.readers.archives.zips import zip_tree
from isthmus.data.readers.files.trees import Tree, find_top

ZIP_STARTS = (b"PK\3\4", b"PK\5\6")  # of the first member, or of the end if there is none


def archive_tree(path: Path) -> Tree:
    """Return the tree in a tar or zip archive; its content tells which of both it is.

    Raises
    ------
    SourceError
        If the archive is broken.
    """
    with reporting_broken_archive(path):
        tree = zip_tree(path) if _is_zip(path) else tar_tree(path)
    return replace(tree, top=find_top(tree.pictures))


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(4) in ZIP_STARTS:
            return True
    # A zip may begin with something else, such as a program that unpacks it.
    return path.name.lower().endswith(".zip") and not tarfile.is_tarfile(path)
