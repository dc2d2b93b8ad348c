"""Layouts of published data sets: which picture belongs to which mask and split.

A mask is a picture that holds the number of a class for each pixel, or `VOID` where there is no
class. Three layouts are recognized by their folders and lists:

- side by side: `images/` and `masks/`, at the top or in each of `train/`, `val/` and `test/`; or
  `train/` and `trainannot/`, as CamVid is distributed (Badrinarayanan, Kendall and Cipolla,
  "SegNet", 2017). Next to them, `classes.txt` may name the classes, one a line, from 0 on;
- Pascal VOC (Everingham et al., "The Pascal Visual Object Classes Challenge", 2010): the samples
  in its segmentation lists for training and validation. Masks of its test split are not public,
  so its validation split is our test split;
- CUB-200-2011 (Wah et al., 2011): its own training and test split, with masks of birds if its
  segmentations are there, or else with the 200 species as labels.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

import numpy as np

from isthmus.data.manifest import Manifest, evenly_spaced
from isthmus.data.readers.parts import SPLIT_FOLDERS
from isthmus.data.readers.trees import Tree, find_top, make_relative
from isthmus.errors import SourceError, first_sentence

HOLDS_MASKS = {"images": False, "masks": True}  # by the name of a folder
CLASSES_FILE = "classes.txt"
MASKS_SUFFIX = "annot"  # of the name of a split's folder of masks
MASK_FOLDER_MARKS = ("/masks/", f"{MASKS_SUFFIX}/")
VOC_PICTURES, VOC_MASKS = "JPEGImages", "SegmentationClass"
VOC_LISTS = {"ImageSets/Segmentation/train.txt": 0, "ImageSets/Segmentation/val.txt": 2}
CUB_LISTS = ("images.txt", "train_test_split.txt")
CUB_CLASSES = ("background", "bird")
CUB_LEGEND = bytes(value > 127 for value in range(256))  # a bird for most of the annotators


T = TypeVar("T")
Key = tuple[str, str]  # split folder and name without suffix, which picture and mask share
Role = tuple[bool, Key]  # whether a file is a mask, and its key


@dataclass(frozen=True)
class Pair:
    """A picture and its mask, by their names in the tree, and their split."""

    picture: str
    mask: str
    split: int


def read_side_by_side(tree: Tree, limit: int | None) -> Manifest | None:
    """Pair pictures and masks of the same name, from folders next to each other."""
    names = tree.pictures
    if not any(mark in f"/{name.lower()}" for name in names for mark in MASK_FOLDER_MARKS):
        return None
    top = find_top(names)
    roles = {name: _role(make_relative(name).relative_to(top)) for name in names}
    pictures = _index_by_key(
        tree, {name: role for name, role in roles.items() if role and not role[0]}
    )
    masks = _index_by_key(tree, {name: role for name, role in roles.items() if role and role[0]})
    if not pictures or not masks:
        return None
    _reject_unpaired(tree, pictures, masks)
    pairs = [Pair(name, masks[key], SPLIT_FOLDERS.get(key[0], 0)) for key, name in pictures.items()]
    return _read_pairs(tree, pairs, limit, _read_class_names(tree, top))


def read_voc(tree: Tree, limit: int | None) -> Manifest | None:
    """Pair the pictures and masks that Pascal VOC lists for segmentation."""
    lists = {name for name in tree.names if name.endswith(tuple(VOC_LISTS))}
    if not lists:
        return None
    files = {str(PurePosixPath(name).with_suffix("")): name for name in tree.pictures}
    parents = sorted({name[: name.index("ImageSets/Segmentation/")] for name in lists})
    roots = [root for root in parents if any(f.startswith(f"{root}{VOC_MASKS}/") for f in files)]
    if len(roots) > 1:
        raise SourceError(
            f"{tree.path} holds several data sets in the layout of VOC, in {' and '.join(roots)}; "
            "give one of them."
        )
    return _read_voc_root(roots[0], tree, files, lists, limit) if roots else None


def _read_voc_root(
    root: str, tree: Tree, files: Mapping[str, str], lists: Set[str], limit: int | None
) -> Manifest:
    """Pair the pictures and masks in a folder; `files` are names by names without suffix."""
    splits = {
        stem: split
        for end, split in VOC_LISTS.items()
        if root + end in lists
        for stem in _read_text(tree, root + end).split()
    }
    pictures, masks = (
        {stem: files[f"{root}{kind}/{stem}"] for stem in splits if f"{root}{kind}/{stem}" in files}
        for kind in (VOC_PICTURES, VOC_MASKS)
    )
    missing = [f"{root}{VOC_PICTURES}/{stem}" for stem in splits if stem not in pictures]
    _reject_missing(tree, missing)
    _reject_unpaired(tree, pictures, masks)
    pairs = [Pair(pictures[stem], masks[stem], splits[stem]) for stem in sorted(splits)]
    return _read_pairs(tree, pairs, limit)


def read_cub(tree: Tree, limit: int | None) -> Manifest | None:
    """Read the lists of CUB-200-2011: with masks of birds, or else with species as labels."""
    ends = [name for name in tree.names if name.endswith(CUB_LISTS[1])]
    root = ends[0].removesuffix(CUB_LISTS[1]) if ends else ""
    if not ends or root + CUB_LISTS[0] not in tree.names:
        return None
    paths, flags = (_read_numbered(tree, root + name) for name in CUB_LISTS)
    if paths.keys() != flags.keys():
        raise SourceError(
            f"{' and '.join(CUB_LISTS)} of {tree.path} have different numbers; both must list "
            "the same pictures."
        )
    splits = {f"{root}images/{path}": 0 if flags[n] == "1" else 2 for n, path in paths.items()}
    _reject_missing(tree, sorted(splits.keys() - {*tree.pictures}))
    splits = dict(sorted(splits.items()))
    masks = _index_below(tree.pictures, "segmentations")
    if not masks:
        return _read_species(tree, splits, limit)
    pictures = _index_below(splits, "images")
    _reject_unpaired(tree, pictures, masks)
    pairs = [Pair(name, masks[key], splits[name]) for key, name in pictures.items()]
    return _read_pairs(tree, pairs, limit, CUB_CLASSES, CUB_LEGEND)


# The first layout that recognizes a tree reads it, so the most specific come first.
LAYOUTS: dict[str, Callable[[Tree, int | None], Manifest | None]] = {
    "Pascal VOC": read_voc,
    "CUB-200-2011": read_cub,
    "side by side": read_side_by_side,
}


def _role(name: PurePosixPath) -> Role | None:
    """Return whether a file is a mask, and its key; None if its folder says neither."""
    stem = name.with_suffix("").parts
    first, second = (*(folder.lower() for folder in name.parts[:-1]), "", "")[:2]
    if first in HOLDS_MASKS:  # images/a.jpg, masks/a.png
        return HOLDS_MASKS[first], ("", "/".join(stem[1:]))
    split = first.removesuffix(MASKS_SUFFIX)
    if split not in SPLIT_FOLDERS:
        return None
    if split == first and second in HOLDS_MASKS:  # train/images/a.jpg, train/masks/a.png
        return HOLDS_MASKS[second], (split, "/".join(stem[2:]))
    return split != first, (split, "/".join(stem[1:]))  # train/a.jpg, trainannot/a.png


def _index_by_key(tree: Tree, roles: Mapping[str, Role]) -> dict[Key, str]:
    names: dict[Key, str] = {}
    for name, (_, key) in roles.items():
        if key in names:
            one, other = tree.display_name(names[key]), tree.display_name(name)
            raise SourceError(
                f"{one} and {other} of {tree.path} have the same name without its ending; masks "
                "and pictures are paired by it, so rename one."
            )
        names[key] = name
    return names


def _read_pairs(
    tree: Tree,
    pairs: Sequence[Pair],
    limit: int | None,
    class_names: tuple[str, ...] = (),
    legend: bytes | None = None,
) -> Manifest:
    chosen = [pairs[i] for i in evenly_spaced(len(pairs), limit)]
    splits = [pair.split for pair in pairs]
    return Manifest(
        [tree.display_name(pair.picture) for pair in chosen],
        files=tree.contents([pair.picture for pair in chosen]),
        class_names=class_names,
        splits=np.array([p.split for p in chosen], np.uint8) if _is_split(splits) else None,
        masks=tree.contents([pair.mask for pair in chosen]),
        mask_names=[tree.display_name(pair.mask) for pair in chosen],
        legend=legend,
    )


def _is_split(splits: Sequence[int]) -> bool:
    # Without training samples it is a set of its own, which `split_samples` splits.
    return 0 in splits and len(set(splits)) > 1


def _read_class_names(tree: Tree, top: str) -> tuple[str, ...]:
    """Read the list of class names, in the folder that holds all pictures or above it."""
    candidates = (str(folder / CLASSES_FILE) for folder in PurePosixPath(top, "_").parents)
    file = next((name for name in candidates if name in tree.names), None)
    # Windows editors put a byte order mark in front. An empty line is a class without a name.
    lines = _read_text(tree, file).removeprefix("\ufeff").rstrip().splitlines() if file else []
    return tuple(line.strip() or str(index) for index, line in enumerate(lines))


def _read_species(tree: Tree, splits: Mapping[str, int], limit: int | None) -> Manifest:
    """Take the folders of pictures as their labels."""
    names = list(splits)
    species = [name.split("/")[-2] for name in names]
    classes = tuple(sorted(set(species)))
    chosen = evenly_spaced(len(names), limit)
    return Manifest(
        [tree.display_name(names[i]) for i in chosen],
        files=tree.contents([names[i] for i in chosen]),
        labels=np.array([classes.index(species[i]) for i in chosen], np.int64),
        class_names=classes,
        splits=np.array([splits[names[i]] for i in chosen], np.uint8),
    )


def _index_below(names: Iterable[str], folder: str) -> dict[str, str]:
    """Return the files in a folder, wherever it is, by their paths in it without suffix."""
    paths = [(name, *f"/{name}".rpartition(f"/{folder}/")[1:]) for name in names]
    return {str(PurePosixPath(path).with_suffix("")): name for name, is_in, path in paths if is_in}


def _read_text(tree: Tree, name: str) -> str:
    try:
        return tree.read_list(name).decode(errors="replace")
    except Exception as error:  # readers of damaged archives raise almost anything
        raise SourceError(
            f"{name} of {tree.path} cannot be read: {first_sentence(error)}."
        ) from error


def _read_numbered(tree: Tree, name: str) -> dict[str, str]:
    """Read a list whose lines are a number and what it stands for."""
    lines = [line.split() for line in _read_text(tree, name).splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if len(line) != 2:
            raise SourceError(
                f"line {number + 1} of {name} in {tree.path} is {' '.join(line)!r}, not a number "
                "and what it stands for; repair it."
            )
    return {line[0]: line[1] for line in lines}


def _reject_missing(tree: Tree, names: Sequence[str]) -> None:
    """Reject lists that name pictures which are missing."""
    if names:
        raise SourceError(
            f"{len(names):,} pictures that the lists of {tree.path} name are missing, such as "
            f"{names[0]}; add them or shorten the lists."
        )


def _reject_unpaired(tree: Tree, pictures: Mapping[T, str], masks: Mapping[T, str]) -> None:
    """Reject pictures and masks that have no counterpart of the same name."""
    for files, counterparts, kind, missing in (
        (pictures, masks, "pictures", "mask"),
        (masks, pictures, "masks", "picture"),
    ):
        unpaired = sorted(files[key] for key in files.keys() - counterparts.keys())
        if unpaired:
            raise SourceError(
                f"{len(unpaired):,} {kind} of {tree.path} have no {missing} of the same name, such "
                f"as {tree.display_name(unpaired[0])}; add what is missing or remove them."
            )
