"""Names of folders that are no classes: splits, and pictures or masks next to each other."""

import re
from collections import defaultdict
from collections.abc import Collection
from functools import lru_cache

from isthmus.errors import OptionError, describe_unknown

SPLIT_FOLDERS = {  # index in SPLITS
    "train": 0,
    "training": 0,
    "val": 1,
    "valid": 1,
    "validation": 1,
    "dev": 1,
    "test": 2,
    "testing": 2,
    "eval": 2,
    "evaluation": 2,
}
FILLERS = {
    "data",
    "dataset",
    "folder",
    "image",
    "images",
    "img",
    "imgs",
    "pictures",
    "set",
    "split",
}
SPLIT_WORDS = SPLIT_FOLDERS | {
    f"{word}{filler}": split for word, split in SPLIT_FOLDERS.items() for filler in FILLERS
}
PART_LABELS = ("train", "val", "test")  # by the index in SPLITS
PART_NAMES = {"train": 0, "val": 1, "validation": 1, "test": 2}  # of the option parts
PICTURE_FOLDERS = frozenset(
    {
        *("images", "image", "imgs", "img", "pictures", "photos", "inputs", "input", "frames"),
        "jpegimages",
    }
)
MASK_FOLDERS = frozenset(
    {
        *("masks", "mask", "labels", "label", "annotations", "annotation", "annots", "annot"),
        *("segmentations", "segmentation", "trimaps", "gt", "groundtruth", "ground_truth"),
    }
)
# Of the same pictures with noise, perhaps of some strength, and without: as far as the names leave
# no doubt.
NOISY_FOLDERS = re.compile(r"noisy((sigma|level)?\d+)?")
CLEAN_FOLDERS = frozenset({"clean", "gt", "groundtruth"})
# No class is called like this; `mask` and `label` may be classes, unless images are next to them.
SURE_MASK_FOLDERS = frozenset({"groundtruth", "gt", "masks", "segmentations", "trimaps"})


def split_of(folder: str) -> int | None:
    """Return the split that a folder is called as, None if it is none.

    Examples
    --------
    >>> [split_of(name) for name in ("Training_Set", "val2017", "TestSet", "test1", "testament")]
    [0, 1, 2, 2, None]
    """
    split, rest = _read_name(folder)
    return None if rest else split


def find_parts(folders: Collection[str]) -> dict[str, int]:
    """Return the splits of folders that lie next to each other, as far as they are some.

    They are called as splits, or as splits with the same word added to each.

    Examples
    --------
    >>> find_parts(["seg_train", "seg_test", "notes"])
    {'seg_train': 0, 'seg_test': 2}
    """
    groups: defaultdict[frozenset[str], dict[str, int]] = defaultdict(dict)
    for folder in folders:
        split, rest = _read_name(folder)
        if split is not None:
            groups[rest][folder] = split
    return max(groups.values(), key=lambda group: (has_training(group), len(group)), default={})


def has_training(parts: dict[str, int]) -> bool:
    """Return whether there is a part to train on and another one."""
    return 0 in parts.values() and len({*parts.values()}) > 1


def names_are_parts(folders: Collection[str]) -> bool:
    """Return whether all folders are splits, and one of them is to train on."""
    parts = find_parts(folders)
    return has_training(parts) and len(parts) == len({*folders})


def parse_parts(option: str) -> dict[str, int] | None:
    """Read the option `parts`: splits by folder, or None for "none".

    Raises
    ------
    OptionError
        If it is not of the form train=FOLDER,test=FOLDER.

    Examples
    --------
    >>> parse_parts("train=a,train=b/c,test=d")
    {'a': 0, 'b/c': 0, 'd': 2}
    """
    if option.strip().lower() == "none":
        return None
    parts = {}
    for entry in option.split(","):
        name, is_given, folder = (word.strip() for word in entry.partition("="))
        folder = folder.strip("/")
        if not is_given or not folder:
            raise OptionError(
                f"parts must be none or such as train=FOLDER,test=FOLDER, not {option!r}."
            )
        if name not in PART_NAMES:
            raise OptionError(f"{describe_unknown('part', name, PART_NAMES)}.")
        parts[folder] = PART_NAMES[name]
    return parts


def is_image_folder(folder: str) -> bool:
    """Return whether a folder is called as one that holds images, of whatever class."""
    return _letters(folder) in PICTURE_FOLDERS


def is_mask_folder(folder: str, has_images: bool = False) -> bool:
    """Return whether a folder is called as one of masks.

    Parameters
    ----------
    folder : str
    has_images : bool
        Whether a folder called as one of images is next to it.
    """
    return _letters(folder) in (MASK_FOLDERS if has_images else SURE_MASK_FOLDERS)


def find_noise(folder: str) -> bool | None:
    """Return whether a folder is called as one of noisy images or of clean ones, None if neither.

    Examples
    --------
    >>> [find_noise(name) for name in ("Noisy", "noisy_25", "ground_truth", "photos")]
    [True, True, False, None]
    """
    word = re.sub(r"[\W_]+", "", folder.lower())
    if NOISY_FOLDERS.fullmatch(word):
        return True
    return False if word in CLEAN_FOLDERS else None


def _letters(folder: str) -> str:
    return re.sub(r"[\W\d_]+", "", folder.lower())


@lru_cache(maxsize=4096)
def _read_name(folder: str) -> tuple[int | None, frozenset[str]]:
    """Return the split that a name has, if it has one, and its words that say nothing about it."""
    # Words end at capitals, too: TrainSet. Numbers are parts of neither: test1, val2017.
    words = [word.lower() for word in re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])", folder)]
    splits = [SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS]
    rest = frozenset(word for word in words if word not in SPLIT_WORDS and word not in FILLERS)
    return (splits[0] if len(splits) == 1 else None), rest
