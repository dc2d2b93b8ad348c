"""Pairs: candidates that are aligned and measured, and what differs between the two."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track
from isthmus.detection.duplicates.agreement import (
    measure_colors,
    measure_details,
    soften,
)
from isthmus.detection.duplicates.alignment import Pictures, align, average, warp
from isthmus.detection.duplicates.candidates import Box, Candidates
from isthmus.detection.duplicates.thumbnails import Thumbnails
from isthmus.detection.duplicates.turning import UPRIGHT, Turn

BLOCK = 128  # pairs that are aligned at once; they take 30 MB
# Sides of thumbnails, steps of alignment, and how much less than wanted a pair may agree there. Of
# 1,200 planted pairs the worst agreed by 0.22 less on a side of 16, and by 0.04 less on one of 32.
STAGES = ((16, 4, 0.3), (32, 3, 0.08), (64, 1, 0.02))
# Pixels of the shorter side, below which pictures are compared as they are. So small, other digits
# and trousers look the same once they may be moved and stretched: of 5,000 in MNIST and
# Fashion-MNIST each, 314 and 291 are then in pairs, instead of 50 and 55.
MIN_SIDE = 40
IN_PLACE = np.array([1, 1, 0, 0], np.float32)
MIN_CUT = 0.015  # of a side, below which a picture counts as not cropped
MIN_CHANGE = 0.02  # of the brightness, below which it counts as the same


@dataclass(frozen=True)
class Pair:
    """Two pictures that show the same.

    Parameters
    ----------
    first, second : int
        Rows of the pictures; of equal ones the first row is that of all others.
    agreement : float
        From 0 to 1, see `isthmus.detection.duplicates.agreement`; 1 for equal pictures.
    is_exact : bool
        Whether size and all pixels are equal.
    turn : Turn
        How the first has to be turned to look like the second.
    first_box, second_box : (left, top, right, bottom)
        The part of each that the other shows, in fractions of its width and height.
    brightness : float
        Mean brightness of the second, divided by that of the first, over what both show.
    """

    first: int
    second: int
    agreement: float = 1.0
    is_exact: bool = True
    turn: Turn = UPRIGHT[0]
    first_box: Box = (0.0, 0.0, 1.0, 1.0)
    second_box: Box = (0.0, 0.0, 1.0, 1.0)
    brightness: float = 1.0

    @property
    def rows(self) -> tuple[int, int]:
        """The rows of both."""
        return self.first, self.second

    @property
    def is_whole(self) -> bool:
        """Whether both pictures show all of the other."""
        return _area(self.first_box) == _area(self.second_box) == 1

    @property
    def written(self) -> str:
        """The agreement for people: 1 for equal pictures alone."""
        return "1" if self.is_exact else f"{min(self.agreement, 0.999):.3f}"

    def differences(self) -> list[str]:
        """Return what the second picture is compared with the first, in words.

        Examples
        --------
        >>> Pair(0, 1, 0.99, False, Turn(True), brightness=1.1).differences()
        ['mirrored', '10% brighter']
        """
        words = ["mirrored"] if self.turn.is_mirrored else []
        if self.turn.quarters:
            words.append(f"turned by {90 * self.turn.quarters}°")
        words += self._describe_crop()
        change = self.brightness - 1
        if abs(change) >= MIN_CHANGE:
            words.append(f"{abs(change):.0%} {'brighter' if change > 0 else 'darker'}")
        return words

    def _describe_crop(self) -> list[str]:
        shown, shared = _area(self.first_box), _area(self.second_box)
        if shown < 1 and shared < 1:
            return [f"moved, {min(shown, shared):.0%} are shared"]
        if shown < 1:
            return [f"a crop of {shown:.0%}"]
        return [f"with more around, the first is {shared:.0%} of it"] if shared < 1 else []


def measure_pairs(
    thumbnails: Thumbnails, candidates: Candidates, near: float, track: Track
) -> list[Pair]:
    """Align candidates, and return those whose agreement is at least `near`, best first."""
    starts = range(0, len(candidates.first), BLOCK)
    pairs = [
        pair
        for start in track(starts, len(starts), "Comparing pictures")
        for pair in _measure(_Block.take(thumbnails, candidates, slice(start, start + BLOCK)), near)
    ]
    return sorted(pairs, key=lambda pair: (-pair.agreement, pair.first, pair.second))


class _Block(NamedTuple):
    """Pairs that are measured together: a, turned, and b, and where b may lie in a."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    turns: list[Turn]
    a: Pictures
    b: Pictures
    colors: tuple[Pictures, Pictures]
    places: NDArray[np.float32]
    is_small: NDArray[np.bool_]

    @classmethod
    def take(cls, thumbnails: Thumbnails, candidates: Candidates, block: slice) -> "_Block":
        """Return some of the candidates."""
        first, second = candidates.first[block], candidates.second[block]
        views = [candidates.views[view] for view in candidates.view[block].tolist()]
        turns = [view.turn for view in views]
        color = thumbnails.color
        colors = color[first].astype(np.float32) - 128, color[second].astype(np.float32) - 128
        return cls(
            first,
            second,
            turns,
            _turn(thumbnails.gray[first], turns).astype(np.float32),
            thumbnails.gray[second].astype(np.float32),
            (_turn(colors[0], turns), colors[1]),
            np.array([_place(view.box) for view in views], np.float32),
            thumbnails.sizes[[first, second]].min(axis=(0, 2)) < MIN_SIDE,
        )

    def keep(self, rows: NDArray[np.int64]) -> "_Block":
        """Return some of the pairs."""
        turns = [self.turns[row] for row in rows.tolist()]
        colors = (self.colors[0][rows], self.colors[1][rows])
        first, second, places = self.first[rows], self.second[rows], self.places[rows]
        a, b, is_small = self.a[rows], self.b[rows], self.is_small[rows]
        return _Block(first, second, turns, a, b, colors, places, is_small)


def _measure(block: _Block, near: float) -> Iterator[Pair]:
    """Align pairs on larger and larger thumbnails, and drop those that do not agree."""
    for side, steps, less in STAGES:
        if not len(block.first):
            return
        a, b = average(block.a, side), average(block.b, side)
        if side == block.a.shape[-1]:
            a, b = soften(a), soften(b)
        places = np.where(block.is_small[:, None], IN_PLACE, align(a, b, block.places, steps))
        block = block._replace(places=places)
        agreement = measure_details(a, b, block.places)
        kept = np.flatnonzero(agreement >= near - less)
        block, agreement = block.keep(kept), agreement[kept]
    if len(block.first):
        # Only one of the two is resampled, which costs details: the better of both ways counts.
        seen_from_b = measure_details(b[kept], a[kept], _invert(block.places))
        yield from _complete(block, np.maximum(agreement, seen_from_b), near)


def _complete(block: _Block, agreement: NDArray[np.float64], near: float) -> Iterator[Pair]:
    """Compare colors too, and yield the pairs that agree."""
    brightness = _compare_brightness(block)
    colors = block.colors[0] * brightness[:, None, None, None]  # as colorful as it is bright
    agreement = np.minimum(agreement, measure_colors(colors, block.colors[1], block.places))
    for row in np.flatnonzero(agreement >= near).tolist():
        first_box, second_box = _boxes(block.places[row].tolist())
        yield Pair(
            int(block.first[row]),
            int(block.second[row]),
            float(agreement[row]),
            False,
            block.turns[row],
            block.turns[row].undo(first_box),
            second_box,
            float(brightness[row]),
        )


def _turn(pictures: NDArray[Any], turns: Sequence[Turn]) -> NDArray[Any]:
    return np.stack([turn.apply(one) for turn, one in zip(turns, pictures, strict=True)])


def _place(box: Box) -> tuple[float, float, float, float]:
    """Return sx, sy, tx and ty of a box, whose sides are fractions of a picture."""
    left, top, right, bottom = box
    return right - left, bottom - top, left + right - 1, top + bottom - 1


def _invert(places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return where a lies in b, given where b lies in a."""
    scales, shifts = places[:, :2], places[:, 2:]
    return np.concatenate([1 / scales, -shifts / scales], axis=1)


def _boxes(place: Sequence[float]) -> tuple[Box, Box]:
    """Return the part of a turned first picture, and of the second, that both show."""
    (left, right), (x, x_end) = _overlap(place[0], place[2])
    (top, bottom), (y, y_end) = _overlap(place[1], place[3])
    return (left, top, right, bottom), (x, y, x_end, y_end)


def _overlap(scale: float, shift: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return where two pictures overlap on an axis: the ends in the first, and in the second."""
    ends = max(-1.0, shift - scale), min(1.0, shift + scale)
    others = [(end - shift) / scale for end in ends]
    first, second = [[(1 + end) / 2 for end in pair] for pair in (ends, others)]
    return (_round(first[0]), _round(first[1])), (_round(second[0]), _round(second[1]))


def _round(end: float) -> float:
    """Return where a side is, in fractions, or 0 and 1 where it is the edge but for chance."""
    return 0.0 if end < MIN_CUT else 1.0 if end > 1 - MIN_CUT else round(end, 4)


def _area(box: Box) -> float:
    left, top, right, bottom = box
    return (right - left) * (bottom - top)


def _compare_brightness(block: _Block) -> NDArray[np.float32]:
    """Return the mean brightness of b, divided by that of a, where both are."""
    warped = warp(block.a, block.places)
    a, b = ((one * warped.inside).sum((1, 2)) for one in (warped.pixels, block.b))
    return np.asarray((b + 1) / (a + 1), np.float32)
