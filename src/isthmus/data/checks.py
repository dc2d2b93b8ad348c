"""`CHECKS`: what may be wrong with a source as a whole, each a function from what is known."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.items import Items
from isthmus.data.readers.mask_names import find_counterparts
from isthmus.data.readers.parts import find_parts, has_training
from isthmus.data.reading import Note, Reading, ValueFacts
from isthmus.data.report import format_value
from isthmus.data.samples import SPLITS, Origin
from isthmus.data.ways_out import other_classes, other_splits, parts_option

MIN_RATIO = 10  # of the largest class to the smallest one, to be called an imbalance
MIN_FILLED = 0.25  # share of a scale that values fill, or pictures are dark or pale
MIN_MAJORITY = 0.8  # share of the pictures that have one size, to call other sizes odd
MIN_VALUE_CLASSES = 30  # so many numbers from 0 to 255 as classes may be pixels
MAX_PER_VALUE = 8  # samples of such a class, in the middle
MORE_BANDS = re.compile(r"and (\d+) more$")  # what `isthmus.data.scales` calls bands without a use
BITS = re.compile(r"(\d+)-bit")
# Folders that are parts of a data set, not classes: train, test1, training_set, images, …
PART = re.compile(
    r"(train|training|val|valid|validation|dev|test|testing|eval)"
    r"([ _-]?(set|data|split|images|imgs|img|photos|\d+))?"
    r"|ground[ _-]?truth|gt|masks?|annotations?|annot|labels?|segmentations?|images?|imgs?",
    re.IGNORECASE,
)


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of the samples of a source.

    Parameters
    ----------
    items : Items
    splits : (N,) uint8, optional
    origin : Origin
    sizes : (N, 2) int64
        Height and width, before cropping and resizing; 0 if unknown.
    lows, highs : (N,) float64
        Smallest and largest value of each sample, on the scale of its file.
    pages : (N,) int64
        Pages or frames in the file of each sample.
    kinds : mapping
        Files by bits and channels, such as "8-bit RGB".
    values : ValueFacts, optional
        Of a source that is an array.
    is_signal : bool
    duplicates : sequence of groups of rows
        Samples that are equal.
    turned_with_masks : int
        Pictures that EXIF turned, of those with masks.
    """

    items: Items
    splits: NDArray[np.uint8] | None
    origin: Origin
    sizes: NDArray[np.int64]
    lows: NDArray[np.float64]
    highs: NDArray[np.float64]
    pages: NDArray[np.int64]
    kinds: Mapping[str, int]
    values: ValueFacts | None
    is_signal: bool
    duplicates: Sequence[Sequence[int]]
    turned_with_masks: int = 0

    @property
    def reading(self) -> Reading:
        """What the user decided."""
        return self.origin.reading or Reading()

    @property
    def low(self) -> float | None:
        """The smallest value of all."""
        values = self.lows if self.values is None else [self.values.low]
        return _finite(np.min(values, initial=math.inf))

    @property
    def high(self) -> float | None:
        """The largest value of all."""
        values = self.highs if self.values is None else [self.values.high]
        return _finite(np.max(values, initial=-math.inf))

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """How many samples each class has; (0,) without labels."""
        if self.items.labels is None:
            return np.zeros(0, np.int64)
        labels = self.items.labels
        return np.bincount(labels[labels >= 0], minlength=len(self.items.class_names))


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
            f"{_list(parts)} {_be(parts)} taken for {_plural(parts, 'a class', 'classes')}, but "
            f"called as {_plural(parts, 'a part', 'parts')} of a data set",
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
    if len(unseen):
        name = known.items.class_names[int(unseen[0])]
        yield _warn(
            "unseen-class",
            f"{_count(len(unseen), 'class has', 'classes have')} no sample in the training split, "
            f"such as {name}; a classifier cannot learn {_plural(unseen, 'it', 'them')}",
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
            f"{_count(len(shared), 'sample is', 'samples are')} in more than one split, such as "
            f"{' and '.join(names)}",
            "remove one of each",
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
            f"{_count(copies, 'sample is a copy', 'samples are copies')} of another, such as "
            f"{one} and {other}",
            "remove one of each",
        )


def check_constant(known: Known) -> Iterator[Note]:
    """Find samples without content."""
    rows = np.flatnonzero(known.lows == known.highs)
    if len(rows):
        yield _warn(
            "blank",
            f"{_count(len(rows), 'sample is', 'samples are')} blank, such as "
            f"{known.items.names[int(rows[0])]} (all {format_value(known.lows[rows[0]])})",
            "remove them" if len(rows) > 1 else "remove it",
        )


def check_range(known: Known) -> Iterator[Note]:
    """Find values that fill little of their scale, as of a camera with 12 bits."""
    low, high, top = known.low, known.high, _top(known)
    is_stretched = known.origin.preprocessing.stretch is not None
    if known.is_signal or is_stretched or low is None or high is None or not low < high:
        return
    if (high - low) / top < MIN_FILLED:
        # A source that is dark as a whole says so by its brightest pixel, a pale one by both ends.
        text = f"the brightest pixel is {format_value(high)} of {format_value(top)}"
        if low > MIN_FILLED * top:
            values = f"{format_value(low)} to {format_value(high)}"
            text = f"pixels are only from {values} of {format_value(top)}"
        yield _warn("low-range", text, "--stretch auto")


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
            f"{_count(len(odd), 'picture is', 'pictures are')} not {h} × {w} as most are, such as "
            f"{known.items.names[int(odd[0])]} ({height} × {width})",
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
            f"only the first page or frame of {_count(len(rows), 'file', 'files')} is read, such "
            f"as of {name}, which has {pages:,}",
            "--pages all",
        )


def check_turned(known: Known) -> Iterator[Note]:
    """Find pictures that EXIF turned, whose masks may have been drawn before or after."""
    if known.turned_with_masks:
        pictures = _count(known.turned_with_masks, "picture is", "pictures are")
        yield Note(
            "guess",
            "turned-masks",
            f"{pictures} turned by EXIF, and a mask of the same size is taken as drawn upright",
            "save them turned, without EXIF, if the masks do not fit",
        )


CHECKS: tuple[Check, ...] = (
    check_parts,
    check_values_as_classes,
    check_pages,
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


def _other_classes(known: Known) -> str:
    return other_classes(known.items) if known.values is None else "--label-column none"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _top(known: Known) -> float:
    """Return the largest value of the scale that the files have."""
    if known.values is not None:
        dtype = np.dtype(known.values.dtype)
        is_unit = dtype.kind == "f" and known.values.high <= 1
        return 1.0 if is_unit or dtype.kind == "b" else _top_of_integers(known.values, dtype)
    return max((_top_of_kind(kind, known.highs) for kind in known.kinds), default=255.0)


def _top_of_kind(kind: str, highs: NDArray[np.float64]) -> float:
    """Return the white of files of a kind, such as "16-bit gray" or "32-bit float gray"."""
    found = BITS.match(kind)
    bits = int(found[1]) if found else 8
    if "float" in kind:
        return 1.0 if highs.max() <= 1 else 255.0
    if bits > 16:  # no camera has so many; see `_top_of_integers`
        return 255.0 if highs.max() <= 255 else 65535.0
    return float(2 ** max(bits, 8) - 1)


def _top_of_integers(values: ValueFacts, dtype: np.dtype[np.generic]) -> float:
    # Integers of more than 16 bits are read as pixels of 8 bits, if they fit.
    return 65535.0 if dtype.itemsize == 2 and values.high > 255 else 255.0


def _warn(code: str, text: str, way_out: str) -> Note:
    return Note("warning", code, text, way_out)


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _list(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _be(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _plural(names: Sequence[Any] | NDArray[Any], one: str, many: str) -> str:
    return one if len(names) == 1 else many
