"""`Duplicates`: what was found, as groups, leaks, names to remove and JSON."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from isthmus.data.decode import format_size
from isthmus.data.report import describe_left_out
from isthmus.data.samples import SPLITS
from isthmus.detection.duplicates.groups import Group, choose_removable
from isthmus.detection.duplicates.pairs import Pair
from isthmus.detection.duplicates.pictures import Pictures
from isthmus.text import count_of


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Pictures that show the same.

    Parameters
    ----------
    pictures : Pictures
        All that were compared.
    near : float
        The agreement from which two count as the same.
    plain : int
        How many pictures have no details, and were only compared for equality.
    groups : tuple of Group
        In the order of their first pictures.
    """

    pictures: Pictures
    near: float
    plain: int
    groups: tuple[Group, ...]

    def __repr__(self) -> str:
        return f"Duplicates({self.describe()[0]})"

    def __str__(self) -> str:
        return "\n".join(self.describe())

    @property
    def pairs(self) -> list[Pair]:
        """All pairs, best first; of equal pictures, the first with each other one."""
        pairs = [pair for group in self.groups for pair in group.pairs]
        return sorted(pairs, key=lambda pair: (-pair.agreement, pair.first, pair.second))

    @cached_property
    def leaks(self) -> list[Group]:
        """Groups with pictures of more than one split."""
        splits = self.pictures.splits
        return [group for group in self.groups if len(group.splits(splits)) > 1]

    @cached_property
    def contradictions(self) -> list[Group]:
        """Groups whose pictures have different labels."""
        labels = self.pictures.labels
        if labels is None:
            return []
        return [group for group in self.groups if len({*labels[list(group.rows)].tolist()}) > 1]

    @cached_property
    def removable(self) -> list[str]:
        """Names of pictures that can go, because one that stays shows the same.

        Of two, that of the test split stays, then that of the validation split; then the larger
        one; then the first.
        """
        splits, sizes = self.pictures.splits, self.pictures.thumbnails.sizes
        rows = [row for one in self.groups for row in choose_removable(one, splits, sizes)]
        return [self.pictures.names[row] for row in sorted(rows)]

    def differences(self, pair: Pair) -> list[str]:
        """Return what the second picture of a pair is compared with the first, in words."""
        if pair.is_exact:
            same = self.pictures.have_same_file(pair.first, pair.second)
            return ["equal files" if same else "equal pixels"]
        words = pair.differences()
        sizes = self.pictures.thumbnails.sizes[[pair.first, pair.second]].tolist()
        if pair.is_whole and not pair.turn.quarters % 2 and sizes[0] != sizes[1]:
            words.append(f"{format_size(sizes[1])} instead of {format_size(sizes[0])}")
        return words or ["slightly other pixels"]

    def leak_counts(self) -> dict[str, int]:
        """Return how many groups are in each two splits, such as `{"train and test": 3}`."""
        counts: Counter[str] = Counter()
        for group in self.leaks:
            splits = [SPLITS[split] for split in group.splits(self.pictures.splits)]
            counts.update(
                f"{one} and {other}" for i, one in enumerate(splits) for other in splits[i + 1 :]
            )
        return dict(counts)

    def describe(self) -> list[str]:
        """Return lines for people: what was found, what splits share, and what was not compared."""
        leaks = [
            f"{count_of(number, 'group')} shared by {splits}"
            for splits, number in self.leak_counts().items()
        ]
        if self.contradictions:
            differ = "has" if len(self.contradictions) == 1 else "have"
            leaks.append(f"{count_of(len(self.contradictions), 'group')} {differ} several labels")
        return [self._count(), *leaks, *self._describe_others()]

    def _count(self) -> str:
        count, groups = count_of(len(self.pictures), "picture"), self.groups
        if not groups:
            return f"{count}: no duplicates (agreement {self.near:g})"
        exact = sum(group.is_exact for group in groups)
        found = sum(len(group.rows) for group in groups)
        return (
            f"{count}: {found:,} in {count_of(len(groups), 'group')} of duplicates, {exact:,} of "
            f"equal pictures and {len(groups) - exact:,} of nearly equal ones "
            f"(agreement {self.near:g})"
        )

    def _describe_others(self) -> list[str]:
        """Return lines on what was not compared."""
        lines = []
        if self.plain:
            lines.append(
                f"{count_of(self.plain, 'picture')} without details, such as blank ones or a clear "
                "sky: compared for equality only"
            )
        if self.pictures.left_out:
            texts = map(describe_left_out, self.pictures.left_out[:3])
            lines.append(f"left out: {'; '.join(texts)}")
        if self.pictures.skipped:
            (name, reason), count = self.pictures.skipped[0], len(self.pictures.skipped)
            lines.append(f"{count_of(count, 'file')} cannot be decoded, such as {name} ({reason})")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return all of it as a JSON object."""
        return {
            "source": self.pictures.source,
            "n": len(self.pictures),
            "near": self.near,
            "plain": self.plain,
            "leaks": self.leak_counts(),
            "contradictions": len(self.contradictions),
            "skipped": [list(one) for one in self.pictures.skipped],
            "groups": [self._group_json(group) for group in self.groups],
            "removable": self.removable,
        }

    def _group_json(self, group: Group) -> dict[str, Any]:
        kind = "exact" if group.is_exact else "near"
        pairs = [self._pair_json(pair) for pair in group.pairs]
        return {"kind": kind, "pictures": [*map(self._picture_json, group.rows)], "pairs": pairs}

    def _picture_json(self, row: int) -> dict[str, Any]:
        pictures = self.pictures
        height, width = pictures.thumbnails.sizes[row].tolist()
        content: dict[str, Any] = {"name": pictures.names[row], "height": height, "width": width}
        if pictures.splits is not None:
            content["split"] = SPLITS[pictures.splits[row]]
        if pictures.labels is not None:
            content["label"] = pictures.class_names[pictures.labels[row]]
        return content

    def _pair_json(self, pair: Pair) -> dict[str, Any]:
        names = self.pictures.names
        content: dict[str, Any] = {"first": names[pair.first], "second": names[pair.second]}
        if pair.is_exact:
            same = self.pictures.have_same_file(pair.first, pair.second)
            return {**content, "agreement": 1.0, "exact": True, "same_file": same}
        return {
            **content,
            "agreement": round(pair.agreement, 4),
            "exact": False,
            "mirrored": pair.turn.is_mirrored,
            "turned": 90 * pair.turn.quarters,
            "brightness": round(pair.brightness, 3),
            "first_box": list(pair.first_box),
            "second_box": list(pair.second_box),
            "differences": self.differences(pair),
        }
