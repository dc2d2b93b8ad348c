"""Warnings of what should be in a source but is not read: folders, files and whole classes."""

from collections import defaultdict

from isthmus.data.readers.files.folder_names import is_mask_folder
from isthmus.data.readers.files.kinds import count_by_suffix
from isthmus.data.readers.files.listing import CANNOT_READ
from isthmus.data.readers.files.trees import Tree
from isthmus.data.readers.folders.plan import Plan
from isthmus.data.reading import Note
from isthmus.errors import list_names

MAX_NOTES = 3  # of one sort


def warn_of_unread(tree: Tree) -> list[Note]:
    """Return warnings of folders and files that are there but cannot be read."""
    return [
        Note(
            "warning",
            "unreadable",
            f"{list_names(one.examples)} and {one.count - len(one.examples):,} more {one.reason}"
            if one.count > len(one.examples)
            else f"{list_names(one.examples)} {one.reason}",
            "allow yourself to read them, or remove them",
        )
        for one in tree.left_out
        if one.reason.startswith(CANNOT_READ)
    ]


def warn_of_classes_without_pictures(tree: Tree, plan: Plan) -> list[Note]:
    """Return warnings of folders next to those of classes that hold files, but no picture."""
    classes = {plan.class_folder(folder) for folder in plan.classes}
    parents = {folder.rpartition("/")[0] for folder in classes}
    known = {folder for one in plan.counts for folder in _with_folders_above(one)}
    files = defaultdict(list)
    below = f"{tree.top}/" if tree.top else ""
    for name in (name for name in tree.others if classes and name.startswith(below)):
        for folder in _with_folders_above(tree.display_name(name).rpartition("/")[0]):
            if folder not in known and folder.rpartition("/")[0] in parents:
                files[folder].append(name)
    return [
        Note(
            "warning",
            "class-without-pictures",
            f"the folder {folder}/ holds no picture that can be read, only "
            + ", ".join(f"{one.count:,} {one.reason}" for one in count_by_suffix(names)),
        )
        for folder, names in sorted(files.items())[:MAX_NOTES]
        if not is_mask_folder(folder.rpartition("/")[2], has_images=True)
    ]


def _with_folders_above(folder: str) -> list[str]:
    """Return a folder and all folders that it lies in."""
    parts = folder.split("/") if folder else []
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]
