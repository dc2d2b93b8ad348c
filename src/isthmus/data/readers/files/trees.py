"""`Tree`: the files of a folder or an archive, by name, and how to read their contents.

All readers of pictures work on trees, so that every layout is recognized in archives as well and
no archive is ever unpacked to the disk.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from isthmus.data.manifest import Content
from isthmus.data.readers.files.folder_names import names_are_parts
from isthmus.data.readers.files.kinds import ARCHIVE_SUFFIXES, PICTURE_SUFFIXES, count_by_suffix
from isthmus.data.readers.files.listing import Listing
from isthmus.data.reading import LeftOut, Note
from isthmus.data.remote.contents import read_files
from isthmus.data.remote.listing import list_source
from isthmus.data.remote.path import RemotePath
from isthmus.limits import reject_beyond
from isthmus.text import format_bytes

LISTS = (  # small text files that say which picture is what
    "images.txt",
    "classes.txt",
    "label_colors.txt",
    "class_dict.csv",
    "class_dict_seg.csv",
    "labelmap.txt",
    "train_test_split.txt",
    "ImageSets/Segmentation/train.txt",
    "ImageSets/Segmentation/val.txt",
)


@dataclass(frozen=True, eq=False)
class Tree:
    """Files with relative names.

    Parameters
    ----------
    path : Path
        The folder or archive.
    names : sequence of str
        Names of all files, with /, sorted.
    contents : callable
        Takes names and yields the files in that order, each as a path, as bytes, or as the
        reason why it cannot be read.
    read_list : callable
        Returns the content of a file whose name ends in one of `LISTS`.
    top : str
        Deepest folder that holds all pictures; displayed names start below it.
    left_out : tuple of LeftOut
        What is in the folder or archive but not among the names.
    notes : tuple of Note
        About the folder or archive itself.
    stored : sequence of str
        The names in the order in which a tar holds them; empty of all else.
    """

    path: Path
    names: Sequence[str]
    contents: Callable[[Sequence[str]], Iterable[Content]]
    read_list: Callable[[str], bytes]
    top: str = ""
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[Note, ...] = ()
    stored: Sequence[str] = ()

    @cached_property
    def pictures(self) -> list[str]:
        """Names of the files that are pictures, by their suffixes."""
        return [name for name in self.names if name.lower().endswith(PICTURE_SUFFIXES)]

    @cached_property
    def others(self) -> list[str]:
        """Names of the files that are no pictures, by their suffixes."""
        return [name for name in self.names if not name.lower().endswith(PICTURE_SUFFIXES)]

    def list_left_out(self, lists_are_used: bool = False) -> tuple[LeftOut, ...]:
        """Return what is no picture, by suffix, and what cannot be read.

        Parameters
        ----------
        lists_are_used : bool
            Whether a layout has read `LISTS`, which are then not left out.
        """
        others = self.others
        if lists_are_used:
            others = [name for name in others if not name.endswith(LISTS)]
        return (*count_by_suffix(others), *self.left_out)

    def list_unlisted(self, listed: Set[str]) -> tuple[LeftOut, ...]:
        """Return the pictures that the lists of a layout do not name, by their folders."""
        by_folder = defaultdict(list)
        for name in self.pictures:
            if name not in listed:
                shown = self.display_name(name)
                by_folder[shown.rpartition("/")[0] or "the top"].append(shown)
        return tuple(
            LeftOut.of(f"in {folder}, not named by the lists", names)
            for folder, names in sorted(by_folder.items())
        )

    def display_name(self, name: str) -> str:
        """Return the name that samples and messages show: the path below `top`."""
        return name.removeprefix(f"{self.top}/") if self.top else name


def find_top(names: Sequence[str]) -> str:
    """Return the deepest folder that holds all files."""
    folders = {name.rpartition("/")[0] for name in names}  # few, even of a million files
    return os.path.commonpath(folders) if folders else ""


def folder_tree(path: Path, listing: Listing | None = None) -> Tree:
    """Return the tree of a folder; `listing` is of all its files, if they are listed already."""
    listing = listing or list_source(path)
    return Tree(
        path,
        listing.names,
        _reader_of(path, listing),
        lambda name: _read_list(path / name),
        left_out=listing.left_out,
        notes=tuple(warn_of_unfinished(path, *one) for one in listing.unfinished),
    )


def _reader_of(path: Path, listing: Listing) -> Callable[[Sequence[str]], Iterable[Content]]:
    if isinstance(path, RemotePath):
        return partial(read_files, path, {name: size for name, size, _ in listing.files})
    return lambda chosen: (f"{path}{os.sep}{name}" for name in chosen)


def _read_list(path: Path) -> bytes:
    size = path.size if isinstance(path, RemotePath) else path.stat().st_size
    reject_beyond("ISTHMUS_MAX_LIST", size, f"it has {format_bytes(size)}")
    return path.read_bytes()


def warn_of_unfinished(path: Path, folder: str, command: str) -> Note:
    """Return the warning of a folder in a source to which a command has not written all files."""
    text = f"{path / folder} is not finished: {command} was stopped, or is still at work"
    return Note("warning", "unfinished", text, "the same command does the rest")


def join_trees(path: Path, trees: Sequence[Tree], left_out: tuple[LeftOut, ...] = ()) -> Tree:
    """Return one tree of several archives, as if all were unpacked into one folder.

    Each is unpacked into a folder of its own if they hold pictures of equal names, or if the
    archives themselves are called as splits are.
    """
    prefixes, notes = _find_prefixes(path, trees)
    notes = (*(note for tree in trees for note in tree.notes), *notes)
    owners = {
        f"{prefix}{name}": (i, name)
        for i, (prefix, tree) in enumerate(zip(prefixes, trees, strict=True))
        for name in tree.names
    }

    def contents(names: Sequence[str]) -> Iterator[Content]:
        return read_from(trees, [owners[name] for name in names])

    def read_list(name: str) -> bytes:
        number, own_name = owners[name]
        return trees[number].read_list(own_name)

    left_out = (*left_out, *(one for tree in trees for one in tree.left_out))
    joined = Tree(path, sorted(owners), contents, read_list, left_out=left_out, notes=notes)
    return replace(joined, top=find_top(joined.pictures))


def read_from(trees: Sequence[Tree], files: Sequence[tuple[int, str]]) -> Iterator[Content]:
    """Yield files of several trees in their order, each given as the number of its tree and a name.

    Each tree is opened and read once, and closed with its last file: of thousands of archives, not
    all may be open at a time.
    """
    wanted = defaultdict(list)
    for number, name in files:
        wanted[number].append(name)
    left = {number: len(names) for number, names in wanted.items()}
    streams = {number: iter(trees[number].contents(names)) for number, names in wanted.items()}
    for number, _ in files:
        yield next(streams[number])
        left[number] -= 1
        if not left[number]:
            del streams[number]


def _find_prefixes(path: Path, trees: Sequence[Tree]) -> tuple[list[str], tuple[Note, ...]]:
    """Return what to put before the names in each archive, and notes that say so."""
    if len(trees) == 1:
        return [""], ()
    stems = stems_of(path, trees)
    counts = Counter(name for tree in trees for name in tree.pictures)
    repeated = next((name for name, count in counts.items() if count > 1), None)
    if repeated is None and not names_are_parts(stems):
        text = f"{len(trees):,} archives are read as if unpacked into one folder"
        note = Note("guess", "archives-joined", text, "or give one of them")
        return [""] * len(trees), (note,)
    why = f"{repeated} is in several" if repeated else "they are called as splits"
    text = f"each archive is read as a folder, such as {stems[0]}/, as {why}"
    note = Note("guess", "archives-as-folders", text, "or unpack them all into one folder")
    return [f"{stem}/" for stem in stems], (note,)


def stems_of(path: Path, trees: Sequence[Tree]) -> list[str]:
    """Return the names of archives without suffix, or with it where two would be the same."""
    names = [tree.path.relative_to(path).as_posix() for tree in trees]
    suffixes = sorted(ARCHIVE_SUFFIXES, key=len, reverse=True)  # .tar.gz before .gz
    ends = [next(end for end in suffixes if name.lower().endswith(end)) for name in names]
    stems = [name[: -len(end)] for name, end in zip(names, ends, strict=True)]
    return stems if len({*stems}) == len(stems) else names
