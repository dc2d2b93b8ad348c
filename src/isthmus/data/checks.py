"""`CHECKS`: what may be wrong with a source as a whole, each a function from what is known."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.known import Known
from isthmus.data.pictures.scales import bits_of
from isthmus.data.range_checks import check_range
from isthmus.data.readers.files.folder_names import find_parts, has_training
from isthmus.data.readers.masks.mvtec import GOOD
from isthmus.data.readers.masks.names import find_counterparts
from isthmus.data.reading import Note
from isthmus.data.report import format_value
from isthmus.data.samples import SPLITS
from isthmus.data.ways_out import other_classes, other_splits, parts_option
from isthmus.text import count_of

MIN_RATIO = 10  # of the largest class to the smallest one, to be called an imbalance
MIN_MAJORITY = 0.8  # share of the pictures that have one size, to call other sizes odd
MIN_VALUE_CLASSES = 30  # so many numbers from 0 to 255 as classes may be pixels
MAX_PER_VALUE = 8  # samples of such a class, in the middle
MAX_BYTE = 255
KEPT = "files that a model denoises keep all of theirs"
# What `isthmus.data.pictures.scales` calls bands without a use.
MORE_BANDS = re.compile(r"and (\d+) more$")
# Folders that are parts of a data set, not classes: train, test1, training_set, images, …
PART = re.compile(
    r"(train|training|val|valid|validation|dev|test|testing|eval)"
    r"([ _-]?(set|data|split|images|imgs|img|photos|\d+))?"
    r"|ground[ _-]?truth|gt|masks?|annotations?|annot|labels?|segmentations?|images?|imgs?",
    re.IGNORECASE,
)


Check = Callable[[Known], Iterator[Note]]


def check_parts(known: Known) -> Iterator[Note]:
    """Find classes that are called as parts of a data set are."""
    names = known.items.class_names if known.items.labels is not None else ()
    splits = find_parts(names)
    splits = splits if has_training(splits) else {}
    known_parts = {*splits, *find_counterparts(names)}
    parts = [name for name in names if PART.fullmatch(name) or name in known_parts]
    if parts:
        yield _warn(
            "parts-as-classes",
            f"{_list(parts)} {_plural(parts, 'is', 'are')} taken for "
            f"{_plural(parts, 'a class', 'classes')}, but called as "
            f"{_plural(parts, 'a part', 'parts')} of a data set",
            f"{parts_option(known.items, splits)}{_other_classes(known)}",
        )


def check_values_as_classes(known: Known) -> Iterator[Note]:
    """Find labels of a table that look like pixels: very many numbers, few samples of each."""
    names, counts = known.items.class_names, known.class_counts
    if any("/" in name for name in known.items.names[:1]):  # folders, called by people's numbers
        return
    if len(counts) < MIN_VALUE_CLASSES or np.median(counts) > MAX_PER_VALUE:
        return
    if all(name.isdigit() and int(name) <= 255 for name in names):
        yield _warn(
            "labels-like-pixels",
            f"the labels are {len(names):,} numbers from 0 to 255 and may be pixels",
            "--label-column none",
        )


def check_one_class(known: Known) -> Iterator[Note]:
    """Find labels that are all the same."""
    used = np.flatnonzero(known.class_counts)
    if len(used) == 1 and len(known.items) > 1:
        name = known.items.class_names[used[0]]
        yield _warn(
            "one-class",
            f"all samples are of one class, {name}",
            _other_classes(known),
        )


def check_same_words(known: Known) -> Iterator[Note]:
    """Find classes whose names differ in capitals or spaces only."""
    first: dict[str, str] = {}
    for name in known.items.class_names:
        other = first.setdefault("".join(name.lower().split()), name)
        if other != name:
            text = f"the classes {other!r} and {name!r} differ in capitals or spaces only"
            yield _warn("same-words", text, "rename one if they are the same")
            return


def check_imbalance(known: Known) -> Iterator[Note]:
    """Find classes with many more samples than others, or with none."""
    counts = known.class_counts
    if len(counts) < 2 or counts.max() < MIN_RATIO * counts.min():
        return
    names = known.items.class_names
    many, few = int(counts.argmax()), int(counts.argmin())
    yield _warn(
        "imbalance",
        f"{names[many]} has {counts[many]:,} samples and {names[few]} {counts[few]:,}",
        "give more samples of small classes",
    )


def check_unseen(known: Known) -> Iterator[Note]:
    """Find classes that the source's own training split does not have."""
    labels, splits = known.items.labels, known.splits
    if labels is None or splits is None or not (splits == 0).any():
        return
    counts = np.bincount(labels[(splits == 0) & (labels >= 0)], minlength=len(known.class_counts))
    unseen = np.flatnonzero((counts == 0) & (known.class_counts > 0))
    trained = {known.items.class_names[i] for i in np.flatnonzero(counts)}
    # Sets such as MVTec AD train on good pieces only: what no classifier learns is the point there.
    if len(unseen) and not trained <= {*GOOD}:
        name = known.items.class_names[int(unseen[0])]
        yield _warn(
            "unseen-class",
            f"{count_of(len(unseen), 'class has', 'classes have')} no sample in the training "
            f"split, such as {name}; a classifier cannot learn {_plural(unseen, 'it', 'them')}",
            other_splits(known.items) if known.values is None else "",
        )


def check_shared(known: Known) -> Iterator[Note]:
    """Find the same sample in two splits, which makes the test easier than it is."""
    if known.splits is None:
        return
    shared = [group for group in known.duplicates if len({*known.splits[list(group)]}) > 1]
    if shared:
        one = shared[0][0]
        other = next(row for row in shared[0] if known.splits[row] != known.splits[one])
        names = [f"{known.items.names[row]} ({SPLITS[known.splits[row]]})" for row in (one, other)]
        yield _warn(
            "shared-by-splits",
            f"{count_of(len(shared), 'sample is', 'samples are')} in more than one split, such as "
            f"{' and '.join(names)}",
            _remove_copies(known),
        )


def check_duplicates(known: Known) -> Iterator[Note]:
    """Find samples that are equal, and in one split."""
    groups = known.duplicates
    if known.splits is not None:
        groups = [group for group in groups if len({*known.splits[list(group)]}) == 1]
    if groups:
        one, other = (known.items.names[row] for row in groups[0][:2])
        copies = sum(len(group) - 1 for group in groups)
        yield _warn(
            "duplicates",
            f"{count_of(copies, 'sample is a copy', 'samples are copies')} of another, such as "
            f"{one} and {other}",
            _remove_copies(known),
        )


def _remove_copies(known: Known) -> str:
    return "remove one of each" if known.is_signal else "isthmus duplicates names them"


def check_constant(known: Known) -> Iterator[Note]:
    """Find samples without content."""
    rows = np.flatnonzero(known.lows == known.highs)
    if len(rows):
        yield _warn(
            "blank",
            f"{count_of(len(rows), 'sample is', 'samples are')} blank, such as "
            f"{known.items.names[int(rows[0])]} (all {format_value(known.lows[rows[0]])})",
            "remove them" if len(rows) > 1 else "remove it",
        )


def check_sizes(known: Known) -> Iterator[Note]:
    """Find pictures of other sizes than most have."""
    if known.is_signal or not len(known.sizes):
        return
    sizes, which, counts = np.unique(known.sizes, axis=0, return_inverse=True, return_counts=True)
    is_odd = which.ravel() != counts.argmax()
    odd = np.flatnonzero(is_odd)
    if len(odd) and counts.max() >= MIN_MAJORITY * len(known.sizes):
        (height, width), (h, w) = known.sizes[odd[0]], sizes[counts.argmax()]
        yield _warn(
            "odd-sizes",
            f"{count_of(len(odd), 'picture is', 'pictures are')} not {h} × {w} as most are, "
            f"such as {known.items.names[int(odd[0])]} ({height} × {width})",
            "" if known.origin.preprocessing.size else "--size 64 resizes all of them",
        )


def check_pages(known: Known) -> Iterator[Note]:
    """Find files of which only the first page or frame is read."""
    rows = np.flatnonzero(known.pages > 1)
    if len(rows) and known.reading.pages is None:
        name, pages = known.items.names[int(rows[0])], known.pages[rows[0]]
        yield Note(
            "guess",
            "pages",
            f"only the first page or frame of {count_of(len(rows), 'file')} is read, such "
            f"as of {name}, which has {pages:,}",
            "--pages all",
        )


def check_bands(known: Known) -> Iterator[Note]:
    """Find pictures of more bands than are used."""
    if known.origin.preprocessing.bands is not None:  # the user has chosen
        return
    for kind, count in known.kinds.items():
        if found := MORE_BANDS.search(kind):
            yield Note(
                "guess",
                "bands",
                f"{count_of(int(found[1]), 'band is', 'bands are')} not used of "
                f"{count_of(count, 'file')} ({kind})",
                "--channels 2" if "gray" in kind else "--channels 4,3,2",
            )


def check_turned(known: Known) -> Iterator[Note]:
    """Find pictures that EXIF turned, whose masks may have been drawn before or after."""
    if known.turned_with_masks:
        pictures = count_of(known.turned_with_masks, "picture is", "pictures are")
        yield Note(
            "guess",
            "turned-masks",
            f"{pictures} turned by EXIF, and a mask of the same size is taken as drawn upright",
            "save them turned, without EXIF, if the masks do not fit",
        )


def check_depth(known: Known) -> Iterator[Note]:
    """Find files and arrays of more bits than are kept."""
    values = known.values
    if values is not None and (values.high > MAX_BYTE or "float" in values.dtype):
        text = f"the numbers are {values.dtype}, of which 8 bits are kept to train on"
        yield _warn("depth", text, KEPT)
    deep = {kind: count for kind, count in known.kinds.items() if bits_of(kind) > 8}
    if deep:
        files = count_of(sum(deep.values()), "file has", "files have")
        text = f"{files} more than 8 bits ({', '.join(deep)}), of which 8 are kept to train on"
        yield _warn("depth", text, KEPT)


CHECKS: tuple[Check, ...] = (
    check_parts,
    check_values_as_classes,
    check_pages,
    check_bands,
    check_turned,
    check_range,
    check_shared,
    check_one_class,
    check_same_words,
    check_unseen,
    check_imbalance,
    check_duplicates,
    check_constant,
    check_sizes,
)
# Of images at their own sizes, from which no classes are learnt.
IMAGE_CHECKS: tuple[Check, ...] = (
    check_pages,
    check_bands,
    check_depth,
    check_range,
    check_shared,
    check_duplicates,
    check_constant,
)


def _other_classes(known: Known) -> str:
    return other_classes(known.items) if known.values is None else "--label-column none"


def _warn(code: str, text: str, way_out: str) -> Note:
    return Note("warning", code, text, way_out)


def _list(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _plural(names: Sequence[Any] | NDArray[Any], one: str, many: str) -> str:
    return one if len(names) == 1 else many
