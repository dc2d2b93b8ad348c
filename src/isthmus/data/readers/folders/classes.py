"""Which folders are classes, and which pictures lie in none."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from isthmus.data.readers.folders.plan import Plan
from isthmus.data.readers.folders.splits import MAX_STRAY_SHARE, leave_masks_out, take_splits
from isthmus.data.reading import Reading
from isthmus.errors import SourceError, list_names
from isthmus.text import count_of


def plan_folders(path: Path, counts: Mapping[str, int], reading: Reading) -> Plan:
    """Decide what each folder of pictures is; see `Plan`.

    Raises
    ------
    SourceError
        If that cannot be told, or folders that the user asks for are missing.
    """
    plan = Plan(path, counts, reading)
    take_splits(plan)
    if reading.layout != "folders":
        leave_masks_out(plan)
    if reading.classes_from in (None, "folder", "parent"):
        _take_classes(plan)
    return plan


def _take_classes(plan: Plan) -> None:
    inside = [folder for folder, rest in plan.rests.items() if rest]
    if not inside:
        if plan.reading.classes_from:
            raise SourceError(
                f"{plan.path} has no folders of classes; leave --classes-from "
                f"{plan.reading.classes_from} out."
            )
        return
    if not _leave_out_unlabeled_parts(plan, inside):
        return
    strays = [folder for folder, rest in plan.rests.items() if not rest]
    if strays and not _leave_out_strays(plan, strays, inside):
        return
    place = -1 if plan.reading.classes_from == "parent" else 0
    plan.classes = {folder: rest[place] for folder, rest in plan.rests.items()}
    deeper = [folder for folder in inside if len(plan.rests[folder]) > 1]
    if deeper and plan.reading.classes_from is None:
        rest = plan.rests[deeper[0]]
        plan.note(
            "classes-from-folder",
            f"folders lie deeper than classes, such as {deeper[0]}, whose class is {rest[0]} "
            f"and not {rest[-1]}",
            "--classes-from parent",
            "guess",
        )


def _leave_out_unlabeled_parts(plan: Plan, inside: Sequence[str]) -> bool:
    """Leave out splits without any class folder; return False if that to train on has none."""
    labeled = {plan.splits[folder] for folder in inside if folder in plan.splits}
    unlabeled = [folder for folder, split in plan.splits.items() if split not in labeled]
    if any(plan.splits[folder] == 0 for folder in unlabeled):
        plan.note(
            "no-classes",
            "no picture has a class, as those to train on are in no class folder",
            "--parts none takes all folders for classes",
        )
        return False
    for folder in unlabeled:
        plan.note(
            "no-classes-in-split",
            f"{count_of(plan.counts[folder], 'picture')} in {folder}/ left out, in no folder of a "
            "class, unlike those of other splits",
            "--classes-from none reads all, without classes",
        )
        plan.leave_out([folder], f"in {folder}/, without classes")
    return True


def _leave_out_strays(plan: Plan, strays: Sequence[str], inside: Sequence[str]) -> bool:
    """Leave out pictures next to class folders, if they are few; return whether they are."""
    few, many = plan.count(strays), plan.count(inside)
    if few <= MAX_STRAY_SHARE * (few + many) or plan.reading.classes_from:
        plan.note_strays(strays)
        plan.leave_out(strays, "next to class folders")
        return True
    where = list_names(sorted(f"in {folder}/" if folder else "at the top" for folder in strays))
    plan.note(
        "no-classes",
        f"no picture has a class, as {few:,} of {few + many:,} are in no class folder, {where}",
        "--classes-from folder leaves them out",
    )
    return False
