"""Stratified draws: parts of samples, or of whole groups of them, with a share of every class.

A class that has several samples keeps some outside the parts, which is to train on: at least half
of them, unless larger fractions are asked for. A class of one sample stays outside as long as
others can fill the parts.
"""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_FOR_EACH_PART = 4  # samples or groups of a class, from which on every part has some of it
TOLERANCE = 0.1  # of shares that count as equal; without, large sets would take minutes

Indices = NDArray[np.int64]


def draw_parts(
    labels: Indices, counts: Sequence[int], rng: np.random.Generator, *, least: int = 1
) -> list[Indices]:
    """Draw disjoint parts of samples, each with its share of every class.

    Parameters
    ----------
    labels : (N,) int64
        Class of each sample.
    counts : sequence of int
        How many samples each part should have. It has more only if `least` asks for them, and
        fewer where classes would have nothing left outside.
    rng : Generator
    least : int
        How many samples of a class of 4 or more are in each part, 0 or 1.

    Returns
    -------
    list of (n,) int64
        Indices of the samples of each part.
    """
    sizes = np.bincount(labels)
    taken = _shares(sizes, counts, rng, least)
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # by class, at random within each
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    ends = np.repeat(np.cumsum(taken, axis=0), sizes, axis=1)  # of each part, in each class
    part = (rank >= ends).sum(0)
    rest = list(order[part == len(counts)])
    parts = [order[part == index] for index in range(len(counts))]
    is_single = sizes[labels] == 1
    singles = rng.permutation([index for index in rest if is_single[index]]).astype(np.int64)
    for index, count in enumerate(counts):
        # Only where the other classes are far too small: as in a set with a class for each sample.
        if 2 * len(parts[index]) < count:
            missing = count - len(parts[index])
            parts[index] = np.concatenate([parts[index], singles[:missing]])
            singles = singles[missing:]
    return parts


def _shares(sizes: Indices, counts: Sequence[int], rng: np.random.Generator, least: int) -> Indices:
    """Return how many samples of each of K classes each of P parts gets, (P, K)."""
    several = np.where(sizes > 1, sizes, 0)
    wanted = np.outer(counts, several / max(1, several.sum()))
    # Half of a class, or what larger fractions ask for; never all of it.
    fractions = sum(counts) / max(1, sizes.sum())
    most = np.maximum(several // 2, np.ceil(several * fractions - 1e-9).astype(np.int64))
    most = np.minimum(most, np.maximum(several - 1, 0))
    taken: Indices = np.minimum(np.floor(wanted + 1e-9).astype(np.int64), most)
    if least:
        taken = np.maximum(taken, (sizes >= MIN_FOR_EACH_PART).astype(np.int64))
    for index in reversed(range(len(counts))):  # of floors that are too many, the first part pays
        room = most - (taken.sum(0) - taken[index])
        taken[index] = np.minimum(taken[index], np.maximum(room, 0))
    _fill_up(taken, wanted, counts, most, rng)
    # Rather little to train on than nothing to choose by or to report on.
    few = [-(-count // 2) for count in counts]
    _fill_up(taken, wanted, few, np.maximum(several - 1, 0), rng)
    return taken


def _fill_up(
    taken: Indices,
    wanted: NDArray[np.float64],
    counts: Sequence[int],
    most: Indices,
    rng: np.random.Generator,
) -> None:
    """Add samples of classes to parts until each has its count, or no class may give more."""
    while (taken.sum(0) < most).any() and (taken.sum(1) < counts).any():
        for index, count in enumerate(counts):
            open_classes = rng.permutation(np.flatnonzero(taken.sum(0) < most))
            missing = count - int(taken[index].sum())
            # In turns, so that the first part does not take all that there is.
            turn = min(missing, -(-len(open_classes) // len(counts)))
            if turn > 0:  # largest remainders first; equal ones at random
                remainder = (wanted[index] - taken[index])[open_classes]
                chosen = open_classes[np.argsort(-remainder, kind="stable")][:turn]
                taken[index, chosen] += 1


def draw_groups(
    labels: Indices, groups: Indices, counts: Sequence[int], rng: np.random.Generator
) -> list[Indices]:
    """Draw disjoint parts of whole groups, as stratified by class as these allow.

    Parameters
    ----------
    labels, groups : (N,) int64
        Class and group of each sample.
    counts : sequence of int
        How many samples each part should have; there must be more groups than parts.
    rng : Generator

    Returns
    -------
    list of (n,) int64
        Indices of the samples of each part, of one group at least.
    """
    units = _Units.of(labels, groups, 1 - sum(counts) / len(labels))
    parts: list[Indices] = []
    for index, count in enumerate(counts):
        spare = len(units.free) - (len(counts) - index)  # some for the parts to come, and to train
        chosen = _Part(units, count, rng).fill(spare)
        parts.append(np.concatenate([units.rows[unit] for unit in chosen]))
    return parts


@dataclass
class _Units:
    """Groups of samples that stay together.

    Parameters
    ----------
    rows : list of (n,) int64
        The samples of each group.
    counts : list of list of (class, count)
        The classes of each group, and how many of its samples each has.
    sizes, groups : (K,) int64
        Samples and groups of each class.
    kept : list of K int
        Groups of each class that are needed to train on.
    """

    rows: list[Indices]
    counts: list[list[tuple[int, int]]]
    sizes: Indices
    groups: Indices
    kept: list[int]

    def __post_init__(self) -> None:
        self.free = set(range(len(self.rows)))
        self.left = self.groups.tolist()  # groups of each class that are in no part yet

    @classmethod
    def of(cls, labels: Indices, groups: Indices, trained: float) -> "_Units":
        """Collect the groups; `trained` is the share of all samples to train on."""
        order = np.argsort(groups, kind="stable")
        rows = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
        counts = [list(Counter(labels[each].tolist()).items()) for each in rows]
        sizes = np.bincount(labels)
        classes = [label for pairs in counts for label, _ in pairs]
        number = np.bincount(classes, minlength=len(sizes))
        kept = np.maximum(1, np.ceil(number * min(0.5, trained))).astype(np.int64)
        return cls(rows, counts, sizes, number, kept.tolist())

    def is_needed(self, unit: int) -> bool:
        """Return whether a class would have too little to train on without a group."""
        return any(self.left[label] <= self.kept[label] for label, _ in self.counts[unit])

    def take(self, unit: int) -> None:
        """Count a group as one of a part."""
        self.free.remove(unit)
        for label, _ in self.counts[unit]:
            self.left[label] -= 1


class _Part:
    """A part that is filled with groups: first those whose classes have least of their share."""

    def __init__(self, units: _Units, count: int, rng: np.random.Generator) -> None:
        self.units = units
        share = units.sizes * (count / units.sizes.sum())
        # Of a class of several groups, the samples of one group at least.
        has_several = units.groups >= MIN_FOR_EACH_PART
        one = np.where(has_several, units.sizes / np.maximum(units.groups, 1), 0)
        wanted = np.maximum(share, one)
        self.wanted = wanted.tolist()
        self.count = max(count, round(wanted.sum()))
        self.have, self.total = [0] * len(wanted), 0
        self.order = rng.permutation(sorted(units.free)).tolist()

    def fill(self, spare: int) -> list[int]:
        """Take at most `spare` groups that are free, and return them."""
        chosen: list[int] = []
        large: list[int] = []
        is_short = False  # whether classes are given up, as where each has one group
        # The share that a class has only grows: an entry that is out of date is put back.
        heap = [(*self._rank(unit), place, unit) for place, unit in enumerate(self.order)]
        heapq.heapify(heap)
        while heap and len(chosen) < spare and self.total < self.count:
            is_needed, share, place, unit = heapq.heappop(heap)
            rank = self._rank(unit)
            if rank > (is_needed, share + TOLERANCE):
                heapq.heappush(heap, (*rank, place, unit))
            elif is_needed and not is_short and (large or 2 * self.total >= self.count):
                break  # better a small part than a class without samples to train on
            elif abs(self.total + self._size(unit) - self.count) < self.count - self.total:
                is_short |= is_needed
                self._take(unit)
                chosen.append(unit)
            else:
                large.append(unit)
        if not chosen:
            chosen = [min(large, key=self._size)]
            self._take(chosen[0])
        return chosen

    def _rank(self, unit: int) -> tuple[bool, float]:
        """Return whether a group is needed to train on, and how full its classes are."""
        full = sum(
            n * self.have[label] / self.wanted[label] for label, n in self.units.counts[unit]
        )
        return self.units.is_needed(unit), full / self._size(unit)

    def _size(self, unit: int) -> int:
        return len(self.units.rows[unit])

    def _take(self, unit: int) -> None:
        self.units.take(unit)
        self.total += self._size(unit)
        for label, count in self.units.counts[unit]:
            self.have[label] += count
