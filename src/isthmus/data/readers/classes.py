"""Splits and classes from the names of the folders that pictures are in.

All is decided by the folders, of which there are few, and how many pictures each holds. A limit
changes nothing, as folders of all pictures decide.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from isthmus.data.manifest import evenly_spaced
from isthmus.data.readers.parts import (
    PART_LABELS,
    find_parts,
    has_training,
    is_image_folder,
    is_mask_folder,
    parse_parts,
    split_of,
)
from isthmus.data.reading import Note, Reading
from isthmus.errors import SourceError, list_names

MAX_STRAY_SHARE = 0.2  # of all pictures; more are no accident
MAX_NAMES = 10_000  # that are looked at to find classes in them
Folder = tuple[str, ...]


class Plan:
    """What each folder of pictures is: its split, its class, or why it is left out.

    Parameters
    ----------
    path : Path
        The source, for messages.
    counts : mapping
        How many pictures lie in each folder, not counting those in folders below it.
    reading : Reading
        What the user has decided.
    """

    def __init__(self, path: Path, counts: Mapping[str, int], reading: Reading) -> None:
        self.path = path
        self.counts = counts
        self.reading = reading
        self.notes: list[Note] = []
        self.left_out: dict[str, str] = {}  # reasons
        self.splits: dict[str, int] = {}
        self.classes: dict[str, str] = {}
        self.parts: list[str] = []  # folders that are splits
        self.wrapper = ""  # what all folders lie in
        # What of a folder's path is not understood yet.
        self.rests: dict[str, Folder] = {
            folder: tuple(folder.split("/")) if folder else () for folder in counts
        }
        self._decide()

    @property
    def layout(self) -> str:
        """How the folders are laid out, for people."""
        kind = "folders of classes" if self.classes else "pictures without classes"
        if self.reading.classes_from == "name":
            kind = "pictures whose names begin with their class"
        parts = f"splits ({list_names(self.parts, most=6)}) of " if self.splits else ""
        return f"{parts}{kind}" + (f" in {self.wrapper}/" if self.wrapper else "")

    def class_folder(self, folder: str) -> str:
        """Return the folder that names the class of the pictures in a folder."""
        depth = folder.count("/") + 2 - len(self.rests[folder])
        return (
            folder if self.reading.classes_from == "parent" else "/".join(folder.split("/")[:depth])
        )

    def _decide(self) -> None:
        if self.reading.parts is not None and (parts := parse_parts(self.reading.parts)):
            self._take_given_parts(parts)
        else:
            self.wrapper = "/".join(self._see_through(list(self.rests)))
            if self.reading.parts is None:
                self._take_parts()
        if self.reading.layout != "folders":
            self._leave_masks_out()
        if self.reading.classes_from in (None, "folder", "parent"):
            self._take_classes()

    def _see_through(self, folders: Sequence[str], split: int | None = None) -> Folder:
        """Remove a folder that all others lie in, again and again; return what was removed.

        Also one that repeats the name of its split, as in test_set/test_set/cats, or that is
        called images; otherwise the last folder is a class.
        """
        removed: Folder = ()
        while len(firsts := {self.rests[folder][:1] for folder in folders}) == 1:
            (first,) = firsts
            is_last = any(len(self.rests[folder]) == 1 for folder in folders)
            says_nothing = first and (split_of(first[0]) == split is not None)
            if not first or (is_last and not (says_nothing or is_image_folder(first[0]))):
                break
            removed += first
            for folder in folders:
                self.rests[folder] = self.rests[folder][1:]
        return removed

    def _below(self) -> dict[str, list[str]]:
        """Return the folders by the next one of their paths, "" for those at the level itself."""
        below = defaultdict(list)
        for folder, rest in self.rests.items():
            below[rest[0] if rest else ""].append(folder)
        return below

    def _count(self, folders: Iterable[str]) -> int:
        return sum(self.counts[folder] for folder in folders)

    def _leave_out(self, folders: Sequence[str], reason: str) -> None:
        for folder in folders:
            self.left_out[folder] = reason
            del self.rests[folder]
            self.splits.pop(folder, None)

    def _note(self, code: str, text: str, way_out: str, kind: str = "warning") -> None:
        self.notes.append(Note("guess" if kind == "guess" else "warning", code, text, way_out))

    # Splits

    def _take_given_parts(self, parts: dict[str, int]) -> None:
        self.parts = sorted(parts)
        for name, split in parts.items():
            inside = [f for f in self.rests if f == name or f.startswith(f"{name}/")]
            if not inside:
                there = sorted({folder.split("/")[0] for folder in self.counts} - {""})
                raise SourceError(
                    f"{self.path} has no folder {name} with pictures; there are "
                    f"{list_names(there) or 'none'}."
                )
            for folder in inside:
                self.splits[folder] = split
                rest = folder[len(name) + 1 :]
                self.rests[folder] = tuple(rest.split("/")) if rest else ()
            self._see_through(inside, split)
        others = [folder for folder in self.rests if folder not in self.splits]
        self._leave_out(others, "in no folder that --parts names")

    def _take_parts(self) -> None:
        """Take the folders at this level, or below all classes, for splits if they are."""
        below = self._below()
        parts = find_parts([name for name in below if name])
        if has_training(parts):
            self.parts = sorted(parts)
            self._leave_others_out(below, parts)
            for name, split in parts.items():
                for folder in below[name]:
                    self.splits[folder] = split
                    self.rests[folder] = self.rests[folder][1:]
                self._see_through(below[name], split)
            return
        if parts and len(parts) == len(below):
            self._take_no_training(below)
            return
        self._take_parts_of_classes(below)

    def _leave_others_out(self, below: dict[str, list[str]], parts: dict[str, int]) -> None:
        """Leave out what lies next to splits: masks by their name, all else with a warning."""
        for name in sorted(below.keys() - parts.keys()):
            if self.reading.layout != "folders" and is_mask_folder(name, has_images=True):
                self._leave_out_masks(name, below[name])
        others = {name: folders for name, folders in below.items()
                  if name not in parts and folders[0] in self.rests}  # fmt: skip
        if not others:
            return
        count, total = self._count(f for fs in others.values() for f in fs), self._count(self.rests)
        listed = list_names([f"in {name}/" if name else "at the top" for name in sorted(others)])
        named = ",".join(f"{PART_LABELS[split]}={name}" for name, split in parts.items())
        if count > total / 2:
            raise SourceError(
                f"{self.path} has the splits {list_names(sorted(parts))} but {count:,} of its "
                f"{total:,} pictures are {listed}; --parts {named} leaves these out, --parts "
                "none takes all folders for classes."
            )
        for name, folders in others.items():
            where = f"in {name}/" if name else "in no folder"
            self._leave_out(folders, f"{where}, next to splits")
        self._note(
            "next-to-splits",
            f"{_pictures(count)} {listed} left out, next to the splits {list_names(sorted(parts))}",
            "--parts none takes all folders for classes",
        )

    def _take_no_training(self, below: dict[str, list[str]]) -> None:
        """Look into folders that are called as splits, without one to train on."""
        for folder in self.rests:
            self.rests[folder] = self.rests[folder][1:]
        for name, folders in below.items():
            self._see_through(folders, split_of(name))
        if len(below) > 1 or split_of(next(iter(below))) != 0:
            self._note(
                "no-training-split",
                f"{list_names([f'{name}/' for name in sorted(below)])} called as splits, without "
                "one to train on, so read as one whole",
                "--parts none takes them for classes",
                "guess",
            )

    def _take_parts_of_classes(self, below: dict[str, list[str]]) -> None:
        """Take the second level for splits if it is, below classes such as bottle/train."""
        seconds = {rest[1] if len(rest) > 1 else "" for rest in self.rests.values()}
        parts = find_parts([name for name in seconds if name])
        masks = {name for name in seconds if is_mask_folder(name, has_images=True)}
        if not has_training(parts) or seconds - parts.keys() - masks:
            return
        self.parts = sorted(parts)
        for name in sorted(masks):
            inside = [folder for folder, rest in self.rests.items() if rest[1] == name]
            self._leave_out_masks(name, inside)
        for folder, rest in self.rests.items():
            self.splits[folder] = parts[rest[1]]
            self.rests[folder] = (rest[0], *rest[2:])

    # Masks

    def _leave_masks_out(self) -> None:
        """Leave out folders of masks that no layout has paired; look into one of images."""
        below = self._below()
        images = [name for name in below if name and is_image_folder(name)]
        masks = [name for name in below if is_mask_folder(name, has_images=bool(images))]
        if not masks or len(masks) == len(below):
            return
        for name in masks:
            self._leave_out_masks(name, below[name])
        self._see_through(list(self.rests))

    def _leave_out_masks(self, name: str, folders: Sequence[str]) -> None:
        count = self._count(folders)
        self._leave_out(folders, f"in {name}/, whose name says that it holds masks")
        self._note(
            "masks-left-out",
            f"{_pictures(count)} in {name}/ left out, as the name says that they are masks, and "
            "not every picture has one",
            "--parts none --layout folders takes all folders for classes"
            if self.parts
            else "--layout folders takes it for a class",
            "guess",
        )

    # Classes

    def _take_classes(self) -> None:
        inside = [folder for folder, rest in self.rests.items() if rest]
        if not inside:
            if self.reading.classes_from:
                raise SourceError(
                    f"{self.path} has no folders of classes; leave --classes-from "
                    f"{self.reading.classes_from} out."
                )
            return
        self._leave_out_unlabeled_parts(inside)
        strays = [folder for folder, rest in self.rests.items() if not rest]
        if strays and not self._leave_out_strays(strays, inside):
            return
        place = -1 if self.reading.classes_from == "parent" else 0
        self.classes = {folder: rest[place] for folder, rest in self.rests.items()}
        deeper = [folder for folder in inside if len(self.rests[folder]) > 1]
        if deeper and self.reading.classes_from is None:
            rest = self.rests[deeper[0]]
            self._note(
                "classes-from-folder",
                f"folders lie deeper than classes, such as {deeper[0]}, whose class is {rest[0]} "
                f"and not {rest[-1]}",
                "--classes-from parent",
                "guess",
            )

    def _leave_out_unlabeled_parts(self, inside: Sequence[str]) -> None:
        """Leave out a split without any class folder, while another one has them."""
        labeled = {self.splits[folder] for folder in inside if folder in self.splits}
        for folder in [f for f, split in self.splits.items() if split not in labeled]:
            if not labeled:
                return
            self._note(
                "no-classes-in-split",
                f"{_pictures(self.counts[folder])} in {folder}/ left out, in no folder of a class, "
                "unlike those of other splits",
                "--classes-from none reads all, without classes",
            )
            self._leave_out([folder], f"in {folder}/, without classes")

    def _leave_out_strays(self, strays: Sequence[str], inside: Sequence[str]) -> bool:
        """Leave out pictures next to class folders, if they are few; return whether they are."""
        few, many = self._count(strays), self._count(inside)
        where = list_names(sorted(f"in {folder}/" if folder else "at the top" for folder in strays))
        if few <= MAX_STRAY_SHARE * (few + many) or self.reading.classes_from:
            self._note(
                "next-to-classes",
                f"{_pictures(few)} left out, in no class folder but {where}",
                "--classes-from none reads all, without classes",
            )
            self._leave_out(strays, "next to class folders")
            return True
        self._note(
            "no-classes",
            f"no picture has a class, as {few:,} of {few + many:,} are in no class folder, {where}",
            "--classes-from folder leaves them out",
        )
        return False


def _pictures(count: int) -> str:
    return f"{count:,} picture{'' if count == 1 else 's'}"


def name_class(name: str) -> str:
    """Return what a picture's name begins with before its number, "" if that has no letters.

    Examples
    --------
    >>> [name_class(name) for name in ("train/cat.0.jpg", "american_bulldog_10.jpg", "7.png")]
    ['cat', 'american_bulldog', '']
    """
    stem = name.rpartition("/")[2].rpartition(".")[0]
    found = re.match(r"(.*?)[\W_]*\d+$", stem)
    start = found[1] if found else ""
    return start if re.search(r"[^\W\d_]", start) else ""


def guess_name_classes(names: Sequence[str]) -> tuple[Note, ...]:
    """Return a note if all names begin with one of a few words, which may be classes."""
    counts = Counter(name_class(names[i]) for i in evenly_spaced(len(names), MAX_NAMES))
    if len(counts) < 2 or "" in counts or min(counts.values()) < 2:
        return ()
    listed = list_names([name for name, _ in counts.most_common()], most=4)
    text = f"the pictures have no classes, but their names begin with {listed}"
    return (Note("guess", "classes-in-names", text, "--classes-from name"),)
