"""The layout of MVTec AD: good pieces to train on, and defects with masks to test by.

P. Bergmann et al.: MVTec AD, a comprehensive real-world dataset for unsupervised anomaly detection,
CVPR 2019. `train/good/000.png`; `test/good/…` and `test/KIND/…`, a folder for each kind of defect;
`ground_truth/KIND/000_mask.png`, white where the piece of `test/KIND/000.png` is damaged. Kinds are
labels, and masks are not read with the pictures: good ones have none. `isthmus.data.defects` reads
them, to measure by. VisA, BTAD and MPDD are distributed in the same layout.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from isthmus.data.manifest import Contents, Manifest, evenly_spaced
from isthmus.data.readers.files.trees import Tree, find_top
from isthmus.data.reading import Findings, LeftOut, Note
from isthmus.data.samples import SPLITS

MVTEC = "MVTec AD"
GOOD = ("good", "ok")  # what folders of pieces without a defect are called
PARTS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
MASKS = "ground_truth"
MASK_ENDINGS = ("_mask", "")  # behind the name of the picture


class Piece(NamedTuple):
    """A picture of a piece: its name in the tree, and what its folders say."""

    name: str
    split: int
    kind: str


def read_mvtec(tree: Tree, limit: int | None) -> Manifest | None:
    """Read pieces with their kinds as labels; None if the folders are laid out in another way."""
    pieces, masks, others = _sort(tree)
    kinds = {piece.kind for piece in pieces if piece.split == SPLITS.index("train")}
    tested = {piece.kind for piece in pieces if piece.split == SPLITS.index("test")}
    if not masks or len(kinds) != 1 or not kinds <= {*GOOD} or not tested - kinds:
        return None
    names = sorted({piece.kind for piece in pieces})
    chosen = [pieces[i] for i in evenly_spaced(len(pieces), limit)]
    found = match_masks([piece.name for piece in pieces], masks)
    return Manifest(
        [tree.display_name(piece.name) for piece in chosen],
        files=Contents(tree.contents, [piece.name for piece in chosen]),
        labels=np.array([names.index(piece.kind) for piece in chosen], np.int64),
        class_names=tuple(names),
        splits=np.array([piece.split for piece in chosen], np.uint8),
        findings=_describe(tree, pieces, masks, others, len(found)),
    )


def list_masks(tree: Tree) -> dict[str, str]:
    """Return the mask of each damaged piece that has one, by its displayed name."""
    pieces, masks, _ = _sort(tree)
    found = match_masks([piece.name for piece in pieces], masks)
    return {tree.display_name(name): mask for name, mask in found.items()}


def match_masks(pieces: Iterable[str], masks: Iterable[str]) -> dict[str, str]:
    """Return the mask of each piece that has one; its kind and name are those of the piece."""
    by_stem = {str(PurePosixPath(mask).with_suffix("")): mask for mask in masks}
    found = {}
    for piece in pieces:
        *above, _, kind, _ = ("", *PurePosixPath(piece).parts)
        stem = PurePosixPath(piece).stem
        start = "/".join([*(part for part in above if part), MASKS, kind, stem])
        mask = next((by_stem[start + end] for end in MASK_ENDINGS if start + end in by_stem), None)
        if mask is not None:
            found[piece] = mask
    return found


def _sort(tree: Tree) -> tuple[list[Piece], list[str], list[str]]:
    """Return the pieces, the masks and all other pictures."""
    top = find_top(tree.pictures)
    start = f"{top}/" if top else ""
    pieces, masks, others = [], [], []
    for name in tree.pictures:
        # A path for each of a million names would take twice as long as all else about them.
        parts = name.removeprefix(start).split("/")
        if len(parts) == 3 and parts[0] in PARTS:
            pieces.append(Piece(name, SPLITS.index(PARTS[parts[0]]), parts[1]))
        elif len(parts) == 3 and parts[0] == MASKS:
            masks.append(name)
        else:
            others.append(name)
    return pieces, masks, others


def _describe(
    tree: Tree, pieces: list[Piece], masks: list[str], others: list[str], matched: int
) -> Findings:
    reason = "mask of a defect, which isthmus outliers measures by"
    many = "masks of defects, which isthmus outliers measures by"
    left_out = [LeftOut.of(reason, [tree.display_name(mask) for mask in masks], many)]
    if others:
        names = [tree.display_name(name) for name in others]
        left_out.append(LeftOut.of("in no folder of a kind", names))
    notes = []
    damaged = sum(piece.kind not in GOOD for piece in pieces)
    if matched < damaged:
        text = f"{damaged - matched:,} of {damaged:,} damaged pieces have no mask in {MASKS}/"
        way_out = (
            "pixels are not measured then; add masks called as ground_truth/KIND/NAME_mask.png"
        )
        notes.append(Note("warning", "defects-without-mask", text, way_out))
    layout = f"{MVTEC}: good pieces to train on, kinds of defects to test by"
    return Findings(layout, tuple(left_out), tuple(notes))
