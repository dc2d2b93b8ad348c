"""Which picture belongs to which mask, by their folders and their names.

- side by side: `images/` and `masks/`, or other folders of `PICTURE_FOLDERS` and `MASK_FOLDERS`,
  below or above folders of splits; or `train/` and `trainannot/`, as CamVid is distributed
  (Badrinarayanan, Kendall and Cipolla, "SegNet", 2017). Names are equal, or have words around them;
- by name: `a.jpg` and `a_mask.png`, in one folder or in two; see `MASK_WORDS`.

Next to them, `classes.txt` or a list of colors may name the classes; see `class_lists`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import PurePosixPath
from typing import NamedTuple, TypeVar

import numpy as np

from isthmus.data.manifest import Contents, Manifest, evenly_spaced
from isthmus.data.readers.files.folder_names import split_of
from isthmus.data.readers.files.trees import Tree, find_top
from isthmus.data.readers.masks.class_lists import Classes, read_classes
from isthmus.data.readers.masks.names import MASKS, PICTURES, find_roles, have_mask_words
from isthmus.data.reading import Findings, LeftOut, Note
from isthmus.errors import SourceError

MAX_UNPAIRED_SHARE = 0.10  # of pictures or masks; with more, something else is wrong
MIN_PAIRED_SHARE = 0.5  # of pictures and of masks, for names to be those of masks

WAY_OUT = "remove them, or give --layout folders if they are pictures"

T = TypeVar("T")
Files = dict[str, str]  # names of files by their path without suffix, or what is shared of it


@dataclass(frozen=True)
class Pair:
    """A picture and its mask, by their names in the tree, and their split."""

    picture: str
    mask: str
    split: int


class Match(NamedTuple):
    """Masks by the keys of their pictures, or by their own without one; more of one picture."""

    masks: Files
    further: list[str]


def read_side_by_side(tree: Tree, limit: int | None) -> Manifest | None:
    """Pair pictures and masks of the same name, from folders next to each other."""
    top = find_top(tree.pictures)
    folders = {name.rpartition("/")[0] for name in tree.pictures}
    roles = find_roles({f: PurePosixPath(f).relative_to(top).parts for f in folders})
    if len({role.is_mask for role in roles.values()}) < 2:
        return None
    files: dict[bool, Files] = {False: {}, True: {}}
    others = []
    for name in tree.pictures:
        folder = name.rpartition("/")[0]
        if folder in roles:
            is_mask, shared = roles[folder]
            add_file(tree, files[is_mask], f"{shared}/{PurePosixPath(name).stem}", name)
        else:
            others.append(tree.display_name(name))
    match = _match(files[False], files[True])
    return _read_match(tree, limit, files[False], match, others)


def read_by_name(tree: Tree, limit: int | None) -> Manifest | None:
    """Pair pictures with masks whose names are those of the pictures and a word more."""
    pictures, masks = _tell_by_name(tree)
    pairs = len(masks)
    if not pairs or pairs < MIN_PAIRED_SHARE * len(pictures):
        return None
    manifest = _read_match(tree, limit, pictures, _match(pictures, masks))
    return replace(manifest, findings=manifest.findings.add(_tell_of_folders(tree, pictures)))


def _tell_of_folders(tree: Tree, pictures: Iterable[str]) -> list[Note]:
    """Return a note if pictures with masks lie in several folders, which may be classes."""
    folders = {tree.display_name(key).rpartition("/")[0] for key in pictures}
    if len(folders) < 2 or any(
        split_of(part) is not None for f in folders for part in f.split("/")
    ):
        return []
    text = f"folders such as {max(folders)}/ are no classes, as the pictures have masks"
    way_out = "--classes-from folder leaves the masks out"
    return [Note("guess", "folders-of-pairs", text, way_out)]


def warn_of_masks(tree: Tree) -> tuple[Note, ...]:
    """Return a note if some pictures are named as masks of others, and are read as pictures."""
    masks = find_masks(tree)
    if not masks:
        return _warn_of_twins(tree)
    example = tree.display_name(masks[0])
    files = f"{len(masks):,} files, such as {example}, are" if len(masks) > 1 else f"{example} is"
    text = f"{files} named as a mask of another picture, but read as a picture"
    return (Note("warning", "masks-as-pictures", text, WAY_OUT),)


def find_masks(tree: Tree) -> list[str]:
    """Return the pictures that are named as masks of others."""
    return list(_tell_by_name(tree)[1].values())


def _warn_of_twins(tree: Tree) -> tuple[Note, ...]:
    """Return a note if each picture has another of its name but for the suffix, as a mask may."""
    names = [name.rpartition(".") for name in tree.pictures]
    if len({suffix for _, _, suffix in names}) != 2:
        return ()
    if 2 * len({stem for stem, _, _ in names}) != len(names):
        return ()
    one, other = map(tree.display_name, tree.pictures[:2])
    text = f"pictures have the same name but for the suffix, such as {one} and {other}"
    way_out = "if one is the mask of the other, put them into images/ and masks/"
    return (Note("warning", "same-names", text, way_out),)


def leave_out_unpaired(
    tree: Tree, pictures: Mapping[T, str], masks: Mapping[T, str]
) -> tuple[list[T], tuple[LeftOut, ...]]:
    """Return the keys that pictures and masks share, and the few files that have no counterpart.

    Raises
    ------
    SourceError
        If more than a tenth of them have none.
    """
    left_out = []
    for files, counterparts, kind, missing in (
        (pictures, masks, "pictures", "mask"),
        (masks, pictures, "masks", "picture"),
    ):
        unpaired = sorted(files[key] for key in files.keys() - counterparts.keys())
        names = [tree.display_name(name) for name in unpaired]
        if len(unpaired) > MAX_UNPAIRED_SHARE * len(files):
            raise SourceError(
                f"{len(unpaired):,} {kind} of {tree.path} have no {missing} of the same name, such "
                f"as {names[0]}; add what is missing or remove them, or give --layout folders to "
                "read all as pictures."
            )
        if names:
            without = f"without a {missing} of the same name"
            left_out.append(LeftOut.of(f"{kind[:-1]} {without}", names, f"{kind} {without}"))
    return [key for key in pictures if key in masks], tuple(left_out)


def read_pairs(
    tree: Tree,
    pairs: Sequence[Pair],
    limit: int | None,
    classes: Classes = ((), ()),
    legend: bytes | None = None,
    left_out: Iterable[LeftOut] = (),
) -> Manifest:
    """Return the manifest of pictures and their masks."""
    chosen = [pairs[i] for i in evenly_spaced(len(pairs), limit)]
    splits = [pair.split for pair in pairs]
    return Manifest(
        [tree.display_name(pair.picture) for pair in chosen],
        files=Contents(tree.contents, [pair.picture for pair in chosen]),
        class_names=classes[0],
        class_colors=classes[1],
        splits=np.array([p.split for p in chosen], np.uint8) if is_split(splits) else None,
        masks=Contents(tree.contents, [pair.mask for pair in chosen]),
        mask_names=[tree.display_name(pair.mask) for pair in chosen],
        legend=legend,
        findings=Findings(left_out=tuple(left_out)),
    )


def _read_match(
    tree: Tree, limit: int | None, pictures: Files, match: Match, others: Sequence[str] = ()
) -> Manifest:
    keys, left_out = leave_out_unpaired(tree, pictures, match.masks)
    further = [tree.display_name(name) for name in match.further]
    for names, one, many in (
        (further, "further mask of its picture", "further masks of their pictures"),
        (others, "in a folder of neither pictures nor masks", ""),
    ):
        left_out += (LeftOut.of(one, names, many),) if names else ()
    splits = find_splits(keys)
    pairs = [
        Pair(pictures[key], match.masks[key], split)
        for key, split in zip(keys, splits, strict=True)
    ]
    folders = [find_top(tree.pictures), *{mask.rpartition("/")[0] for mask in match.masks.values()}]
    return read_pairs(tree, pairs, limit, read_classes(tree, folders), left_out=left_out)


def add_file(
    tree: Tree, files: Files, key: str, name: str, nouns: str = "masks and pictures"
) -> None:
    """Add a file under the key that it shares with its counterpart.

    Raises
    ------
    SourceError
        If there is one already.
    """
    if key in files:
        one, other = tree.display_name(files[key]), tree.display_name(name)
        raise SourceError(
            f"{one} and {other} of {tree.path} have the same name without its ending; {nouns} "
            "are paired by it, so rename one."
        )
    files[key] = name


def _tell_by_name(tree: Tree) -> tuple[Files, Files]:
    """Return pictures, and those files whose names are words around that of a picture."""
    if not have_mask_words(tree.pictures):
        return {}, {}
    files = {name.rpartition(".")[0]: name for name in tree.pictures}
    candidates = [key for key in files if MASKS.strip(key.rpartition("/")[2])]
    finder = _Finder(files if candidates else ())
    masks = {key: files[key] for key in candidates if finder.find(key) is not None}
    return {key: name for key, name in files.items() if key not in masks}, masks


def _match(pictures: Files, masks: Files) -> Match:
    """Give each mask to the picture whose name is nearest to its own."""
    finder = _Finder(pictures)
    found = {key: (-1, key) if key in pictures else finder.find(key) for key in masks}
    match = Match({}, [])
    for key in sorted(masks, key=lambda key: (found[key] or (0, ""))[0]):  # sorting is stable
        rank_and_picture = found[key]
        owner = key if rank_and_picture is None else rank_and_picture[1]
        if owner in match.masks:
            match.further.append(masks[key])
        else:
            match.masks[owner] = masks[key]
    return match


class _Finder:
    """Finds the picture of a mask, by keys that are paths without suffix."""

    def __init__(self, pictures: Iterable[str]) -> None:
        self.pictures = {*pictures}
        self.by_path: Files = {}
        self.by_name: dict[str, list[str]] = defaultdict(list)
        for key in self.pictures:
            folder, _, stem = key.rpartition("/")
            stripped = PICTURES.strip(stem)
            for base in {stem, stripped[0] if stripped else stem}:
                self.by_path.setdefault(f"{folder}/{base}", key)
                self.by_name[base].append(key)

    def find(self, mask: str) -> tuple[int, str] | None:
        """Return how the word of a mask ranks and its picture: in its folder, or the only one."""
        folder, _, stem = mask.rpartition("/")
        stripped = MASKS.strip(stem)
        if stripped is None:
            return None
        base, rank = stripped
        picture = self.by_path.get(f"{folder}/{base}")
        if picture is None and len(self.by_name[base]) == 1:
            picture = self.by_name[base][0]
        return None if picture in (None, mask) else (rank, picture)


def find_splits(keys: Sequence[str]) -> list[int]:
    """Return the splits that the folders of keys name; the training split if some name none."""
    splits = [_find_split(key.rpartition("/")[0]) for key in keys]
    return [0] * len(keys) if None in splits else [split for split in splits if split is not None]


@lru_cache(maxsize=4096)
def _find_split(folder: str) -> int | None:
    """Return the split that a folder is called as, or one above it, the uppermost first."""
    return next((s for s in map(split_of, folder.split("/")) if s is not None), None)


def is_split(splits: Sequence[int]) -> bool:
    """Return whether samples of these splits are split by their source."""
    # Without training samples it is a set of its own, which `split_samples` splits.
    return 0 in splits and len(set(splits)) > 1
