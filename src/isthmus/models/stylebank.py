"""StyleBank: an autoencoder of images, and for each style a few layers that repaint its code.

Chen, Yuan, Liao, Yu and Hua, StyleBank: An Explicit Representation for Neural Image Style
Transfer, 2017. The encoder and the decoder know how to rebuild a photograph and nothing of styles;
each style is a part of its own, so that a new one is learned alone, and styles can be mixed.

Different from the paper: a style adds something to the code instead of replacing it, so that it
has a strength; and neither the encoder nor the decoder normalizes, as a normalized code has
forgotten how bright and how strong in contrast a photograph was.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.errors import OptionError
from isthmus.models.layers import Crop, Pad, Residual, he_normal

STEP = 4  # pixels along a side of an image for one place of the code
MIN_SIDE = 8  # of an image: two places of the code, as one alone has no contrast to normalize
PIXELS = 3 * STEP**2  # channels of a code that are the pixels of a patch
FIRST_CHANGE = 0.1  # of what He's weights would add: a style starts near the photograph


class WithPixels(nn.Sequential):
    """Layers whose maps stand behind the pixels themselves: 48 channels for each 4 × 4 patch.

    With the pixels at hand, a photograph is rebuilt sharply from the first step on, and all of a
    training goes into the styles.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Turn images (N, 3, H, W) into maps (N, 48 + C', H/4, W/4)."""
        y = x
        for layer in self:
            y = layer(y)
        return torch.cat([functional.pixel_unshuffle(x, STEP), y], 1)


class Repaint(nn.Sequential):
    """Layers that say how much of the pixels of a code is kept, and what is painted over them.

    The first is a shortcut that is added to what the others return: broad colors are learned soon.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Turn maps (N, 48 + C', H/4, W/4) into images (N, 3, H, W)."""
        shortcut, *layers = self
        y = maps
        for layer in layers:
            y = layer(y)
        more, paint = (shortcut(maps[:, PIXELS:]) + y).chunk(2, 1)
        pixels = functional.pixel_shuffle(maps[:, :PIXELS], STEP)
        image: Tensor = pixels + pixels * more + paint
        return image


class BehindPixels(nn.Module):
    """Zeros in the place of pixels, before what a style adds to the rest of a code.

    A style does not write into the pixels: one of their channels is one pixel of each patch, so
    what would be learned first is a pattern that repeats every four pixels.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Turn (N, C', H, W) into (N, 48 + C', H, W)."""
        return functional.pad(maps, (0, 0, 0, 0, PIXELS, 0))


class StyleBank(nn.Module):
    """An encoder and a decoder of images, and a bank of styles between them.

    Images may have any sides, also other ones than in training.

    Parameters
    ----------
    encoder, decoder : nn.Module
        From images (N, 3, H, W) to maps (N, C', H/4, W/4), and back.
    bank : sequence of nn.Module
        For each style: from maps to what it adds to them.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, bank: Sequence[nn.Module]) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.bank = nn.ModuleList(bank)

    def encode(self, x: Tensor) -> Tensor:
        """Turn images x (N, 3, H, W) into codes (N, D): the spatial means of their maps."""
        return self.to_maps(x).mean((2, 3))

    def forward(self, x: Tensor, shares: Tensor | None = None) -> Tensor:
        """Rebuild images, or paint them in styles.

        Parameters
        ----------
        x : (N, 3, H, W) float32
        shares : (N, K) float32, optional
            How much of each style an image gets, from 0 to 1; without, no style at all.

        Returns
        -------
        (N, 3, H, W) float32
            Before the output activation.
        """
        maps = self.to_maps(x)
        if shares is not None:
            maps = self.paint(maps, shares)
        return self.from_maps(maps, x.shape[2:])

    def code_and_output(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `encode` and `forward` return without styles, from one pass."""
        maps = self.to_maps(x)
        return maps.mean((2, 3)), self.from_maps(maps, x.shape[2:])

    def paint_all(self, maps: Tensor) -> list[Tensor]:
        """Return what each style adds to maps (N, D, H/4, W/4)."""
        return [layers(maps) for layers in self.bank]

    def to_maps(self, x: Tensor) -> Tensor:
        """Turn images into maps (N, C', H', W'): a quarter of their sides, rounded up."""
        maps: Tensor = self.encoder(Pad(padded_sides(x.shape[2:]))(x))
        return maps

    def paint(self, maps: Tensor, shares: Tensor) -> Tensor:
        """Add to maps what the styles add, each by its share; see `forward`."""
        painted = maps
        for style, layers in enumerate(self.bank):
            # Only where it is wanted: most images have one style of many.
            rows = torch.nonzero(shares[:, style])[:, 0]
            if len(rows):
                added = shares[rows, style, None, None, None] * layers(maps[rows])
                painted = painted.index_add(0, rows, added.to(painted.dtype))
        return painted

    def from_maps(self, maps: Tensor, sides: Sequence[int]) -> Tensor:
        """Turn maps into images of these sides, before the output activation."""
        x: Tensor = Crop(sides)(self.decoder(maps))
        return x


def one_style(styles: Tensor, count: int) -> Tensor:
    """Return shares (N, K) for images with a single style each: styles (N,) int64 of K."""
    return functional.one_hot(styles, count).float()


def padded_sides(sides: Sequence[int]) -> list[int]:
    """Return the sides to which images are padded before they are encoded."""
    return [max(MIN_SIDE, -(-side // STEP) * STEP) for side in sides]


def stylebank(
    shape: Sequence[int], code_size: int, styles: int, *, width: int = 32, blocks: int = 2
) -> StyleBank:
    """Build an autoencoder with a bank of styles.

    Patches of 2 × 2 pixels become channels at once: at full size, convolutions of so few channels
    would take most of the time.

    Parameters
    ----------
    shape : (3, H, W)
    code_size : int
        Channels of the code.
    styles : int
    width : int
        Channels at half of the image's sides.
    blocks : int
        Residual blocks at the beginning of the decoder.
    """
    if shape[0] != 3:
        raise OptionError("styles are made of colors; convert the images to RGB.")
    if code_size <= PIXELS:
        raise OptionError(f"the code size of a style bank must be above {PIXELS}, not {code_size}.")
    inner = code_size - PIXELS
    encoder = WithPixels(
        nn.PixelUnshuffle(2),
        _convolution(12, width, 5),
        nn.ReLU(),
        _convolution(width, inner, 3, stride=2),
    )
    decoder = Repaint(
        nn.Sequential(nn.Conv2d(inner, 6, 1), _upsampling(STEP)),
        _convolution(code_size, inner, 3),
        *(_residual(inner) for _ in range(blocks)),
        nn.ReLU(),
        _upsampling(2),
        _convolution(inner, width, 3),
        nn.ReLU(),
        *_smooth_upsampling(width, 6),
    )
    bank = [_style(code_size, inner) for _ in range(styles)]
    module = StyleBank(encoder, decoder, bank).apply(he_normal)
    for layers in (encoder, decoder, decoder[0], *list(decoder)[2 : 2 + blocks]):
        _shrink(layers)
    return module


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution that repeats the border: zeros would be painted as a frame."""
    margin = kernel // 2
    return nn.Conv2d(inputs, outputs, kernel, stride, margin, padding_mode="replicate")


def _upsampling(scale: int) -> nn.Module:
    """Return bilinear upsampling: what is constant stays constant.

    Channels that are spread over patches of pixels alone would be cheaper, but what a style adds to
    all places of the code alike would show as a grid (Odena et al., Deconvolution and Checkerboard
    Artifacts, 2016).
    """
    return nn.Upsample(scale_factor=scale, mode="bilinear", align_corners=False)


def _smooth_upsampling(inputs: int, outputs: int) -> list[nn.Module]:
    """Return layers that double the sides: pixels from channels, then two means of 2 × 2.

    The means are zero for what alternates from pixel to pixel, so no grid is left, also at borders
    that are reflected; and the convolution has a quarter of the places to compute.
    """
    return [
        _convolution(inputs, 4 * outputs, 5),
        nn.PixelShuffle(2),
        nn.ReflectionPad2d(1),
        nn.AvgPool2d(2, 1),
        nn.AvgPool2d(2, 1),
    ]


def _residual(channels: int) -> Residual:
    return Residual(
        _convolution(channels, channels, 3),
        nn.ReLU(),
        _convolution(channels, channels, 3),
    )


def _style(code_size: int, inner: int) -> nn.Sequential:
    """Return the layers of a style.

    Normalizing here, image by image, makes a style look the same in bright and in dark photographs
    (Ulyanov et al., Instance Normalization, 2016).
    """
    return nn.Sequential(
        _convolution(code_size, inner, 3),
        nn.InstanceNorm2d(inner, affine=True),
        nn.ReLU(),
        Residual(
            _convolution(inner, inner, 3),
            nn.InstanceNorm2d(inner, affine=True),
            nn.ReLU(),
            _convolution(inner, inner, 3),
            nn.InstanceNorm2d(inner, affine=True),
        ),
        nn.ReLU(),
        _convolution(inner, inner, 3),
        BehindPixels(),
    )


@torch.no_grad()
def _shrink(layers: nn.Module) -> None:
    """Let layers whose output is added to something else begin by adding little."""
    last = [layer for layer in layers.children() if isinstance(layer, nn.Conv2d)][-1]
    last.weight.mul_(FIRST_CHANGE)
