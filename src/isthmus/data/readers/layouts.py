"""Layouts of published sets, with masks or lists: which picture goes with which mask and part.

A mask is a picture that holds for each pixel the number of its class, and `VOID` where there is
none to tell. Three layouts are known by their folders and lists:

- pictures and masks side by side: `images/` and `masks/`, at the top or within each of `train/`,
  `val/` and `test/`; or `train/` and `trainannot/`, as CamVid is handed on (Badrinarayanan,
  Kendall and Cipolla, "SegNet", 2017). Beside them `classes.txt` may name the classes, from 0 on,
  each in a line;
- Pascal VOC (Everingham et al., "The Pascal Visual Object Classes Challenge", 2010): the samples
  in its lists of segmentation for training and validation. Masks of its test part are not
  public: what it validates on is our test part;
- CUB-200-2011 (Wah et al., 2011): its own training and test parts; with its segmentations masks
  of birds, and without them the 200 species as labels.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

import numpy as np

from isthmus.data.manifest import Manifest, evenly_spaced
from isthmus.data.readers.trees import Tree, common_top, relative
from isthmus.errors import SourceError, first_sentence

PARTS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "test": 2, "testing": 2}
FOLDERS = {"images": False, "masks": True}  # whether it holds masks
CLASSES = "classes.txt"
ANNOTATED = "annot"  # ends the name of a part's folder of masks
MASKS_WITHIN = ("/masks/", f"{ANNOTATED}/")
VOC_PICTURES, VOC_MASKS = "JPEGImages", "SegmentationClass"
VOC_LISTS = {"ImageSets/Segmentation/train.txt": 0, "ImageSets/Segmentation/val.txt": 2}
CUB_LISTS = ("images.txt", "train_test_split.txt")
CUB_CLASSES = ("background", "bird")
CUB_LEGEND = bytes(value > 127 for value in range(256))  # most of the annotators say so


T = TypeVar("T")
Key = tuple[str, str]  # part and name without suffix
Role = tuple[bool, Key]  # whether it is a mask, and what its counterpart has as well


@dataclass(frozen=True)
class Pair:
    """A picture and its mask, by their names in the tree, and the part they belong to."""

    picture: str
    mask: str
    part: int


def side_by_side(tree: Tree, limit: int | None) -> Manifest | None:
    """Find pictures and masks in folders next to each other, of the same names."""
    names = tree.pictures
    if not any(mark in f"/{name.lower()}" for name in names for mark in MASKS_WITHIN):
        return None
    top = common_top(names)
    roles = {name: _role(relative(name).relative_to(top)) for name in names}
    pictures = _by_key(tree, {name: role for name, role in roles.items() if role and not role[0]})
    masks = _by_key(tree, {name: role for name, role in roles.items() if role and role[0]})
    if not pictures or not masks:
        return None
    _reject_unpaired(tree, pictures, masks)
    pairs = [Pair(name, masks[key], PARTS.get(key[0], 0)) for key, name in pictures.items()]
    return _found(tree, pairs, limit, _class_names(tree, top))


def voc(tree: Tree, limit: int | None) -> Manifest | None:
    """Find what Pascal VOC lists for segmentation."""
    lists = {name for name in tree.names if name.endswith(tuple(VOC_LISTS))}
    if not lists:
        return None
    files = {str(PurePosixPath(name).with_suffix("")): name for name in tree.pictures}
    above = {name[: name.index("ImageSets/Segmentation/")] for name in lists}
    roots = [at for at in sorted(above) if any(f.startswith(f"{at}{VOC_MASKS}/") for f in files)]
    if len(roots) > 1:
        raise SourceError(
            f"{tree.path} holds several sets in the layout of VOC, in {' and '.join(roots)}; "
            "give one of them."
        )
    return _voc_below(roots[0], tree, files, lists, limit) if roots else None


def _voc_below(
    root: str, tree: Tree, files: Mapping[str, str], lists: Set[str], limit: int | None
) -> Manifest:
    """Pair what the lists below a folder name; `files` tells names from those without suffix."""
    parts = {
        stem: part
        for end, part in VOC_LISTS.items()
        if root + end in lists
        for stem in _text(tree, root + end).split()
    }
    pictures, masks = (
        {stem: files[f"{root}{kind}/{stem}"] for stem in parts if f"{root}{kind}/{stem}" in files}
        for kind in (VOC_PICTURES, VOC_MASKS)
    )
    lacking = [f"{root}{VOC_PICTURES}/{stem}" for stem in parts if stem not in pictures]
    _reject_missing(tree, lacking)
    _reject_unpaired(tree, pictures, masks)
    return _found(tree, [Pair(pictures[s], masks[s], parts[s]) for s in sorted(parts)], limit)


def cub(tree: Tree, limit: int | None) -> Manifest | None:
    """Find what CUB-200-2011 lists: with masks of birds, or else with the species as labels."""
    ends = [name for name in tree.names if name.endswith(CUB_LISTS[1])]
    root = ends[0].removesuffix(CUB_LISTS[1]) if ends else ""
    if not ends or root + CUB_LISTS[0] not in tree.names:
        return None
    paths, flags = (_numbered(tree, root + name) for name in CUB_LISTS)
    if paths.keys() != flags.keys():
        raise SourceError(
            f"{' and '.join(CUB_LISTS)} of {tree.path} differ in their numbers; give both for the "
            "same pictures."
        )
    parts = {f"{root}images/{path}": 0 if flags[n] == "1" else 2 for n, path in paths.items()}
    _reject_missing(tree, sorted(parts.keys() - {*tree.pictures}))
    parts = dict(sorted(parts.items()))
    masks = _below(tree.pictures, "segmentations")
    if not masks:
        return _species(tree, parts, limit)
    pictures = _below(parts, "images")
    _reject_unpaired(tree, pictures, masks)
    pairs = [Pair(name, masks[key], parts[name]) for key, name in pictures.items()]
    return _found(tree, pairs, limit, CUB_CLASSES, CUB_LEGEND)


LAYOUTS: dict[str, Callable[[Tree, int | None], Manifest | None]] = {
    "Pascal VOC": voc,
    "CUB-200-2011": cub,
    "side by side": side_by_side,
}


def _role(name: PurePosixPath) -> Role | None:
    """Tell whether a file is a mask, and by what its counterpart is known: part and name."""
    stem = name.with_suffix("").parts
    first, second = (*(part.lower() for part in name.parts[:-1]), "", "")[:2]
    if first in FOLDERS:
        return FOLDERS[first], ("", "/".join(stem[1:]))
    part = first.removesuffix(ANNOTATED)
    if part not in PARTS:
        return None
    if part == first and second in FOLDERS:
        return FOLDERS[second], (part, "/".join(stem[2:]))
    return part != first, (part, "/".join(stem[1:]))


def _by_key(tree: Tree, roles: Mapping[str, Role]) -> dict[Key, str]:
    found: dict[Key, str] = {}
    for name, (_, key) in roles.items():
        if key in found:
            raise SourceError(
                f"{tree.display_name(found[key])} and {tree.display_name(name)} of {tree.path} have the same name; "
                "a mask and a picture find each other by it, so rename one."
            )
        found[key] = name
    return found


def _found(
    tree: Tree,
    pairs: Sequence[Pair],
    limit: int | None,
    class_names: tuple[str, ...] = (),
    legend: bytes | None = None,
) -> Manifest:
    chosen = [pairs[i] for i in evenly_spaced(len(pairs), limit)]
    parts = [pair.part for pair in pairs]
    return Manifest(
        [tree.display_name(pair.picture) for pair in chosen],
        files=tree.contents([pair.picture for pair in chosen]),
        class_names=class_names,
        splits=np.array([pair.part for pair in chosen], np.uint8) if _divided(parts) else None,
        masks=tree.contents([pair.mask for pair in chosen]),
        mask_names=[tree.display_name(pair.mask) for pair in chosen],
        legend=legend,
    )


def _divided(parts: Sequence[int]) -> bool:
    return 0 in parts and len(set(parts)) > 1


def _class_names(tree: Tree, top: str) -> tuple[str, ...]:
    """Read the classes that a list names, in the folder of all pictures or above it."""
    above = (str(folder / CLASSES) for folder in PurePosixPath(top, "_").parents)
    listed = next((name for name in above if name in tree.names), None)
    lines = _text(tree, listed).removeprefix("\ufeff").rstrip().splitlines() if listed else []
    return tuple(line.strip() or str(index) for index, line in enumerate(lines))


def _species(tree: Tree, parts: Mapping[str, int], limit: int | None) -> Manifest:
    """Take the folders of pictures as their labels."""
    names = list(parts)
    species = [name.split("/")[-2] for name in names]
    classes = tuple(sorted(set(species)))
    chosen = evenly_spaced(len(names), limit)
    return Manifest(
        [tree.display_name(names[i]) for i in chosen],
        files=tree.contents([names[i] for i in chosen]),
        labels=np.array([classes.index(species[i]) for i in chosen], np.int64),
        class_names=classes,
        splits=np.array([parts[names[i]] for i in chosen], np.uint8),
    )


def _below(names: Iterable[str], folder: str) -> dict[str, str]:
    """Return the files in a folder, wherever it is, by their paths in it without suffix."""
    ways = [(name, *f"/{name}".rpartition(f"/{folder}/")[1:]) for name in names]
    return {str(PurePosixPath(way).with_suffix("")): name for name, is_in, way in ways if is_in}


def _text(tree: Tree, name: str) -> str:
    try:
        return tree.text(name).decode(errors="replace")
    except Exception as error:  # whatever a damaged archive makes its reader complain of
        raise SourceError(
            f"{name} of {tree.path} cannot be read: {first_sentence(error)}."
        ) from error


def _numbered(tree: Tree, name: str) -> dict[str, str]:
    """Read lines of a number and what it stands for."""
    lines = [line.split() for line in _text(tree, name).splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if len(line) != 2:
            raise SourceError(
                f"line {number + 1} of {name} in {tree.path} is {' '.join(line)!r}, not a number "
                "and what it stands for; repair it."
            )
    return {line[0]: line[1] for line in lines}


def _reject_missing(tree: Tree, names: Sequence[str]) -> None:
    """Refuse lists of pictures that are not there."""
    if names:
        raise SourceError(
            f"{len(names):,} pictures that the lists of {tree.path} name are missing, such as "
            f"{names[0]}; add them or shorten the lists."
        )


def _reject_unpaired(tree: Tree, pictures: Mapping[T, str], masks: Mapping[T, str]) -> None:
    """Refuse pictures and masks that have no counterpart of the same name."""
    for ours, theirs, has, lacks in (
        (pictures, masks, "pictures", "mask"),
        (masks, pictures, "masks", "picture"),
    ):
        alone = sorted(ours[key] for key in ours.keys() - theirs.keys())
        if alone:
            raise SourceError(
                f"{len(alone):,} {has} of {tree.path} have no {lacks} of the same name, such as "
                f"{tree.display_name(alone[0])}; add what is missing or remove them."
            )
