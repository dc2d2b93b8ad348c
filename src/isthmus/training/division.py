"""What a user should know about how samples were divided for a training."""

import numpy as np

from isthmus.data.groups import group_names
from isthmus.data.images import Images
from isthmus.data.reading import Note
from isthmus.data.samples import Samples
from isthmus.data.split import Split
from isthmus.data.stratify import MIN_FOR_EACH_PART
from isthmus.errors import list_names
from isthmus.models.tasks import Task
from isthmus.training.config import TrainingConfig

MAX_CLASSES = 3  # named in a note


def split_notes(
    samples: Samples | Images, split: Split, config: TrainingConfig, task: Task
) -> tuple[Note, ...]:
    """Return notes on groups or pages that are in two parts, and on classes that are in too few."""
    notes = []
    if config.group_by is not None and samples.splits is not None:
        notes += _cut_groups(samples, config.group_by)
    if config.group_by is None and samples.splits is None:
        notes += _pages_apart(samples)
    if task == "classify" and isinstance(samples, Samples):
        notes += _untested_classes(samples, split)
        notes += _larger_part(samples, split, config)
    return tuple(notes)


def _cut_groups(samples: Samples | Images, group_by: str) -> list[Note]:
    count, example = _count_cut(samples, group_by)
    if not count:
        return []
    text = (
        f"{count:,} groups of --group-by {group_by!r} are in several of the source's own splits, "
        f"such as {example}, and stay there"
    )
    return [Note("warning", "groups-in-two-splits", text, "--parts none")]


def _count_cut(samples: Samples | Images, group_by: str) -> tuple[int, str]:
    """Return how many groups are in several of the source's own splits, and the name of one."""
    assert samples.splits is not None
    parts: dict[str, set[int]] = {}
    groups = group_names(samples.names, group_by)
    for name, split in zip(groups, samples.splits.tolist(), strict=True):
        parts.setdefault(name, set()).add(split)
    cut = [name for name, found in parts.items() if len(found) > 1]
    return len(cut), cut[0] if cut else ""


def _pages_apart(samples: Samples | Images) -> list[Note]:
    reading = samples.origin.reading
    if reading is None or reading.pages != "all" or not any("#" in name for name in samples.names):
        return []
    text = "pages are divided one by one, so that those of one file are trained on and tested on"
    return [Note("guess", "pages-in-two-splits", text, "--group-by '^[^#]*'")]


def _untested_classes(samples: Samples, split: Split) -> list[Note]:
    assert samples.labels is not None
    is_tested = np.isin(np.arange(len(samples.class_names)), samples.labels[split.test])
    if is_tested.all():
        return []
    untested = [samples.class_names[i] for i in np.flatnonzero(~is_tested)]
    text = (
        f"{len(untested):,} of {len(is_tested):,} classes have no sample to test on "
        f"({list_names(untested, MAX_CLASSES)})"
    )
    way_out = f"give each {MIN_FOR_EACH_PART} samples or more"
    return [Note("warning", "classes-without-test", text, way_out)]


def _larger_part(samples: Samples, split: Split, config: TrainingConfig) -> list[Note]:
    """Say that classes are so small that one sample of each exceeds the fraction asked for."""
    own = samples.splits if samples.splits is not None else np.zeros(len(samples), np.uint8)
    count = int((own == 0).sum())
    notes = []
    for index, (name, part) in enumerate(
        (("validation", split.validation), ("test", split.test)), start=1
    ):
        wanted = max(1, round(getattr(config, name) * count))
        if not (own == index).any() and config.group_by is None and len(part) > wanted:
            text = (
                f"the {name} split has {len(part):,} samples, not {wanted:,}, so that classes of "
                f"{MIN_FOR_EACH_PART} or more have one in it"
            )
            notes.append(Note("guess", "larger-split", text))
    return notes
