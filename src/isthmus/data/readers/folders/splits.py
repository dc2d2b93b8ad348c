"""Which folders are splits, and which are masks, by their names."""

from collections.abc import Sequence

from isthmus.data.readers.files.folder_names import (
    PART_LABELS,
    find_parts,
    has_training,
    is_image_folder,
    is_mask_folder,
    parse_parts,
    split_of,
)
from isthmus.data.readers.folders.plan import Plan
from isthmus.errors import SourceError, list_names
from isthmus.text import count_of

MAX_STRAY_SHARE = 0.2  # of all pictures; more are no accident


def take_splits(plan: Plan) -> None:
    """Decide which folders are splits: those that the user names, or that are called as such.

    Raises
    ------
    SourceError
        If one that the user names is missing, or most pictures lie next to splits.
    """
    if plan.reading.parts is not None and (parts := parse_parts(plan.reading.parts)):
        _take_given_parts(plan, parts)
        return
    wrapper = plan.see_through(list(plan.rests))
    if plan.reading.classes_from in (None, "folder", "parent"):
        wrapper += _see_past_strays(plan)
    plan.wrapper = "/".join(wrapper)
    if plan.reading.parts is None:
        _take_parts(plan)


def _see_past_strays(plan: Plan) -> tuple[str, ...]:
    """Leave out the few pictures next to the one folder that holds all others in folders."""
    below = plan.below()
    strays = below.pop("", [])
    folders = next(iter(below.values()), [])
    is_few = plan.count(strays) <= MAX_STRAY_SHARE * plan.count(plan.rests)
    if not strays or len(below) != 1 or not is_few:
        return ()
    if any(len(plan.rests[folder]) == 1 for folder in folders):  # that folder is a class
        return ()
    plan.note_strays(strays)
    plan.leave_out(strays, "next to class folders")
    return plan.see_through(folders)


def leave_masks_out(plan: Plan) -> None:
    """Leave out folders of masks that no layout has paired; look into one of images."""
    below = plan.below()
    images = [name for name in below if name and is_image_folder(name)]
    masks = [name for name in below if is_mask_folder(name, has_images=bool(images))]
    if not masks or len(masks) == len(below):
        return
    for name in masks:
        _leave_out_masks(plan, name, below[name])
    plan.see_through(list(plan.rests))


def _leave_out_masks(plan: Plan, name: str, folders: Sequence[str]) -> None:
    count = plan.count(folders)
    plan.leave_out(folders, f"in {name}/, whose name says that it holds masks")
    plan.note(
        "masks-left-out",
        f"{count_of(count, 'picture')} in {name}/ left out, as the name says that they are masks, "
        "and not every picture has one",
        "--parts none --layout folders takes all folders for classes"
        if plan.parts
        else "--layout folders takes it for a class",
        "guess",
    )


def _take_given_parts(plan: Plan, parts: dict[str, int]) -> None:
    plan.parts = sorted(parts)
    if not any(_list_inside(plan, name) for name in parts):  # they may lie in a wrapper
        in_folders = [folder for folder, rest in plan.rests.items() if rest]
        plan.wrapper = "/".join(plan.see_through(in_folders))
    there = sorted({rest[0] for rest in plan.rests.values() if rest})
    deepest_first = sorted(parts.items(), key=lambda part: -part[0].count("/"))
    for name, split in deepest_first:
        inside = _list_inside(plan, name)
        if not inside:
            raise SourceError(
                f"{plan.path} has no folder {name} with pictures; there are "
                f"{list_names(there) or 'none'}."
            )
        for folder in inside:
            plan.splits[folder] = split
            plan.rests[folder] = plan.rests[folder][name.count("/") + 1 :]
        plan.see_through(inside, split)
    others = [folder for folder in plan.rests if folder not in plan.splits]
    plan.leave_out(others, "in no folder that --parts names")


def _list_inside(plan: Plan, name: str) -> list[str]:
    """Return the folders in one that has no split yet."""
    parts = tuple(name.split("/"))
    return [
        folder
        for folder, rest in plan.rests.items()
        if rest[: len(parts)] == parts and folder not in plan.splits
    ]


def _take_parts(plan: Plan) -> None:
    """Take the folders at this level, or below all classes, for splits if they are."""
    below = plan.below()
    parts = find_parts([name for name in below if name])
    if has_training(parts):
        plan.parts = sorted(parts)
        _leave_others_out(plan, below, parts)
        for name, split in parts.items():
            for folder in below[name]:
                plan.splits[folder] = split
                plan.rests[folder] = plan.rests[folder][1:]
            plan.see_through(below[name], split)
        return
    if parts and len(parts) == len(below):
        _take_no_training(plan, below)
        return
    _take_parts_of_classes(plan, below)


def _leave_others_out(plan: Plan, below: dict[str, list[str]], parts: dict[str, int]) -> None:
    """Leave out what lies next to splits: masks by their name, all else with a warning."""
    for name in sorted(below.keys() - parts.keys()):
        if plan.reading.layout != "folders" and is_mask_folder(name, has_images=True):
            _leave_out_masks(plan, name, below[name])
    others = {name: folders for name, folders in below.items()
              if name not in parts and folders[0] in plan.rests}  # fmt: skip
    if not others:
        return
    count, total = plan.count(f for fs in others.values() for f in fs), plan.count(plan.rests)
    listed = list_names([f"in {name}/" if name else "at the top" for name in sorted(others)])
    takes = "reads all" if plan.reading.classes_from == "none" else "takes all folders for classes"
    without = f"--parts none {takes}"
    named = ",".join(f"{PART_LABELS[split]}={name}" for name, split in parts.items())
    if count > total / 2:
        raise SourceError(
            f"{plan.path} has the splits {list_names(sorted(parts))} but {count:,} of its "
            f"{total:,} pictures are {listed}; --parts {named} leaves these out, {without}."
        )
    for name, folders in others.items():
        where = f"in {name}/" if name else "in no folder"
        plan.leave_out(folders, f"{where}, next to splits")
    plan.note(
        "next-to-splits",
        f"{count_of(count, 'picture')} {listed} left out, next to splits "
        f"({list_names(sorted(parts))})",
        without,
    )


def _take_no_training(plan: Plan, below: dict[str, list[str]]) -> None:
    """Look into folders that are called as splits, without one to train on."""
    for folder in plan.rests:
        plan.rests[folder] = plan.rests[folder][1:]
    for name, folders in below.items():
        plan.see_through(folders, split_of(name))
    if len(below) > 1 or split_of(next(iter(below))) != 0:
        plan.note(
            "no-training-split",
            f"{list_names([f'{name}/' for name in sorted(below)])} called as splits, without "
            "one to train on, so read as one whole",
            "--parts none takes them for classes",
            "guess",
        )


def _take_parts_of_classes(plan: Plan, below: dict[str, list[str]]) -> None:
    """Take the second level for splits if it is, below classes such as bottle/train."""
    seconds = {rest[1] if len(rest) > 1 else "" for rest in plan.rests.values()}
    parts = find_parts([name for name in seconds if name])
    masks = {name for name in seconds if is_mask_folder(name, has_images=True)}
    strays = [folder for folder, rest in plan.rests.items() if len(rest) < 2]
    few = plan.count(strays)
    is_few = few <= MAX_STRAY_SHARE * plan.count(plan.rests)
    if not has_training(parts) or seconds - parts.keys() - masks - {""} or not is_few:
        return
    plan.parts = sorted(parts)
    if strays:
        plan.leave_out(strays, "next to splits")
        plan.note(
            "next-to-splits",
            f"{count_of(few, 'picture')} left out, next to splits such as {list_names(plan.parts)}",
            "--parts none reads all",
        )
    for name in sorted(masks):
        inside = [folder for folder, rest in plan.rests.items() if rest[1] == name]
        _leave_out_masks(plan, name, inside)
    for folder, rest in plan.rests.items():
        plan.splits[folder] = parts[rest[1]]
        plan.rests[folder] = (rest[0], *rest[2:])
