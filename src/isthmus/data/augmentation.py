"""`Augmentation`: random changes of training images, so that fewer labels teach as much.

All movements of an image are one affine interpolation: interpolating several times would blur
it. Its mask moves with it, to the nearest pixel: a mean of classes is not a class.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from isthmus.data.random import Rng
from isthmus.data.transforms import Transforms

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)


@dataclass(frozen=True)
class AugmentationRow:
    """A row of `AUGMENTATIONS`: one line for people, the largest strength, and a usual one."""

    description: str
    max_strength: float
    example: float
    min_strength: float = 0.0
    is_whole: bool = False


AUGMENTATIONS: dict[str, AugmentationRow] = {
    "shift": AugmentationRow("moved by up to this share of the sides", 0.5, 0.1),
    "zoom": AugmentationRow(
        "a window smaller by up to this share of the sides, enlarged", 0.9, 0.3
    ),
    "rotate": AugmentationRow("rotated by up to this many degrees", 180, 10),
    "color": AugmentationRow("brightness, contrast and saturation times 1 ± this", 1, 0.2),
}


@dataclass(frozen=True)
class Augmentation(Transforms):
    """Augmentations with their strengths; movements are applied first, then colors.

    What moves in from outside an image is its reflection.

    Parameters
    ----------
    steps : tuple of (kind, strength)
        Keys of `AUGMENTATIONS`.

    Raises
    ------
    OptionError
        If a kind is unknown or its strength outside its range.

    Examples
    --------
    >>> str(Augmentation.parse("shift:0.10, color:0.2"))
    'shift:0.1,color:0.2'
    """

    rows = AUGMENTATIONS
    noun = "augmentation"
    has_ranges = False

    def apply(
        self, x: Tensor, rng: Rng, masks: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Change images, and move their masks with them.

        Parameters
        ----------
        x : (N, C, H, W) float32 in [0, 1]
        rng : Rng
        masks : (N, H, W) int64, optional

        Returns
        -------
        x, masks
            Of the same shapes.
        """
        # Ranges were rejected: `has_ranges`.
        strengths = dict(cast("tuple[tuple[str, float], ...]", self.steps))
        # All seven are drawn in any case, so that leaving out one kind does not change the others.
        chance = 2 * rng.uniform((len(x), 7)) - 1  # in [-1, 1)
        if strengths.keys() & {"shift", "zoom", "rotate"}:
            grid = _build_grid(x, strengths, chance)
            x = _sample(x, grid, "bilinear")
            if masks is not None:
                # `grid_sample` takes fractions only; classes up to 255 stay exact in float32.
                masks = _sample(masks[:, None].float(), grid, "nearest")[:, 0].long()
        if "color" in strengths:
            x = _change_color(x, strengths["color"], chance[:, 4:])
        return x, masks


def _build_grid(x: Tensor, strengths: dict[str, float], chance: NDArray[np.float32]) -> Tensor:
    """Return for each pixel of the result where it comes from: (N, H, W, 2) in [-1, 1]."""
    # NumPy computes the six numbers of each movement: torch's sine differs between devices.
    size = 1 - strengths.get("zoom", 0.0) * (chance[:, 2] + 1) / 2  # of the window
    angle = np.deg2rad(strengths.get("rotate", 0.0) * chance[:, 3])
    # A side is 2 long in these coordinates: a smaller window has 1 - size to either side, and a
    # shift is a share of the side.
    room = (1 - size)[:, None] + 2 * strengths.get("shift", 0.0)
    # Coordinates run from -1 to 1 along both sides: without the ratio of the sides, a rotation
    # would shear images that are not square.
    ratio = x.shape[3] / x.shape[2]
    cosine, sine = size * np.cos(angle), size * np.sin(angle)
    rows = [[cosine, -sine / ratio], [sine * ratio, cosine]]
    matrices = np.concatenate(
        [np.array(rows).transpose(2, 0, 1), (chance[:, :2] * room)[..., None]], axis=2
    )
    theta = torch.from_numpy(matrices).to(x.device, x.dtype)
    return functional.affine_grid(theta, [len(x), 1, *x.shape[2:]], align_corners=False)


def _sample(x: Tensor, grid: Tensor, mode: str) -> Tensor:
    # Reflected at the border, because only training images would have black corners.
    return functional.grid_sample(
        x, grid, mode=mode, padding_mode="reflection", align_corners=False
    )


def _change_color(x: Tensor, strength: float, chance: NDArray[np.float32]) -> Tensor:
    """Multiply brightness, contrast and saturation by three random factors for each sample."""
    factors = torch.from_numpy(1 + strength * chance).to(x.device, x.dtype)
    bright, contrast, saturation = factors.view(len(x), 3, 1, 1, 1).unbind(1)
    x = x * bright
    if x.shape[1] == 3:
        gray = (x * x.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
        x = gray + (x - gray) * saturation
    mean = x.mean((1, 2, 3), keepdim=True)
    # Clipped once at the end: what one factor moves out of the range, the next may bring back.
    return (mean + (x - mean) * contrast).clamp(0, 1)
