"""What a denoiser learns by: clean images, or noisy ones whose pixels are hidden from it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from isthmus.models.tasks import Activation
from isthmus.training.losses import Loss, make_loss
from isthmus.training.objective import Forward, Moment, Objective, Outcome

if TYPE_CHECKING:
    from isthmus.training.run import Run

HIDDEN = 1 / 8  # share of the pixels that are hidden in a step; 1 / 32 learned more slowly
RADIUS = 2  # pixels within which a hidden one gets the value of another


@dataclass(frozen=True)
class FromClean:
    """The loss between what is made of a noisy image and the clean one."""

    loss: Loss
    activation: Activation

    def __call__(self, forward: Forward, x: Tensor, targets: Tensor, moment: Moment) -> Outcome:
        """See `Objective`."""
        output = forward(x)
        loss = self.loss(output, targets, self.activation)
        if moment.is_training:
            return Outcome(loss, output, {})
        return Outcome(loss, output, {"psnr": mean_psnr(output, targets)})


@dataclass(frozen=True)
class BlindSpot:
    """The loss at pixels that the model could not see, as no clean image is there.

    A hidden pixel gets the value of one of its neighbors, and the model is to say what stood there.
    It cannot guess the noise, which is independent from pixel to pixel, so it learns the image:
    Krull, Buchholz and Jug, Noise2Void: Learning Denoising from Single Noisy Images, 2019. The
    loss is a mean over hidden pixels.
    """

    loss: Loss
    activation: Activation

    def __call__(self, forward: Forward, x: Tensor, targets: Tensor, moment: Moment) -> Outcome:
        """See `Objective`."""
        chance = moment.make_rng().uniform((len(x), *x.shape[2:], 2))
        hidden = torch.from_numpy(chance[..., 0]).to(x.device) < HIDDEN
        output = forward(hide(x, hidden, torch.from_numpy(chance[..., 1]).to(x.device)))
        seen, wanted = (one.movedim(1, -1)[hidden] for one in (output, targets))
        return Outcome(self.loss(seen, wanted, self.activation), output, {})


def hide(x: Tensor, hidden: Tensor, chance: Tensor) -> Tensor:
    """Return images whose hidden pixels have the values of neighbors.

    Parameters
    ----------
    x : (N, C, H, W)
    hidden : (N, H, W) bool
    chance : (N, H, W) float in [0, 1)
        Which neighbor it is, of the 24 around a pixel; beyond the border it is its reflection.
    """
    width = 2 * RADIUS + 1
    row, top, left = torch.nonzero(hidden, as_tuple=True)
    choice = (chance[hidden] * (width**2 - 1)).long()
    choice += choice >= width**2 // 2  # the middle is the pixel itself
    sides = x.shape[2:]
    near = [
        _reflect(place + step - RADIUS, side)
        for place, step, side in zip(
            (top, left), (choice // width, choice % width), sides, strict=True
        )
    ]
    changed = x.clone()
    changed[row, :, top, left] = x[row, :, near[0], near[1]]
    return changed


def _reflect(place: Tensor, side: int) -> Tensor:
    """Bring places just beyond a border back into an image."""
    place = place.abs()
    return torch.where(place >= side, 2 * side - 2 - place, place).clamp(0, side - 1)


def mean_psnr(output: Tensor, targets: Tensor) -> Tensor:
    """Return the mean over images (N, C, H, W) of the PSNR in dB of what is clipped to [0, 1]."""
    errors = (output.clamp(0, 1) - targets).square().mean((1, 2, 3))
    return (-10 * torch.log10(errors.clamp(min=1e-10))).mean()


def make_denoising(run: "Run", counts: Tensor | None) -> Objective:
    """Return the objective of denoisers; see `make_objective`."""
    config = run.record.training_config
    loss = make_loss(config.loss or "mse")
    activation = run.record.model_config.activation
    return BlindSpot(loss, activation) if config.no_clean else FromClean(loss, activation)
