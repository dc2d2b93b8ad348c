"""How large a picture may be: by its header, before it is decoded, and with all others."""

import threading
from types import TracebackType
from typing import Any

from PIL import Image

from isthmus.limits import limit_of, reject_beyond

MIN_COUNTED = 2**22  # pixels of a picture that waits until there is room for it
# How many times as much memory a pixel takes while it is decoded as in eight bits of a PNG.
WEIGHTS = {"AVIF": 2, "HEIF": 2, "JPEG2000": 3, "WEBP": 3}
LIGHT_MODES = ("L", "I;16")  # of JPEG 2000, in which satellites send large pictures
WIDE_WEIGHT = 2  # of more than eight bits
PROGRESSIVE_WEIGHT = 2  # of a JPEG that is kept whole until its last scan has come
MAX_WEIGHT = 3


def reject_too_large(width: int, height: int, weight: int = 1, kind: str = "") -> None:
    """Refuse a picture that would take more than a gigabyte while it is decoded.

    Parameters
    ----------
    width, height : int
    weight : int
        How many times each pixel counts.
    kind : str
        Why it counts more than once, such as "a progressive JPEG".

    Raises
    ------
    SourceError
    """
    side = f"it is {width:,} pixels wide and {height:,} high"
    reject_beyond("ISTHMUS_MAX_SIDE", max(width, height), side)
    said = f"it has {width:,} × {height:,} pixels"
    if weight > 1:
        said += f", of which each counts {weight} times in {kind}"
    reject_beyond("ISTHMUS_MAX_PIXELS", width * height * weight, said)


def weigh(picture: Image.Image) -> tuple[int, str]:
    """Return how many times a pixel of an opened picture counts, and what it is."""
    weight, kind = WEIGHTS.get(picture.format or "", 1), f"{picture.format}"
    if picture.format == "JPEG2000" and picture.mode in LIGHT_MODES:
        return 1, kind
    tiles: Any = getattr(picture, "tile", None)
    if picture.mode in ("I", "F") or (tiles and ";16" in str(tiles[0].args)):
        return max(weight, WIDE_WEIGHT), f"{kind} of more than 8 bits"
    if getattr(picture, "is_animated", False):
        return max(weight, 2), f"{kind} of several frames"
    return weight, kind


class Slot:
    """Room for one picture: large ones wait until those that are decoded leave some.

    Threads decode one picture each. Without it, sixteen of them would hold sixteen times the memory
    that one picture may take.
    """

    _changed = threading.Condition()
    _taken = 0  # pixels of all slots

    def __init__(self) -> None:
        self._pixels = 0

    def __enter__(self) -> "Slot":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pixels:
            self.release()

    def take(self, pixels: int) -> None:
        """Wait for room for a picture, instead of the one that this slot had before."""
        if self._pixels:
            self.release()
        if pixels < MIN_COUNTED:
            return
        most = limit_of("ISTHMUS_MAX_PIXELS")
        with Slot._changed:
            # One that is alone is admitted whatever its size, which has been looked at.
            Slot._changed.wait_for(lambda: not Slot._taken or Slot._taken + pixels <= most)
            Slot._taken += pixels
            self._pixels = pixels

    def release(self) -> None:
        """Leave the room to others."""
        with Slot._changed:
            Slot._taken -= self._pixels
            self._pixels = 0
            Slot._changed.notify_all()
