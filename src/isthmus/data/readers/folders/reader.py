"""Readers of picture files, folders and archives; labels and splits come from folder names."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import Contents, Manifest, evenly_spaced
from isthmus.data.readers.archives.tree import archive_tree
from isthmus.data.readers.files.kinds import ARCHIVE_SUFFIXES, COMMON_SUFFIXES
from isthmus.data.readers.files.listing import Listing
from isthmus.data.readers.files.trees import Tree, folder_tree, join_trees
from isthmus.data.readers.folders.classes import plan_folders
from isthmus.data.readers.folders.missing import warn_of_classes_without_pictures, warn_of_unread
from isthmus.data.readers.folders.name_classes import guess_name_classes, name_class
from isthmus.data.readers.folders.plan import Plan
from isthmus.data.readers.masks.layouts import IMAGE_LAYOUTS, LAYOUTS, Layout
from isthmus.data.readers.masks.pairs import find_masks, warn_of_masks
from isthmus.data.readers.noisy import warn_of_pairs
from isthmus.data.readers.shards.reader import WEBDATASET, files_next_to, read_shards
from isthmus.data.reading import Findings, LeftOut, Reading, note_unused
from isthmus.data.remote.contents import read_each
from isthmus.errors import SourceError, require_known

NO_LAYOUT = "folders"
MASK = "named as a mask of another picture; --layout folders reads it"
NO_NAME = "a name that begins with no letters before a number"


def read_picture(path: Path, limit: int | None = None, reading: Reading | None = None) -> Manifest:
    """Read a single picture."""
    return Manifest(names=[path.name], files=read_each([path]))


def read_folder(
    path: Path,
    limit: int | None = None,
    reading: Reading | None = None,
    listing: Listing | None = None,
    *,
    at_own_size: bool = False,
) -> Manifest:
    """Read the pictures in a folder, at any depth, or in the archives that it holds instead.

    Unless a layout of `LAYOUTS` is recognized, folders that are called as splits (see
    `isthmus.data.readers.files.folder_names`) are the source's own splits. The folders in them (or
    at the top) are the classes.

    Parameters
    ----------
    path : Path
    limit : int, optional
    reading : Reading, optional
    listing : Listing, optional
        All files of the folder, if they have been listed already.
    at_own_size : bool
        Whether they are read as `Images`, for which folders are no classes unless the user says
        so, and noisy and clean ones are pairs.

    Raises
    ------
    SourceError
        If there is no picture, or pictures and masks do not belong together.
    """
    _require_layout(reading)
    tree = folder_tree(path, listing)
    if not tree.pictures:
        # Archives next to pictures are left alone: most likely they hold the same pictures.
        archives = [name for name in tree.names if name.lower().endswith(ARCHIVE_SUFFIXES)]
        if archives:
            others = replace(tree, names=sorted({*tree.names} - {*archives}))
            trees = [archive_tree(path / name) for name in archives]
            shards = read_shards(path, trees, others, limit, reading or Reading())
            if shards is not None:
                return shards
            tree = join_trees(path, trees, others.list_left_out())
    return _read_tree(tree, limit, reading or Reading(), at_own_size)


def read_archive(
    path: Path,
    limit: int | None = None,
    reading: Reading | None = None,
    *,
    at_own_size: bool = False,
) -> Manifest:
    """Read the pictures in a tar or zip archive, as those in a folder.

    Raises
    ------
    SourceError
        If the archive is broken, holds no picture, or pictures and masks do not belong together.
    """
    _require_layout(reading)
    reading = reading or Reading()
    tree = archive_tree(path)
    shard = read_shards(path, [tree], files_next_to(path), limit, reading)
    return shard or _read_tree(tree, limit, reading, at_own_size)


def _require_layout(reading: Reading | None) -> None:
    if reading is not None and reading.layout is not None:
        require_known("layout", reading.layout, (*IMAGE_LAYOUTS, WEBDATASET, NO_LAYOUT))


def _read_tree(tree: Tree, limit: int | None, reading: Reading, at_own_size: bool) -> Manifest:
    if not tree.pictures:
        raise SourceError(_describe_without_pictures(tree))
    layouts = IMAGE_LAYOUTS if at_own_size else LAYOUTS
    manifest = _read_layout(tree, limit, reading, layouts)
    is_layout = manifest is not None
    if manifest is None:
        # For a denoiser, a picture next to folders of classes is as good as those in them.
        folders = replace(reading, classes_from=reading.classes_from or "none")
        manifest = _read_class_folders(tree, limit, folders if at_own_size else reading)
    left_out = tree.list_left_out(lists_are_used=is_layout)
    unused = ("label_column", *(("classes_from", "parts") if is_layout else ()))
    notes = [
        *tree.notes,
        *warn_of_unread(tree),
        *(() if is_layout or reading.layout or _wants_classes(reading) else warn_of_masks(tree)),
        *(() if is_layout or at_own_size else warn_of_pairs(tree)),
        *note_unused(reading, unused, manifest.findings.layout),
    ]
    return replace(manifest, findings=manifest.findings.add(notes, left_out))


def _describe_without_pictures(tree: Tree) -> str:
    counts = "; ".join(f"{one.count:,} {one.reason}" for one in tree.list_left_out())
    if tree.names:
        counts = f"{len(tree.names):,} files of other kinds, such as {tree.names[0]}: {counts}"
    return (
        f"{tree.path} holds no pictures ({counts or 'empty'}); "
        f"pictures end in {COMMON_SUFFIXES} and the like."
    )


def _read_layout(
    tree: Tree, limit: int | None, reading: Reading, layouts: Mapping[str, Layout]
) -> Manifest | None:
    """Read a tree by the layout that the user names, or the first one that recognizes it."""
    if reading.layout == NO_LAYOUT or (reading.layout is None and _wants_classes(reading)):
        return None
    for name, layout in layouts.items():
        if reading.layout in (None, name) and (manifest := layout(tree, limit)) is not None:
            findings = manifest.findings
            return replace(manifest, findings=findings.add(layout=findings.layout or name))
    if reading.layout in IMAGE_LAYOUTS and reading.layout not in layouts:
        raise SourceError(
            f"only models that denoise learn from the layout {reading.layout}; give --task denoise "
            "or leave --layout out."
        )
    if reading.layout is not None:
        raise SourceError(
            f"{tree.path} does not have the layout {reading.layout}; leave --layout out."
        )
    return None


def _read_class_folders(tree: Tree, limit: int | None, reading: Reading) -> Manifest:
    """Take splits and classes from the names of the folders that pictures are in."""
    names = [tree.display_name(name) for name in tree.pictures]
    folders = [name.rpartition("/")[0] for name in names]
    plan = plan_folders(tree.path, Counter(folders), reading)
    classes = _classes(plan, names, folders)
    masks = _find_masks_to_leave_out(tree, reading)
    reasons = [
        MASK if name in masks else why
        for name, why in zip(tree.pictures, _why_left_out(plan, folders, classes), strict=True)
    ]
    left_out = LeftOut.by_reason(
        (why, name) for why, name in zip(reasons, names, strict=True) if why is not None
    )
    kept = [i for i, reason in enumerate(reasons) if reason is None]
    if not kept:
        raise SourceError(f"{tree.path}: {len(names):,} pictures have {NO_NAME}, as {names[0]}.")
    chosen = [kept[i] for i in evenly_spaced(len(kept), limit)]
    class_names, labels = _number_classes([classes[i] for i in chosen] if classes else None)
    splits = None
    if plan.splits:
        splits = np.array([plan.splits[folders[i]] for i in chosen], np.uint8)
    notes = [*plan.notes, *warn_of_classes_without_pictures(tree, plan)]
    if not classes and reading.classes_from is None:
        # Test pictures are often only numbered, where those to train on are called cat.0.jpg.
        notes += guess_name_classes([names[i] for i in kept if not plan.splits.get(folders[i])])
    return Manifest(
        [names[i] for i in chosen],
        files=Contents(tree.contents, [tree.pictures[i] for i in chosen]),
        labels=labels,
        class_names=class_names,
        splits=splits,
        findings=Findings(plan.layout, left_out, tuple(notes)),
    )


def _wants_classes(reading: Reading) -> bool:
    return reading.classes_from not in (None, "none")


def _find_masks_to_leave_out(tree: Tree, reading: Reading) -> set[str]:
    """Return the masks, by their names, of pictures whose classes the user asks for."""
    leaves_out = _wants_classes(reading) and reading.layout is None
    return {*find_masks(tree)} if leaves_out else set()


def _classes(plan: Plan, names: Sequence[str], folders: Sequence[str]) -> list[str]:
    """Return the class of each picture, "" for one that is left out; no list without classes."""
    if plan.reading.classes_from == "name":
        return [name_class(name) for name in names]
    return [plan.classes.get(folder, "") for folder in folders] if plan.classes else []


def _why_left_out(plan: Plan, folders: Sequence[str], classes: Sequence[str]) -> list[str | None]:
    """Return the reason for each picture that is left out, None for the others."""
    reasons = [plan.left_out.get(folder) for folder in folders]
    if plan.reading.classes_from != "name":
        return reasons
    return [why or (None if name else NO_NAME) for why, name in zip(reasons, classes, strict=True)]


def _number_classes(
    classes: Sequence[str] | None,
) -> tuple[tuple[str, ...], NDArray[np.int64] | None]:
    """Return the names of the classes that occur, and the number of each picture's."""
    if classes is None:
        return (), None
    names = tuple(sorted({*classes}))
    index = {name: i for i, name in enumerate(names)}
    return names, np.array([index[name] for name in classes], np.int64)
