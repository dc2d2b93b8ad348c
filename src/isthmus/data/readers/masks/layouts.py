"""Layouts of published data sets: which picture belongs to which mask and split.

A mask is a picture that holds the number of a class for each pixel, or `VOID` where there is no
class; see `isthmus.data.masks.legends` for other values and colors. The layouts are recognized by
their folders, names and lists:

- side by side, and by name: see `isthmus.data.readers.masks.pairs`;
- Pascal VOC (Everingham et al., "The Pascal Visual Object Classes Challenge", 2010): the samples
  in its segmentation lists for training and validation. Masks of its test split are not public,
  so its validation split is our test split;
- CUB-200-2011 (Wah et al., 2011): its own training and test split, with masks of birds if its
  segmentations are there, or else with the 200 species as labels;
- MVTec AD: see `isthmus.data.readers.masks.mvtec`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import PurePosixPath

import numpy as np

from isthmus.data.manifest import Contents, Manifest, evenly_spaced
from isthmus.data.readers.files.trees import Tree
from isthmus.data.readers.masks.class_lists import read_classes, read_text
from isthmus.data.readers.masks.mvtec import MVTEC, read_mvtec
from isthmus.data.readers.masks.pairs import (
    Pair,
    leave_out_unpaired,
    read_by_name,
    read_pairs,
    read_side_by_side,
)
from isthmus.data.readers.noisy import NOISY, read_noisy
from isthmus.data.reading import Findings
from isthmus.errors import SourceError

VOC_PICTURES, VOC_MASKS = "JPEGImages", "SegmentationClass"
VOC_LISTS = {"ImageSets/Segmentation/train.txt": 0, "ImageSets/Segmentation/val.txt": 2}
CUB_LISTS = ("images.txt", "train_test_split.txt")
CUB_CLASSES = ("background", "bird")
CUB_LEGEND = bytes(value > 127 for value in range(256))  # a bird for most of the annotators


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
        for stem in read_text(tree, root + end).split()
    }
    pictures, masks = (
        {stem: files[f"{root}{kind}/{stem}"] for stem in splits if f"{root}{kind}/{stem}" in files}
        for kind in (VOC_PICTURES, VOC_MASKS)
    )
    missing = [f"{root}{VOC_PICTURES}/{stem}" for stem in splits if stem not in pictures]
    _reject_missing(tree, missing)
    keys, left_out = leave_out_unpaired(tree, pictures, masks)
    pairs = [Pair(pictures[stem], masks[stem], splits[stem]) for stem in sorted(keys)]
    classes = read_classes(tree, [root + VOC_MASKS])
    left_out += tree.list_unlisted({*pictures.values(), *masks.values()})
    return read_pairs(tree, pairs, limit, classes, left_out=left_out)


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
    keys, left_out = leave_out_unpaired(tree, pictures, masks)
    pairs = [Pair(pictures[key], masks[key], splits[pictures[key]]) for key in keys]
    left_out += tree.list_unlisted({*splits, *masks.values()})
    return read_pairs(tree, pairs, limit, (CUB_CLASSES, ()), CUB_LEGEND, left_out)


Layout = Callable[[Tree, int | None], Manifest | None]

# The first layout that recognizes a tree reads it, so the most specific come first.
LAYOUTS: dict[str, Layout] = {
    "Pascal VOC": read_voc,
    "CUB-200-2011": read_cub,
    MVTEC: read_mvtec,
    "side by side": read_side_by_side,
    "by name": read_by_name,
}
IMAGE_LAYOUTS: dict[str, Layout] = {NOISY: read_noisy, **LAYOUTS}  # of images at their own sizes


def _read_species(tree: Tree, splits: Mapping[str, int], limit: int | None) -> Manifest:
    """Take the folders of pictures as their labels."""
    names = list(splits)
    species = [name.split("/")[-2] for name in names]
    classes = tuple(sorted(set(species)))
    chosen = evenly_spaced(len(names), limit)
    return Manifest(
        [tree.display_name(names[i]) for i in chosen],
        files=Contents(tree.contents, [names[i] for i in chosen]),
        labels=np.array([classes.index(species[i]) for i in chosen], np.int64),
        class_names=classes,
        splits=np.array([splits[names[i]] for i in chosen], np.uint8),
        findings=Findings(left_out=tree.list_unlisted({*splits})),
    )


def _index_below(names: Iterable[str], folder: str) -> dict[str, str]:
    """Return the files in a folder, wherever it is, by their paths in it without suffix."""
    paths = [(name, *f"/{name}".rpartition(f"/{folder}/")[1:]) for name in names]
    return {str(PurePosixPath(path).with_suffix("")): name for name, is_in, path in paths if is_in}


def _read_numbered(tree: Tree, name: str) -> dict[str, str]:
    """Read a list whose lines are a number and what it stands for."""
    lines = [line.split() for line in read_text(tree, name).splitlines() if line.strip()]
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
