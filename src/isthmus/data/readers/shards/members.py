"""Members of a shard, put together to samples by their names.

The key of a member is its path up to the first dot of the file's name, as the WebDataset library
has it; what follows is its kind: `cats/000017.jpg` and `cats/000017.cls` are one sample, and
`000017.seg.png` is its second picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.data.readers.files.trees import Tree

CLASS, RECORD = "cls", "json"  # the kinds that have labels: a number or a name, or fields
MASK = "seg"  # what the kind of a mask begins with, such as `seg.png`
MASK_KINDS = frozenset({MASK, "segmentation", "mask"})


def split_name(name: str) -> tuple[str, str]:
    """Return the key and the kind of a member.

    Examples
    --------
    >>> split_name("v1.0/000017.seg.PNG"), split_name("README")
    (('v1.0/000017', 'seg.png'), ('README', ''))
    """
    folder, slash, file = name.rpartition("/")
    stem, _, kind = file.partition(".")
    return f"{folder}{slash}{stem}", kind.lower()


@dataclass(frozen=True, eq=False)
class Shard:
    """The samples of a tar file.

    Parameters
    ----------
    tree : Tree
        The tar.
    pictures : sequence of N str
        The picture of each sample, in the order in which the tar holds them.
    classes, records : sequence of N str
        Names of the members with the label, `.cls`, and with fields, `.json`; empty where there
        is none.
    masks : sequence of N str
        Names of the pictures with the class of each pixel; empty where there is none.
    others : sequence of str
        Further pictures of the same samples.
    """

    tree: Tree
    pictures: Sequence[str]
    classes: Sequence[str]
    records: Sequence[str]
    masks: Sequence[str]
    others: Sequence[str]


def may_be_shard(tree: Tree) -> bool:
    """Return whether a tree is a tar with labels in files next to pictures."""
    return bool(tree.stored) and any(
        name.lower().endswith((f".{CLASS}", f".{RECORD}")) for name in tree.others
    )


def collect_samples(tree: Tree) -> Shard:
    """Put the members of a tar together; of several pictures of a sample, one is taken."""
    are_pictures = {*tree.pictures}
    pictures: dict[str, str] = {}
    kinds: dict[str, dict[str, str]] = {CLASS: {}, RECORD: {}}
    masks: dict[str, str] = {}
    for name in tree.stored:
        key, kind = split_name(name)
        if name in are_pictures and kind.partition(".")[0] in MASK_KINDS and "." in kind:
            masks.setdefault(key, name)
        elif name in are_pictures:
            pictures[key] = _choose_picture(pictures.get(key, ""), name)
        elif kind in kinds:
            kinds[kind][key] = name
    return Shard(
        tree,
        list(pictures.values()),
        [kinds[CLASS].get(key, "") for key in pictures],
        [kinds[RECORD].get(key, "") for key in pictures],
        [masks.get(key, "") for key in pictures],
        sorted(are_pictures - {*pictures.values()} - {masks.get(key) for key in pictures}),
    )


def _choose_picture(first: str, second: str) -> str:
    """Return the picture of a sample: the first one whose kind is a suffix alone, as in `17.jpg`.

    Others say what they are: `17.seg.png` or `17.depth.png`.
    """
    if not first or ("." in split_name(first)[1] and "." not in split_name(second)[1]):
        return second
    return first
