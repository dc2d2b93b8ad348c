"""Reader of WebDataset shards."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from isthmus.data.manifest import Contents, Manifest, evenly_spaced
from isthmus.data.readers.files.folder_names import parse_parts
from isthmus.data.readers.files.kinds import count_by_suffix
from isthmus.data.readers.files.listing import Listing
from isthmus.data.readers.files.trees import Tree, folder_tree, read_from, stems_of
from isthmus.data.readers.folders.splits import MAX_STRAY_SHARE
from isthmus.data.readers.masks.class_lists import CLASS_LISTS, read_classes
from isthmus.data.readers.shards.labels import (
    CLASS_NAMES,
    Said,
    number_classes,
    parse_class_names,
    read_labels,
)
from isthmus.data.readers.shards.members import (
    CLASS,
    MASK,
    RECORD,
    Shard,
    collect_samples,
    may_be_shard,
)
from isthmus.data.readers.shards.splits import find_splits
from isthmus.data.reading import Findings, LeftOut, Note, Reading, note_unused
from isthmus.errors import SourceError, first_sentence
from isthmus.text import count_of

WEBDATASET = "WebDataset"  # the layout
MIN_LABELED_SHARE = 0.5  # of all pictures; with fewer, labels are no habit of the source
SECOND_PICTURE = "another picture of a sample"
ONE_SET = "give the shards of one set, if they are of several"
NO_LABEL = "without a label in .cls or .json"
NO_MASK = f"without a mask in .{MASK}.png or the like"
LISTS = (CLASS_NAMES, *CLASS_LISTS)  # of classes, next to shards


class Sample(NamedTuple):
    """A sample: the number of its shard, its picture, what is said of it, and its mask."""

    shard: int
    picture: str
    said: Said
    mask: str


def read_shards(
    path: Path, trees: Sequence[Tree], others: Tree, limit: int | None, reading: Reading
) -> Manifest | None:
    """Read shards; None if the archives are others.

    Parameters
    ----------
    path : Path
        The folder of the shards, or the only one.
    trees : sequence of Tree
        The archives, sorted by name.
    others : Tree
        Other files of the folder.
    limit : int, optional
    reading : Reading

    Raises
    ------
    SourceError
        If labels are none of the classes that a list names.
    """
    shards = _collect(trees, reading)
    if shards is None:
        return None
    said = list(chain.from_iterable(map(read_labels, shards)))
    masks = [name for shard in shards for name in shard.masks]
    if reading.layout != WEBDATASET and not _say_something(said, masks):
        return None
    numbers = np.repeat(np.arange(len(shards)), [len(shard.pictures) for shard in shards]).tolist()
    pictures = [name for shard in shards for name in shard.pictures]
    samples = [Sample(*one) for one in zip(numbers, pictures, said, masks, strict=True)]
    return _Reader(path, shards, others, reading).read(samples, limit)


def files_next_to(path: Path) -> Tree:
    """Return what is read next to a single shard: the lists of classes, if there are some."""
    names = [name for name in LISTS if (path.parent / name).is_file()]
    return folder_tree(path.parent, Listing([(name, 0, 0) for name in names]))


def read_class_names(others: Tree) -> tuple[str, ...]:
    """Return the names of classes that a list next to shards has, none if there is no list.

    Raises
    ------
    SourceError
        If it cannot be read.
    """
    if CLASS_NAMES not in others.names:
        return ()
    try:
        return parse_class_names(others.read_list(CLASS_NAMES))
    except (SourceError, OSError) as error:
        reason = first_sentence(error)
        raise SourceError(f"{CLASS_NAMES} of {others.path} is not read: {reason}.") from error


def _collect(trees: Sequence[Tree], reading: Reading) -> list[Shard] | None:
    """Put members together; None if the archives cannot be shards, or are to be read as others."""
    wants_folders = reading.classes_from not in (None, "none")
    is_given = reading.layout == WEBDATASET
    if not is_given and (reading.layout is not None or wants_folders):
        return None
    if not all(tree.stored for tree in trees if tree.names):
        return None
    if not is_given and not any(map(may_be_shard, trees)):
        return None
    shards = [collect_samples(tree) for tree in trees]
    count = sum(len(shard.pictures) for shard in shards)
    told = sum(map(_count_told, shards))
    is_few = told < MIN_LABELED_SHARE * count
    return None if not count or (is_few and not is_given) else shards


def _count_told(shard: Shard) -> int:
    kinds = zip(shard.classes, shard.records, shard.masks, strict=True)
    return sum(any(names) for names in kinds)


def _say_something(said: Sequence[Said], masks: Sequence[str]) -> bool:
    """Return whether labels or masks are known of enough samples, or names of ours.

    Records of other kinds are next to pictures too, in folders of classes as well.
    """
    count = sum(
        one.label is not None or one.is_all or bool(mask)
        for one, mask in zip(said, masks, strict=True)
    )
    return count >= MIN_LABELED_SHARE * len(said)


class _Reader:
    """Makes a manifest of the samples of shards."""

    def __init__(self, path: Path, shards: Sequence[Shard], others: Tree, reading: Reading) -> None:
        self.path, self.shards, self.others, self.reading = path, shards, others, reading
        self.trees = [shard.tree for shard in shards]
        self.stems = [path.name] if len(shards) == 1 else stems_of(path, self.trees)
        self.splits, self.notes = find_splits(self.stems, reading)
        self.left_out: list[LeftOut] = []
        self.has_masks = False

    def read(self, samples: Sequence[Sample], limit: int | None) -> Manifest:
        """Return the manifest of at most `limit` of the samples."""
        has_labels = self._has_labels(samples)
        if has_labels:
            samples = self._leave_out_unlabeled(samples)
        self.has_masks = self._has_masks(samples, has_labels)
        if self.has_masks:
            samples = self._leave_out_unmasked(samples)
        names, order = self._name(samples), self._order(samples)
        chosen = [order[i] for i in evenly_spaced(len(order), limit)]
        manifest = Manifest(
            [names[i] for i in chosen],
            files=Contents(partial(read_from, self.trees), [samples[i][:2] for i in chosen]),
        )
        if self.has_masks:
            manifest = self._add_masks(manifest, [samples[i] for i in chosen])
        if has_labels:
            known = [one.said.label for one in samples if one.said.label is not None]
            class_names, labels = number_classes(known, read_class_names(self.others), self.path)
            manifest = replace(manifest, labels=labels[chosen], class_names=class_names)
        if self.splits is not None:
            splits = np.array([self.splits[samples[i].shard] for i in chosen], np.uint8)
            manifest = replace(manifest, splits=splits)
        return replace(manifest, findings=self._describe(has_labels))

    def _has_labels(self, samples: Sequence[Sample]) -> bool:
        """Return whether samples have labels: all but a few, and if the user does not object."""
        missing = [one for one in samples if one.said.label is None]
        if self.reading.classes_from == "none" or len(missing) == len(samples):
            return False
        if len(missing) <= MAX_STRAY_SHARE * len(samples):
            return True
        text = (
            f"no picture has a class, as {len(missing):,} of {len(samples):,} are {NO_LABEL}, "
            f"such as {missing[0].picture}"
        )
        self.notes.append(Note("warning", "no-classes", text, "add what is missing"))
        return False

    def _has_masks(self, samples: Sequence[Sample], has_labels: bool) -> bool:
        """Return whether samples have masks: all but a few, and no labels."""
        count = sum(bool(one.mask) for one in samples)
        if not count:
            return False
        if has_labels:
            text = f"{count_of(count, 'sample has a mask', 'samples have masks')}, not used"
            note = Note("guess", "labels-not-masks", text, "--classes-from none reads them")
        elif len(samples) - count > MAX_STRAY_SHARE * len(samples):
            text = f"masks are not read, as {len(samples) - count:,} of {len(samples):,} have none"
            note = Note("warning", "no-masks", text, "add what is missing")
        else:
            return True
        self.notes.append(note)
        return False

    def _leave_out_unmasked(self, samples: Sequence[Sample]) -> list[Sample]:
        missing = [one.picture for one in samples if not one.mask]
        if missing:
            self.left_out.append(LeftOut.of(NO_MASK, missing))
        return [one for one in samples if one.mask]

    def _add_masks(self, manifest: Manifest, samples: Sequence[Sample]) -> Manifest:
        names, colors = read_classes(self.others, [""])
        return replace(
            manifest,
            class_names=names,
            class_colors=colors,
            masks=Contents(
                partial(read_from, self.trees), [(one.shard, one.mask) for one in samples]
            ),
            mask_names=[one.mask for one in samples],
        )

    def _leave_out_unlabeled(self, samples: Sequence[Sample]) -> list[Sample]:
        missing = [one.picture for one in samples if one.said.label is None]
        if missing:
            self.left_out.append(LeftOut.of(NO_LABEL, missing))
        return [one for one in samples if one.said.label is not None]

    def _name(self, samples: Sequence[Sample]) -> list[str]:
        """Name samples as their records do, or by their members; by shard where names repeat."""
        given = [one.said.name for one in samples]
        if all(given) and len({*given}) == len(given):
            return given
        names = [one.picture for one in samples]
        repeated, count = Counter(names).most_common(1)[0]
        if count == 1:
            return names
        text = f"each shard is read as a folder, such as {self.stems[0]}/, as {repeated} is in "
        note = Note("guess", "names-in-several-shards", f"{text}{count:,} of them", ONE_SET)
        self.notes.append(note)
        return [f"{self.stems[one.shard]}/{one.picture}" for one in samples]

    def _order(self, samples: Sequence[Sample]) -> list[int]:
        """Return the rows of samples in their order: that of the shards, and in each as stored.

        Where the names in each split ascend, samples are sorted by them as those in folders are:
        then shards that were written from a source give its order, whichever its splits are.
        """
        rows = list(range(len(samples)))
        if len({one.picture for one in samples}) < len(samples):
            return rows
        last: dict[int, str] = {}
        for shard, picture, *_ in samples:
            split = 0 if self.splits is None else self.splits[shard]
            if picture <= last.get(split, ""):
                return rows
            last[split] = picture
        return sorted(rows, key=lambda row: samples[row].picture)

    def _describe(self, has_labels: bool) -> Findings:
        """Return what was found, and what is not used."""
        trees = (*self.trees, self.others)
        further = [name for shard in self.shards for name in shard.others]
        if not self.has_masks:
            further += [name for shard in self.shards for name in shard.masks if name]
        self.left_out += [LeftOut.of(SECOND_PICTURE, further)] if further else []
        labels = self._labels(has_labels)
        if labels.endswith(RECORD):
            self._note_folders()
        layout = f"{WEBDATASET}, {count_of(len(self.shards), 'shard')}, {labels}"
        notes = note_unused(self.reading, self._list_unused_options(), layout)
        return Findings(
            layout,
            (
                *self.left_out,
                *count_by_suffix(self._list_unused()),
                *(one for tree in trees for one in tree.left_out),
            ),
            (*(note for tree in trees for note in tree.notes), *self.notes, *notes),
        )

    def _labels(self, has_labels: bool) -> str:
        """Return where labels are from, for people."""
        if self.has_masks:
            return "masks"
        if not has_labels:
            return "no labels"
        kind = CLASS if any(name for shard in self.shards for name in shard.classes) else RECORD
        return f"labels from .{kind}"

    def _note_folders(self) -> None:
        """Say that folders could be classes as well."""
        pictures = [name for shard in self.shards for name in shard.pictures]
        folders = dict.fromkeys(name.rpartition("/")[0] for name in pictures)
        if len(folders) > 1:
            text = f"classes are what .json says, and not folders such as {[*folders][-1]}/"
            self.notes.append(Note("guess", "labels-from-records", text, "--layout folders"))

    def _list_unused(self) -> list[str]:
        """Return the files that are neither pictures nor labels."""
        used = {name for shard in self.shards for name in (*shard.classes, *shard.records)}
        lists = CLASS_LISTS if self.has_masks else (CLASS_NAMES,)
        others = [name for name in self.others.names if name not in lists]
        return [*(name for tree in self.trees for name in tree.others if name not in used), *others]

    def _list_unused_options(self) -> list[str]:
        """Return the options that decide nothing, if they are given."""
        reading = self.reading
        has_parts = reading.parts is not None and parse_parts(reading.parts) is not None
        has_classes = reading.classes_from not in (None, "none")
        return [
            "label_column",
            *(["parts"] if has_parts else []),
            *(["classes_from"] if has_classes else []),
        ]
