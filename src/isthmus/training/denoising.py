"""What a denoiser learns by: clean images, or what is next to each other in noisy ones."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.models.tasks import Activation
from isthmus.training.losses import Loss, make_loss
from isthmus.training.objective import Forward, MeanOverSamples, Moment, Objective, Outcome

if TYPE_CHECKING:
    from isthmus.training.run import Run

CELL = 2  # pixels along a side, of which two neighbors are drawn


@dataclass(frozen=True)
class FromClean(MeanOverSamples):
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
class FromNeighbors(MeanOverSamples):
    """The loss between two halves of a noisy image, as no clean image is there.

    Of each 2 × 2 pixels, two that touch are drawn. They make two images of half the sides that show
    nearly the same, with noise that is independent: what the model makes of the one is compared
    with the other, whose noise it cannot guess. What differs between neighbors without noise would
    be smoothed away so. How much that is, the model's own result for the whole patch says; it is
    taken off in a second term, which counts more and more as training goes on (Huang et al.,
    Neighbor2Neighbor: Self-Supervised Denoising from Single Noisy Images, 2021).
    """

    loss: Loss
    activation: Activation

    def __call__(self, forward: Forward, x: Tensor, targets: Tensor, moment: Moment) -> Outcome:
        """See `Objective`."""
        chance = moment.make_rng().uniform((len(x), *(side // CELL for side in x.shape[2:]), 2))
        first, second = draw_neighbors(torch.from_numpy(chance).to(x.device))
        output = forward(take(x, first))
        with torch.no_grad():
            whole = forward(x)
            difference = take(whole, first) - take(whole, second)
        wanted = take(targets, second)
        loss = self.loss(output, wanted, self.activation)
        share = min(1.0, moment.step / moment.steps) if moment.is_training else 1.0
        corrected = self.loss(output - difference, wanted, self.activation)
        # A mean, so that it can be compared between epochs.
        return Outcome((loss + share * corrected) / (1 + share), whole, {})


def draw_neighbors(chance: Tensor) -> tuple[Tensor, Tensor]:
    """Draw two pixels that touch of each cell of 2 × 2.

    Parameters
    ----------
    chance : (N, H, W, 2) float in [0, 1)

    Returns
    -------
    (N, H, W) int64, twice
        Their places: 0 and 1 are in the upper row, 2 and 3 below them.
    """
    first = (chance[..., 0] * CELL**2).long()
    # To the other column, or to the other row.
    return first, torch.where(chance[..., 1] < 0.5, first ^ 1, first ^ 2)


def take(x: Tensor, place: Tensor) -> Tensor:
    """Return the pixels of images x (N, C, H, W) at a place (N, H // 2, W // 2) of each cell."""
    height, width = (side * CELL for side in place.shape[1:])
    cells = functional.pixel_unshuffle(x[..., :height, :width], CELL)
    cells = cells.reshape(len(x), x.shape[1], CELL**2, *place.shape[1:])
    index = place[:, None, None].expand(-1, x.shape[1], -1, -1, -1)
    taken: Tensor = cells.gather(2, index)
    return taken.squeeze(2)


def mean_psnr(output: Tensor, targets: Tensor) -> Tensor:
    """Return the mean over images (N, C, H, W) of the PSNR in dB of what is clipped to [0, 1]."""
    errors = (output.clamp(0, 1) - targets).square().mean((1, 2, 3))
    return (-10 * torch.log10(errors.clamp(min=1e-10))).mean()


def make_denoising(run: "Run", counts: Tensor | None) -> Objective:
    """Return the objective of denoisers; see `make_objective`."""
    config = run.record.training_config
    loss = make_loss(config.loss or "mse")
    activation = run.record.model_config.activation
    return FromNeighbors(loss, activation) if config.no_clean else FromClean(loss, activation)
