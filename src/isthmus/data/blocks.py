"""`Block`: pictures of one shape that were decoded together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.masks.mask import Mask
from isthmus.data.reading import PictureFacts


class Decoded(NamedTuple):
    """Pixels (H, W, C); the mask, of the same height and width, with the values of all of it.

    Or the clean picture (H, W, c), which may be gray where the noisy one is in color.
    """

    pixels: NDArray[np.uint8]
    mask: Mask | None = None
    facts: PictureFacts | None = None
    clean: NDArray[np.uint8] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels."""
        return self.pixels.nbytes + (0 if self.clean is None else self.clean.nbytes)


@dataclass(frozen=True)
class Block:
    """Consecutive pictures of one shape.

    Parameters
    ----------
    pixels : (n, H, W, C) uint8
        The pictures that could be decoded.
    broken : dict
        The reasons why the others could not, by position in the block.
    masks : sequence of n Mask
        With the values that they had before they were cropped; empty if there are none.
    facts : sequence of n PictureFacts
        Of the pictures that could be decoded.
    clean : sequence of n (H, W, c) uint8
        The same pictures without noise; empty if there are none.
    """

    pixels: NDArray[np.uint8]
    broken: dict[int, str] = field(default_factory=dict)
    masks: Sequence[Mask] = ()
    facts: Sequence[PictureFacts] = ()
    clean: Sequence[NDArray[np.uint8]] = ()

    def __len__(self) -> int:
        return len(self.pixels) + len(self.broken)

    @property
    def good(self) -> list[int]:
        """The positions in the block of the pictures that could be decoded."""
        return [i for i in range(len(self)) if i not in self.broken]

    @property
    def limits(self) -> NDArray[np.float64]:
        """Smallest and largest value (n, 2) of each picture, on the scale of its file.

        Of eight bits, as they come out. For all of a block at once: one by one, that would take
        five times as long.
        """
        limits = np.array([(one.low, one.high) for one in self.facts], np.float64).reshape(-1, 2)
        unknown = np.isnan(limits[:, 0])
        if unknown.any():
            rows = self.pixels.reshape(len(self.pixels), -1)
            limits[unknown, 0] = rows.min(axis=1)[unknown]
            limits[unknown, 1] = rows.max(axis=1)[unknown]
        return limits

    @property
    def mask_values(self) -> NDArray[np.bool_] | None:
        """Whether a number from 0 to 255 occurs in the files of the masks; None without masks."""
        if not self.masks:
            return None
        numbers = {value.number for mask in self.masks for value in mask.values}
        return np.isin(np.arange(256), list(numbers))


def build_blocks(decoded: Iterable[Decoded | str]) -> list[Block]:
    """Join pictures, or the reasons why they are broken; a block ends where the shape changes."""
    runs: list[list[Decoded | str]] = []
    shape: tuple[int, ...] = ()
    for one in decoded:
        # A broken picture has no shape: it belongs to the block before it.
        if not runs or (not isinstance(one, str) and one.pixels.shape != shape):
            runs.append([])
        if not isinstance(one, str):
            shape = one.pixels.shape
        runs[-1].append(one)
    return [_build_block(run) for run in runs]


def _build_block(run: Sequence[Decoded | str]) -> Block:
    good = [decoded for decoded in run if not isinstance(decoded, str)]
    broken = {i: decoded for i, decoded in enumerate(run) if isinstance(decoded, str)}
    if not good:
        return Block(np.empty((0, 0, 0, 0), np.uint8), broken)
    several = len(good) > 1
    pixels = np.stack([one.pixels for one in good]) if several else good[0].pixels[None]
    return Block(
        pixels,
        broken,
        [decoded.mask for decoded in good if decoded.mask is not None],
        [decoded.facts for decoded in good if decoded.facts is not None],
        [decoded.clean for decoded in good if decoded.clean is not None],
    )
