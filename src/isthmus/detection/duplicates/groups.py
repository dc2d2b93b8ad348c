"""Groups of pictures that show the same, and which of them can go."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.detection.duplicates.pairs import Pair

# The first that a group has stays. Of train and test it is test, so that results stay comparable.
KEPT_SPLITS = (2, 1, 0)


@dataclass(frozen=True, eq=False)  # each is in one place: found by identity
class Group:
    """Pictures that are connected by pairs.

    Parameters
    ----------
    rows : tuple of int
        In their order. Two of them need not be alike if others lie between.
    pairs : tuple of Pair
        Best first.
    """

    rows: tuple[int, ...]
    pairs: tuple[Pair, ...]

    @property
    def is_exact(self) -> bool:
        """Whether all pictures are equal."""
        return all(pair.is_exact for pair in self.pairs)

    def splits(self, splits: NDArray[np.uint8] | None) -> tuple[int, ...]:
        """Return the splits that the pictures are in."""
        return () if splits is None else tuple(np.unique(splits[list(self.rows)]).tolist())


def group_pairs(pairs: Iterable[Pair], count: int) -> list[Group]:
    """Return the groups of pictures that pairs connect, in the order of their first pictures.

    Parameters
    ----------
    pairs : iterable of Pair
    count : int
        Of all pictures.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = list(pairs)
    ends = np.array([(pair.first, pair.second) for pair in pairs], np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), np.bool_), (ends[:, 0], ends[:, 1])), (count, count))
    _, numbers = connected_components(graph, directed=False)
    members: dict[int, list[int]] = defaultdict(list)
    for row in np.unique(ends).tolist():
        members[numbers[row]].append(row)
    own: dict[int, list[Pair]] = defaultdict(list)
    for pair in pairs:
        own[numbers[pair.first]].append(pair)
    return [Group(tuple(rows), tuple(own[number])) for number, rows in members.items()]


def choose_removable(
    group: Group, splits: NDArray[np.uint8] | None, sizes: NDArray[np.int64]
) -> list[int]:
    """Return the rows of a group that can go, because one that stays shows the same.

    Of two, the one of the test split stays, then of the validation split; then the larger one;
    then the first. A picture goes only if it forms a pair with one that stays, or equals it.
    """

    def preference(row: int) -> tuple[int, int, int]:
        split = 0 if splits is None else KEPT_SPLITS.index(int(splits[row]))
        return split, -int(sizes[row].prod()), row

    copies = _merge_equal(group.pairs)
    near: dict[int, set[int]] = defaultdict(set)
    for pair in group.pairs:
        first, second = copies[pair.first], copies[pair.second]
        if first != second:
            near[first].add(second)
            near[second].add(first)
    kept: set[int] = set()
    removable: list[int] = []
    for row in sorted(group.rows, key=preference):
        one = copies[row]
        if one in kept or near[one] & kept:
            removable.append(row)
        else:
            kept.add(one)
    return sorted(removable)


def _merge_equal(pairs: Sequence[Pair]) -> dict[int, int]:
    """Return, for each row in pairs, the row that stands for all pictures equal to it."""
    copies = {row: row for pair in pairs for row in (pair.first, pair.second)}
    copies |= {pair.second: pair.first for pair in pairs if pair.is_exact}
    return copies
