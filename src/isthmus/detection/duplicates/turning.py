"""How one picture is turned compared with another: mirrored, then by quarters of a circle."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Turn(NamedTuple):
    """Mirrored from left to right or not, and then turned counterclockwise by quarters."""

    is_mirrored: bool = False
    quarters: int = 0

    def apply(self, pictures: NDArray[Any]) -> NDArray[Any]:
        """Turn pictures (…, H, W)."""
        flipped = pictures[..., ::-1] if self.is_mirrored else pictures
        return np.rot90(flipped, self.quarters, axes=(-2, -1))

    def undo(self, box: Sequence[float]) -> tuple[float, float, float, float]:
        """Return where a box of a turned picture is in the picture before.

        Parameters
        ----------
        box : (left, top, right, bottom)
            Fractions of width and height, from 0 to 1.
        """
        left, top, right, bottom = box
        for _ in range(self.quarters):  # clockwise
            left, top, right, bottom = 1 - bottom, left, 1 - top, right
        return (
            (1 - right, top, 1 - left, bottom) if self.is_mirrored else (left, top, right, bottom)
        )


UPRIGHT = (Turn(), Turn(True))
# All but a quarter clockwise: that is a quarter counterclockwise seen from the other picture.
TURNED = (Turn(False, 1), Turn(False, 2), Turn(True, 1), Turn(True, 2), Turn(True, 3))
