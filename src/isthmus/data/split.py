"""`Split`: which samples a model is trained on, chosen by and reported on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.data.groups import group_names
from isthmus.data.images import Images
from isthmus.data.manifest import evenly_spaced
from isthmus.data.readers.noisy import name_clean
from isthmus.data.samples import SPLITS, Samples
from isthmus.data.stratify import draw_groups, draw_parts
from isthmus.errors import OptionError
from isthmus.text import count_of

MIN_SAMPLES = 3  # one to train on, one to choose by and one to test on


@dataclass(frozen=True, eq=False)
class Split:
    """Indices of the training, validation and test samples.

    Parameters
    ----------
    train : (n,) int64
        Samples that the weights are fitted to.
    validation : (n,) int64
        Samples by which the best epoch is chosen.
    test : (n,) int64
        Samples that only the final metrics are computed on.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def spread_over_classes(
    samples: Samples | Images, indices: NDArray[np.int64], limit: int
) -> NDArray[np.int64]:
    """Return at most `limit` of the indices: evenly spread, also over the classes if few.

    With more classes than `limit`, or without labels, they are spread over the samples alone.
    """
    classes = len(samples.class_names)
    if samples.labels is None or not 1 < classes <= limit:
        return indices[evenly_spaced(len(indices), limit)]
    labels = samples.labels[indices]
    rows = [indices[labels == label] for label in range(classes)]
    return np.concatenate([each[evenly_spaced(len(each), limit // classes)] for each in rows])


def split_samples(
    samples: Samples | Images,
    seed: int = 0,
    validation: float = 0.1,
    test: float = 0.1,
    *,
    group_by: str | None = None,
) -> Split:
    """Split samples at random into training, validation and test samples.

    Splits that the source has are kept: its own test split is used for testing only and its own
    validation split for validation only. A missing one is drawn from its training split, so that
    published test samples are never trained on.

    The noisy versions of one clean image are in one part.

    Every class has its share of what is drawn, and a sample at least if it has four or more. At
    least half of a class is to train on, unless the fractions ask for more of all classes.

    Parameters
    ----------
    samples : Samples or Images
    seed : int
    validation, test : float
        Fractions of the samples that are drawn from, in (0, 1); at least one sample each.
    group_by : str, optional
        Keep groups of samples in one part, such as the pictures of one person: "folder", or a
        regular expression; see `isthmus.data.groups.group_names`.

    Returns
    -------
    Split
        The same for the same samples, seed and fractions.

    Raises
    ------
    OptionError
        If a fraction is out of range or leaves nothing to train on, or the groups make no sense.
    """
    for name, fraction in (("validation", validation), ("test", test)):
        if not 0 < fraction < 1:
            raise OptionError(f"{name} must be a fraction between 0 and 1, not {fraction:g}.")
    if group_by is None:
        groups = _group_versions(samples)
    else:
        groups = _numbers(group_names(samples.names, group_by))
    own = samples.splits if samples.splits is not None else np.zeros(len(samples), np.uint8)
    pool, *held_out = (np.flatnonzero(own == split) for split in range(3))
    # Fractions of the whole pool: the test split is not smaller for being taken second.
    wanted = [max(1, round(fraction * len(pool))) for fraction in (validation, test)]
    missing = [split for split in range(2) if len(held_out[split]) == 0]
    counts = [wanted[split] for split in missing]
    if not len(pool):
        raise OptionError(
            "no sample is in the training split, as the source has splits without one; name it by "
            "--parts train=FOLDER, or give --parts none."
        )
    if sum(counts) >= len(pool):
        areas = ", or cut them by --areas" if isinstance(samples, Images) else ""
        raise OptionError(
            f"{count_of(len(pool), 'sample is', 'samples are')} too few for a training, a "
            f"validation and a test split; give at least {MIN_SAMPLES}, or smaller "
            f"fractions{areas}."
        )
    parts = _draw(samples, groups, pool, counts, np.random.default_rng([seed, 0]))
    for split, part in zip(missing, parts, strict=True):
        held_out[split] = pool[part]
    pool = np.delete(pool, np.concatenate([*parts, np.zeros(0, np.int64)]))
    # Sorted, so that whoever reads a split goes through a memory-mapped file from start to end.
    return Split(*(np.sort(split).astype(np.int64) for split in (pool, *held_out)))


def _draw(
    samples: Samples | Images,
    groups: NDArray[np.int64] | None,
    pool: NDArray[np.int64],
    counts: list[int],
    rng: np.random.Generator,
) -> list[NDArray[np.int64]]:
    """Draw parts of the pool, as positions in it."""
    labels = np.zeros(len(samples), np.int64) if samples.labels is None else samples.labels
    if groups is not None:
        number = len(np.unique(groups[pool]))
        if number <= len(counts):
            raise OptionError(
                f"{number} groups are too few for a training split and {len(counts)} more; give a "
                "pattern for --group-by that tells more groups apart."
            )
        return draw_groups(labels[pool], groups[pool], counts, rng)
    if samples.labels is not None:
        return draw_parts(labels[pool], counts, rng)
    order = rng.permutation(len(pool))
    return np.split(order, np.cumsum(counts))[: len(counts)]


def _group_versions(samples: Samples | Images) -> NDArray[np.int64] | None:
    """Return the number of the clean image of each noisy one, if some have several.

    Too few of them to be divided are no groups.
    """
    if not (isinstance(samples, Images) and samples.has_pairs):
        return None
    groups = _numbers([name_clean(name) for name in samples.names])
    return groups if len(SPLITS) <= groups.max() + 1 < len(groups) else None


def _numbers(groups: list[str]) -> NDArray[np.int64]:
    """Return the names of groups as numbers, (N,) int64, in the order of their first samples."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in groups], np.int64)


def hold_out(
    labels: NDArray[np.int64], seed: int = 0, validation: float = 0.1
) -> NDArray[np.uint8]:
    """Assign samples to splits if test samples are kept elsewhere: only one is for testing.

    Classes have their share of the validation split, and each keeps a sample to train on.

    Parameters
    ----------
    labels : (N,) int64
        Of samples of classes; else all the same.
    seed : int
    validation : float
        Fraction of the samples to choose the best epoch by, in (0, 1); at least one sample.

    Returns
    -------
    (N,) uint8
        Indices in `SPLITS`, for `Samples`.

    Raises
    ------
    OptionError
        If the fraction is out of range or leaves nothing to train on.

    Examples
    --------
    >>> np.bincount(hold_out(np.zeros(20, np.int64))).tolist()
    [17, 2, 1]
    """
    if not 0 < validation < 1:
        raise OptionError(f"validation must be a fraction between 0 and 1, not {validation:g}.")
    order = np.random.default_rng([seed, 0]).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # by class, at random within each
    counts = np.bincount(labels)
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    # The last tenth of each class is the tenth of all samples that is latest in its class.
    latest = order[np.argsort(-(rank + 0.5) / np.repeat(counts, counts), kind="stable")]
    candidates = latest[~np.isin(latest, order[rank == 0])]
    count = max(1, round(validation * len(labels)))
    if len(candidates) <= count:
        raise OptionError(
            f"{len(labels):,} samples are too few to hold out {count:,} for validation and one for "
            "testing; give more, or a smaller fraction."
        )
    splits = np.full(len(labels), SPLITS.index("train"), np.uint8)
    splits[candidates[:count]] = SPLITS.index("validation")
    splits[candidates[count]] = SPLITS.index("test")
    return splits
