"""Names of masks: the words that tell them from pictures, and folders of one or the other."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from isthmus.data.readers.files.folder_names import MASK_FOLDERS, PICTURE_FOLDERS, split_of

FOLDERS = PICTURE_FOLDERS | MASK_FOLDERS
FOLDER_ENDINGS = (  # of a folder of masks, next to that of its pictures
    *("annot", "_annot", "_masks", "_mask", "_labels", "_label", "_gt", "_groundtruth"),
    *("_annotations", "_segmentations"),
)
# Before or behind the name of the picture. Of several masks of one picture, the first word decides.
MASK_WORDS = (
    *("mask", "masks", "gtFine_labelTrainIds", "gtFine_labelIds", "labelIds", "label", "labels"),
    *("L", "gt", "groundtruth", "ground_truth", "seg", "segmentation", "annotation", "annot"),
    *("trimap", "matte", "gtFine_color", "gtFine_instanceIds", "mask_1", "mask_2"),
)
PICTURE_WORDS = ("image", "img", "sat", "leftImg8bit", "input", "original", "orig", "rgb", "photo")


SEPARATORS = "_-. "


class Role(NamedTuple):
    """What a folder holds, and the rest of its path, which pictures and masks share."""

    is_mask: bool
    shared: str


class Words:
    """Words around a name: `a_mask`, `a-mask`, `a mask`, `a.mask`, `mask_a`."""

    def __init__(self, words: Sequence[str]) -> None:
        longest_first = sorted(words, key=len, reverse=True)
        ranks = {word: rank for rank, word in enumerate(words)}
        self.ends = {
            sep + word.lower(): ranks[word] for word in longest_first for sep in SEPARATORS
        }
        self.starts = {end[1:] + end[0]: rank for end, rank in self.ends.items()}
        # All at once: most names have none, and there may be a million.
        self._any_end, self._any_start = tuple(self.ends), tuple(self.starts)

    def strip(self, stem: str) -> tuple[str, int] | None:
        """Return a name without its word, and the rank of that; None if it has none.

        Examples
        --------
        >>> Words(("mask", "gt")).strip("cat_3_GT")
        ('cat_3', 1)
        """
        lower = stem.lower()
        if lower.endswith(self._any_end):
            end = next(end for end in self.ends if lower.endswith(end))
            base = stem[: -len(end)]
            # L is a word in capitals only: a_l is the left one of two.
            return (base, self.ends[end]) if base and (end[1:] != "l" or stem[-1] == "L") else None
        if lower.startswith(self._any_start):
            start = next(start for start in self.starts if lower.startswith(start))
            base = stem[len(start) :]
            return (base, self.starts[start]) if base and start[:-1] != "l" else None
        return None


MASKS, PICTURES = Words(MASK_WORDS), Words(PICTURE_WORDS)
# Whether any of many names may be one of a mask, in one pass over all of them.
HINTS = ("mask", "label", "gt", "truth", "seg", "annot", "trimap", "matte", "l.")


def have_mask_words(names: Iterable[str]) -> bool:
    """Return whether some of the names may have a word of masks; most sets are soon told."""
    text = "\n".join(names).lower()
    return any(hint in text for hint in HINTS)


def find_counterparts(folders: Iterable[str]) -> set[str]:
    """Return the folders that are called alike but for a word of images or of masks.

    Examples
    --------
    >>> sorted(find_counterparts(["My Images", "My Masks", "with_mask"]))
    ['My Images', 'My Masks']
    """
    groups = defaultdict(list)
    for folder in folders:
        groups[re.sub(r"images?|imgs?|photos?|masks?|labels?", "*", folder.lower())].append(folder)
    alike = [group for rest, group in groups.items() if "*" in rest]
    return {folder for group in alike if len({*map(str.lower, group)}) > 1 for folder in group}


def find_roles(folders: Mapping[str, tuple[str, ...]]) -> dict[str, Role]:
    """Return the roles of the folders that have one.

    Parameters
    ----------
    folders : dict
        The parts of each folder's path.
    """
    lower = {folder: tuple(part.lower() for part in parts) for folder, parts in folders.items()}
    known = _Folders({parts[:i] for parts in lower.values() for i in range(1, len(parts) + 1)})
    found = {folder: known.find_role(parts) for folder, parts in lower.items()}
    return {folder: role for folder, role in found.items() if role is not None}


class _Folders:
    """All folders of a tree, as the parts of their paths."""

    def __init__(self, folders: set[tuple[str, ...]]) -> None:
        # Those called as masks of the folder next to them: trainannot of train.
        self.of_masks = {
            parts: base
            for parts in folders
            if (base := _strip_ending(parts)) is not None
            and (base in folders or split_of(base[-1]) is not None)
        }
        self.of_pictures = {*self.of_masks.values()}
        splits = [base for base in self.of_pictures if split_of(base[-1]) is not None]
        self.split_parents = {base[:-1] for base in splits}

    def find_role(self, parts: tuple[str, ...]) -> Role | None:
        for i, part in enumerate(parts):
            here, below = parts[: i + 1], parts[i + 1 :]
            if part in FOLDERS:  # images/a.jpg, masks/a.png
                # Also annotations/trimaps/a.png, and what is predicted for images/a.jpg.
                below = tuple(folder for folder in below if folder not in FOLDERS)
                return Role(part in MASK_FOLDERS, "/".join((*parts[:i], *below)))
            if here in self.of_masks:
                return Role(True, "/".join((*self.of_masks[here], *below)))
            # A split without masks next to one that has some is one, too: it must be said.
            is_split = here[:-1] in self.split_parents and split_of(part) is not None
            if here in self.of_pictures or is_split:
                return Role(False, "/".join(parts))
        return None


def _strip_ending(parts: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the folder whose masks a folder holds by its name."""
    *above, last = parts
    for end in FOLDER_ENDINGS:
        if last.endswith(end) and last != end:
            return (*above, last.removesuffix(end))
    return None
