"""The denoisers: functions from the shape of an image to a module that takes noise away.

They are fully convolutional: images may have any sides, also other ones than in training. What they
compute is the noise, which is subtracted from the image: a network that does nothing yet returns
the image, and fine structure need not pass through it (Zhang et al., Beyond a Gaussian Denoiser,
2017, section III). Shapes are those of one image x: (C, H, W).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from isthmus.models.layers import Residual, he_normal

STEP = 2  # pixels of the image along a side that become channels at once
MIDDLE = 0.5  # between black and white; weights learn faster from numbers around zero
FIRST_NOISE = 0.1  # the share of the noise that is found before anything is learned
DEPTH = 17  # layers of DnCNN for noise of one strength
FEATURES = 64  # channels of DnCNN


class Denoiser(nn.Module):
    """Layers that find the noise in an image, which is then subtracted.

    Parameters
    ----------
    noise : nn.Module
        From images (N, C, H, W) to their noise, of the same shape; black is -0.5 and white 0.5.
    step : int
        The sides of what `noise` gets are multiples of it.
    """

    def __init__(self, noise: nn.Module, step: int = 1) -> None:
        super().__init__()
        self.noise = noise
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """Return the clean estimates of images x (N, C, H, W) in [0, 1], before any clipping."""
        height, width = x.shape[2:]
        noise: Tensor = self.noise(mirror(mirror(x, 2, self.step), 3, self.step) - MIDDLE)
        # Not a slice: when a model is exported for images of any sides, that cannot be checked.
        rows, columns = (torch.arange(side, device=x.device) for side in (height, width))
        return x - noise.index_select(2, rows).index_select(3, columns)


def mirror(x: Tensor, axis: int, step: int) -> Tensor:
    """Mirror an image at its end along an axis, until `step` divides the side.

    Repeating the border instead would turn its noise into stripes, which no longer look like noise.
    Only the end grows: in each tile of a large image that begins at a multiple of `step`, the same
    pixels then meet as in the whole. Unlike `functional.pad`, this also works for sides below
    `step`.
    """
    if step == 1:
        return x
    side = x.shape[axis]
    # No division of negative numbers and no remainder: ONNX rounds them otherwise, or has none.
    place = torch.arange((side + step - 1) // step * step, device=x.device)
    place = place - place // (2 * side) * (2 * side)  # there and back, as often as it takes
    return x.index_select(axis, torch.minimum(place, 2 * side - 1 - place))


def dncnn(
    shape: Sequence[int], code_size: int, *, depth: int = DEPTH, width: int = FEATURES
) -> Denoiser:
    """Build DnCNN (Zhang et al., Beyond a Gaussian Denoiser, 2017), as published.

    Parameters
    ----------
    shape : (C, H, W)
    code_size : int
        0, as there is no code.
    depth : int
        Convolutions; 17 for noise of one strength, 20 for a range of strengths.
    width : int
        Channels between them.
    """
    layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 3, padding=1), nn.ReLU(inplace=True)]
    for _ in range(depth - 2):
        layers += [
            nn.Conv2d(width, width, 3, padding=1, bias=False),  # normalizing would take it away
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
    layers.append(nn.Conv2d(width, shape[0], 3, padding=1))
    return Denoiser(nn.Sequential(*layers).apply(he_normal))


def denoiser(shape: Sequence[int], code_size: int, *, width: int = 32, blocks: int = 2) -> Denoiser:
    """Build a small U-Net of residual blocks that predicts the noise.

    Patches of 2 × 2 pixels become channels at once: at full size, convolutions would take most of
    the time (Shi et al., Real-Time Single Image and Video Super-Resolution, 2016; Zhang et al.,
    FFDNet, 2018). Half of the sides cost a quarter of the time, so most weights stand at the coarse
    scales, as in DRUNet (Zhang et al., Plug-and-Play Image Restoration with Deep Denoiser Prior,
    2021). There is no batch normalization: it costs time, and depends on what else is in a batch.

    Parameters
    ----------
    shape : (C, H, W)
    code_size : int
        0, as there is no code.
    width : int
        Channels at half of the image's sides; each of the two coarser scales has half the sides and
        twice the channels of the one before.
    blocks : int
        Residual blocks of the coarsest scale; the others have one before it and one after it.
    """
    widths, counts = (width, 2 * width, 4 * width), (1, 1, blocks)
    pixels = STEP**2 * shape[0]
    layers = nn.Sequential(
        nn.PixelUnshuffle(STEP),
        nn.Conv2d(pixels, width, 3, padding=1),
        *_scales(widths, counts),
        nn.Conv2d(width, pixels, 3, padding=1),
        nn.PixelShuffle(STEP),
    ).apply(he_normal)
    for part in layers.modules():
        if isinstance(part, Residual):
            _shrink(part, 0)
    _shrink(layers, FIRST_NOISE)
    return Denoiser(layers, STEP * 2 ** (len(widths) - 1))


def _scales(widths: Sequence[int], blocks: Sequence[int]) -> list[nn.Module]:
    """Return the blocks of a scale, around those of the coarser scales, whose output is added."""
    before, after = ([_block(widths[0]) for _ in range(blocks[0])] for _ in range(2))
    if len(widths) == 1:
        return [*before]
    coarser = Residual(
        nn.Conv2d(widths[0], widths[1], 2, stride=2),
        *_scales(widths[1:], blocks[1:]),
        nn.Conv2d(widths[1], 4 * widths[0], 1),
        nn.PixelShuffle(2),
    )
    return [*before, coarser, *after]


def _block(channels: int) -> Residual:
    return Residual(
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, 3, padding=1),
    )


@torch.no_grad()
def _shrink(layers: nn.Sequential, share: float) -> None:
    """Let layers whose output is added to something else begin with a share of it."""
    last = [layer for layer in layers if isinstance(layer, nn.Conv2d)][-1]
    last.weight.mul_(share)
