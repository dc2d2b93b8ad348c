"""`Plan`: what each folder of pictures is, as far as it is decided.

All is decided by the folders, of which there are few, and how many pictures each holds. So a limit
changes nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from isthmus.data.readers.files.folder_names import is_image_folder, split_of
from isthmus.data.reading import Note, Reading
from isthmus.errors import list_names
from isthmus.text import count_of

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

    def see_through(self, folders: Sequence[str], split: int | None = None) -> Folder:
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

    def below(self) -> dict[str, list[str]]:
        """Return the folders by the next one of their paths, "" for those at the level itself."""
        below = defaultdict(list)
        for folder, rest in self.rests.items():
            below[rest[0] if rest else ""].append(folder)
        return below

    def count(self, folders: Iterable[str]) -> int:
        """Return how many pictures are in folders."""
        return sum(self.counts[folder] for folder in folders)

    def leave_out(self, folders: Sequence[str], reason: str) -> None:
        """Forget folders, except why they are left out."""
        for folder in folders:
            self.left_out[folder] = reason
            del self.rests[folder]
            self.splits.pop(folder, None)

    def note_strays(self, strays: Sequence[str]) -> None:
        """Say which pictures are left out, as they lie next to folders of classes."""
        where = list_names(sorted(f"in {one}/" if one else "at the top" for one in strays))
        self.note(
            "next-to-classes",
            f"{count_of(self.count(strays), 'picture')} left out, in no class folder but {where}",
            "--classes-from none reads all, without classes",
        )

    def note(self, code: str, text: str, way_out: str, kind: str = "warning") -> None:
        """Add a note; see `Note`."""
        self.notes.append(Note("guess" if kind == "guess" else "warning", code, text, way_out))
